import pytest

from crdtsync.errors import InvalidAmount, InvalidImport, InvalidProduct, UnknownProduct
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import DAY_MS, HOUR_MS, seeded_bytes


def prices(till):
    return {product.sku: product.price_minor for product in till.products.list()}


def test_a_product_is_there_for_every_process_at_once(till, same_till):
    till.products.add("MAG-1", name="Magnum", price_minor=4200, vat_rate=2000, producer="Domaine Faux")
    assert same_till.products.get("MAG-1").price_minor == 4200


def test_a_price_that_changes_leaves_the_sale_as_it_was(till):
    sold = till.sell(["CM-19"], ["card"])
    till.products.set("CM-19", price_minor=1950)
    assert (till.ticket(sold.number).total_minor, till.sell(["CM-19"], ["card"]).total_minor) == (1850, 1950)


def test_what_is_not_named_stays_as_it_was(till):
    till.products.set("CM-19", price_minor=1950)
    product = till.products.set("CM-19", name="Crozes 2019")
    assert (product.name, product.price_minor, product.vat_rate) == ("Crozes 2019", 1950, 2000)


def test_a_price_holds_from_the_moment_that_was_said(till, clock):
    till.products.set("CM-19", price_minor=1500, valid_from_ms=clock.now_ms() + HOUR_MS)
    assert till.sell(["CM-19"], ["card"]).total_minor == 1850
    clock.pass_ms(HOUR_MS)
    assert till.sell(["CM-19"], ["card"]).total_minor == 1500


def test_a_vat_rate_holds_from_the_moment_that_was_said(till, clock):
    till.products.set("TER-01", vat_rate=1000, valid_from_ms=clock.now_ms() + DAY_MS)
    assert till.sell(["TER-01"], ["card"]).vat[0].rate == 550
    clock.pass_ms(DAY_MS)
    assert till.sell(["TER-01"], ["card"]).vat[0].rate == 1000


def test_a_price_planned_for_later_stays_planned_when_the_present_one_changes(till, clock):
    till.products.set("CM-19", price_minor=1500, valid_from_ms=clock.now_ms() + HOUR_MS)
    clock.pass_ms(1)
    now = till.products.set("CM-19", price_minor=1900)
    clock.pass_ms(2 * HOUR_MS)
    later = till.products.get("CM-19")
    assert (now.price_minor, later.price_minor, till.products.disputed()) == (1900, 1500, [])


def test_a_planned_price_is_replaced_by_one_for_the_same_moment(till, clock):
    planned_ms = clock.now_ms() + HOUR_MS
    till.products.set("CM-19", price_minor=1500, valid_from_ms=planned_ms)
    till.products.set("CM-19", price_minor=1850, valid_from_ms=planned_ms)
    clock.pass_ms(2 * HOUR_MS)
    assert till.products.get("CM-19").price_minor == 1850


def test_a_price_set_with_a_clock_years_ahead_does_not_win_for_ever(till, clock):
    clock.pass_ms(3650 * DAY_MS)
    till.products.set("CM-19", price_minor=1, valid_from_ms=0)
    clock.pass_ms(-3650 * DAY_MS)
    assert till.products.set("CM-19", price_minor=1900).price_minor == 1900


def test_an_archived_product_is_kept_and_can_come_back(till):
    till.products.archive("CM-19")
    assert "CM-19" not in prices(till)
    assert till.products.get("CM-19").archived
    till.products.set("CM-19", archived=False)
    assert prices(till)["CM-19"] == 1850


@pytest.mark.parametrize(
    ("sku", "changes"),
    [
        ("", {}),
        ("a b", {}),
        ("a/b", {}),
        ("é", {}),
        ("x" * 41, {}),
        ("NEW", {"price_minor": -1}),
        ("NEW", {"vat_rate": 1234}),
        ("NEW", {"name": ""}),
        ("NEW", {"name": "x" * 201}),
        ("NEW", {"name": "two\nlines"}),
        ("NEW", {"barcodes": ["4006381333932"]}),
        ("NEW", {"taste": "red"}),
        ("CM-19", {}),
    ],
)
def test_a_product_that_breaks_a_rule_is_refused_and_nothing_is_written(till, sku, changes):
    before = till.end
    with pytest.raises(InvalidProduct):
        till.products.add(sku, **{"name": "Wine", "price_minor": 100, "vat_rate": 2000, **changes})
    assert till.end == before


def test_what_is_not_there_cannot_be_changed(till):
    with pytest.raises(UnknownProduct):
        till.products.set("NOPE", price_minor=1)
    with pytest.raises(UnknownProduct):
        till.products.get("NOPE")


def test_products_of_two_processes_do_not_overwrite_each_other_in_the_views(till, same_till):
    till.products.set("CM-19", price_minor=1900)
    same_till.products.set("TER-01", price_minor=700)
    till.products.add("A", name="A", price_minor=1, vat_rate=2000)
    same_till.products.add("B", name="B", price_minor=2, vat_rate=2000)
    assert prices(till) == prices(same_till) == {"CM-19": 1900, "TER-01": 700, "A": 1, "B": 2}


def test_products_are_in_the_views_again_after_these_were_dropped(till):
    before = list(till.products.list())
    with till.replica.store.transaction():
        till.replica.tables.drop()
        till.replica.tables.prepare()
    assert list(till.products.list()) == before


# -- files --------------------------------------------------------------------------------------------------


def wrote(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_a_file_is_imported_and_imported_again_without_effect(till, tmp_path):
    file = wrote(tmp_path / "tarif.csv", "sku;name;price;vat\nA-1;Premier;12,50;20\nCM-19;Crozes;19.00;20\n")
    first = till.products.import_file(file)
    again = till.products.import_file(file)
    assert (first.added, first.changed, first.refused) == (("A-1",), ("CM-19",), ())
    assert (again.added, again.changed, again.unchanged) == ((), (), ("A-1", "CM-19"))
    assert prices(till) == {"A-1": 1250, "CM-19": 1900, "TER-01": 695}


def test_a_dry_run_says_what_would_happen_and_changes_nothing(till, tmp_path):
    file = wrote(tmp_path / "tarif.csv", "sku;name;price;vat\nA-1;Premier;12,50;20\n")
    before = till.end
    report = till.products.import_file(file, dry_run=True)
    assert (report.added, till.end) == (("A-1",), before)


def test_a_french_spreadsheet_is_understood(till, tmp_path):
    text = "Référence;Désignation;Tarif Cave TTC;TVA;Domaine\r\nCH-1;Château d’Été;1 234,50 €;20 %;Müller\r\n"
    report = till.products.import_file(wrote(tmp_path / "tarif.csv", text, "cp1252"))
    product = till.products.get("CH-1")
    assert report.refused == ()
    assert (product.name, product.price_minor) == ("Château d’Été", 123450)


def test_every_line_that_cannot_be_taken_is_named_and_the_others_are_imported(till, tmp_path):
    lines = [
        "sku,name,price,vat,barcode",
        "A-1,Premier,12.50,20,",
        "A-1,Encore,12.50,20,",
        "bad sku,Deux,1,20,",
        "A-3,,1,20,",
        "A-4,Quatre,free,20,",
        "A-5,Cinq,1,19,",
        "A-6,Six,1,20,123",
        "A-7",
        "A-8,Huit,8,5.5,",
    ]
    report = till.products.import_file(wrote(tmp_path / "tarif.csv", "\n".join(lines)))
    assert report.added == ("A-1", "A-8")
    assert [line.line for line in report.refused] == [3, 4, 5, 6, 7, 8, 9]
    assert all(line.reason for line in report.refused)


@pytest.mark.parametrize(
    "content",
    [b"", b"name;price\nA;1\n", b"sku\nA\n", b"\x00\x01", b"no titles here\n"],
)
def test_what_is_no_product_file_is_refused_whole(till, tmp_path, content):
    file = tmp_path / "tarif.csv"
    file.write_bytes(content)
    with pytest.raises(InvalidImport):
        till.products.import_file(file)


def test_a_file_that_is_not_there_is_told(till, tmp_path):
    with pytest.raises(InvalidImport):
        till.products.import_file(tmp_path / "nowhere.csv")


def test_a_large_file_becomes_updates_that_every_replica_admits(till, tmp_path):
    lines = "".join(f"W-{n};Vin numéro {n};{n % 90 + 1},50;20\n" for n in range(1500))
    report = till.products.import_file(wrote(tmp_path / "tarif.csv", f"sku;name;price;vat\n{lines}"))
    assert len(report.added) == 1500
    assert till.verify().findings == ()
    assert prices(till)["W-1499"] == 6050


def test_a_product_without_a_price_yet_is_not_sold(till, clock):
    from crdtsync.errors import InvalidSale

    catalogue = till.replica.catalogue
    catalogue.write([{"BARE/name": "Bare"}])
    with pytest.raises(InvalidSale):
        till.sell(["BARE"], ["card"])
    with pytest.raises(InvalidProduct):
        till.products.set("BARE", vat_rate=2000)


def test_amounts_beyond_all_reason_are_refused(till):
    with pytest.raises((InvalidProduct, InvalidAmount)):
        till.products.set("CM-19", price_minor=10**13)


def test_values_that_make_no_sense_hide_no_other_product(till):
    catalogue = till.replica.catalogue
    catalogue.write(
        [
            {
                "ODD/name": 12,
                "ODD/price/" + "0" * 32: "json:{}",
                "nonsense": "x",
                "/": "x",
                "OK-1/name": "Fine",
                "OK-1/price/zzz": "not json",
            }
        ]
    )
    assert [(product.sku, product.name) for product in till.products.list()][1:3] == [
        ("ODD", "ODD"),
        ("OK-1", "Fine"),
    ]


def test_a_register_that_starts_anew_shows_the_same_products(folder, clock, till):
    till.products.add("A", name="A", price_minor=1, vat_rate=2000)
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(9)) as other:
        assert list(other.products.list()) == list(till.products.list())


def test_a_barcode_finds_the_products_on_sale_that_bear_it(till):
    till.products.set("CM-19", barcodes=["4006381333931"])
    till.products.add(
        "CM-20", name="Crozes 2020", price_minor=1900, vat_rate=2000, barcodes=["4006381333931"]
    )
    assert [product.sku for product in till.products.with_barcode("4006381333931")] == ["CM-19", "CM-20"]
    till.products.archive("CM-19")
    till.products.set("CM-20", barcodes=[])
    assert till.products.with_barcode("4006381333931") == []
