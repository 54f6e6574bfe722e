"""Invoices: what French law wants on them, numbers without a gap, one for each ticket."""

import io
import re

import pypdf
import pytest

from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync_server.backups.restored import begin_generation
from crdtsync_server.dashboard.rooms.invoices import has_check_digit
from tests.web.conftest import Visitor

COMPANY = {
    "name": "Cave du Port SARL",
    "form": "SARL au capital de 8 000 €",
    "address": "3 quai du Port\r\n17000 La Rochelle",
    "siret": "732 829 320 00074",
    "rcs": "La Rochelle",
    "vat_number": "FR 44 732829320",
}
BUYER = {"name": "Łukasz Müller", "address": "1 rue de l’Église\n17000 La Rochelle"}


@pytest.fixture(scope="module")
def sold(shop, till):
    till.products.add("EAU", name="Eau minérale", price_minor=150, vat_rate=550)
    tickets = [till.sell(["CM-19", "EAU", "EAU"], ["card"]) for _ in range(3)]
    tickets.append(till.refund(tickets[2].number, lines={1: 1000}, reason="bouchonnée", payments=["card"]))
    till.sync(60)
    return tickets


def ask(visitor: Visitor, ticket, **buyer):
    where = {"number": ticket.number, "link": ticket.link.hex()}
    return visitor.post("/sales/invoice", on="/people", **where, **{**BUYER, **buyer})


def paper(visitor, ticket):
    """The text of the invoice that the page of a ticket leads to, and its number."""
    page = visitor.page(f"/sales/ticket?number={ticket.number}")
    address = re.search(r'href="(/sales/invoice\.pdf[^"]+)"', page)[1]
    answer = visitor.get(address)
    assert answer.headers["content-type"] == "application/pdf"
    read = pypdf.PdfReader(io.BytesIO(answer.content))
    text = "\n".join(page.extract_text() for page in read.pages)
    return re.sub(r"[\s\u00a0]+", " ", text), address.partition("number=")[2], answer.content


@pytest.fixture(scope="module")
def company(shop, marie, sold):
    """Who sells has been said. Before it has, that is asked for."""
    first = marie.get(f"/sales/invoice?number={sold[0].number}")
    assert first.headers["location"].startswith("/sales/company?number=")
    answer = marie.post("/sales/company", number=sold[0].number, link="", **COMPANY)
    assert answer.headers["location"].startswith("/sales/invoice?number=")


def test_everything_that_the_law_wants_is_on_it(marie, till, sold, company):
    marie.post("/sales/company", **COMPANY)
    ticket = till.sell(["CM-19", "EAU", "EAU"], ["card"])
    till.sync(60)
    assert ask(marie, ticket, siren="732829320").status_code == 303
    text, number, _ = paper(marie, ticket)
    for said in (
        *("Cave du Port SARL", "SARL au capital de 8 000 €", "3 quai du Port", "17000 La Rochelle"),
        *("SIRET 73282932000074", "RCS La Rochelle", "FR44732829320", f"Facture n° {number}"),
        *("Date d’émission", "Date de la vente", f"Ticket de caisse n° {ticket.number}"),
        *("Łukasz Müller", "1 rue de l’Église", "SIREN 732829320", "Crozes-Hermitage", "Eau minérale"),
        *("15,42 €", "1,42 €", "20 %", "5,5 %", "Total HT : 18,26 €", "Total TVA : 3,24 €"),
        *("Total TTC : 21,50 €", "Acquittée le", "carte 21,50 €", "livraison de biens"),
        *("Pas d’escompte", "indemnité forfaitaire de 40 €", ticket.link.hex()[:8]),
    ):
        assert said in text, (said, text)


def test_numbers_follow_one_another_and_a_ticket_has_one_invoice(marie, till, sold, company):
    numbers = []
    made = [till.sell(["CM-19"], ["card"]) for _ in range(3)]
    till.sync(60)
    for ticket in made:
        ask(marie, ticket)
        numbers.append(paper(marie, ticket)[1])
    first = int(numbers[0].rpartition("-")[2])
    assert [int(one.rpartition("-")[2]) for one in numbers] == [first, first + 1, first + 2]
    before = paper(marie, made[0])
    where = f"/sales/invoice?number={made[0].number}"
    fields = {"number": made[0].number, "link": made[0].link.hex(), **BUYER, "name": "Somebody else"}
    assert marie.post("/sales/invoice", on="/people", **fields).status_code == 303
    assert marie.get(where).status_code == 303
    assert paper(marie, made[0]) == before  # To the byte.
    assert "indemnité forfaitaire" not in paper(marie, made[1])[0]


def test_no_number_is_given_again_when_the_office_lost_its_file(shop, marie, till, sold, company):
    """``office.sqlite`` is no part of the log: it can be lost alone."""
    made = [till.sell(["CM-19"], ["card"]) for _ in range(2)]
    till.sync(60)
    ask(marie, made[0])
    number = paper(marie, made[0])[1]
    with shop.books.database.transaction():
        shop.books.database.write("DELETE FROM invoice")
    ask(marie, made[1])
    after = paper(marie, made[1])[1]
    assert after.rpartition("-")[0] == number.rpartition("-")[0]
    assert int(after.rpartition("-")[2]) == int(number.rpartition("-")[2]) + 1


def test_after_a_restore_invoices_have_a_series_of_their_own_and_the_page_says_so(make_shop):
    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    tickets = [till.sell(["CM-19"], ["card"]) for _ in range(2)]
    till.sync(60)
    marie = shop.visitor("Marie")
    marie.post("/sales/company", **COMPANY)
    assert 'id="restored"' not in marie.page(f"/sales/invoice?number={tickets[0].number}")
    ask(marie, tickets[0])
    first = paper(marie, tickets[0])[1]
    with shop.store.transaction():
        begin_generation(shop.store.shop(shop.id), system_random, SystemClock().now_ms())
    said = marie.page(f"/sales/invoice?number={tickets[1].number}")
    assert 'id="restored"' in said
    assert "new series" in said
    assert "ask the customer" in said
    ask(marie, tickets[1])
    second = paper(marie, tickets[1])[1]
    assert second.rpartition("-")[0] != first.rpartition("-")[0]
    assert second.endswith("-000001")


def test_a_refund_is_a_credit_note_that_names_what_it_sets_right(marie, sold, company):
    ask(marie, sold[3])
    text, number, _ = paper(marie, sold[3])
    assert f"Avoir n° {number}" in text
    assert f"Rectifie le ticket n° {sold[2].number} : bouchonnée" in text
    assert "Total TTC : -18,50 €" in text


def test_what_was_made_stays_when_the_company_moves(marie, sold, company):
    ask(marie, sold[0])
    before = paper(marie, sold[0])
    marie.post("/sales/company", **{**COMPANY, "address": "9 rue Neuve\n17000 La Rochelle"})
    assert paper(marie, sold[0]) == before
    marie.post("/sales/company", **COMPANY)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "This is needed on an invoice."),
        ({"address": " \n "}, "This is needed on an invoice."),
        ({"siret": "73282932000075"}, "14 digits"),
        ({"siret": "٧٣٢٨٢٩٣٢٠٠٠٠٧٤"}, "14 digits"),
        ({"vat_number": "<b>"}, "A VAT number like"),
    ],
)
def test_a_company_without_what_is_needed_is_not_taken(marie, sold, company, fields, said):
    answer = marie.post("/sales/company", **{**COMPANY, **fields})
    assert answer.status_code == 422
    assert said in answer.text
    assert "Cave du Port SARL" in marie.page("/sales/company")


@pytest.mark.parametrize("field", [*COMPANY, "naf"])
def test_what_is_too_long_for_a_ticket_is_refused_where_it_is_typed_and_stays_there(marie, company, field):
    """It was kept for invoices once, cut, and no register was ever told."""
    typed = f"Maison {'x' * 300} et fils".upper().replace(" ", "")
    answer = marie.post("/sales/company", **{**COMPANY, field: typed})
    assert answer.status_code == 422
    assert f'id="problem-{field}"' in answer.text
    assert typed in answer.text
    assert typed not in marie.page("/sales/company")
    assert "Cave du Port SARL" in marie.page("/sales/company")


def test_lines_in_a_field_that_has_none_become_one(shop, marie, company):
    answer = marie.post("/sales/company", **{**COMPANY, "name": "Cave du Port\r\nSARL"})
    assert answer.status_code == 303
    assert 'value="Cave du Port SARL"' in marie.page("/sales/company")


def test_a_customer_that_nobody_can_be_is_not_taken(make_customer):
    marie, ticket = make_customer
    long = dict.fromkeys(("name", "address"), "x" * 301)
    for fields in ({"name": ""}, {"address": ""}, {"siren": "123456789"}, {"vat_number": "x"}, long):
        assert ask(marie, ticket, **fields).status_code == 422
    assert "invoice.pdf" not in marie.page(f"/sales/ticket?number={ticket.number}")


@pytest.fixture
def make_customer(marie, till, company):
    ticket = till.sell(["CM-19"], ["card"])
    till.sync(60)
    return marie, ticket


def test_strange_letters_make_a_paper_all_the_same(make_customer):
    marie, ticket = make_customer
    strange = "**Eve** \u202e\u202e🍷 {{nb}} <script> \x00 الكرمة"
    assert ask(marie, ticket, name=strange, address="a\n" * 90).status_code == 303
    assert paper(marie, ticket)[2].startswith(b"%PDF-")


def test_staff_reads_invoices_and_makes_none(paul, marie, sold, company):
    ask(marie, sold[0])
    assert paper(paul, sold[0])[0]
    for path in ("/sales/company", "/sales/invoice"):
        assert paul.get(path).status_code == 403
    assert paul.post("/sales/company", on="/people", **COMPANY).status_code == 403
    fields = {"number": sold[0].number, "link": "", **BUYER}
    assert paul.post("/sales/invoice", on="/people", **fields).status_code == 403


def test_another_shop_has_neither_the_invoices_nor_the_company(shop, marie, sold, company):
    ask(marie, sold[0])
    _, number, _ = paper(marie, sold[0])
    made = shop.access.create_shop(shop.store, "Cave du marché")
    shop.person("Olaf", shop=made.id)
    olaf = shop.visitor("Olaf")
    assert olaf.get(f"/sales/invoice.pdf?number={number}").status_code == 404
    assert "Cave du Port SARL" not in olaf.page("/sales/company")
    fields = {"number": sold[0].number, "link": sold[0].link.hex(), **BUYER}
    assert olaf.post("/sales/invoice", on="/people", **fields).status_code == 404


@pytest.mark.parametrize("path", ["?number=", "?number=none", "", "?number=../x", "?number=" + "F" * 5000])
def test_an_invoice_that_is_none_is_not_there(marie, path):
    assert marie.get(f"/sales/invoice.pdf{path}").status_code == 404


@pytest.mark.parametrize(
    ("text", "digits", "can_be"),
    [("732829320", 9, True), ("732829321", 9, False), ("73282932000074", 14, True), ("", 9, False)],
)
def test_the_last_digit_checks_the_others(text, digits, can_be):
    assert has_check_digit(text, digits) is can_be
