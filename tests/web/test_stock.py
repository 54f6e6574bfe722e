"""Stock as the shop sees it: what is there, what came and went, and counts that take off nothing twice."""

import csv
import io
import re
from html import unescape

import pytest

from crdtsync.model.chain import Shop as ShopName
from crdtsync.model.entry import read_entry
from crdtsync.model.ticket import Line
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.testing.till import MemoryTill
from crdtsync.testing.wine import barcode
from crdtsync_server.shops.owner import owner_item
from tests.web.conftest import wait_until

PATH = "/stock/record"


@pytest.fixture
def office(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.person("Paul", "staff")
    shop.till = shop.register("Caisse 1")
    shop.till.products.add(
        "CM-19", name="Crozes", price_minor=1850, vat_rate=2000, barcodes=[barcode(1), barcode(2)]
    )
    shop.till.products.add(
        "CM-20", name="Crozes 2020", price_minor=1950, vat_rate=2000, barcodes=[barcode(2)]
    )
    shop.till.products.add("EAU", name="Eau minérale", price_minor=150, vat_rate=550)
    shop.till.sync(60)
    return shop


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def record(visitor, what, *lines, on=None, **more):
    """Fill in the form, as it stands on the page."""
    path = on or f"{PATH}?what={what}"
    request = re.search(r'name="request" value="([^"]+)"', visitor.page(path))[1]
    fields = {"what": what, "request": request, **more}
    for place, (product, quantity) in enumerate(lines):
        fields |= {f"product-{place}": product, f"quantity-{place}": quantity}
    return visitor.post(PATH, on=path, **fields)


def level(visitor, sku):
    return visitor.shown("level", f"/stock/product?sku={sku}")


def test_a_delivery_is_a_signed_entry_that_every_register_gets(office):
    marie = office.visitor("Marie")
    answer = record(marie, "delivery", (barcode(1), "12"), ("EAU", "2,5"), reference="BL 4711")
    assert answer.status_code == 303
    assert level(marie, "CM-19") == "12"
    assert level(marie, "EAU") == "2.5"
    office.till.sync(60)
    assert office.till.stock.level("CM-19").quantity == 12_000
    log = office.store.shop(office.id)
    entries = [read_entry(one) for run in log.runs() for _, one in log.chain_entries(run.chain, 1, run.hi)]
    (moved,) = [entry for entry in entries if entry.kind == "move"]
    assert moved.body["op"].startswith("u-")
    assert "Marie" not in str(moved.body)
    assert moved.body["lines"][0] == {"sku": "CM-19", "qty": 12_000, "why": "delivery", "ref": "BL 4711"}


def test_sales_losses_and_counts_move_the_level(office):
    marie = office.visitor("Marie")
    record(marie, "delivery", ("CM-19", "12"))
    ticket = office.till.sell(["CM-19"] * 3, ["card"])
    office.till.sync(60)
    assert level(marie, "CM-19") == "9"
    record(marie, "corked", ("CM-19", "2"))
    assert level(marie, "CM-19") == "7"
    record(marie, "count", ("CM-19", "6"))
    assert level(marie, "CM-19") == "6"
    office.till.sell(["CM-19"], ["card"])
    office.till.sync(60)
    assert level(marie, "CM-19") == "5"
    page = text(marie.page("/stock/product?sku=CM-19"))
    for said in ("Delivery", "Corked", ticket.number, "+12", "-1", "-2", "= 6"):
        assert said in page, said
    assert "Caisse 1" in page


def test_a_sale_that_was_told_of_before_the_count_and_comes_later_is_not_taken_off_twice(office):
    """It was gone from the shelf when somebody counted; what the register had told of it is in the cut."""
    marie = office.visitor("Marie")
    record(marie, "delivery", ("CM-19", "12"))
    sold = office.till.sell(["CM-19"] * 2, ["card"])
    # It tells that it has them, and the line is cut before they have come.
    log = office.store.shop(office.id)
    from dataclasses import replace

    from crdtsync_server.shops.contacts import _key, read_contact

    device = office.till.replica.identity.device
    # The relay writes some seconds late that it left, and nothing after that.
    wait_until(lambda: (known := read_contact(log, device)) and not known.connected)
    contact = read_contact(log, device)
    told = replace(contact, own_chain=sold.chain.hex(), own_from=sold.n, own_to=sold.n, own_sales=1)
    with office.store.transaction():
        log.set_state(_key(device), told.to_bytes())
    record(marie, "count", ("CM-19", "10"))
    assert level(marie, "CM-19") == "10"
    office.till.sync(60)
    wait_until(lambda: sold.number in marie.page("/sales"))
    assert level(marie, "CM-19") == "10"
    office.till.sell(["CM-19"], ["card"])
    office.till.sync(60)
    assert level(marie, "CM-19") == "9"


def test_a_count_names_the_registers_that_are_away(office):
    marie = office.visitor("Marie")
    wait_until(lambda: "Away now: Caisse 1" in text(marie.page(f"{PATH}?what=count")))
    assert "Away now" not in text(marie.page(f"{PATH}?what=delivery"))


def test_what_was_oversold_is_shown_and_blocks_nothing(office):
    marie = office.visitor("Marie")
    office.till.sell(["CM-19"] * 2, ["card"])
    office.till.sync(60)
    page = marie.page("/stock")
    assert "Of 1 product more was sold than was known to be there." in page
    assert level(marie, "CM-19") == "-2"
    below = marie.page("/stock?below=1")
    assert "CM-19" in below
    assert "EAU" not in below
    assert office.till.sell(["CM-19"], ["card"]).number
    record(marie, "count", ("CM-19", "4"))
    assert "more was sold than" not in marie.page("/stock")


def test_the_same_form_sent_twice_is_recorded_once(office):
    marie = office.visitor("Marie")
    path = f"{PATH}?what=delivery"
    request = re.search(r'name="request" value="([^"]+)"', marie.page(path))[1]
    fields = {"what": "delivery", "request": request, "product-0": "EAU", "quantity-0": "6"}
    assert [marie.post(PATH, on=path, **fields).status_code for _ in range(2)] == [303, 303]
    assert level(marie, "EAU") == "6"


@pytest.mark.parametrize("what", ["delivery", "count", "corked"])
def test_a_form_gone_back_to_with_other_lines_is_never_said_to_be_recorded(office, what):
    """The next delivery, written into the form of the last one: told of, and recorded when asked."""
    marie = office.visitor("Marie")
    path = f"{PATH}?what={what}"
    request = re.search(r'name="request" value="([^"]+)"', marie.page(path))[1]
    first = {"what": what, "request": request, "product-0": "EAU", "quantity-0": "6"}
    assert marie.post(PATH, on=path, **first).status_code == 303
    before = level(marie, "EAU")
    answer = marie.post(PATH, on=path, **first | {"product-1": "CM-19", "quantity-1": "4"})
    assert answer.status_code == 422
    assert "What stands here now was not recorded" in text(answer.text)
    assert (level(marie, "EAU"), level(marie, "CM-19")) == (before, "0")
    fresh = re.search(r'name="request" value="([^"]+)"', answer.text)[1]
    assert fresh != request
    again = first | {"request": fresh, "product-0": "CM-19", "quantity-0": "4"}
    assert marie.post(PATH, on=path, **again).status_code == 303
    assert level(marie, "EAU") == before
    assert level(marie, "CM-19") == ("-4" if what == "corked" else "4")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([("XX", "1")], "No product has this reference or barcode."),
        ([("", "1")], "No product has this reference or barcode."),
        ([(barcode(2), "1")], "Several products have this barcode"),
        ([("EAU", "x")], "A quantity like 6 or 0.5."),
        ([("EAU", "-1")], "A quantity like 6 or 0.5."),
        ([("EAU", "0")], "A quantity like 6 or 0.5."),
        ([("EAU", "1e9")], "A quantity like 6 or 0.5."),
        ([("EAU", "9" * 19)], "A quantity like 6 or 0.5."),
        ([("EAU", "1"), ("EAU", "2")], "This product is on two lines."),
        ([], "Nothing to record"),
    ],
)
def test_what_cannot_be_is_said_beside_its_line_and_nothing_is_recorded(office, lines, said):
    marie = office.visitor("Marie")
    answer = record(marie, "delivery", *lines)
    assert answer.status_code == 422
    assert said in answer.text
    assert level(marie, "EAU") == "0"
    assert "Nothing here yet." in marie.page("/stock/product?sku=EAU")


def test_staff_looks_and_records_nothing(office):
    paul = office.visitor("Paul")
    assert PATH not in paul.page("/stock")
    fields = {"what": "delivery", "request": "0" * 32, "product-0": "EAU", "quantity-0": "6"}
    assert paul.post(PATH, on="/people", **fields).status_code == 403
    assert paul.get(PATH).status_code == 403
    assert level(paul, "EAU") == "0"


@pytest.mark.parametrize("fields", [{"what": "theft"}, {"request": "short"}, {"request": "é" * 32}, {}])
def test_a_form_that_is_none_of_ours_is_refused(office, fields):
    marie = office.visitor("Marie")
    sent = {"what": "delivery", "request": "0" * 31, "product-0": "EAU", "quantity-0": "6", **fields}
    assert marie.post(PATH, on=PATH, **sent).status_code == 400
    assert marie.get(f"{PATH}?what=theft").status_code == 404


def test_a_shop_whose_owner_key_is_elsewhere_is_told_so(office):
    for path in office.data.keys.glob(f"{office.id.hex()}*.owner"):
        path.rename(path.with_suffix(".away"))
    answer = record(office.visitor("Marie"), "delivery", ("EAU", "6"))
    assert answer.status_code == 422
    assert "has not signed for it" in answer.text


def test_another_shop_sees_and_moves_none_of_it(office):
    made = office.access.create_shop(office.store, "Cave d'en face")
    office.person("Odile", shop=made.id)
    marie, odile = office.visitor("Marie"), office.visitor("Odile")
    record(marie, "delivery", ("EAU", "6"))
    assert odile.get("/stock/product?sku=EAU").status_code == 404
    assert record(odile, "delivery", ("EAU", "6")).status_code == 422
    for path in ("/stock", "/stock?below=1", "/stock/export.csv"):
        assert "EAU" not in odile.page(path)
    assert level(marie, "EAU") == "6"


@pytest.mark.parametrize("path", ["/stock/product", "/catalogue/product"])
def test_of_a_reference_that_the_catalogue_never_had_that_is_said(office, path):
    marie, paul = office.visitor("Marie"), office.visitor("Paul")
    answer = marie.get(f"{path}?sku=JAMAIS-VU")
    assert answer.status_code == 404
    assert "The catalogue does not have the reference JAMAIS-VU." in text(answer.text)
    assert "Nothing was ever sold, delivered or counted under it" in answer.text
    assert "What became of it" not in answer.text
    assert 'href="/catalogue/new?sku=JAMAIS-VU"' in answer.text
    assert 'value="JAMAIS-VU"' in marie.page("/catalogue/new?sku=JAMAIS-VU")
    assert "/catalogue/new" not in paul.get(f"{path}?sku=JAMAIS-VU").text
    hostile = marie.http.get(path, params={"sku": "<script>alert(1)</script>" * 20}).text
    assert "<script>alert" not in hostile
    assert marie.get(path).status_code == marie.get(f"{path}?sku=").status_code == 404


@pytest.mark.parametrize("path", ["/stock/product", "/catalogue/product"])
def test_of_a_reference_that_was_only_sold_its_movements_are_shown(office, path):
    """A till sold it by a price of its own: the catalogue has never had it. Its ticket leads here."""
    chain = MemoryTill("Caisse 9", shop=ShopName(office.id, "Cave du Port"), series="09")
    secret = office.access.issue_code(office.id, "register").code.secret
    office.access.enrol(office.store, EnrolRequest(secret, chain.author, "Caisse 9", chain.key.public), "::1")
    sold = chain.sell(Line("VRAC/7 é", "Vin en vrac", 500, 2000, "N")).body["num"]
    with office.store.transaction():
        for entry in chain.entries:
            office.store.shop(office.id).append(owner_item(entry))
    marie = office.visitor("Marie")
    wait_until(lambda: sold in marie.page("/sales"))
    ticket = unescape(re.search(rf'href="([^"]+)"[^>]*>{sold}<', marie.page("/sales"))[1])
    (way,) = re.findall(r'href="(/catalogue/product[^"]+)"', marie.page(ticket))
    assert marie.get(unescape(way)).status_code == 200
    page = marie.http.get(path, params={"sku": "VRAC/7 é"})
    assert page.status_code == 200
    assert "The catalogue does not have the reference VRAC/7 é." in text(page.text)
    assert "what became of it stands below" in page.text
    assert sold in page.text
    assert 'id="level">-1<' in page.text.replace("−", "-")


def test_the_stock_can_be_taken_along(office):
    marie = office.visitor("Marie")
    record(marie, "delivery", ("EAU", "2,5"))
    rows = list(
        csv.DictReader(io.StringIO(marie.page("/stock/export.csv").removeprefix("\ufeff")), delimiter=";")
    )
    assert {row["sku"]: row["quantity"] for row in rows} == {"CM-19": "0", "CM-20": "0", "EAU": "2,5"}


def test_levels_are_those_of_the_register_whatever_was_filed_in_which_order(office):
    """The sums that the back office keeps as it files, against the register's own arithmetic."""
    marie = office.visitor("Marie")
    other = office.register("Caisse 2")
    other.sync(60)
    record(marie, "delivery", ("CM-19", "24"), ("EAU", "48"))
    for till in (office.till, other):
        till.sync(60)
        till.sell(["CM-19", "EAU", "EAU"], ["card"])
        till.stock.add("EAU", -1000, why="breakage")
    other.stock.count({"CM-19": 20_000})
    office.till.sell(["CM-19"], ["card"])
    for till in (other, office.till, other):
        till.sync(60)
    for sku in ("CM-19", "EAU", "CM-20"):
        expected = office.till.stock.level(sku)
        assert level(marie, sku) == str(expected.quantity // 1000), sku
        assert expected.quantity == other.stock.level(sku).quantity


def test_the_back_office_is_no_register_that_a_day_could_miss(office):
    """It has a chain like a register, once something was recorded, and sells nothing."""
    marie = office.visitor("Marie")
    record(marie, "delivery", ("EAU", "6"))
    sold = office.till.sell(["EAU"], ["card"])
    office.till.close_day()
    office.till.sync(60)
    page = text(marie.page(f"/days/{sold.business_day}"))
    assert "Closed, Z1" in page
    assert 'id="complete">Complete<' in marie.page(f"/days/{sold.business_day}")
    assert office.till.report(sold.business_day).complete
