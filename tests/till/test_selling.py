"""The till's pages as a browser without scripts uses them: everything works by forms alone."""

import re
from contextlib import closing
from html import unescape

import pytest

from crdtsync.testing import wine
from crdtsync.till.desk import Desk
from crdtsync.till.selling import add_sku, take
from tests.till.conftest import SHARED, TERRINE, plain, tickets

AZERTY = str.maketrans("1234567890", "&é\"'(-è_çà")


def test_a_scan_puts_a_product_into_the_basket_and_a_second_one_counts(clerk):
    clerk.take(TERRINE)
    clerk.take(TERRINE.translate(AZERTY))
    assert clerk.lines() == ["Terrine de campagne 180 g"]
    assert clerk.due() == "€13.90"


def test_the_vintage_is_chosen_where_a_barcode_has_several(clerk):
    page = clerk.take(SHARED).text
    assert clerk.lines() == []
    assert "Several products bear this code" in page
    assert page.index("2019") < page.index("2020")
    clerk.post("/add", sku="CM-20")
    assert clerk.lines() == ["Crozes-Hermitage 2020"]


def test_a_code_that_nobody_knows_is_told_and_can_be_sold_as_a_free_line(clerk, shop):
    page = clerk.take("3760123450002" if TERRINE != "3760123450002" else "x").text
    assert "Unknown code" in page or "No product" in page
    clerk.post("/free", label="Bouteille sans étiquette", price="7,50", vat_rate="2000")
    clerk.pay("card")
    (ticket,) = tickets(shop.register())
    assert (ticket.lines[0].label, ticket.total_minor) == ("Bouteille sans étiquette", 750)


def test_what_has_come_and_is_not_filed_yet_is_chosen_sold_and_never_unknown(shop):
    with closing(Desk(shop.folder)) as desk:
        replica = desk.register.replica
        with replica.store.transaction():
            replica.tables.drop()
            replica.tables.prepare()
        replica.files_views = False  # A thread beside this one is about to.
        assert take(desk, "crozes").what == "coming"
        assert take(desk, wine.barcode(90_099)).what == "coming"
        assert {goods.sku for goods in take(desk, SHARED).goods} == {"CM-19", "CM-20"}
        assert add_sku(desk, "CM-20").what == "added"
        assert add_sku(desk, "NOPE").what == "unknown"
        assert [(item.sku, item.unit_price_minor) for item in desk.basket.items] == [("CM-20", 1950)]
        replica.files_views = True
        assert take(desk, wine.barcode(90_099)).what == "unknown"
        assert take(desk, "terrine").what == "added"


def test_while_products_are_coming_one_vintage_is_not_taken_for_the_only_one(shop):
    """The other one may bear the same barcode, and be on its way."""
    with closing(Desk(shop.folder)) as desk:
        desk.register.replica.awaits_first = lambda: True
        came = take(desk, f"3*{TERRINE}")
        assert (came.what, [goods.sku for goods in came.goods]) == ("confirm", ["TER-1"])
        assert came.quantity_thousandths == 3000
        assert take(desk, SHARED).what == "choose"
        assert desk.basket.items == []
        assert take(desk, "cm-19").what == take(desk, "terrine").what == "added", "it was named"
        desk.register.replica.awaits_first = lambda: False
        assert take(desk, TERRINE).what == "added"


def test_of_two_vintages_the_one_that_is_not_filed_yet_is_offered_too(shop):
    with closing(Desk(shop.folder)) as desk:
        replica = desk.register.replica
        replica.files_views = False  # A thread beside this one files them; it has one of them by now.
        with replica.store.transaction():
            replica.tables.drop()
            replica.tables.prepare()
        now = replica.products_now()
        assert now is not replica.queries
        only = now.product("CM-19", replica.clock.now_ms())
        replica.queries.products_with = lambda code, at_ms: [only] if code == SHARED else []
        assert {goods.sku for goods in take(desk, SHARED).goods} == {"CM-19", "CM-20"}


def test_one_vintage_is_confirmed_with_its_quantity(shop, clerk, monkeypatch):
    monkeypatch.setattr("crdtsync.runtime.folder.replica.Replica.products_are_coming", True)
    answer = clerk.take(f"2*{TERRINE}")
    assert "another vintage may bear this code" in plain(answer.text)
    assert clerk.lines() == []
    quantity = re.search(r'action="/add".*?name="quantity" value="(\d+)"', answer.text, re.DOTALL)[1]
    clerk.post("/add", sku="TER-1", quantity=quantity)
    assert clerk.due() == "€13.90"


def test_words_find_and_one_hit_is_taken_at_once(clerk):
    clerk.take("rosé")
    assert clerk.lines() == ["Rosé d'été 2022"]
    page = clerk.take("crozes").text
    assert "CM-19" in page
    assert "CM-20" in page
    assert "ROSE-22" not in plain(clerk.get("/found?q=crozes").text)


def test_quantities_by_star_by_buttons_and_by_number(clerk):
    clerk.take("3*EAU")
    assert clerk.due() == "€3.60"
    clerk.post("/line", item=clerk.item(), what="more")
    assert clerk.due() == "€4.80"
    clerk.post("/line", item=clerk.item(), what="less")
    clerk.post("/line", item=clerk.item(), what="set", quantity="2,5", discount="")
    assert clerk.due() == "€3.00"
    clerk.take("4*")
    assert clerk.due() == "€4.80"
    clerk.post("/line", item=clerk.item(), what="out")
    assert clerk.lines() == []


def test_discounts_on_a_line_and_on_the_ticket_are_in_the_ledger(clerk, shop):
    clerk.take("2*CM-19")
    clerk.post("/line", item=clerk.item(), what="set", quantity="2", discount="10 %")
    assert clerk.due() == "€33.30"
    clerk.post("/discount", discount="3,30")
    assert clerk.due() == "€30.00"
    clerk.pay("card")
    (ticket,) = tickets(shop.register())
    assert ticket.total_minor == 3000
    assert ticket.lines[0].discount_minor == 370 + 330


def test_paid_is_said_when_the_sale_is_in_the_ledger_with_its_change(clerk, shop):
    clerk.take("CM-19")
    answer = clerk.pay("cash", "50")
    page = clerk.page(answer.headers["location"])
    assert "Paid" in page
    assert clerk.shown("change", answer.headers["location"]) == "€31.50"
    (ticket,) = tickets(shop.register())
    assert (ticket.total_minor, ticket.change_minor) == (1850, 3150)
    assert clerk.lines() == []


def test_a_payment_in_parts(clerk, shop):
    clerk.take("CM-19")
    clerk.pay("voucher", "5")
    assert clerk.shown("rest", "/pay") == "€13.50"
    assert tickets(shop.register()) == []
    clerk.pay("card", "3,50")
    clerk.pay("cash", "20")
    (ticket,) = tickets(shop.register())
    assert [(one.means, one.amount_minor) for one in ticket.payments] == [
        ("voucher", 500),
        ("card", 350),
        ("cash", 2000),
        ("change", -1000),
    ]


def test_a_basket_that_is_paid_in_part_stays_as_it_is(clerk):
    clerk.take("CM-19")
    clerk.pay("voucher", "5")
    clerk.take("EAU")
    clerk.post("/line", item=clerk.hidden("basket", "/pay"), what="more")
    clerk.post("/discount", discount="50 %")
    clerk.post("/drop", basket=clerk.hidden("basket", "/pay"))
    assert clerk.lines() == ["Crozes-Hermitage 2019"]
    assert clerk.shown("rest", "/pay") == "€13.50"
    clerk.post("/pay/back", basket=clerk.hidden("basket", "/pay"))
    assert clerk.shown("rest", "/pay") == "€18.50"
    clerk.take("EAU")
    assert len(clerk.lines()) == 2


@pytest.mark.parametrize(
    ("means", "amount"), [("card", "100"), ("card", "-5"), ("cash", "0"), ("cash", "abc")]
)
def test_what_cannot_be_paid_is_refused_and_nothing_is_recorded(clerk, shop, means, amount):
    clerk.take("CM-19")
    assert "said=amount" in clerk.pay(means, amount).headers["location"]
    assert tickets(shop.register()) == []
    assert clerk.lines() == ["Crozes-Hermitage 2019"]


def test_a_form_that_is_sent_twice_is_one_sale(clerk, shop):
    clerk.take("CM-19")
    basket, due, token = clerk.hidden("basket", "/pay"), clerk.hidden("due", "/pay"), clerk.token
    fields = {"token": token, "basket": basket, "step": "0", "due": due, "means": "card", "amount": ""}
    first = clerk.http.post("/pay", data=fields)
    clerk.take("EAU")
    second = clerk.http.post("/pay", data=fields)
    assert first.headers["location"] == second.headers["location"]
    assert len(tickets(shop.register())) == 1
    assert clerk.lines() == ["Eau de source"]


def test_a_part_that_is_sent_twice_is_taken_once(clerk):
    clerk.take("CM-19")
    fields = {
        "token": clerk.token,
        "basket": clerk.hidden("basket", "/pay"),
        "step": "0",
        "due": clerk.hidden("due", "/pay"),
        "means": "voucher",
        "amount": "5",
    }
    assert clerk.http.post("/pay", data=fields).status_code == 303
    assert clerk.http.post("/pay", data=fields).status_code == 409
    assert clerk.shown("rest", "/pay") == "€13.50"


def test_much_cash_asks_for_a_word_first(clerk, shop):
    clerk.take("60*CM-19")
    page = clerk.pay("cash").text
    assert "More than €1,000.00 in cash" in page
    assert tickets(shop.register()) == []
    clerk.pay("cash", confirmed="1")
    assert tickets(shop.register())[0].total_minor == 111_000


def test_a_thousand_in_cash_is_allowed_and_change_does_not_count(clerk, shop):
    clerk.post("/free", label="Magnum", price="1000", vat_rate="2000")
    clerk.pay("cash", "1200")
    assert tickets(shop.register())[0].total_minor == 100_000


def test_alcohol_asks_for_the_age_and_food_does_not(clerk):
    clerk.take("EAU")
    assert "under 18" not in clerk.page("/basket")
    clerk.take("CM-19")
    assert "under 18" in clerk.page("/basket")
    assert "under 18" in clerk.page("/pay")


# -- prices that change --------------------------------------------------


def test_the_basket_keeps_the_price_that_it_showed(clerk, shop):
    clerk.take("CM-19")
    shop.register().products.set("CM-19", price_minor=2100)
    assert "New price €21.00" in plain(clerk.page("/basket"))
    assert clerk.due() == "€18.50"
    clerk.pay("card")
    assert tickets(shop.register())[0].total_minor == 1850


def test_a_new_price_is_taken_or_kept_by_a_person_alone(clerk, shop):
    register = shop.register()
    clerk.take("CM-19")
    register.products.set("CM-19", price_minor=2100)
    clerk.post("/line", item=clerk.item(), what="keep", price="2100")
    assert "New price" not in clerk.page("/basket")
    register.products.set("CM-19", price_minor=2200)
    assert "New price €22.00" in plain(clerk.page("/basket"))
    clerk.post("/line", item=clerk.item(), what="apply", price="2100")  # A page of before.
    assert clerk.due() == "€18.50"
    clerk.post("/line", item=clerk.item(), what="apply", price="2200")
    assert clerk.due() == "€22.00"


def test_what_is_archived_under_an_open_basket_is_sold_all_the_same(clerk, shop):
    clerk.take("CM-19")
    shop.register().products.archive("CM-19")
    clerk.pay("card")
    assert tickets(shop.register())[0].lines[0].label == "Crozes-Hermitage 2019"


def test_no_payment_is_taken_of_another_sum_than_the_page_said(clerk, shop):
    clerk.take("CM-19")
    shown = {name: clerk.hidden(name, "/pay") for name in ("basket", "step", "due", "token")}
    clerk.take("CM-20")  # In another window.
    for means, amount in (("card", ""), ("cash", "20"), ("cash", "50"), ("voucher", "5")):
        answer = clerk.http.post("/pay", data={**shown, "means": means, "amount": amount})
        assert answer.headers["location"] == "/pay?said=changed"
    assert "what is to be paid now. Nothing was taken" in plain(clerk.page("/pay?said=changed"))
    assert clerk.shown("rest", "/pay") == "€38.00"
    assert tickets(shop.register()) == []
    assert clerk.pay("card").headers["location"].startswith("/ticket/")
    again = clerk.http.post("/pay", data={**shown, "means": "card", "amount": ""})
    assert again.headers["location"].startswith("/ticket/"), "it was sold, whatever a page still shows"
    assert [one.total_minor for one in tickets(shop.register())] == [3800]


def test_much_cash_is_confirmed_for_the_sum_that_was_shown(clerk, shop):
    clerk.take("60*CM-20")
    page = clerk.pay("cash").text
    told = {
        name: page.split(f'name="{name}" value="')[1].split('"')[0]
        for name in ("token", "basket", "means", "step", "due")
    }
    clerk.take("CM-20")
    answer = clerk.http.post("/pay", data={**told, "confirmed": "1"})
    assert answer.headers["location"] == "/pay?said=changed"
    assert tickets(shop.register()) == []


@pytest.mark.parametrize("amount", ["501,20", "12345670", "9999999,99"])
def test_a_barcode_that_was_typed_as_an_amount_is_no_cash(clerk, shop, amount):
    clerk.take("EAU")
    assert clerk.pay("cash", amount).headers["location"] == "/pay?said=amount"
    assert tickets(shop.register()) == []
    clerk.pay("cash", "501,19")
    assert tickets(shop.register())[0].change_minor == 49_999


def test_what_is_done_to_a_basket_is_done_to_no_other(clerk):
    clerk.take("CM-19")
    basket = clerk.hidden("basket", "/basket")
    clerk.pay("card")  # In another window, where the next customer begins.
    clerk.take("CM-20")
    assert clerk.post("/discount", basket=basket, discount="50 %").status_code == 409
    assert clerk.post("/park", basket=basket, name="x").status_code == 409
    assert (clerk.lines(), clerk.due()) == (["Crozes-Hermitage 2020"], "€19.50")


# -- parked, given up ------------------------------------------------------


def test_a_parked_basket_survives_the_end_of_the_process(shop):
    clerk = shop.open_till()
    clerk.take("CM-19")
    clerk.post("/park", name="Madame Martin")
    clerk.take("EAU")
    shop.till.stop()
    clerk = shop.open_till()
    assert clerk.lines() == ["Eau de source"]
    assert "Madame Martin" in clerk.page("/parked")
    clerk.post("/resume", basket=parked_id(clerk))
    assert clerk.lines() == ["Crozes-Hermitage 2019"]
    assert "Eau de source" in clerk.page("/parked")


def parked_id(clerk):
    return clerk.page("/parked").split('name="basket" value="')[1].split('"')[0]


def test_a_basket_that_is_given_up_is_in_the_ledger(clerk, shop):
    clerk.take("CM-19")
    clerk.take("EAU")
    basket = clerk.page("/").split('name="basket" value="')[1].split('"')[0]
    clerk.post("/drop", basket=basket)
    clerk.post("/drop", basket=basket)
    assert clerk.lines() == []
    assert shop.register().x_report().abandons == 1


def test_a_sale_whose_basket_was_not_put_away_is_no_open_basket_after_a_crash(shop):
    clerk = shop.open_till()
    clerk.take("CM-19")
    kept = (shop.folder / "till.json").read_bytes()
    clerk.pay("card")
    shop.till.stop()
    (shop.folder / "till.json").write_bytes(kept)  # As it was when the power went.
    clerk = shop.open_till()
    assert clerk.lines() == []
    assert len(tickets(shop.register())) == 1


def test_a_disk_that_cannot_take_the_basket_does_not_hide_that_it_was_sold(clerk, shop):
    clerk.take("CM-19")
    (shop.folder / "till.new").mkdir()
    answer = clerk.pay("card")
    assert "Paid" in clerk.page(answer.headers["location"])
    assert clerk.take("EAU").status_code == 503
    (shop.folder / "till.new").rmdir()
    assert len(tickets(shop.register())) == 1


def test_the_command_line_sells_beside_the_page(clerk, shop):
    clerk.take("CM-19")
    register = shop.register()
    for _ in range(3):
        register.sell(["EAU"], ["card"])
    clerk.pay("card")
    register.sell(["EAU"], ["card"])
    numbers = sorted(one.number[-6:] for one in tickets(register))
    assert numbers == [f"{number:06}" for number in range(1, 6)]
    assert register.verify().findings == ()


def bought(clerk, *codes):
    for code in codes:
        clerk.take(code)
    return clerk.pay("card").headers["location"].partition("?")[0]


# -- printing ----------------------------------------------------------------


def test_a_ticket_is_printed_with_its_sale_and_later_as_a_duplicate(shop, paper, tmp_path):
    clerk = shop.open_till(printer=paper)
    clerk.take("ROSE-22")
    address = clerk.pay("cash", delivered="print").headers["location"].partition("?")[0]
    first = (tmp_path / "paper").read_bytes()
    assert "Rosé d'été".encode("cp1252") in first
    assert b"\x1bp" in first  # Cash came: the drawer opens.
    clerk.post(f"{address}/print", how="print")
    clerk.post(f"{address}/print", how="print")
    more = (tmp_path / "paper").read_bytes()[len(first) :]
    assert b"DUPLICATE no. 1" in more
    assert b"DUPLICATE no. 2" in more
    assert b"\x1bp" not in more
    register = shop.register()
    kinds = [entry["kind"] for entry in register.inspect(ledger_of(register))]
    assert kinds.count("print") == 2


def ledger_of(register):
    day = register.x_report().business_day
    return f"ledger/{register.identity.device.hex()}/{day}"


def test_the_first_paper_of_a_ticket_that_nobody_wanted_is_no_duplicate(shop, paper, tmp_path):
    clerk = shop.open_till(printer=paper)
    address = bought(clerk, "EAU")
    clerk.post(f"{address}/print", how="print")
    assert b"DUPLICATE" not in (tmp_path / "paper").read_bytes()
    clerk.post(f"{address}/print", how="email")
    clerk.post(f"{address}/print", how="print")
    assert b"DUPLICATE no. 3" in (tmp_path / "paper").read_bytes()


def test_a_printer_that_does_not_work_keeps_nobody_from_selling(shop, paper, tmp_path):
    (tmp_path / "paper").mkdir()
    clerk = shop.open_till(printer=paper)
    clerk.take("EAU")
    page = clerk.page(clerk.pay("card", delivered="print").headers["location"])
    assert "Paid" in page
    assert "The printer does not work" in page
    assert len(tickets(shop.register())) == 1


# -- training ----------------------------------------------------------------------


def test_training_looks_different_and_records_nothing(clerk, shop):
    end = shop.register().end
    clerk.take("EAU")
    clerk.post("/training", on="1")
    page = clerk.page("/")
    assert 'class="training"' in page
    assert "Nothing is recorded" in page
    assert clerk.lines() == []  # Its baskets are its own.
    clerk.take("CM-19")
    answer = clerk.pay("cash", "20")
    page = clerk.page(answer.headers["location"])
    assert "nothing was recorded" in page
    assert "€1.50" in plain(page)
    assert "Training ticket" in page
    clerk.take("CM-19")
    clerk.post("/drop", basket=clerk.page("/").split('name="basket" value="')[1].split('"')[0])
    for path, fields in (
        ("/day/open", {"sum": "1"}),
        ("/day/close", {}),
        ("/day/cash", {"what": "in", "amount": "1"}),
    ):
        assert "said=training" in clerk.post(path, **fields).headers["location"]
    clerk.post("/training", on="0")
    assert clerk.lines() == ["Eau de source"]
    assert shop.register().end == end


# -- languages ------------------------------------------------------------------------


def test_french_and_english(clerk):
    clerk.take("CM-19")
    clerk.post("/language", language="fr")
    page = plain(clerk.page("/"))
    assert "Encaisser" in page
    assert clerk.due() == "18,50 €"
    clerk.post("/language", language="en")
    assert "Pay" in plain(clerk.page("/"))
    assert clerk.post("/language", language="xx").status_code == 400


def test_the_line_of_safety_of_a_register_that_works_alone(clerk):
    assert "This register works alone" in clerk.safety()
    clerk.take("EAU")
    clerk.pay("card")
    assert "1 ticket (€1.20) on this register only" in clerk.safety()


def test_the_list_of_tickets_goes_on_to_the_first_one(clerk, shop, monkeypatch):
    monkeypatch.setattr("crdtsync.till.pages.tickets.ROWS_MAX", 3)
    register = shop.register()
    sold = [register.sell(["EAU"], ["card"]).number for _ in range(8)]
    for first in ("/tickets", "/tickets?all=1"):
        found, pages, path = [], 0, first
        while path is not None:
            page = clerk.page(path)
            found += re.findall(r'<span class="number">([^< ]+)', page)
            following = re.search(r'href="(/tickets\?older=[^"]+)"', page)
            path = unescape(following[1]) if following else None
            pages += 1
        assert (found, pages) == (sold[::-1], 3)
    assert "There are no older ones" in clerk.page("/tickets?older=2020-01-01.1")
    for strange in ("x", "2026-13-45.1", "2026-11-24", "2026-11-24.x", "2026-11-24." + "9" * 40):
        assert clerk.get(f"/tickets?older={strange}").status_code == 200
