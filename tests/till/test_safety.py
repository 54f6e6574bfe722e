"""The line of safety: what it says is so, when the relay is there, gone, and back."""

import json
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from crdtsync import Register
from crdtsync.errors import AccessDenied, DamagedStore, RoleTaken
from crdtsync.testing import wine
from crdtsync.till.app import Till
from crdtsync.till.desk import Desk
from crdtsync_server import LocalRelay
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.open import opened
from tests.till.conftest import TERRINE, Shop, plain, stock_up, tickets, wait_until


@pytest.fixture
def joined(tmp_path, relay):
    """A register of the relay's shop, with products that have arrived there."""
    folder = tmp_path / "till"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 1") as register:
        stock_up(register)
        register.sync(60)
    with ExitStack() as stack:
        yield Shop(folder, stack)


def test_all_is_at_the_office_only_when_the_relay_has_said_so(joined, relay):
    clerk = joined.open_till()
    wait_until(lambda: clerk.safety() == "✓ Everything is recorded at the office")
    clerk.take("CM-19")
    clerk.pay("card")
    wait_until(lambda: clerk.safety() == "✓ Everything is recorded at the office")
    status = joined.register().status()
    assert status.pending.records == 0


def test_a_till_whose_products_are_on_their_way_says_so_and_not_that_a_code_is_unknown(
    joined, relay, tmp_path
):
    new = tmp_path / "new"
    Register.join(new, relay.url, relay.pairing_code(), name="Caisse 9").close()
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    with ExitStack() as stack:
        clerk = Shop(new, stack).open_till()
        for text in (TERRINE, "terrine"):
            page = plain(clerk.take(text).text)
            assert "Not all products have come to this register: they come when the office is reached" in page
            assert "It can be sold as something that is in no catalogue." in page
            assert "in a moment" not in page, "nobody knows when"
            assert "Unknown code" not in page
            assert "There is no product" not in page
        clerk.post("/free", label="Terrine", price="6,95", vat_rate="550")
        clerk.pay("card")
        with LocalRelay(tmp_path / "relay", shop="Cave du Port", port=port):
            clerk.post("/sync")
            wait_until(lambda: "Unknown code" in plain(clerk.take(wine.barcode(90_099)).text))
            clerk.take(TERRINE)
            assert clerk.lines() == ["Terrine de campagne 180 g"]


def test_a_till_that_is_connected_says_that_products_are_on_their_way(joined, relay, monkeypatch):
    monkeypatch.setattr("crdtsync.runtime.folder.replica.Replica.products_are_coming", True)
    clerk = joined.open_till()
    wait_until(lambda: clerk.till._counter._last.safety.is_connected)
    page = plain(clerk.take(wine.barcode(90_099)).text)
    assert "The products are still on their way to this register." in page
    assert "Scan it again in a moment." in page


def test_with_the_relay_gone_everything_goes_on_and_the_line_counts(joined, relay, tmp_path):
    clerk = joined.open_till()
    wait_until(lambda: "Everything" in clerk.safety())
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    wait_until(lambda: "offline" in clerk.safety())
    assert "Everything is recorded at the office" in clerk.safety()  # It still is.
    clerk.take("2*CM-19")
    clerk.pay("card")
    assert "Offline · 1 ticket (€37.00) on this register only, since" in clerk.safety()
    clerk.take("EAU")
    clerk.pay("cash", "2")
    assert "2 tickets (€38.20) on this register only" in clerk.safety()
    assert clerk.post("/day/close", sum="1,20").status_code == 303
    with LocalRelay(tmp_path / "relay", shop="Cave du Port", port=port):
        clerk.post("/sync")
        wait_until(lambda: clerk.safety() == "✓ Everything is recorded at the office")


def test_a_page_is_told_by_the_stream_as_soon_as_something_changes(joined, relay):
    clerk = joined.open_till()
    wait_until(lambda: "Everything" in clerk.safety())
    with clerk.http.stream("GET", "/live", timeout=60) as answer:
        lines = answer.iter_lines()
        assert "Everything is recorded" in up_to(lines, "event: beat")
        relay.stop()
        joined.register().sell(["EAU"], ["card"])  # Another program of this machine.
        assert "€1.20" in up_to(lines, "on this register only")


def up_to(lines, wanted):
    """What a stream says until it says that."""
    said = ""
    for line in lines:
        said += line
        if wanted in line:
            return said
    raise AssertionError(f"the stream ended without {wanted}")


def test_a_new_price_under_an_open_basket_is_told_to_the_page(joined, relay):
    clerk = joined.open_till()
    clerk.take("CM-19")
    with clerk.http.stream("GET", "/live", timeout=60) as answer:
        lines = answer.iter_lines()
        marks = []
        joined.register().products.set("CM-19", price_minor=2222)
        is_mark = False
        for line in lines:
            if is_mark:
                marks.append(json.loads(line.removeprefix("data: ")))
            is_mark = line == "event: basket"
            if len(set(marks)) > 1:
                break
    assert "New price" in clerk.page("/basket")


def test_beside_a_program_that_synchronises_the_till_sells_and_says_what_is_safe(joined, relay):
    with Register.open(joined.folder) as other:
        other.start_sync()
        clerk = joined.open_till()
        clerk.take("EAU")
        clerk.pay("card")
        wait_until(lambda: clerk.safety() == "✓ Everything is recorded at the office")
        assert "This program does not synchronise now" in clerk.page("/sync")
    wait_until(lambda: "In step" in clerk.page("/sync"))  # It takes over when the other has ended.


def test_a_till_that_is_cut_off_says_so_sells_on_and_keeps_what_it_sold(joined, relay, tmp_path):
    clerk, register = joined.open_till(), joined.register()
    wait_until(lambda: "Everything" in clerk.safety())
    assert 'id="cut-off"' not in clerk.page("/sync")
    with opened(tmp_path / "relay") as (access, store):
        access.revoke(store, register.identity.shop, register.identity.device, "left in the train")
    wait_until(lambda: "Cut off by the office" in clerk.safety())
    page = plain(clerk.page("/sync"))
    assert "This register was cut off in the back office" in page
    assert "Whatever is sold stays on the disk of this machine" in page
    clerk.take("CM-19")
    clerk.pay("card")
    wait_until(lambda: "Cut off by the office · 1 ticket (€18.50) on this register only" in clerk.safety())
    clerk.post("/sync")  # What it sold since is offered at once, and on hold there.
    with opened(tmp_path / "relay") as (_, store):
        wait_until(lambda: [one.code for one in store.shop(register.identity.shop).apart()] == ["revoked"])
    assert register.status().pending.sales == 1
    assert tickets(register)[0].total_minor == 1850
    assert "1 ticket (€18.50) on this register only" in clerk.safety()


def test_a_till_whose_shop_is_on_another_relay_does_not_say_that_it_goes_on_by_itself(
    joined, relay, tmp_path
):
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    arguments = ["shop", "erase", "Cave du Port", "--confirm", "Cave du Port", "--told", "wss://new.example"]
    erased = CliRunner().invoke(relay_main, [*arguments, "--data", str(tmp_path / "relay")])
    assert erased.exit_code == 0, erased.output
    with LocalRelay(tmp_path / "relay", port=port):
        clerk = joined.open_till()
        wait_until(lambda: clerk.safety() == "! Somebody must look · offline")
        page = plain(clerk.page("/sync"))
    assert "not on this relay any more: wss://new.example" in page
    assert "It has stopped, until somebody has acted." in page
    assert "by itself" not in page


def test_what_cannot_be_read_is_unknown_and_not_safe(shop, monkeypatch):
    clerk = shop.open_till()

    def fail(*_, **__):
        raise DamagedStore("the disk is gone")

    monkeypatch.setattr(Register, "status", fail)
    monkeypatch.setattr(Desk, "_key", lambda self: (object(),))
    wait_until(lambda: "Unknown what is safe" in clerk.safety())


def test_a_mistake_in_looking_ends_no_till_and_says_that_nothing_is_known(shop, monkeypatch):
    clerk = shop.open_till()

    def fail(_):
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(Desk, "look", fail)
        wait_until(lambda: "Unknown what is safe" in clerk.safety())
    clerk.take("EAU")
    assert "said=paid" in clerk.pay("card").headers["location"]
    wait_until(lambda: "This register works alone" in clerk.safety())


@pytest.mark.parametrize("where", ["status", "look"])
def test_a_mistake_that_lasts_is_logged_once_and_not_until_the_disk_is_full(shop, monkeypatch, caplog, where):
    clerk, asked = shop.open_till(), []

    def fail(*_, **__):
        asked.append(where)
        raise ZeroDivisionError("a mistake of ours")

    with monkeypatch.context() as patched:
        patched.setattr(*((Register, "status") if where == "status" else (Desk, "look")), fail)
        patched.setattr("crdtsync.till.desk.STATUS_EVERY_S", 0.1)
        wait_until(lambda: len(asked) > 3)
        wait_until(lambda: "Unknown what is safe" in clerk.safety())
        told = [one for one in caplog.records if one.exc_info and one.exc_info[0] is ZeroDivisionError]
        assert len(told) == 1
        clerk.take("EAU")
        assert "said=paid" in clerk.pay("card").headers["location"]
    wait_until(lambda: "This register works alone" in clerk.safety())


def test_what_keeps_it_from_synchronising_does_not_keep_it_from_saying_what_is_so(shop, monkeypatch):
    clerk = shop.open_till()

    def refuse(_):
        raise AccessDenied("the relay wants nothing of it")

    monkeypatch.setattr(Desk, "keep_syncing", refuse)
    shop.register().sell(["EAU"], ["card"])  # Another program of this machine.
    live = clerk.till._live
    wait_until(lambda: live.current.safety.sales == 1)


def test_one_till_for_each_register(shop):
    shop.open_till()
    with pytest.raises(RoleTaken):
        Till(shop.folder).start()
    shop.till.stop()
    with Till(shop.folder) as again:
        assert again.is_running


def test_two_tills_and_the_office_stay_in_step(tmp_path, relay):
    with ExitStack() as stack:
        clerks = []
        for number in (1, 2):
            folder = tmp_path / f"till-{number}"
            with Register.join(folder, relay.url, relay.pairing_code(), name=f"Caisse {number}") as register:
                if number == 1:
                    stock_up(register)
                register.sync(60)
            clerks.append(Shop(folder, stack).open_till())
        one, two = clerks
        wait_until(lambda: "Crozes" in two.page("/found?q=crozes"))
        one.take("CM-19")
        one.pay("card")
        wait_until(lambda: "18.50" in two.page("/tickets?all=1"))
        number = tickets(one_register := stack.enter_context(Register.open(tmp_path / "till-1")))[0].number
        assert one_register.identity.device_name == "Caisse 1"
        answer = two.get(f"/tickets?number={number}")  # And it is given back at the other till.
        address = answer.headers["location"].partition("?")[0]
        request = two.hidden("request", f"{address}/refund")
        two.post(f"{address}/refund", means="card", request=request, **{"line-1": "1"})
        wait_until(lambda: "Refund" in plain(one.page("/tickets?all=1")))
