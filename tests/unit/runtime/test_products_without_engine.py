"""A new register files its products without the CRDT engine, and asks the engine where it has to."""

import pytest

from crdtsync.model.catalogue import Catalogue
from crdtsync.runtime.filing import filer, product_rows
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import seeded_bytes

ROWS = "SELECT * FROM view_product", "SELECT * FROM view_price", "SELECT * FROM view_barcode"


def rows_of(till):
    database = till.replica.store.database
    return [sorted(database.rows(sql)) for sql in ROWS], till.replica.tables.catalogue_seq(
        till.replica.log.shop
    )


def forget_products(till):
    """As a register that has just joined: the records are there, nothing is filed."""
    with till.replica.store.transaction():
        till.replica.tables.drop()
        till.replica.tables.prepare()


def filed(folder, clock):
    """What a process files that finds no product in the views, and whether it needed the engine."""
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as fresh:
        forget_products(fresh)
        fresh.products.refresh()
        return rows_of(fresh), "catalogue" in vars(fresh.replica)


def write_apart(till, *writes):
    """Two devices that know the catalogue and not one another."""
    log = till.replica.log
    updates = [record[3 + len("catalogue") :] for _, record in log.document_records("catalogue")]
    for client, write in enumerate(writes, start=3):
        other = Catalogue.open(updates, client_id=client)
        till.replica.catalogue.doc.apply_update(write(other))
    till.replica.catalogue.save()


def test_products_are_filed_without_the_engine_as_with_it(till, folder, clock):
    till.products.set("CM-19", name="Crozes 2019", price_minor=1950, barcodes=["3760000000017"])
    till.products.archive("TER-01")
    till.products.add("NEW-1", name="Carafe", price_minor=3900, vat_rate=2000, colour=None)
    till.products.set("NEW-1", price_minor=4100, valid_from_ms=clock.now_ms() + 86_400_000)
    before = rows_of(till)
    assert len(before[0][0]) == 3
    found, needed_engine = filed(folder, clock)
    assert found == before
    assert not needed_engine


def test_what_only_the_engine_can_say_it_is_asked(till, folder, clock):
    now_ms = clock.now_ms()
    write_apart(
        till,
        lambda one: one.set_fields("CM-19", {"name": "Crozes of one"}, at_ms=now_ms),
        lambda one: one.set_fields("CM-19", {"name": "Crozes of another"}, at_ms=now_ms),
    )
    till.products.refresh()
    found, needed_engine = filed(folder, clock)
    assert found == rows_of(till)
    assert needed_engine


def test_a_compacted_catalogue_and_what_came_beside_it_are_filed_without_the_engine(till, folder, clock):
    from crdtsync.runtime.committing.compacting import plan_compaction

    for vintage in range(2010, 2020):
        till.products.set("CM-19", name=f"Crozes {vintage}")
    log = till.replica.log
    plan = plan_compaction(log, "catalogue", records_min=2)
    till.products.set("TER-01", name="Terrine, after the state was made")
    with till.replica.store.transaction():
        log.compact(plan.state, plan.replaces)
    till.products.refresh()
    found, needed_engine = filed(folder, clock)
    assert found == rows_of(till)
    assert not needed_engine


def test_one_change_of_a_filed_catalogue_files_one_product(till, same_till, monkeypatch):
    same_till.products.set("CM-19", name="Crozes 2019")
    with till.replica.store.transaction():
        till.replica.store.database.write("UPDATE view_shop SET catalogue_seq = catalogue_seq - 1")
    monkeypatch.setattr(product_rows, "flat_content", None)
    assert till.products.get("CM-19").name == "Crozes 2019"


def test_a_product_that_left_the_catalogue_leaves_the_views(till, folder, clock):
    with till.replica.catalogue.transaction() as doc:
        items = doc["products"]
        for key in [key for key in items if key.startswith("TER-01/")]:
            del items[key]
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as fresh:
        with fresh.replica.store.transaction():
            fresh.replica.store.database.write("UPDATE view_shop SET catalogue_seq = 0")
        assert [row.sku for row in fresh.products.list()] == ["CM-19"]
        assert "catalogue" not in vars(fresh.replica)


def test_who_has_filed_more_meanwhile_is_not_undone(till, folder, clock):
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as fresh:
        forget_products(fresh)
        put = fresh.replica.tables.file_products

        def overtaken(shop, products):
            put(shop, products)
            fresh.replica.tables.end_products(shop, through=10**6, only=None)

        fresh.replica.tables.file_products = overtaken
        assert product_rows.file_content(fresh.replica, product_rows.read_content(fresh.replica.log))
        assert fresh.replica.tables.catalogue_seq(fresh.replica.log.shop) == 10**6


def test_keys_that_name_no_product_are_left_out():
    content = {
        "CM-19": {"name": "x", "": "y"},
        None: {"CM-19": "z"},
        "": {"name": "a"},
        "é": {"name": "b"},
        "A": {"price/1": "c"},
        "B": {"": "d"},
        "C": {},
    }
    assert product_rows._by_sku(content) == {"CM-19": {"name": "x"}, "A": {"price/1": "c"}}


def test_products_wait_until_all_of_them_are_here_and_not_for_ever(till, monkeypatch):
    coming = [True]
    beside = filer.Filer(till.replica, lambda: coming[0])
    assert beside._waits_for_the_first()
    coming[0] = False
    assert not beside._waits_for_the_first()
    coming[0] = True
    assert beside._waits_for_the_first()
    monkeypatch.setattr(filer, "FIRST_WHOLE_S", 0.0)
    assert not beside._waits_for_the_first()


@pytest.mark.parametrize("awaits", [True, False])
def test_nothing_is_filed_while_products_are_on_their_way(till, monkeypatch, awaits):
    files, looked = [], []
    beside = filer.Filer(till.replica, lambda: awaits)

    def look(_timeout_s):
        looked.append(1)
        beside._stopped.set()
        return False

    monkeypatch.setattr(beside, "_file", lambda replica, has_come: files.append(has_come))
    monkeypatch.setattr(beside._wanted, "wait", look)
    beside._run()
    assert (looked, files) == ([1], [] if awaits else [True])
