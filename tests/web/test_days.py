"""Days as the shop's people and its accountant see them: what is closed, open, or missing."""

import csv
import io
import re

import pytest

from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def days(shop):
    """Caisse 1 closed yesterday and sells today; Caisse 2 was heard of yesterday, and not since; Caisse 3
    never sold.
    """
    now_ms = SystemClock().now_ms()
    offset = SystemClock().utc_offset_min(now_ms)
    clocks = [ManualClock(now_ms - DAY_MS, offset) for _ in range(2)]
    first = shop.register("Caisse 1", clock=clocks[0])
    second = shop.register("Caisse 2", clock=clocks[1])
    first.products.add("CM-19", name="Crozes", price_minor=2000, vat_rate=2000)
    first.products.add("EAU", name="Eau", price_minor=150, vat_rate=550)
    first.sync(60)
    second.sync(60)
    first.open_day(10_000)
    first.sell(["CM-19", "EAU"], ["cash"])
    first.refund(first.sell(["EAU"], ["card"]).number, reason="erreur", payments=["card"])
    z = first.close_day(counted_minor=12_000)
    second.sell(["CM-19"] * 2, ["card"])
    yesterday = z.business_day
    for clock in clocks:
        clock.set_ms(now_ms)
    first.open_day(0)
    first.sell(["CM-19"] * 3, ["cheque"])
    first.sync(60)
    second.sync(60)
    return yesterday, first.x_report().business_day, z, first, second


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("\u202f", " ")


def test_the_newest_day_comes_first_with_its_total_and_its_closings(marie, days):
    yesterday, today, *_ = days
    page = marie.page("/days")
    assert page.index(f"/days/{today}") < page.index(f"/days/{yesterday}")
    assert "€61.50" in page  # 21.50 of Caisse 1, the refund taken off, and 40.00 of Caisse 2.
    assert "Z1" in page
    assert "none yet" in page


def test_a_day_says_which_registers_are_closed_open_and_missing(marie, days):
    yesterday, today, *_ = days
    page = text(marie.page(f"/days/{yesterday}"))
    assert "Closed, Z1" in page
    assert marie.shown("total", f"/days/{yesterday}") == "€61.50"
    assert "gap of the drawer -€1.50" in page
    page = text(marie.page(f"/days/{today}"))
    assert "Registers are missing" in page
    assert re.search(r"Nothing of this day has come from: Caisse 2", page)
    assert "That does not mean that it sold nothing" in page
    assert marie.shown("total", f"/days/{today}") == "€60.00"


def test_what_is_open_can_be_read_and_is_called_no_closing(marie, days):
    _, today, *_ = days
    page = text(marie.page(f"/days/{today}"))
    reading = page[page.index("Reading X") :]
    assert "Not fiscal: only the Z counts" in reading
    assert "€60.00" in reading
    assert "Cheque" in reading


def test_a_closing_is_shown_whole_and_verified(marie, days):
    yesterday, _, z, first, _ = days
    (address,) = set(re.findall(r'href="(/days/closing[^"]+)"', marie.page(f"/days/{yesterday}")))
    page = marie.page(address.replace("&amp;", "&"))
    said = text(page)
    for part in ("Z1", "Caisse 1", "Verified just now", "€120.00", "expected €121.50", "-€1.50", "Cash"):
        assert part in said, part
    assert marie.shown("total", address.replace("&amp;", "&")) == f"€{z.total_minor / 100:.2f}"
    assert f"€{z.grand_total_minor / 100:.2f}" in said
    assert first.x_report().z is None


@pytest.mark.parametrize("by", ["month", "year"])
def test_months_and_years_are_sums_of_days(marie, days, by):
    page = text(marie.page(f"/days?by={by}"))
    yesterday, today, *_ = days
    characters = {"month": 7, "year": 4}[by]
    if yesterday[:characters] == today[:characters]:
        assert "€121.50" in page
        assert "2 days" in page


def test_a_month_that_was_closed_shows_its_closing(make_shop):
    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=2000, vat_rate=2000)
    till.sell(["CM-19"], ["card"])
    till.close_day()
    till.close_period("month")
    till.sync(60)
    marie = shop.visitor("Marie")
    page = marie.page("/days?by=month")
    (address,) = set(re.findall(r'href="(/days/closing[^"]+)"', page))
    assert "Closing of the month, Z1" in text(marie.page(address.replace("&amp;", "&")))


def test_days_go_on_page_by_page(marie, days, monkeypatch):
    yesterday, today, *_ = days
    monkeypatch.setattr(
        "crdtsync_server.dashboard.rooms.days.ROWS_PER_PAGE", {"day": 1, "month": 1, "year": 1}
    )
    page = marie.page("/days")
    assert f"/days/{today}" in page
    assert f"/days/{yesterday}" not in page
    older = re.search(r'href="([^"]+)" rel="next"', page)[1].replace("&amp;", "&")
    assert f"/days/{yesterday}" in marie.page(older)


def test_the_accountant_gets_a_row_for_each_register_and_day(marie, days):
    yesterday, today, *_ = days
    answer = marie.get("/days/export.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff")), delimiter=";"))
    assert [(row["business day"], row["register"], row["total"]) for row in rows] == sorted(
        [
            (yesterday, "Caisse 1", "21,50"),
            (yesterday, "Caisse 2", "40,00"),
            (today, "Caisse 1", "60,00"),
        ],
        key=lambda row: (row[0], [one["register"] for one in rows].index(row[1])),
    )
    first = next(row for row in rows if row["total"] == "21,50")
    assert first["refunded"] == "-1,50"
    assert (first["without vat 20 % N"], first["vat 20 % N"]) == ("16,67", "3,33")
    assert (first["without vat 5,5 % R1"], first["vat 5,5 % R1"]) == ("1,42", "0,08")
    assert (first["cash"], first["card"]) == ("21,50", "0,00")
    only = list(csv.DictReader(io.StringIO(marie.page(f"/days/export.csv?from={today}")), delimiter=";"))
    assert len(only) == 1


@pytest.mark.parametrize(
    "path",
    [
        *("/days/2026-02-30", "/days/x", "/days/9999-01-01", "/days?by=week", "/days?before=x"),
        *("/days?by=month&before=2026-13", "/days/export.csv?from=x", "/days/closing", "/days/closing?n=1"),
        "/days/closing?chain=zz&n=1&link=zz",
        f"/days/closing?chain={'0' * 64}&n=1&link={'0' * 64}",
        f"/days/closing?chain={'0' * 64}&n=-1&link=00",
        f"/days/closing?chain={'0' * 64}&n={'9' * 400}&link=00",
    ],
)
def test_what_is_no_day_is_not_there(marie, days, path):
    assert marie.get(path).status_code == 404


def test_a_sale_is_no_closing(marie, days):
    *_, first, _ = days
    ticket = first.replica.queries.tickets()[0]
    address = f"/days/closing?chain={ticket.chain.hex()}&n={ticket.n}&link={ticket.link.hex()}"
    assert marie.get(address).status_code == 404


def test_another_shop_sees_neither_days_nor_closings(shop, marie, days):
    yesterday, *_ = days
    made = shop.access.create_shop(shop.store, "Cave du coin")
    shop.person("Omar", shop=made.id)
    omar = shop.visitor("Omar")
    (address,) = set(re.findall(r'href="(/days/closing[^"]+)"', marie.page(f"/days/{yesterday}")))
    assert omar.get(address.replace("&amp;", "&")).status_code == 404
    for path in ("/days", f"/days/{yesterday}", "/days?by=year", "/days/export.csv"):
        assert "Caisse" not in omar.page(path)
        assert "61.50" not in omar.page(path)
