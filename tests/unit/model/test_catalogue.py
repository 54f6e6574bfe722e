from dataclasses import replace

import pytest
from pycrdt import Doc, Map

from crdtsync.errors import InvalidProduct, UnknownProduct, UnsafeUpdate
from crdtsync.model.catalogue import Catalogue
from crdtsync.model.listing import PRICE, listing_rows, read_listing
from crdtsync.model.plain_products import first_price_row, product_rows
from crdtsync.model.price import PriceChange
from crdtsync.model.product import Product
from crdtsync.protocol.scanner import scan_document

NOW = 1_795_507_200_000
HOUR = 3_600_000

WINE = Product("CM-19", "Crozes-Hermitage 2019", 1850, unit="btl", colour="red", vintage=2019, abv=1350)
TERRINE = Product("TER-01", "Terrine", 695, 550, "R1")


class Shop:
    """One device's catalogue with the updates that it made."""

    def __init__(self, client_id, *heard):
        self.catalogue = Catalogue.open(heard, client_id=client_id)
        self.by = f"device-{client_id}"
        self.made = []

    def did(self, update):
        if update is not None:
            scan_document("catalogue", update)
            self.made.append(update)
        return update

    def add(self, product, at=NOW):
        return self.did(self.catalogue.add(product, by=self.by, at_ms=at))

    def set(self, sku, at=NOW, **fields):
        return self.did(self.catalogue.set_fields(sku, fields, at_ms=at))

    def price(self, sku, amount=None, at=NOW, **price):
        return self.did(self.catalogue.set_price(sku, by=self.by, at_ms=at, amount_minor=amount, **price))

    def hears(self, *others):
        for other in others:
            for update in other.made:
                self.catalogue.apply(update)
        return self

    def product(self, sku="CM-19", at=NOW):
        return self.catalogue.product(sku, at)

    def puts(self, **entries):
        """Whatever a careless program might write."""
        items = self.catalogue.doc.get("products", type=Map)
        for key, value in entries.items():
            items[key.replace("__", "/")] = value


@pytest.fixture
def shop():
    shop = Shop(1)
    shop.add(WINE)
    return shop


# -- one device --------------------------------------------------------------------------------------------


def test_a_product_is_what_was_added(shop):
    assert shop.product() == WINE


def test_a_catalogue_opened_from_its_updates_is_the_same(shop):
    shop.set("CM-19", name="Crozes 2019", barcodes=["96385074"])
    shop.price("CM-19", 1950)
    assert Shop(2, *shop.made).product() == shop.product()


def test_each_operation_is_one_update(shop):
    shop.did(shop.catalogue.set_fields("CM-19", {"name": "A", "abv": 1400, "region": "Rhône"}, at_ms=NOW))
    assert len(shop.made) == 2


def test_what_changes_nothing_is_no_update(shop):
    assert shop.set("CM-19", name=WINE.name, archived=False, region=None, barcodes=[]) is None
    assert shop.price("CM-19", 1850) is None
    assert shop.price("CM-19") is None


def test_what_is_not_named_stays(shop):
    shop.set("CM-19", name="Crozes 2019")
    assert shop.product() == replace(WINE, name="Crozes 2019")


def test_an_optional_field_can_be_cleared(shop):
    shop.set("CM-19", vintage=None)
    assert shop.product().vintage is None


def test_barcodes_are_added_and_taken_away(shop):
    shop.set("CM-19", barcodes=["96385074", "4006381333931"])
    shop.set("CM-19", barcodes=["4006381333931"])
    assert shop.product().barcodes == ("4006381333931",)


def test_a_price_holds_from_its_moment(shop):
    shop.price("CM-19", 1500, valid_from_ms=NOW + HOUR)
    assert (shop.product().price_minor, shop.product(at=NOW + HOUR).price_minor) == (1850, 1500)


def test_the_first_price_holds_by_every_clock(shop):
    assert shop.product(at=0).price_minor == 1850


def test_the_vat_changes_with_the_price_and_not_before(shop):
    shop.add(TERRINE)
    shop.price("TER-01", vat_rate=1000, valid_from_ms=NOW + HOUR)
    before, after = shop.product("TER-01"), shop.product("TER-01", NOW + HOUR)
    assert (before.vat_rate, before.vat_class, after.vat_rate, after.vat_class) == (550, "R1", 1000, "R2")


def test_a_product_whose_price_is_to_come_has_its_vat_already():
    shop = Shop(1)
    shop.did(shop.catalogue.add(TERRINE, by="office", at_ms=NOW, valid_from_ms=NOW + HOUR))
    product = shop.product("TER-01")
    assert (product.price_minor, product.vat_rate) == (None, 550)
    assert shop.catalogue.price_at("TER-01", NOW) is None


def test_an_archived_product_is_off_sale_and_can_come_back(shop):
    shop.did(shop.catalogue.archive("CM-19", at_ms=NOW))
    assert list(shop.catalogue.products(NOW)) == []
    assert [product.sku for product in shop.catalogue.products(NOW, archived=True)] == ["CM-19"]
    shop.did(shop.catalogue.archive("CM-19", archived=False, at_ms=NOW))
    assert list(shop.catalogue.products(NOW)) == [WINE]


def test_a_barcode_finds_all_products_on_sale_that_bear_it(shop):
    for sku in ("CM-20", "CM-21"):
        shop.add(replace(WINE, sku=sku, barcodes=("4006381333931",)))
    shop.catalogue.archive("CM-21", at_ms=NOW)
    shop.set("CM-19", barcodes=["4006381333931"])
    assert shop.catalogue.with_barcode("4006381333931") == ["CM-19", "CM-20"]
    assert shop.catalogue.with_barcode("96385074") == []


def test_what_is_not_there_cannot_be_changed_or_shown(shop):
    for attempt in (
        lambda: shop.product("NOPE"),
        lambda: shop.set("NOPE", name="A"),
        lambda: shop.price("NOPE", 5),
        lambda: shop.catalogue.archive("NOPE", at_ms=NOW),
    ):
        with pytest.raises(UnknownProduct):
            attempt()


def test_a_sku_is_taken_once(shop):
    with pytest.raises(InvalidProduct, match="already"):
        shop.add(replace(WINE, name="Another"))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda shop: shop.add(replace(WINE, sku="NEW", barcodes=("96385074", "1"))),
        lambda shop: shop.set("CM-19", name="Fine", colour="vermilion"),
        lambda shop: shop.set("CM-19", name="Fine", vintage=2028),
        lambda shop: shop.set("CM-19", name="Fine", barcodes=["1"]),
        lambda shop: shop.price("CM-19", -1),
        lambda shop: shop.catalogue.set_price("CM-19", by="two words", at_ms=NOW, amount_minor=1),
    ],
)
def test_what_breaks_a_rule_changes_nothing(shop, attempt):
    before = shop.catalogue.doc.get_update()
    with pytest.raises(InvalidProduct):
        attempt(shop)
    assert shop.catalogue.doc.get_update() == before


# -- several devices ---------------------------------------------------------------------------------------


def both(shop, one, other):
    """Two devices that knew the same, did this and that, and then heard of each other."""
    a, b = Shop(11, *shop.made), Shop(12, *shop.made)
    one(a)
    other(b)
    return a.hears(b), b.hears(a)


def test_different_fields_changed_at_once_are_both_kept(shop):
    a, b = both(shop, lambda a: a.set("CM-19", name="Crozes"), lambda b: b.set("CM-19", abv=1400))
    assert a.product() == b.product() == replace(WINE, name="Crozes", abv=1400)


def test_barcodes_added_at_once_are_both_kept(shop):
    a, b = both(
        shop,
        lambda a: a.set("CM-19", barcodes=["96385074"]),
        lambda b: b.set("CM-19", barcodes=["4006381333931"]),
    )
    assert a.product().barcodes == b.product().barcodes == ("4006381333931", "96385074")


def test_one_product_added_twice_merges_field_by_field():
    a, b = both(
        Shop(1),
        lambda a: a.add(replace(WINE, region="Rhône")),
        lambda b: b.add(replace(WINE, producer="Domaine Faux", abv=None)),
    )
    merged = replace(WINE, region="Rhône", producer="Domaine Faux")
    assert a.product() == b.product() == merged
    assert a.catalogue.conflicts(NOW) == []


def test_prices_set_at_once_are_a_conflict_on_every_device_and_none_is_lost(shop):
    a, b = both(shop, lambda a: a.price("CM-19", 1900), lambda b: b.price("CM-19", 2000, at=NOW + 1))
    [conflict] = a.catalogue.conflicts(NOW)
    assert [conflict] == b.catalogue.conflicts(NOW)
    assert (conflict.sku, conflict.price.change.amount_minor, conflict.from_ms) == ("CM-19", 2000, NOW + 1)
    assert [change.amount_minor for change in conflict.price.others] == [1900]


def test_a_conflict_is_settled_by_setting_the_price_that_is_used(shop):
    a, b = both(shop, lambda a: a.price("CM-19", 1900), lambda b: b.price("CM-19", 2000, at=NOW + 1))
    assert a.price("CM-19", 2000, at=NOW + 2) is not None
    assert a.catalogue.conflicts(NOW + 2) == b.hears(a).catalogue.conflicts(NOW + 2) == []


def test_a_conflict_of_the_past_is_not_shown_any_more(shop):
    a, _ = both(
        shop,
        lambda a: a.price("CM-19", 1900),
        lambda b: (b.price("CM-19", 2000, at=NOW + 1), b.price("CM-19", 1500, valid_from_ms=NOW + HOUR)),
    )
    a.price("CM-19", 1600, at=NOW + HOUR)
    assert (len(a.catalogue.conflicts(NOW + 2)), a.catalogue.conflicts(NOW + HOUR)) == (1, [])


def test_a_product_without_any_price_is_no_conflict(shop):
    shop.puts(NEW__name="Muscat")
    assert shop.catalogue.conflicts(NOW) == []


def test_updates_in_any_order_give_the_same_products(shop):
    shop.set("CM-19", name="A", abv=1400)
    shop.price("CM-19", 1900)
    shop.set("CM-19", name="B")
    backwards = Shop(2, *reversed(shop.made))
    assert (backwards.product(), backwards.catalogue.waiting) == (shop.product(), 0)


def test_what_waits_for_an_earlier_update_is_counted(shop):
    shop.set("CM-19", name="A")
    late = Shop(2)
    late.catalogue.apply(shop.made[1])
    assert late.catalogue.waiting == 1
    late.catalogue.apply(shop.made[0])
    assert (late.catalogue.waiting, late.product().name) == (0, "A")


def test_applying_tells_what_changed(shop):
    other = Shop(2, *shop.made)
    shop.add(TERRINE)
    shop.set("CM-19", name="A")
    assert [other.catalogue.apply(update) for update in shop.made] == [set(), {"TER-01"}, {"CM-19"}]
    assert other.catalogue.take_changed() == {"TER-01", "CM-19"}
    assert other.catalogue.take_changed() == set()


def test_opening_is_no_change(shop):
    assert Shop(2, *shop.made).catalogue.take_changed() == set()


def test_an_update_that_the_engine_refuses_is_said_to_be_unsafe(shop):
    with pytest.raises(UnsafeUpdate):
        shop.catalogue.apply(b"\x01\x02")


# -- what others write -------------------------------------------------------------------------------------


def test_a_field_that_breaks_its_rule_hides_nothing_else(shop):
    shop.puts(**{"CM-19/colour": "vermilion"})
    assert shop.product() == replace(WINE, colour=None)
    [(sku, problem)] = shop.catalogue.problems()
    assert (sku, "vermilion" in problem) == ("CM-19", True)


def test_a_field_that_cannot_be_read_is_written_over(shop):
    shop.puts(**{"CM-19/colour": "vermilion", "CM-19/archived": "perhaps"})
    shop.set("CM-19", colour=None, archived=False)
    assert (shop.product().colour, shop.catalogue.problems()) == (None, [])


def test_a_product_without_a_name_is_shown_by_its_sku():
    shop = Shop(1)
    shop.puts(**{"ODD/abv": 1300})
    assert (shop.product("ODD").name, shop.catalogue.problems()) == ("ODD", [("ODD", "ODD: it has no name")])


def test_prices_and_barcodes_that_are_none_are_told_and_left_out(shop):
    shop.puts(**{"CM-19/price/" + "0" * 32: "json:{}", "CM-19/barcode/123": True, "CM-19/barcode/x": False})
    assert shop.product() == WINE
    assert len(shop.catalogue.problems()) == 2


def test_fields_of_a_later_version_are_no_problem(shop):
    shop.puts(**{"CM-19/grapes": "json:[]"})
    assert (shop.product(), shop.catalogue.problems()) == (WINE, [])


def test_keys_that_are_no_products_are_passed_over(shop):
    shop.puts(**{"nonsense": 1, "/": 1, "é/name": "A", "A/": 1})
    assert shop.catalogue.skus() == ["CM-19"]


def test_a_deleted_key_is_followed(shop):
    items = shop.catalogue.doc.get("products", type=Map)
    shop.catalogue.take_changed()
    del items["CM-19/colour"]
    assert (shop.product(), shop.catalogue.take_changed()) == (replace(WINE, colour=None), {"CM-19"})
    for key in list(items.keys()):
        del items[key]
    assert "CM-19" not in shop.catalogue
    assert len(shop.catalogue) == 0


def test_a_key_deleted_by_others_that_was_no_product_is_no_change(shop):
    shop.puts(nonsense=1)
    shop.catalogue.take_changed()
    del shop.catalogue.doc.get("products", type=Map)["nonsense"]
    assert shop.catalogue.take_changed() == set()


def test_a_view_follows_a_document_that_others_change(shop):
    doc = Doc(client_id=5)
    view = Catalogue(doc)
    doc.apply_update(shop.made[0])
    assert view.product("CM-19", NOW) == WINE


# -- rows --------------------------------------------------------------------------------------------------


def test_the_rows_of_a_product_are_what_it_is_and_what_it_costs_when(shop):
    shop.price("CM-19", 1500, valid_from_ms=NOW + HOUR)
    (table, facts), *prices = listing_rows(shop.catalogue.listing("CM-19"))
    assert (table, facts["name"], facts["archived"]) == ("product", "Crozes-Hermitage 2019", False)
    assert facts["body"] == (
        '{"name":"Crozes-Hermitage 2019","unit":"btl","colour":"red","vintage":2019,'
        '"abv":1350,"archived":false,"barcodes":[]}'
    )
    assert [(row["from_ms"], row["amount"], row["vat_rate"], row["conflict"]) for _, row in prices] == [
        (0, 1850, 2000, False),
        (NOW + HOUR, 1500, 2000, False),
    ]


def test_rows_made_without_the_product_are_the_same_and_pass_over_what_makes_no_sense(shop):
    says = {"at_ms": NOW, "by": "u", "vat_rate": 2000, "vat_class": "N"}
    changes = [
        PriceChange("CM-19", amount_minor=amount, valid_from_ms=at, **says)
        for amount, at in ((1850, 0), (1500, NOW + HOUR))
    ]
    prices = {PRICE + change.id: change.value for change in changes}
    keys = {"name": "Crozes-Hermitage", "vintage": 2019.0, "barcode/3760000000017": True, **prices}
    nonsense = {"colour": "plaid", "barcode/1": True, PRICE + "x": 7, "unit": None, "barcode/96385074": False}
    whole = [*listing_rows(read_listing("CM-19", keys)), ("barcode", {"code": "3760000000017"})]
    assert product_rows("CM-19", keys) == product_rows("CM-19", {**nonsense, **keys}) == whole
    assert product_rows("CM-19", {}) == listing_rows(read_listing("CM-19", {}))


@pytest.mark.parametrize(
    "plain", [None, 7, "text", "json:{", "json:[]", "json:" + "9" * 300, "json:{\\u0020}"]
)
def test_what_is_no_first_price_is_not_read_in_bulk(plain):
    assert first_price_row("CM-19", "0" * 32, plain) is None


def test_a_first_price_under_another_name_or_with_a_rate_outside_vat_is_not_read_in_bulk():
    change = PriceChange("CM-19", 1850, 2000, "N", 0, NOW, "u")
    assert first_price_row("CM-19", change.id, change.value) is not None
    assert first_price_row("CM-19", "0" * 32, change.value) is None
    outside = PriceChange("CM-19", 1850, 2000, "O", 0, NOW, "u")
    assert first_price_row("CM-19", outside.id, outside.value) is None


def test_a_price_that_is_damaged_leaves_its_product_without_one():
    change = PriceChange("CM-19", 1850, 2000, "N", 0, NOW, "u")
    other = PriceChange("CM-19", 1950, 2000, "N", 0, NOW, "u")
    rows = product_rows("CM-19", {PRICE + change.id: other.value})
    assert [name for name, _ in rows] == ["product"]
