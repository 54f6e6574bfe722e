import pytest

from crdtsync.errors import InvalidProduct
from crdtsync.model.product import (
    Product,
    check_barcode,
    check_field,
    check_price,
    check_product,
    check_sku,
    gtin_check_digit,
    warnings_about,
    year_of,
)

WINE = Product(
    "CM-19",
    "Crozes-Hermitage 2019",
    1850,
    unit="btl",
    barcodes=("4006381333931",),
    appellation="Crozes-Hermitage",
    colour="red",
    vintage=2019,
    volume_ml=750,
    abv=1350,
    category="Wine/Red",
)


def changed(**fields):
    return Product(**{name: getattr(WINE, name) for name in Product.__slots__} | fields)


def test_a_product_that_keeps_the_rules_is_taken_as_it_is():
    assert check_product(WINE, year=2026) == WINE


def test_text_is_trimmed_and_composed():
    assert check_product(changed(name=" Cha\u0302teau ")).name == "Château"


def test_barcodes_are_kept_once_and_in_order():
    codes = ("96385074", "4006381333931", "96385074")
    assert check_product(changed(barcodes=codes)).barcodes == ("4006381333931", "96385074")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sku", ""),
        ("sku", "a/b"),
        ("sku", "é"),
        ("sku", "x" * 41),
        ("sku", None),
        ("name", ""),
        ("name", "  "),
        ("name", "x" * 121),
        ("name", "two\nlines"),
        ("name", "right\u202eto left"),
        ("name", None),
        ("name", 5),
        ("unit", "a unit too long"),
        ("unit", None),
        ("colour", "vermilion"),
        ("colour", 5),
        ("vintage", 1799),
        ("vintage", 2028),
        ("vintage", "2019"),
        ("vintage", True),
        ("volume_ml", 0),
        ("volume_ml", 75.0),
        ("volume_ml", True),
        ("abv", 10_001),
        ("abv", -1),
        ("category", "a/b/c"),
        ("category", "a/"),
        ("category", ""),
        ("archived", 1),
        ("archived", None),
        ("barcodes", ("4006381333932",)),
        ("barcodes", ("123",)),
        ("barcodes", ("40063813339３1",)),
        ("barcodes", (4006381333931,)),
        ("price_minor", None),
        ("price_minor", -1),
        ("price_minor", 10**9 + 1),
        ("price_minor", 18.5),
        ("vat_rate", 10_001),
        ("vat_rate", True),
        ("vat_class", "X"),
        ("vat_class", "O"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named_with_its_value(field, value):
    named = {"price_minor": "price", "barcodes": "barcode"}.get(field, field)
    with pytest.raises(InvalidProduct, match=f"^{named} "):
        check_product(changed(**{field: value}), year=2026)


@pytest.mark.parametrize("field", ["sku", "name", "abv", "vintage", "price_minor", "vat_rate", "vat_class"])
def test_a_number_of_more_digits_than_python_writes_is_refused_too(field):
    with pytest.raises(InvalidProduct, match="int of too many digits"):
        check_product(changed(**{field: 10**5000}), year=2026)


def test_next_years_vintage_is_allowed_and_nv_too():
    assert check_field("vintage", 2027, year=2026) == 2027
    assert check_field("vintage", "NV", year=2026) == "NV"


def test_a_vintage_from_the_future_can_be_read_back():
    assert check_field("vintage", 2050) == 2050


def test_there_are_no_other_fields():
    with pytest.raises(InvalidProduct, match="no field 'taste'"):
        check_field("taste", "dry")


def test_a_product_has_so_many_barcodes_and_no_more():
    codes = tuple(digits + gtin_check_digit(digits) for digits in (f"20{n:010d}" for n in range(33)))
    assert len(check_product(changed(barcodes=codes[:32])).barcodes) == 32
    with pytest.raises(InvalidProduct, match="32 are allowed"):
        check_product(changed(barcodes=codes))


@pytest.mark.parametrize("code", ["96385074", "036000291452", "4006381333931", "10012345000017"])
def test_codes_on_real_goods_are_barcodes(code):
    assert check_barcode(code) == code


@pytest.mark.parametrize("place", range(13))
def test_one_wrong_digit_of_a_barcode_is_noticed(place):
    code = "4006381333931"
    wrong = code[:place] + str((int(code[place]) + 1) % 10) + code[place + 1 :]
    with pytest.raises(InvalidProduct):
        check_barcode(wrong)


@pytest.mark.parametrize(
    ("rate", "vat_class"), [(2000, "N"), (1000, "R2"), (550, "R1"), (210, "S"), (0, "Z")]
)
def test_every_rate_of_mainland_france_has_its_class(rate, vat_class):
    assert check_price(100, rate) == vat_class


def test_another_rate_is_taken_when_its_class_is_said():
    assert check_price(100, 850, "R1") == "R1"
    with pytest.raises(InvalidProduct, match="or a VAT class"):
        check_price(100, 850)


def test_what_is_outside_vat_has_no_rate():
    assert check_price(100, 0, "O") == "O"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"vat_rate": 550}, "taxed at 20 %"),
        ({"volume_ml": 740}, "no usual size"),
        ({"abv": None}, "without its strength"),
    ],
)
def test_what_is_probably_a_mistake_is_said(fields, word):
    [warning] = warnings_about(changed(**fields))
    assert word in warning


def test_nothing_is_said_of_an_ordinary_wine_or_of_juice():
    assert warnings_about(WINE) == warnings_about(changed(vat_rate=550, abv=120, colour=None)) == []


def test_the_year_begins_at_midnight_utc():
    assert (year_of(1_767_225_599_999), year_of(1_767_225_600_000)) == (2025, 2026)


def test_a_sku_may_have_dots_dashes_and_underscores():
    assert check_sku("CM_19.75-a") == "CM_19.75-a"
