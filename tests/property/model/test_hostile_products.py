"""What others wrote into the catalogue, and what people type: read, or refused with an error of ours."""

import json
import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from crdtsync.errors import InvalidAmount, InvalidImport, InvalidProduct, UsageError
from crdtsync.model import money
from crdtsync.model.listing import PRICE, listing_rows, price_row, read_listing
from crdtsync.model.plain_products import first_price_row, product_rows
from crdtsync.model.price import Price, PriceChange, name_of_change, read_change
from crdtsync.model.product import CLASS_OF_RATE, FIELD_NAMES, RULES, Product, check_product, warnings_about
from crdtsync.model.product_columns import FIELD_OF_TITLE, field_of, read_cell
from crdtsync.model.product_import import plan_import, read_file
from crdtsync.model.values import MARK, decode_value, encode_value

AT_MS = 1_795_507_200_000

whole = st.integers() | st.sampled_from([2**53 - 1, 2**53, -(2**53), 2**63, 2**64, 10**400, True, False])
words = st.text(st.characters(), max_size=30) | st.sampled_from(
    ["", "json:", "json:1", "e\u0301", "\ud800", "\u202e", "x" * 200, "NV", "2019", "O", "N", "1e3", "NaN"]
)
plain = (
    st.none()
    | st.booleans()
    | whole
    | st.floats()
    | words
    | st.binary(max_size=20)
    | st.sampled_from([bytearray(b"x"), [], {}, [1], {"a": 1}, (1,), {1}])
    | st.text(alphabet='{}[]":,0123456789.e-tnulabyfromvc\\ ', max_size=60).map(lambda text: "json:" + text)
)
values = st.recursive(
    st.none() | whole | words | st.floats() | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_a_value_comes_back_as_it_was_or_is_refused(value: Any) -> None:
    try:
        written = encode_value(value)
    except UsageError:
        return
    assert decode_value(written) == value


@given(plain)
def test_whatever_stands_in_a_document_is_read_or_refused(found: Any) -> None:
    try:
        value = decode_value(found)
    except UsageError:
        return
    assert not isinstance(value, float) or math.isfinite(value)
    if isinstance(found, str) and found.startswith(MARK):
        assert encode_value(value) == found


CHANGE = {"amount": 1850, "at": 5, "by": "u-lea", "from": 0, "replaces": [], "vat": 2000, "vc": "N"}


@given(st.sampled_from([*CHANGE, "more"]), values)
@example("replaces", [[]])
@example("replaces", [{}, "a"])
@example("replaces", [1, "a"])
@example("replaces", "ab")
@example("vc", None)
@example("vc", ["N"])
def test_a_price_change_of_strange_values_is_refused_whatever_its_name(field: str, value: Any) -> None:
    content = {**CHANGE, field: value}
    try:
        written = encode_value(content)
    except UsageError:
        return
    replaces: Any = content["replaces"]
    names = tuple(replaces) if isinstance(replaces, list) else ()
    says: list[Any] = [content[part] for part in ("amount", "vat", "vc", "from", "at", "by")]
    named = PriceChange("A", *says, names).id  # type: ignore[call-arg]
    for name in (named, "0" * 32):
        try:
            change = read_change("A", name, written)
        except InvalidProduct:
            continue
        assert (change.id, change.value) == (name, written)
        assert type(change.vat_class) is str


FIELDS = [*RULES, "sku", "", "barcode/3760000000017", "barcode/x", "barcode/", PRICE, PRICE + "0" * 32, "é"]


@given(st.dictionaries(st.sampled_from(FIELDS) | words, plain, max_size=6))
def test_a_product_is_shown_whatever_stands_under_its_keys(keys: dict[str, Any]) -> None:
    listing = read_listing("A", keys)
    assert listing.product.sku == "A"
    assert all(text.startswith("A: ") for text in listing.problems)
    assert listing_rows(listing)[0][0] == "product"
    warnings_about(listing.at(AT_MS))


def price_change(**says: Any) -> tuple[str, Any]:
    change = PriceChange(
        "A", **{"valid_from_ms": 0, "at_ms": 5, "by": "u", "vat_rate": 2000, "vat_class": "N"} | says
    )
    return PRICE + change.id, change.value


PRICES = [price_change(amount_minor=amount, valid_from_ms=at) for amount in (100, 200) for at in (0, 9)]
CODES = ["barcode/3760000000017", "barcode/96385074", "barcode/036000291452"]


@given(
    st.dictionaries(st.sampled_from(FIELDS) | words, plain, max_size=6),
    st.dictionaries(
        st.sampled_from([*RULES]), st.sampled_from(["Sancerre", 2019.0, 750.0, "red", False]), max_size=6
    ),
    st.lists(st.sampled_from(PRICES), max_size=4),
    st.lists(st.sampled_from(CODES), max_size=3),
)
def test_the_rows_of_a_product_are_the_same_with_and_without_it(
    strange: dict[str, Any], usual: dict[str, Any], prices: list[tuple[str, Any]], codes: list[str]
) -> None:
    keys = strange | usual | dict(prices) | dict.fromkeys(codes, True)
    listing = read_listing("A", keys)
    barcodes = [("barcode", {"code": code}) for code in listing.product.barcodes]
    assert product_rows("A", keys) == [*listing_rows(listing), *barcodes]


fields = st.dictionaries(st.sampled_from(FIELD_NAMES), values | st.tuples(words), max_size=4)


@given(fields)
def test_a_product_is_checked_or_refused(given_fields: dict[str, Any]) -> None:
    product = Product(**{"sku": "A", "name": "Sancerre", "price_minor": 1850, **given_fields})
    try:
        checked = check_product(product, year=2026)
    except UsageError:
        return
    assert check_product(checked, year=2026) == checked


@given(words | st.text(alphabet="0123456789 .,+-%\u00a0\u202f٣３e", max_size=20))
def test_an_amount_a_quantity_or_a_rate_is_read_or_refused(text: str) -> None:
    for read, write in (
        (money.parse_amount, money.format_amount),
        (money.parse_quantity, money.format_quantity),
        (money.parse_rate, money.format_rate),
    ):
        try:
            number = read(text)
        except InvalidAmount:
            continue
        assert read(write(number)) == number


@given(
    st.sampled_from([*sorted(set(FIELD_OF_TITLE.values())), "other"]), words, st.sampled_from(["", "cl", "x"])
)
def test_a_cell_is_read_or_refused(field: str, text: str, unit: str) -> None:
    try:
        read_cell(field, text, unit)
    except UsageError as error:
        text = str(error)
    assert field_of(text) is None or field_of(text)


cells = words | st.sampled_from(
    ['"', '""', '"a', "18,50", "20", "20 %", "3760000000017", "Sancerre", "75 cl", "oui"]
)
lines = st.lists(cells, max_size=6).flatmap(
    lambda row: st.sampled_from([";", ",", "\t", "|"]).map(lambda delimiter: delimiter.join(row))
)
TITLES = [
    "sku;name;price;vat",
    "référence;désignation;tarif cave ttc;tva;contenance (cl)",
    "ean,price",
    "a;b",
    "",
]


@given(
    st.sampled_from(TITLES),
    st.lists(lines, max_size=6),
    st.sampled_from(["utf-8", "cp1252", "utf-16", "utf-8-sig"]),
)
def test_a_file_is_planned_line_by_line_or_refused(titles: str, rows: list[str], encoding: str) -> None:
    data = "\n".join([titles, *rows]).encode(encoding, errors="replace")
    try:
        plan = plan_import(read_file(data), lambda sku: None, at_ms=AT_MS, new_vat_rate=2000)
    except InvalidImport:
        return
    assert all(refused.reason for refused in plan.refused)
    assert all(check_product(new.product, year=2026) == new.product for new in plan.new)
    assert {new.product.vat_rate for new in plan.new} <= {2000, *CLASS_OF_RATE}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_of_products_or_refused(data: bytes) -> None:
    try:
        plan = plan_import(read_file(data), lambda sku: None, at_ms=AT_MS)
    except InvalidImport:
        return
    assert not plan.changed


near = st.sampled_from(
    [
        0,
        -1,
        10**9,
        10**9 + 1,
        10_000,
        10_001,
        2000,
        253_402_300_799_999,
        253_402_300_800_000,
        True,
        None,
        0.5,
        1.0,
    ]
)
authors = st.sampled_from(["u", "u-lea", "", "é", 'u"x', "u\\x", "a b", "u\n", "~" * 64, "~" * 65, 7])


@st.composite
def price_texts(draw: st.DrawFn) -> str:
    """What may stand in the place of a price: what registers write, and what is nearly that."""
    content = {
        "amount": draw(near),
        "at": draw(near),
        "by": draw(authors),
        "from": draw(near),
        "replaces": draw(st.sampled_from([[], [], [], ["0" * 32], ["x"], None])),
        "vat": draw(near),
        "vc": draw(st.sampled_from(["N", "N", "R1", "R2", "Z", "S", "O", "X", "", 0])),
    }
    spaces = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ":")]))
    text = MARK + json.dumps(content, separators=spaces, ensure_ascii=draw(st.booleans()))
    return draw(st.sampled_from([text, text, text + " ", text.replace("}", ',"z":1}'), text[1:]]))


@given(price_texts(), st.booleans())
def test_a_first_price_is_read_in_bulk_as_it_is_read_alone_or_not(text: str, is_its_name: bool) -> None:
    name = name_of_change("CM-19" if is_its_name else "TER-01", text)
    row = first_price_row("CM-19", name, text)
    try:
        change = read_change("CM-19", name, text)
    except InvalidProduct:
        assert row is None
        return
    assert row is None or row == price_row(Price(change.valid_from_ms, change))
    assert product_rows("CM-19", {PRICE + name: text}) == listing_rows(
        read_listing("CM-19", {PRICE + name: text})
    )


def test_what_a_register_writes_is_read_in_bulk() -> None:
    for rate, vat_class in CLASS_OF_RATE.items():
        change = PriceChange("CM-19", 1850, rate, vat_class, 0, AT_MS, "u-lea")
        row = first_price_row("CM-19", change.id, change.value)
        assert row == price_row(Price(0, change))
