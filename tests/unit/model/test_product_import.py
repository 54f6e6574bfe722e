import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import InvalidImport, UsageError
from crdtsync.model import product_import
from crdtsync.model.price import WantedPrice
from crdtsync.model.product import RULES, Product
from crdtsync.model.product_columns import FIELD_OF_TITLE, field_of, read_cell
from crdtsync.model.product_import import RefusedLine, plan_import, read_file

NOW = 1_795_507_200_000
KNOWN = Product("CM-19", "Crozes-Hermitage 2019", 1850, barcodes=("96385074",), abv=1350)


def planned(content, *, encoding="utf-8", known=(KNOWN,), **how):
    found = {product.sku: product for product in known}
    data = content if isinstance(content, bytes) else content.encode(encoding)
    return plan_import(read_file(data), found.get, at_ms=NOW, **how)


def new_product(content, **how):
    plan = planned(content, **how)
    assert plan.refused == []
    [new] = plan.new
    return new.product


HEADER = "sku;name;price;vat"


# -- what a file would do ----------------------------------------------------------------------------------


def test_a_new_product_is_read_from_its_line():
    product = new_product(f"{HEADER}\nTER-01;Terrine;6,95;5,5\n")
    assert product == Product("TER-01", "Terrine", 695, 550, "R1")


def test_a_known_product_is_changed_where_the_line_differs():
    [changed] = planned(f"{HEADER}\nCM-19;Crozes 2019;19,50;20\n").changed
    assert changed.differences == {
        "price_minor": (1850, 1950),
        "name": ("Crozes-Hermitage 2019", "Crozes 2019"),
    }
    assert (changed.line.fields, changed.line.price) == ({"name": "Crozes 2019"}, WantedPrice(1950))


def test_a_known_product_as_it_is_stays_unchanged():
    plan = planned(f"{HEADER}\nCM-19;Crozes-Hermitage 2019;18,50;20\n")
    assert (plan.unchanged, plan.new, plan.changed, plan.refused) == (["CM-19"], [], [], [])


def test_the_vat_alone_can_change():
    [changed] = planned(f"{HEADER}\nCM-19;;;5.5\n").changed
    assert changed.line.price == WantedPrice(None, 550)


def test_empty_cells_change_nothing():
    assert planned(f"{HEADER}\nCM-19;;;\n").unchanged == ["CM-19"]


def test_a_barcode_of_a_file_is_added_to_those_that_are_there():
    [changed] = planned("sku;ean\nCM-19;4006381333931\n").changed
    assert changed.line.fields == {"barcodes": ("4006381333931", "96385074")}


def test_a_file_without_a_vat_column_may_have_a_rate_said_for_new_products():
    content = "sku;name;price\nCM-20;Crozes 2020;19,50\n"
    assert new_product(content, new_vat_rate=2000).vat_rate == 2000
    [refused] = planned(content).refused
    assert refused.reason == "CM-20 is new and has no vat"


def test_what_a_new_product_lacks_is_named():
    [refused] = planned(f"{HEADER}\nCM-20;;;\n").refused
    assert refused == RefusedLine(2, "", "CM-20 is new and has no name, price, vat", "CM-20")


def test_odd_but_allowed_values_are_imported_with_a_warning():
    plan = planned(f"{HEADER};alcool\nCID-1;Cidre;6,95;5,5;4,5 % vol\n")
    assert [number for number, _ in plan.warnings] == [2]
    assert plan.new[0].product.abv == 450


def test_the_second_line_of_one_product_is_refused():
    plan = planned(f"{HEADER}\nA;One;1;20\nA;Two;2;20\n")
    assert (len(plan.new), plan.refused) == (1, [RefusedLine(3, "sku", "line 2 has the same SKU A", "A")])


def test_a_product_whose_first_line_is_refused_is_not_sold_at_the_price_of_the_second():
    plan = planned(f"{HEADER};ean\nDD;Cher;90;20;3017620422004\nDD;Faux;3;20;\nEE;Vrai;4;20;\n")
    assert [(line.number, line.field) for line in plan.refused] == [(2, "barcodes"), (3, "sku")]
    assert plan.refused[1].reason == "line 2 has the same SKU DD"
    assert [new.product.sku for new in plan.new] == ["EE"]


def test_the_product_of_a_line_with_a_comma_too_many_is_known_all_the_same():
    plan = planned("sku,name,price,vat\nDD,Cher,90,50,20\nDD,Faux,3,20\n")
    assert [line.number for line in plan.refused] == [2, 3]
    assert plan.new == []


def test_two_lines_that_name_no_product_do_not_refuse_one_another():
    plan = planned(f"{HEADER}\nA/1;Name;1;20;\nA/2;Name;1;20;\n")
    assert [line.field for line in plan.refused] == ["sku", "sku"]
    assert not any("same SKU" in line.reason for line in plan.refused)


BAD_LINES = {
    "A/1;Name;1;20;": "sku",
    ";Name;1;20;": "sku",
    "A;two\x07bells;1;20;": "name",
    "A;Name;free;20;": "price",
    "A;Name;-1;20;": "price",
    "A;Name;1,234;20;": "price",
    "A;Name;1;19;": "vat_rate",
    "A;Name;1;much;": "vat_rate",
    "A;Name;1;20;vermilion": "colour",
}


@pytest.mark.parametrize(("line", "field"), BAD_LINES.items())
def test_a_line_that_cannot_be_taken_is_refused_by_number_and_field(line, field):
    plan = planned(f"{HEADER};couleur\n{line}\nB;Fine;1;20;rouge\n")
    [refused] = plan.refused
    assert (refused.number, refused.field, [new.product.sku for new in plan.new]) == (2, field, ["B"])
    assert refused.reason


def test_a_vintage_after_the_next_one_is_refused():
    plan = planned(f"{HEADER};millésime\nA;A;1;20;2027\nB;B;1;20;2028\n")
    assert ([new.product.vintage for new in plan.new], plan.refused[0].field) == ([2027], "vintage")


# -- how files look ----------------------------------------------------------------------------------------


def test_a_wine_shops_price_list_is_understood():
    content = (
        "Référence;Désignation;Domaine;Appellation;Région;Pays;Couleur;Millésime;Contenance (cl);Alcool;"
        "Famille;Sous-famille;EAN;Tarif Cave TTC;Tarif Cave +6 TTC;TVA;Actif\r\n"
        "CH-1;Château d’Été;Müller;Graves;Bordeaux;France;Rouge;2019;75;13,5 %;Vins;Rouge;"
        "4006381333931;1 234,50 €;1 200,00 €;20 %;oui\r\n"
    )
    plan = planned(content, encoding="cp1252")
    assert plan.ignored_columns == ("Tarif Cave +6 TTC",)
    assert plan.new[0].product == Product(
        "CH-1",
        "Château d’Été",
        123450,
        barcodes=("4006381333931",),
        producer="Müller",
        appellation="Graves",
        region="Bordeaux",
        country="France",
        colour="red",
        vintage=2019,
        volume_ml=750,
        abv=1350,
        category="Vins/Rouge",
    )


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_any_usual_delimiter_is_found(delimiter):
    content = f"{HEADER}\nA;Name;1.50;20\n".replace(";", delimiter)
    assert new_product(content).price_minor == 150


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_is_read(ending):
    assert new_product(f"\n{HEADER}\nA;Name;1;20\n".replace("\n", ending)).name == "Name"


def test_the_mark_at_the_beginning_of_a_file_is_no_letter():
    assert new_product(f"{HEADER}\nA;Ñame;1;20\n", encoding="utf-8-sig").name == "Ñame"


def test_a_product_without_a_sku_column_goes_by_its_barcode():
    assert new_product("ean;nom;prix;tva\n4006381333931;Name;1;20\n").sku == "4006381333931"


def test_a_column_that_comes_twice_is_read_once():
    assert planned("sku;name;nom;price;vat\nA;One;Two;1;20\n").ignored_columns == ("nom",)


def test_cells_that_are_missing_at_the_end_are_empty():
    assert planned("sku;name;price;vat;couleur\nCM-19;Crozes 2019\n").changed[0].line.number == 2


def test_quoted_cells_hold_delimiters_and_quotes():
    assert new_product(f'{HEADER}\nA;"Cuvée ""B""; fine";1;20\n').name == 'Cuvée "B"; fine'


def test_a_note_over_several_lines_in_a_column_that_is_not_used_is_passed_over():
    plan = planned(f'{HEADER};note\nA;Name;1;20;"one\ntwo\nthree"\nB;Name;1;20;"x"\n')
    assert [new.number for new in plan.new] == [2, 5]


def test_a_name_over_several_lines_is_refused_line_by_line():
    plan = planned(f'{HEADER}\nA;"one\ntwo";1;20\nB;Fine;1;20\n')
    assert ([line.number for line in plan.refused], len(plan.new)) == ([2, 3], 1)


def test_a_quotation_mark_that_is_not_closed_swallows_nothing():
    lines = "".join(f"W-{n};Wine;1;20\n" for n in range(50))
    plan = planned(f'{HEADER}\nA;"Name;1;20\n{lines}')
    assert ([line.number for line in plan.refused], len(plan.new)) == ([2], 50)
    assert "quotation mark" in plan.refused[0].reason


def test_a_cell_that_is_too_long_is_refused():
    assert planned(f"{HEADER}\nA;{'x' * 140_000};1;20\n").refused[0].number == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", b"name;price\nA;1\n", b"sku\nA\n", b"no titles here", b"sku;name\n\0"],
)
def test_what_is_no_product_file_is_refused_whole(content):
    with pytest.raises(InvalidImport):
        planned(content)


def test_files_have_a_size_and_a_length(monkeypatch):
    monkeypatch.setattr(product_import, "FILE_BYTES_MAX", 40)
    with pytest.raises(InvalidImport, match="MB"):
        planned("sku;name\n" + "A;B\n" * 10)
    monkeypatch.setattr(product_import, "LINES_MAX", 3)
    with pytest.raises(InvalidImport, match="lines"):
        planned("sku;name\n\n\n\n")


@given(st.text(max_size=80), st.text(max_size=20))
def test_no_line_ever_raises(text, title):
    content = f"sku;name;price;vat;ean;volume;{title}\n{text}\n{text};{text};{text}".encode(
        "utf-8", "replace"
    )
    plan = planned(content.replace(b"\0", b""))
    assert (
        len(plan.new) + len(plan.changed) + len(plan.unchanged) + len(plan.refused)
        <= content.count(b"\n") + 2
    )


@given(st.binary(max_size=120))
def test_any_bytes_are_a_file_or_are_refused(data):
    try:
        planned(data)
    except InvalidImport:
        pass


# -- cells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text", "unit", "value"),
    [
        ("price", "18,50", "", 1850),
        ("price", "18.5", "", 1850),
        ("price", "1 234,50 €", "", 123450),
        ("price", "1.234,50", "", 123450),
        ("price", "1,234.50", "", 123450),
        ("price", "12.345.678,90", "", 1234567890),
        ("price", "18", "", 1800),
        ("vat_rate", "5,5 %", "", 550),
        ("abv", "13,5", "", 1350),
        ("abv", "13.5% vol.", "", 1350),
        ("abv", "12 % Vol", "", 1200),
        ("volume_ml", "75 cl", "", 750),
        ("volume_ml", "75cl", "ml", 750),
        ("volume_ml", "0,75 L", "", 750),
        ("volume_ml", "1.5 litre", "", 1500),
        ("volume_ml", "750", "", 750),
        ("volume_ml", "75", "", 750),
        ("volume_ml", "1,5", "", 1500),
        ("volume_ml", "33", "cl", 330),
        ("volume_ml", "7,5 dl", "", 750),
        ("colour", "Rosé", "", "rose"),
        ("colour", "BLANC", "", "white"),
        ("vintage", "2019", "", 2019),
        ("vintage", "Non millésimé", "", "NV"),
        ("vintage", "-", "", "NV"),
        ("barcodes", "96385074, 4006381333931", "", ("96385074", "4006381333931")),
        ("active", "Oui", "", True),
        ("active", "0", "", False),
        ("region", "Rhône", "", "Rhône"),
    ],
)
def test_a_cell_is_read_as_people_write_it(field, text, unit, value):
    assert read_cell(field, text, unit) == value


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("price", "1.234"),
        ("price", "1,234"),
        ("price", "1.2.3,4,5"),
        ("price", "douze"),
        ("vat_rate", "vingt"),
        ("abv", "strong"),
        ("volume_ml", "big"),
        ("volume_ml", "740"),
        ("volume_ml", "0,0005 l"),
        ("colour", "vermilion"),
        ("vintage", "19"),
        ("barcodes", "4006381333932"),
        ("active", "maybe"),
    ],
)
def test_a_cell_that_could_mean_two_things_or_none_is_refused_by_field(field, text):
    with pytest.raises(UsageError, match=field.removesuffix("s")):
        read_cell(field, text)


def test_titles_are_found_whatever_their_accents_and_units():
    assert field_of("  Millésime ") == ("vintage", "")
    assert field_of("Volume (CL)") == ("volume_ml", "cl")
    assert field_of("volume ml") == ("volume_ml", "ml")
    assert field_of("Stock") is None


def test_every_field_of_a_product_has_a_column():
    others = {"price", "vat_rate", "barcodes", "sku", "subcategory", "active"}
    assert set(FIELD_OF_TITLE.values()) - others == set(RULES) - {"archived"}
