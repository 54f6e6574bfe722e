"""What the till is made of: what is typed, baskets, the shelf, tickets on paper."""

import json
import socket
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import InvalidAmount, StorageError, UsageError
from crdtsync.testing import wine
from crdtsync.testing.clock import ManualClock
from crdtsync.till.app import _listen
from crdtsync.till.baskets import Discount, Item
from crdtsync.till.codes import read_typed
from crdtsync.till.goods import Storeroom
from crdtsync.till.printing import PrinterAddress, escpos
from crdtsync.till.receipt import Heading, Row, as_text, receipt_rows
from crdtsync.till.shelf import FILE, Shelf
from crdtsync.till.words import words_in

AZERTY = str.maketrans("1234567890", "&é\"'(-è_çà")


def item(**facts):
    return Item(
        **{
            "id": "1",
            "sku": "A",
            "label": "A",
            "unit_price_minor": 1000,
            "vat_rate": 2000,
            "vat_class": "N",
            **facts,
        }
    )


# -- what is typed ------------------------------------------------------


@given(st.integers(1, 9_999))
def test_a_barcode_is_the_same_on_a_french_keyboard(number):
    code = wine.barcode(number)
    assert read_typed(code).digits == code
    assert read_typed(code.translate(AZERTY)).digits == code


@pytest.mark.parametrize(
    ("text", "code", "quantity"),
    [
        ("3*CM-19", "CM-19", 3000),
        ("3 x cornas", "cornas", 3000),
        ("1,5*EAU", "EAU", 1500),
        ("2*", "", 2000),
        ("cornas", "cornas", None),
        ("0*EAU", "EAU", None),
        ("", "", None),
    ],
)
def test_a_number_before_a_star_is_how_many(text, code, quantity):
    typed = read_typed(text)
    assert (typed.code, typed.quantity_thousandths) == (code, quantity)


@given(st.text(max_size=300))
def test_nothing_that_can_be_typed_is_too_much(text):
    assert len(read_typed(text).code) <= 120


# -- discounts -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "of", "taken"),
    [
        ("10 %", 1005, 101),
        ("10%", 0, 0),
        ("2,50", 1000, 250),
        ("", 1000, 0),
        ("20", 1000, 1000),
        ("100 %", 7, 7),
    ],
)
def test_a_discount_is_a_share_or_an_amount_and_never_more_than_all(text, of, taken):
    assert Discount.read(text).of(of) == taken


@pytest.mark.parametrize("text", ["-1", "abc", "101 %", "1e3", "%", "1,2,3"])
def test_what_is_no_discount_is_refused(text):
    with pytest.raises(InvalidAmount):
        Discount.read(text)


def test_a_share_follows_the_quantity():
    line = item(discount=Discount.read("10 %"), quantity_thousandths=3000)
    assert (line.gross_minor, line.discount_minor, line.total_minor) == (3000, 300, 2700)


# -- the shelf -------------------------------------------------------------


def shelf_in(folder):
    return Shelf(folder, ManualClock(), Random(1).randbytes)


def test_baskets_are_there_again_after_a_crash(tmp_path):
    shelf = shelf_in(tmp_path)
    shelf.live.current.items.append(item(discount=Discount(percent=500), declined_minor=900))
    shelf.live.current.payments.append(("cash", 500))
    shelf.live.parked.append(shelf.new_basket())
    shelf.is_training = True
    shelf.save()
    again = shelf_in(tmp_path)
    assert again.live == shelf.live
    assert again.training == shelf.training
    assert again.is_training


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"version": 1}', b"\xff\xfe", b'{"live": {"current": 3}}']
)
def test_a_damaged_file_keeps_nobody_from_selling_and_is_put_aside(tmp_path, damage):
    (tmp_path / FILE).write_bytes(damage)
    shelf = shelf_in(tmp_path)
    assert shelf.live.current.items == []
    assert shelf.damaged is not None
    assert shelf.damaged.read_bytes() == damage


def test_a_disk_that_cannot_be_written_is_told_and_the_old_file_stays(tmp_path):
    shelf = shelf_in(tmp_path)
    shelf.save()
    before = json.loads((tmp_path / FILE).read_bytes())
    (tmp_path / "till.new").mkdir()  # What is written first cannot be.
    shelf.live.current.items.append(item())
    with pytest.raises(StorageError):
        shelf.save()
    assert json.loads((tmp_path / FILE).read_bytes()) == before


# -- tickets on paper --------------------------------------------------------


def sold(shop):
    register = shop.register()
    return register.sell(["CM-19", "ROSE-22", "TER-1"], ["cash"], ticket_discount_minor=35)


def test_a_ticket_has_its_lines_its_vat_and_its_seal(shop):
    ticket = sold(shop)
    text = as_text(receipt_rows(ticket, Heading("Cave du Port", "Caisse 1"), words_in("fr")), 42)
    assert ticket.number in text
    assert ticket.link.hex()[:8] in text
    assert "Rosé d'été 2022" in text or "Rosé d'été" in text
    assert "35,00" in text
    assert "TVA 5,5" in text
    assert all(len(line) <= 42 for line in text.splitlines())


def test_accents_and_the_euro_sign_reach_the_printer(shop):
    rows = receipt_rows(sold(shop), Heading("Cave « l'Œuvre »", "Caisse 1"), words_in("fr"))
    data = escpos(rows, columns=42, opens_drawer=True)
    assert b"\x1bt\x10" in data  # The page of characters of Western Europe.
    assert "Rosé d'été".encode("cp1252") in data
    assert "35,00 €".encode("cp1252") in data
    assert "« l'Œuvre »".encode("cp1252") in data
    assert b"?" not in data
    assert b"\x1dV" in data  # It is cut,
    assert b"\x1bp" in data  # and the drawer opens.


def test_a_name_out_of_the_catalogue_commands_no_printer():
    data = escpos(iter([Row("Vin\x1bp\x00\x32\x32 \x1d\x56\x00")]), columns=42, opens_drawer=False)
    assert b"\x1bp" not in data
    assert data.count(b"\x1dV") == 1


@pytest.mark.parametrize("columns", [32, 42, 48])
def test_a_long_name_is_printed_whole_beside_its_price(columns):
    rows = [Row("Châteauneuf-du-Pape Vieilles Vignes de la Grande Combe", "1 234,50 €")]
    data = escpos(iter(rows), columns=columns, opens_drawer=False).decode("cp1252", "replace")
    assert "Grande Combe" in data.replace("\n", "")
    assert "1 234,50 €" in data


@pytest.mark.parametrize(
    "text", ["", "usb", "file:", "network:", "network:h:0", "network:h:99999", "network:h:x"]
)
def test_what_is_no_printer_is_refused(text):
    with pytest.raises(UsageError):
        PrinterAddress.read(text)


def test_printers_are_files_devices_and_hosts():
    assert PrinterAddress.read("file:/dev/usb/lp0").place == "/dev/usb/lp0"
    assert PrinterAddress.read("network:printer.local").port == 9100
    assert PrinterAddress.read("network:10.0.0.8:9101").port == 9101


# -- products ------------------------------------------------------------------


def test_products_are_found_by_words_without_accents_and_by_their_kind(shop):
    goods = Storeroom(shop.register())
    assert [one.sku for one in goods.search("rose ete").goods] == ["ROSE-22"]
    assert [one.sku for one in goods.search("", category="Épicerie").goods] == ["EAU", "TER-1"]
    assert goods.search("").total == 5
    assert goods.search("cornas").goods == ()


def test_what_is_archived_is_not_sold_any_more(shop):
    register = shop.register()
    goods = Storeroom(register)
    assert goods.search("").total == 5
    register.products.archive("EAU")
    assert goods.search("").total == 4
    assert goods.with_code("EAU", "") == []


# -- the server ---------------------------------------------------------------


def test_a_page_does_not_wait_for_the_acknowledgement_of_its_head():
    """asyncio turns Nagle's algorithm off for a socket of this kind alone; else each takes 40 ms longer."""
    with _listen(0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
