"""The catalogue in the back office: made, changed, imported, decided; and on the registers at once."""

import re
from html import unescape

import pytest

from crdtsync.model.product import gtin_check_digit
from crdtsync.testing.wine import barcode
from tests.web.conftest import wait_until

NEW = {
    "sku": "CM-20",
    "name": "Crozes-Hermitage 2020",
    "price": "19,50",
    "vat_rate": "2000",
    "unit": "btl",
    "producer": "Domaine Jean",
    "colour": "red",
    "vintage": "2020",
    "volume_ml": "75 cl",
    "abv": "13,5",
    "category": "Vin/Rouge",
}


@pytest.fixture
def office(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.marie = shop.visitor("Marie")
    return shop


@pytest.fixture
def till(office):
    till = office.register("Caisse 1")
    till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000, producer="Jean")
    till.sync(60)
    return till


def form_of(visitor, sku):
    """What the form of a product sends when nothing is changed in it."""
    page = visitor.page(f"/catalogue/product?sku={sku}")
    form = page.split('action="/catalogue/change"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input [^>]*?name="([^"]+)"[^>]*?value="([^"]*)"', form))
    for name, text in re.findall(r'<textarea [^>]*?name="([^"]+)"[^>]*>([^<]*)<', form):
        fields[name] = text
    for name, options in re.findall(r'<select [^>]*?name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[name] = chosen[1] if chosen else ""
    return fields


def save(visitor, sku, **changed):
    fields = {**form_of(visitor, sku), **changed}
    del fields["token"]
    return visitor.post("/catalogue/change", on="/people", **fields)


def test_a_product_made_here_is_on_an_open_register_at_once(office, till):
    connection = till.start_sync()
    wait_until(lambda: connection.is_connected)
    assert office.marie.post("/catalogue/new", **NEW, barcodes=barcode(7)).status_code == 303
    wait_until(lambda: till.products.find("CM-20") is not None)
    row = till.products.get("CM-20")
    assert (row.name, row.price_minor, row.vat_rate) == ("Crozes-Hermitage 2020", 1950, 2000)
    assert [found.sku for found in till.products.with_barcode(barcode(7))] == ["CM-20"]
    assert till.sell(["CM-20"], ["card"]).total_minor == 1950


def test_the_office_writes_as_a_device_of_its_own_that_no_list_of_registers_shows(office, till):
    office.marie.post("/catalogue/new", **NEW)
    till.sync(60)
    by = {device.role for device in till.status().devices}
    assert "backoffice" in by
    assert "Back office" not in office.marie.page("/registers").split("<main")[1]


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        ("sku", "a b", "1 to 40 letters"),
        ("sku", "CM-19", "already"),
        ("name", "", "1 to 120"),
        ("name", "x" * 121, "1 to 120"),
        ("price", "", "amount"),
        ("price", "free", "amount"),
        ("price", "-1", "amount"),
        ("price", "1e9", "amount"),
        ("vat_rate", "1234", "rates"),
        ("barcodes", "3012345678901", "last digit would be"),
        ("barcodes", "123", "8, 12, 13 or 14"),
        ("barcodes", "٣٠١٢٣٤٥٦٧٨٩٠٠", "8, 12, 13 or 14"),
        ("vintage", "3019", "year"),
        ("vintage", "MMXX", "year"),
        ("volume_ml", "75", ""),
        ("volume_ml", "big", "75 cl"),
        ("abv", "101", "0 to 100"),
        ("category", "a/b/c", "two levels"),
        ("colour", "blue", "colours"),
        ("unit", "much too long", "1 to 8"),
    ],
)
def test_a_field_that_cannot_be_is_said_beside_it_and_nothing_is_written(
    shop, marie, till_once, field, text, says
):
    end = shop.store.shop(shop.id).end
    answer = marie.post("/catalogue/new", **{**NEW, "sku": "NEVER", field: text})
    if not says:  # 75 is the usual size in cl: no problem.
        assert answer.status_code == 303
        return
    assert answer.status_code == 422
    problem = re.search(rf'id="p-{field}">([^<]*)<', answer.text)
    assert problem
    assert says in problem[1]
    assert f'aria-describedby="p-{field}"' in answer.text
    assert shop.store.shop(shop.id).end == end


@pytest.fixture(scope="module")
def till_once(shop, till_of_module):
    return till_of_module


@pytest.fixture(scope="module")
def till_of_module(shop):
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
    till.sync(60)
    return till


def test_the_check_digit_that_is_expected_is_told(marie):
    answer = marie.post("/catalogue/new", **{**NEW, "sku": "NEVER", "barcodes": "3012345678901"})
    assert f"its last digit would be {gtin_check_digit('301234567890')}" in answer.text


def test_what_is_odd_is_said_and_taken(office, till):
    office.marie.post("/catalogue/new", **{**NEW, "vat_rate": "550"})
    assert "Alcohol is taxed at 20 %" in office.marie.page("/catalogue/product?sku=CM-20")


def test_only_what_was_changed_in_the_form_is_written(office, till):
    """Somebody has the form open while a register changes another field: both stay."""
    before = form_of(office.marie, "CM-19")
    till.products.set("CM-19", producer="Domaine Paul")
    till.sync(60)
    del before["token"]
    assert (
        office.marie.post("/catalogue/change", on="/people", **{**before, "name": "Crozes"}).status_code
        == 303
    )
    till.sync(60)
    row = till.products.get("CM-19")
    assert row.name == "Crozes"
    assert "Domaine Paul" in row.body


def test_saving_an_untouched_form_writes_nothing(office, till):
    office.marie.page("/catalogue/product?sku=CM-19")
    save(office.marie, "CM-19")
    end = office.store.shop(office.id).end
    assert save(office.marie, "CM-19").status_code == 303
    assert office.store.shop(office.id).end == end


def test_a_price_can_be_planned_for_a_day(office, till):
    answer = save(office.marie, "CM-19", price="20.00", valid_from="2999-01-01")
    assert answer.status_code == 303
    page = office.marie.page("/catalogue/product?sku=CM-19")
    assert "Planned prices" in page
    assert "<strong>€20.00</strong>" in page
    till.sync(60)
    assert till.products.get("CM-19").price_minor == 1850
    assert save(office.marie, "CM-19", price="20", valid_from="2001-01-01").status_code == 422


def test_a_product_is_archived_and_put_back(office, till):
    office.marie.post("/catalogue/archive", on="/people", sku="CM-19", archived="1")
    assert "CM-19" not in office.marie.page("/catalogue")
    assert "CM-19" in office.marie.page("/catalogue?archived=1")
    till.sync(60)
    assert till.products.get("CM-19").archived
    office.marie.post("/catalogue/archive", on="/people", sku="CM-19", archived="0")
    assert "CM-19" in office.marie.page("/catalogue")


def test_the_history_says_what_when_and_who(office, till):
    office.marie.page("/catalogue")
    save(office.marie, "CM-19", name="Crozes rouge", price="21.00")
    connection = till.start_sync()
    till.products.set("CM-19", producer="Domaine Paul", price_minor=2200)
    wait_until(lambda: "Domaine Paul" in office.marie.page("/catalogue/product?sku=CM-19"))
    history = office.marie.page("/catalogue/product?sku=CM-19").split('id="history"')[1].split("</ul>")[0]
    entries = [re.sub(r"<[^>]+>|\s+", " ", part) for part in history.split("<li>")[1:]]
    assert len(entries) == 5
    marie = [text for text in entries if "Marie" in text]
    register = [text for text in entries if "Caisse 1" in text]
    assert len(marie) == 2
    assert any("Crozes-Hermitage" in text and "Crozes rouge" in text for text in marie)
    assert any("€21.00" in text for text in marie)
    assert any("Domaine Paul" in text and "Jean" in text for text in register)
    assert any("€22.00" in text for text in register)
    assert connection.error is None


def test_two_prices_are_shown_and_one_click_decides(office, till):
    second = office.register("Caisse 2")
    second.sync(60)
    till.products.set("CM-19", price_minor=1900)
    second.products.set("CM-19", price_minor=2100)
    till.sync(60)
    second.sync(60)
    assert "was changed by two people" in office.marie.page("/catalogue")
    assert "CM-19" in office.marie.page("/catalogue?disputed=1")
    page = office.marie.page("/catalogue/product?sku=CM-19")
    conflict = page.split('aria-label="Two prices"')[1].split("</section>")[0]
    assert "Caisse 1" in conflict
    assert "Caisse 2" in conflict
    choices = {
        amount: change
        for change, amount in re.findall(r'name="change" value="([0-9a-f]+)">\s*<strong>€([\d.]+)<', conflict)
    }
    assert choices.keys() == {"19.00", "21.00"}
    assert (
        office.marie.post("/catalogue/decide", on="/people", sku="CM-19", change=choices["19.00"]).status_code
        == 303
    )
    assert "was changed by two people" not in office.marie.page("/catalogue")
    for register in (till, second):
        register.sync(60)
        assert register.products.get("CM-19").price_minor == 1900
        assert register.products.disputed() == []


def test_products_are_found_by_any_words_without_accents_and_in_pages(office, till):
    for number in range(60):
        till.products.add(
            f"V-{number:03}", name=f"Viré-Clessé {number}", price_minor=1000 + number, vat_rate=2000
        )
    till.products.set("V-017", barcodes=[barcode(17)])
    till.sync(60)
    marie = office.marie
    assert "61 products" in marie.page("/catalogue")
    assert "Page 1 of 2" in marie.page("/catalogue")
    assert "V-059" in marie.page("/catalogue?page=2") + marie.page("/catalogue?page=1")
    assert "60 products" in marie.page("/catalogue?q=VIRE+clesse")
    assert "1 product" in marie.page(f"/catalogue?q={barcode(17)}")
    part = marie.get("/catalogue?q=crozes", **{"hx-request": "true"}).text
    assert part.lstrip().startswith("<section")
    assert "CM-19" in part
    assert "Nothing is called that" in marie.page("/catalogue?q=xyzzy")


# -- import and export ------------------------------------------------


def look_at(visitor, text, name="tarif.csv"):
    data = text if isinstance(text, bytes) else text.encode()
    return visitor.post("/catalogue/import", files={"file": (name, data, "text/csv")})


def test_a_file_is_looked_at_before_anything_is_written(office, till):
    end = office.store.shop(office.id).end
    page = look_at(
        office.marie, "sku;name;price;vat\nCM-19;Crozes;19;20\nA-1;A;1,20;20\nB-1;;x;20\nC 1;C;1;20\n"
    ).text
    assert [re.search(rf'id="{name}">([^<]+)<', page)[1] for name in ("added", "refused")] == ["1", "2"]
    assert "An amount like" in page
    assert "Crozes-Hermitage" in page
    assert "What tarif.csv would do" in page
    after = office.store.shop(office.id)
    certified = after.end.seq - end.seq
    assert certified <= 1  # The back office itself was enrolled.
    assert till.products.find("A-1") is None
    upload = re.search(r'name="upload" value="([0-9a-f]+)"', page)[1]
    assert office.marie.post("/catalogue/import/take", on="/people", upload=upload).status_code == 200
    till.sync(60)
    assert till.products.get("A-1").price_minor == 120
    assert till.products.get("CM-19").name == "Crozes"
    assert office.marie.post("/catalogue/import/take", on="/people", upload=upload).status_code == 422


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00\x01\x02", b"nothing;known\n1;2\n", b"PK\x03\x04" + b"\0" * 100, b"\xff\xfe", b"sku\n1\n"],
)
def test_a_file_that_is_none_is_said_to_be_none(shop, marie, data):
    answer = look_at(marie, data)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_a_file_that_is_too_large_is_refused(marie):
    assert look_at(marie, b"sku;name;price\n" + b"a" * (17 << 20)).status_code == 413


def test_what_stands_in_a_file_becomes_no_part_of_the_page(shop, marie):
    page = look_at(marie, "sku;name;price;vat\n<script>;<b>x</b>;1;20\n", name="<img src=x>.csv").text
    assert "<img" not in page
    assert "<b>x" not in page
    assert "<script>" not in page


def test_somebody_elses_file_is_not_taken(office, till):
    office.person("Anne")
    page = look_at(office.marie, "sku;name;price;vat\nA-1;A;1,20;20\n").text
    upload = re.search(r'name="upload" value="([0-9a-f]+)"', page)[1]
    assert (
        office.visitor("Anne").post("/catalogue/import/take", on="/people", upload=upload).status_code == 422
    )


def test_what_is_exported_can_be_imported_and_changes_nothing(office, till):
    office.marie.post("/catalogue/new", **NEW, barcodes=barcode(7))
    text = office.marie.page("/catalogue/export.csv")
    page = look_at(office.marie, text).text
    assert [re.search(rf'id="{name}">([^<]+)<', page)[1] for name in ("added", "refused")] == ["0", "0"]
    assert "Changes" not in page


def test_a_back_office_without_the_owners_key_says_so_and_writes_nothing(office, till):
    (office.data.keys / f"{office.id.hex()}.owner").rename(office.folder / "elsewhere.owner")
    end = office.store.shop(office.id).end
    answer = office.marie.post("/catalogue/new", **NEW)
    assert answer.status_code == 409
    assert "kept elsewhere" in answer.text
    assert office.store.shop(office.id).end == end
    file = {"file": ("list.csv", "sku;name;price;vat_rate\nX-1;Test;1,00;20\n", "text/csv")}
    answer = office.marie.post("/catalogue/import", files=file)
    assert answer.status_code == 422
    assert "kept elsewhere" in answer.text
    assert office.store.shop(office.id).end == end


def test_reasons_of_refused_lines_are_french_for_who_reads_french(shop, till):
    """All that a line can be refused for: nothing is left in the words of a command line."""
    lines = (
        ["sku;name;price;vat;barcode;vintage;size;abv;colour;active"]
        + [f"N-{n};Vin;{price};20;;;;;;" for n, price in enumerate(("abc", "-1", "99999999", "1,2,3"))]
        + ["TVA;Vin;10;7;;;;;;", "EAN;Vin;10;20;3760123450018;;;;;", "COURT;Vin;10;20;123;;;;;"]
        + ["AN;Vin;10;20;;xxxx;;;;", "CL;Vin;10;20;;;beaucoup;;;", "ABV;Vin;10;20;;;;fort;;"]
        + ["COL;Vin;10;20;;;;;bleu;", "ACT;Vin;10;20;;;;;;peut-être", "à b;Vin;10;20;;;;;;"]
        + ["DEUX;Vin;10;20;;;;;;", "DEUX;Vin;10;20;;;;;;", "NEUF;;10;20;;;;;;", "PRIX;Vin;;20;;;;;;"]
        + ["TROP;Vin;10;20;;;;;;;;;x", f"LONG;{'x' * 130};10;20;;;;;;"]
    )
    marie = shop.visitor("Marie", language="fr")
    data = "\n".join(lines).encode()
    page = marie.post("/catalogue/import", files={"file": ("prix.csv", data, "text/csv")}).text
    assert re.search(r'id="refused">(\d+)<', page)[1] == "18"
    assert re.findall(r'<span[^>]*lang="en">([^<]*)', page) == []
    assert "La ligne 15 a la même référence DEUX." in unescape(page)
    assert "Trouvé" in page
