"""Finding a sale as somebody of the shop would, and one ticket with what is known of it."""

import csv
import io
import re
from contextlib import closing

import pytest

from crdtsync.model.ticket import Payment
from crdtsync.storage.view_place import Place
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.storage.view_sales import Wanted, find_tickets
from crdtsync_server.dashboard.database import VIEWS_APPLICATION_ID, OfficeDatabase
from crdtsync_server.dashboard.rooms import sales as room

MARK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def tickets(shop, till):
    """Two tills that sold different things; the second one is away since."""
    other = shop.register("Caisse 2", operator="u-bob")
    till.products.add("EAU", name="Eau minérale", price_minor=150, vat_rate=550)
    till.sync(60)
    other.sync(60)
    sold = [till.sell(["CM-19", "EAU"], ["card"]), till.sell(["CM-19"], ["cash"])]
    sold.append(till.sell(["EAU", "EAU"], [Payment("cash", 200), Payment("card", 100)]))
    sold.append(other.sell(["CM-19"] * 3, ["cheque"]))
    sold.append(till.refund(sold[0].number, lines={2: 1000}, reason="bouteille cassée", payments=["card"]))
    till.sync(60)
    other.sync(60)
    return sold


def numbers(page):
    """The tickets of a list, in its order."""
    return re.findall(r'class="whole">([^<]+)</a>', page)


def test_the_newest_comes_first_and_every_ticket_is_there(marie, tickets):
    page = marie.page("/sales")
    assert sorted(numbers(page)) == sorted(ticket.number for ticket in tickets)
    assert "Caisse 2" in page
    assert "-€1.50" in page


@pytest.mark.parametrize("language", ["en", "fr"])
def test_it_is_read_in_both_languages(shop, tickets, language):
    page = shop.visitor("Marie", language=language).page("/sales")
    assert {"en": "5 tickets", "fr": "5\u00a0tickets"}[language].replace("\u00a0", " ") in page


def test_a_ticket_is_found_by_its_number_and_by_its_last_digits(marie, tickets):
    number = tickets[1].number
    assert numbers(marie.page(f"/sales?q={number.lower()}")) == [number]
    counter = number.rpartition("-")[2]
    found = numbers(marie.page(f"/sales?q={int(counter)}"))
    assert number in found
    assert {one.rpartition("-")[2] for one in found} == {counter}


@pytest.mark.parametrize("text", ["20,00", "20.00", "20 €", "€20", "20,00 €"])
def test_a_ticket_is_found_by_what_was_paid(marie, tickets, text):
    assert numbers(marie.page(f"/sales?q={text}")) == [tickets[0].number]


def test_a_refund_is_found_by_its_negative_amount(marie, tickets):
    assert numbers(marie.page("/sales?q=-1,50")) == [tickets[4].number]


def test_tickets_are_found_by_a_product_by_its_words_and_its_reference(marie, tickets):
    water = {tickets[0].number, tickets[2].number, tickets[4].number}
    assert set(numbers(marie.page("/sales?q=minerale"))) == water
    assert set(numbers(marie.page("/sales?q=EAU"))) == water
    assert "Nothing was found" in marie.page("/sales?q=champagne")


def test_of_a_product_that_sells_all_the_time_the_days_are_gone_through(marie, tickets, monkeypatch):
    monkeypatch.setattr("crdtsync.storage.view_sales.SORTED_MAX", 1)
    water = {tickets[0].number, tickets[2].number, tickets[4].number}
    assert set(numbers(marie.page("/sales?q=EAU"))) == water


def test_register_and_days_narrow_what_is_found(marie, tickets):
    second = tickets[3].device.hex()
    assert numbers(marie.page(f"/sales?register={second}")) == [tickets[3].number]
    assert numbers(marie.page(f"/sales?register={second}&q=EAU")) == []
    day = tickets[0].business_day
    assert len(numbers(marie.page(f"/sales?from={day}&to={day}"))) == 5
    assert numbers(marie.page("/sales?to=2020-01-01")) == []


def test_what_cannot_be_read_is_said_and_the_rest_is_looked_for(marie, tickets):
    page = marie.page("/sales?register=zz&from=2026-02-30&q=EAU")
    assert "was passed over" in page
    assert len(numbers(page)) == 3


@pytest.mark.parametrize("search", ["", "register", "q=EAU", "q=20,00"])
def test_pages_follow_one_another_and_back_without_a_gap(marie, tickets, monkeypatch, search):
    monkeypatch.setattr(room, "ROWS_PER_PAGE", 1)
    search = f"register={tickets[0].device.hex()}" if search == "register" else search
    whole = numbers(marie.page(f"/sales/export.csv?{search}")) or exported(marie, search)
    forth, address = [], f"/sales?{search}"
    while address:
        page = marie.page(address)
        forth += numbers(page)
        address = link(page, "next")
    assert forth == whole
    back = numbers(page)
    while address := link(page, "prev"):
        page = marie.page(address)
        back += numbers(page)
    assert back == whole[::-1]


def exported(visitor, search=""):
    rows = list(csv.reader(io.StringIO(visitor.page(f"/sales/export.csv?{search}")), delimiter=";"))
    return [row[0] for row in rows[1:]]


def link(page, rel):
    found = re.search(rf'href="([^"]+)" rel="{rel}"', page)
    return found and found[1].replace("&amp;", "&")


def test_a_long_export_comes_in_pieces_and_is_whole(marie, tickets, monkeypatch):
    whole = exported(marie)
    assert len(whole) == 5
    monkeypatch.setattr(room, "ROWS_PER_CHUNK", 2)
    assert exported(marie) == whole


def test_what_is_listed_can_be_taken_along(marie, tickets):
    text = marie.page("/sales/export.csv?q=EAU").removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text), delimiter=";"))
    assert {row["number"] for row in rows} == {tickets[0].number, tickets[2].number, tickets[4].number}
    refund = next(row for row in rows if row["kind"] == "refund")
    assert (refund["amount"], refund["refund of"]) == ("-1,50", tickets[0].number)
    assert refund["reason"] == "bouteille cassée"


def test_a_ticket_shows_lines_payments_tax_and_refunds(marie, tickets):
    page = marie.page(f"/sales/ticket?number={tickets[0].number}")
    for said in ("Crozes-Hermitage", "Eau minérale", "€18.50", "€20.00", "Card", "20%", "5.5%", "Caisse 1"):
        assert said in page, said
    assert tickets[4].number in page
    assert "Of it, €18.50 was not given back." in page
    assert tickets[0].link.hex() in page
    refund = marie.page(f"/sales/ticket?number={tickets[4].number}")
    assert f"number={tickets[0].number}" in refund
    assert "bouteille cassée" in refund


def test_a_ticket_is_verified_as_it_is_looked_at(marie, tickets):
    page = marie.page(f"/sales/ticket?number={tickets[0].number}")
    assert "Verified just now" in page
    assert "Signed with a key that the shop certified" in page
    assert "The entry after it names it" in page
    newest = marie.page(f"/sales/ticket?number={tickets[4].number}")
    assert "no entry after it confirms it yet" in newest


def test_a_ticket_that_was_changed_in_the_store_does_not_hold(shop, marie, tickets, monkeypatch):
    """What somebody who can write the relay's disk would try: the same number, another amount."""
    from crdtsync_server.dashboard import ticket as module

    real = module._versions

    def changed(log, chain, n):
        found = real(log, chain, n)
        if n == tickets[1].n and chain == tickets[1].chain:
            data = found[0].sealed.replace(b'"op":"', b'"op":"x', 1)
            return [module.read_entry(data)]
        return found

    monkeypatch.setattr(module, "_versions", changed)
    monkeypatch.setattr(module, "entry_named", lambda log, chain, n, link: changed(log, chain, n)[0])
    page = marie.page(f"/sales/ticket?number={tickets[1].number}")
    assert "Does not hold" in page
    assert "Not signed with a key that the shop certified" in page
    assert "Its bytes are not those that bear this name." in page


@pytest.mark.parametrize(
    "address",
    ["?number=", "?number=none", "?number=x&link=zz", "", "?number=" + "9" * 500, "?link=" + "0" * 64],
)
def test_a_ticket_that_is_none_is_not_there(marie, tickets, address):
    assert marie.get(f"/sales/ticket{address}").status_code == 404


@pytest.mark.parametrize(
    "place", ["older=x", "older=2026-11-24", "older=2026-11-24.-1", "newer=2026-11-24.٣", "older=2026-1-1.5"]
)
def test_a_place_that_is_none_is_not_there(marie, tickets, place):
    assert marie.get(f"/sales?{place}").status_code == 404


def test_another_shop_sees_none_of_them(shop, marie, tickets):
    made = shop.access.create_shop(shop.store, "Cave d'à côté")
    shop.person("Olga", shop=made.id)
    olga = shop.visitor("Olga")
    for search in ("", "q=EAU", f"q={tickets[0].number}", f"register={tickets[0].device.hex()}", "q=20,00"):
        assert numbers(olga.page(f"/sales?{search}")) == []
        assert exported(olga, search) == []
    assert olga.get(f"/sales/ticket?number={tickets[0].number}").status_code == 404
    assert "Caisse" not in olga.page("/sales")


def test_staff_may_look(paul, tickets):
    assert len(numbers(paul.page("/sales"))) == 5
    assert paul.get(f"/sales/ticket?number={tickets[0].number}").status_code == 200


def copy(visitor, ticket, on=None):
    """Press the button on the page of a ticket."""
    path = f"/sales/ticket?number={ticket.number}"
    request = re.search(r'name="request" value="([^"]+)"', visitor.page(path))[1]
    fields = {"request": request, "number": ticket.number, "link": ticket.link.hex()}
    return visitor.post("/sales/copy", on=path, **fields), fields


def test_a_copy_is_marked_numbered_and_recorded(shop, marie, till, tickets):
    answer, fields = copy(marie, tickets[1])
    assert answer.status_code == 200
    assert "COPY No. 1" in answer.text
    for said in (tickets[1].number, "€18.50", "Crozes-Hermitage", tickets[1].link.hex()[:8], "Cave du Port"):
        assert said in answer.text, said
    again = marie.post("/sales/copy", on=f"/sales/ticket?number={tickets[1].number}", **fields)
    assert "COPY No. 1" in again.text  # The same form, sent twice.
    assert "COPY No. 2" in copy(marie, tickets[1])[0].text
    page = marie.page(f"/sales/ticket?number={tickets[1].number}")
    assert page.count("Copy 1") == page.count("Copy 2") == 1
    assert "DUPLICATA n° 3" in copy(shop.visitor("Marie", language="fr"), tickets[1])[0].text
    till.sync(60)
    found = [one for one in printed(till) if one["ref"]["link"] == tickets[1].link.hex()]
    assert [one["rank"] for one in found] == [1, 2, 3]
    assert all(one["op"].startswith("u-") for one in found)


def printed(till):
    """The copies that a register has heard of."""
    from crdtsync.model.entry import read_entry

    log = till.replica.log
    entries = [read_entry(one) for run in log.runs() for _, one in log.chain_entries(run.chain, 1, run.hi)]
    return [entry.body for entry in entries if entry.kind == "print"]


def test_staff_makes_no_copies_and_nobody_copies_what_is_not_there(shop, marie, paul, tickets):
    fields = {"request": "0" * 32, "number": tickets[1].number, "link": tickets[1].link.hex()}
    assert paul.post("/sales/copy", on="/people", **fields).status_code == 403
    assert "/sales/copy" not in paul.page(f"/sales/ticket?number={tickets[1].number}")
    for wrong, status in (({"number": "none"}, 404), ({"link": "zz"}, 404), ({"request": "x"}, 400)):
        assert marie.post("/sales/copy", on="/people", **{**fields, **wrong}).status_code == status


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        (Wanted(skus=("NEVER-SOLD",)), {}),
        (Wanted(skus=("EAU",), first_day="2026-01-01", last_day="2099-01-01"), {}),
        (Wanted(skus=("EAU",)), {"newer_than": Place("2026-01-01", 1)}),
        (Wanted(skus=("EAU",)), {"older_than": Place("2099-01-01", 1)}),
    ],
)
def test_tickets_of_a_rare_product_are_fetched_and_not_looked_for_in_all_days(
    shop, marie, tickets, wanted, where
):
    """Of a million sales that took a third of a second."""
    marie.page("/sales")
    with closing(
        OfficeDatabase(shop.data.office_views / f"{shop.id.hex()}.sqlite", VIEWS_APPLICATION_ID)
    ) as db:
        queries, asked = ViewQueries(db, shop.id), []
        answer = queries.ask
        queries.ask = lambda sql, **values: asked.append((sql, values)) or answer(sql, **values)
        found = find_tickets(queries, wanted, rows_max=9, **where)
        plan = " ".join(row[3] for row in answer(f"EXPLAIN QUERY PLAN {asked[-1][0]}", **asked[-1][1]))
    assert "by_day" not in plan, plan
    assert "SCAN t" not in plan, plan
    assert len(found) == (0 if wanted.skus == ("NEVER-SOLD",) else 3)
