"""What somebody of the shop is told without asking, and what they can do about it here."""

import csv
import io
import re

import pytest

from crdtsync import Register
from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock
from tests.web.conftest import lines_of, wait_until

HOUR_MS = 3_600_000


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\u202f", " ")


def counted(page):
    """What stands in the title of a page; 0 where it is the bare name."""
    found = re.search(r"<title>\((\d+)\) ", page)
    return int(found[1]) if found else 0


def stream_of(visitor, path):
    """The first state that a live page brings."""
    told = []
    with visitor.http.stream("GET", path) as stream:
        for line in lines_of(stream):
            told.append(line)
            if line == "" and any(one.startswith("data:") for one in told):
                return "\n".join(told)
    raise AssertionError(told)


@pytest.fixture
def office(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.person("Paul", "staff")
    shop.till = shop.register("Caisse 1")
    shop.till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    shop.till.sync(60)
    return shop


@pytest.fixture(autouse=True)
def looked_for_anew(monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.FOUND_FOR_MS", 0)


def test_where_all_is_well_that_is_said_and_no_page_counts_anything(office):
    marie = office.visitor("Marie")
    assert "All is well." in marie.page("/alerts")
    assert counted(marie.page("/today")) == 0
    assert marie.get("/alerts/count").json() == {"alerts": 0}
    assert marie.http.head("/alerts/count").status_code == 200


def test_a_wrong_clock_is_told_on_every_page(office):
    clock = ManualClock(SystemClock().now_ms() + 3 * HOUR_MS, 0)
    wrong = office.register("Caisse 2", clock=clock)
    connection = wrong.start_sync()
    marie = office.visitor("Marie")
    wait_until(lambda: "The clock of Caisse 2 is wrong by 3 hours" in text(marie.page("/alerts")))
    page = text(marie.page("/alerts"))
    assert "Tickets bear its time." in page
    assert "Set the clock of that machine" in page
    for path in ("/today", "/sales", "/people", "/catalogue"):
        assert counted(marie.page(path)) == 1
    assert marie.get("/alerts/count").json() == {"alerts": 1}
    french = office.visitor("Marie", language="fr").page("/alerts")
    assert "L’horloge de Caisse 2 est fausse de 3 heures" in text(french)
    assert connection.error is None


def test_the_list_of_alerts_is_a_file_too(office, monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.UNHEARD_MS", -1)
    marie = office.visitor("Marie")
    wait_until(lambda: "Caisse 1 was not heard of for" in text(marie.page("/alerts")))
    (row,) = csv.DictReader(io.StringIO(marie.page("/alerts/export.csv").lstrip("\ufeff")), delimiter=";")
    assert (row["alert"], row["grave"], row["register"]) == ("unheard", "no", "Caisse 1")
    assert row["device"] == office.till.identity.device.hex()
    assert row["since"].endswith("Z")


def test_a_register_that_was_not_heard_of_is_told_with_what_was_on_it_alone(office, monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.UNHEARD_MS", -1)
    marie = office.visitor("Marie")
    wait_until(lambda: "Caisse 1 was not heard of for" in text(marie.page("/alerts")))
    assert "its own disk only" in text(marie.page("/alerts"))


def test_a_disk_that_is_nearly_full_is_told(office, monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.FREE_BYTES_GOOD", 1 << 62)
    page = text(office.visitor("Marie").page("/alerts"))
    assert "The disk of the relay is nearly full" in page
    assert "registers go on selling" in page


def test_a_ticket_that_two_registers_refunded_is_told_and_leads_to_it(office):
    """Each refunds it without having heard of the other: no till can know."""
    other = office.register("Caisse 2")
    other.sync(60)
    ticket = office.till.sell(["CM-19"], ["cash"])
    office.till.sync(60)
    other.sync(60)
    for till in (office.till, other):
        till.refund(ticket.number, reason="bouchonnée", payments=["cash"])
    marie = office.visitor("Marie")
    office.till.sync(60)
    assert "All is well." in marie.page("/alerts")
    other.sync(60)
    page = marie.page("/alerts")
    assert f"€18.50 too much were given back of ticket {ticket.number}" in text(page)
    (address,) = re.findall(r'href="(/sales/ticket[^"]+)"', page)
    assert "More was given back than was sold." in marie.page(address.replace("&amp;", "&"))


def test_a_copy_that_sold_is_told_with_both_versions(office):
    """The disk of a till is put back from an old copy, and sells: two entries have one number."""
    import shutil

    folder = office.folder / "copied"
    with Register.join(
        folder / "till", office.relay.url, office.relay.pairing_code(), name="Caisse 2"
    ) as till:
        till.sync(60)
    shutil.copytree(folder / "till", folder / "old")
    with Register.open(folder / "till") as till:
        till.sell(["CM-19"], ["card"])
        till.sync(60)
    with Register.open(folder / "old") as till:
        till.sell(["CM-19"] * 2, ["card"])
        till.sync(60)
    marie = office.visitor("Marie")
    page = marie.page("/alerts")
    assert "Caisse 2 was put back or copied" in text(page)
    assert "Enrol it again with a restore code" in text(page)
    device = re.search(r'href="/registers/([0-9a-f]{32})"', page)[1]
    page_of = marie.page(f"/registers/{device}")
    assert "It must be enrolled again" in text(page_of)
    # A part that moves alone: whatever changes beside it, it is not read out a second time.
    (told,) = re.findall(r'<div id="part-told"[^>]*data-part>(.*?)</div>\s*</div>', page_of, re.DOTALL)
    assert told.count('role="alert" id="copied"') == page_of.count('role="alert" id="copied"') == 1
    assert 'id="part-told"' in stream_of(marie, f"/live/register/{device}")
    assert counted(page) >= 1


def test_a_lost_register_is_restored_from_its_page(office, tmp_path):
    office.till.sell(["CM-19"], ["card"])
    office.till.sync(60)
    device = office.till.replica.identity.device.hex()
    marie = office.visitor("Marie")
    assert f"/registers/{device}/restore" in marie.page(f"/registers/{device}")
    page = text(marie.page(f"/registers/{device}/restore"))
    assert "without a gap up to ticket" in page
    assert "It had told of nothing more." in page
    answer = marie.post(f"/registers/{device}/restore")
    code = re.search(r'id="code">([^<]+)<', answer.text)[1].strip()
    assert "svg" in answer.text
    with Register.join(tmp_path / "new", office.relay.url, code) as till:
        till.sync(60)
        assert till.replica.identity.device_name == "Caisse 1"
        assert till.products.find("CM-19") is not None
    assert "Cut off" in marie.page(f"/registers/{device}")


def test_what_a_cut_off_register_sold_waits_for_a_person_who_lets_it_in(office):
    till, marie = office.till, office.visitor("Marie")
    first = till.sell(["CM-19"], ["card"])
    second = till.sell(["CM-19"] * 2, ["card"])
    device = till.replica.identity.device.hex()
    marie.post(f"/registers/{device}/revoke", on=f"/registers/{device}", sure="yes", reason="volée")
    with pytest.raises(Exception, match=r".*"):
        till.sync(60)
    wait_until(lambda: first.number in marie.page("/registers/hold"))
    page = marie.page("/registers/hold")
    assert "€55.50" in text(page)
    assert "entries of devices that were cut off wait for you" in text(marie.page("/alerts"))
    assert first.number not in marie.page("/sales")
    rows = list(csv.DictReader(io.StringIO(marie.page("/registers/hold/export.csv")), delimiter=";"))
    assert [(row["ticket"], row["amount"]) for row in rows if row["ticket"]] == [
        (first.number, "18,50"),
        (second.number, "37,00"),
    ]
    assert {(row["signed"], row["can be approved"]) for row in rows} == {("yes", "yes")}
    paul = office.visitor("Paul")
    assert "<button name=" not in paul.page("/registers/hold")
    fields = {"device": device, "link": "", "sure": "yes"}
    assert paul.post("/registers/hold/approve", on="/people", **fields).status_code == 403
    # One of them, then the rest.
    link = first.link.hex()
    assert (
        marie.post("/registers/hold/approve", on="/registers/hold", device=device, link=link).status_code
        == 303
    )
    assert first.number not in marie.page("/sales")
    answer = marie.post("/registers/hold/approve", on="/registers/hold", device=device, link=link, sure="yes")
    assert "1 entry was let in." in answer.text
    assert first.number in marie.page("/sales")
    answer = marie.post("/registers/hold/approve", on="/registers/hold", **fields, reason="les siennes")
    assert "was let in" in answer.text or "were let in" in answer.text
    assert second.number in marie.page("/sales")
    assert "Nothing is on hold." in marie.page("/registers/hold")


def test_nothing_that_is_not_on_hold_is_let_in(office):
    marie = office.visitor("Marie")
    for device, link in (("zz", ""), ("00" * 16, ""), ("00" * 16, "zz"), ("00" * 16, "00" * 32)):
        answer = marie.post(
            "/registers/hold/approve", on="/registers/hold", device=device, link=link, sure="yes"
        )
        assert answer.status_code == 404


def test_an_alert_reaches_an_open_page(office, monkeypatch):
    marie = office.visitor("Marie")
    with marie.http.stream("GET", "/live/alerts") as answer:
        lines = lines_of(answer)
        for line in lines:
            if "All is well." in line:
                break
        monkeypatch.setattr("crdtsync_server.dashboard.alerts.FREE_BYTES_GOOD", 1 << 62)
        for line in lines:
            if "nearly full" in line:
                break


def test_pages_come_also_when_alerts_cannot_be_told(office, monkeypatch):
    from crdtsync.errors import StorageError

    def fail(self):
        raise StorageError("the disk")

    marie = office.visitor("Marie")
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.Alerts.now", fail)
    assert counted(marie.page("/sales")) == 0
    assert marie.get("/alerts").status_code == 503
    assert marie.get("/alerts/count").status_code == 503


def test_another_shop_is_told_nothing_of_it(office, monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.alerts.UNHEARD_MS", -1)
    made = office.access.create_shop(office.store, "Cave d'en face")
    office.person("Odile", shop=made.id)
    marie, odile = office.visitor("Marie"), office.visitor("Odile")
    wait_until(lambda: "Caisse 1" in marie.page("/alerts"))
    assert "All is well." in odile.page("/alerts")
    device = office.till.replica.identity.device.hex()
    assert odile.get(f"/registers/{device}/restore").status_code == 404
    assert odile.post(f"/registers/{device}/restore", on="/people").status_code == 404
    fields = {"device": device, "link": "", "sure": "yes"}
    assert odile.post("/registers/hold/approve", on="/people", **fields).status_code == 404
