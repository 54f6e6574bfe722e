"""A register that has just got ten thousand products sells one of them before they are filed, and says what
it does not know yet.
"""

import threading
from contextlib import closing
from dataclasses import replace
from random import Random

import apsw
import pytest

from crdtsync.errors import InvalidSale, UnknownProduct
from crdtsync.ids import CATALOGUE_DOCUMENT, Item, Position, record_digest, update_record
from crdtsync.runtime.filing import once, product_rows
from crdtsync.runtime.filing.filer import Filer
from crdtsync.runtime.filing.unfiled import Unfiled
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.folder.replica import STORE, let_products_be_filed
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.progress import save_first
from crdtsync.storage.log import Cursor
from crdtsync.testing import wine
from crdtsync.testing.clock import DAY_MS, seeded_bytes

CODE, SHARED = wine.barcode(70_001), wine.barcode(70_002)
RELAY_LOG, OTHER_LOG = b"r" * 16, b"o" * 16


@pytest.fixture
def fresh(till, folder, clock):
    """The register as it is when its catalogue has just come, with a thread beside it that is to file it."""
    till.products.set("CM-19", barcodes=[CODE, SHARED])
    till.products.set("TER-01", barcodes=[SHARED])
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as fresh:
        with fresh.replica.store.transaction():
            fresh.replica.tables.drop()
            fresh.replica.tables.prepare()
        fresh.replica.files_views = False
        yield fresh


def filed_seq(register):
    return register.replica.tables.catalogue_seq(register.replica.log.shop)


def test_a_product_is_sold_before_any_is_filed(fresh):
    ticket = fresh.sell([CODE, "TER-01"], ["card"])
    assert [(line.sku, line.unit_price_minor) for line in ticket.lines] == [("CM-19", 1850), ("TER-01", 695)]
    assert fresh.products.get("CM-19").price_minor == 1850
    assert [row.sku for row in fresh.products.with_barcode(SHARED)] == ["CM-19", "TER-01"]
    assert filed_seq(fresh) == 0, "somebody waited for all of them"


def test_whoever_lists_the_products_does_not_wait_until_they_are_filed(fresh):
    assert [row.sku for row in fresh.products.list()] == ["CM-19", "TER-01"]
    assert filed_seq(fresh) == 0, "somebody waited for all of them"


def test_where_no_thread_files_whoever_asks_does(fresh):
    fresh.replica.files_views = True
    assert fresh.sell(["CM-19"], ["card"]).total_minor == 1850
    assert filed_seq(fresh) > 0


def test_a_price_that_came_meanwhile_is_the_one_that_is_shown_and_sold(fresh, till):
    assert fresh.products.get("CM-19").price_minor == 1850
    till.products.set("CM-19", price_minor=1990)
    assert fresh.products.get("CM-19").price_minor == 1990
    assert fresh.sell(["CM-19"], ["card"]).total_minor == 1990


def test_what_is_taken_off_sale_is_not_sold_by_what_is_not_filed(fresh, till):
    till.products.archive("CM-19")
    assert fresh.products.with_barcode(CODE) == []
    with pytest.raises(UnknownProduct):
        fresh.sell(["CM-19"], ["card"])


def test_the_same_request_for_another_basket_is_refused_before_filing_too(fresh):
    fresh.sell(["CM-19"], ["card"], request_id="once")
    assert fresh.sell([CODE], ["card"], request_id="once").again
    with pytest.raises(InvalidSale, match="was used for ticket"):
        fresh.sell(["TER-01"], ["card"], request_id="once")


def test_the_catalogue_is_read_once_by_whoever_looks_up_and_whoever_files(fresh, monkeypatch):
    read, times = product_rows.flat_content, []

    def counted(root, updates):
        times.append(root)
        return read(root, updates)

    monkeypatch.setattr(product_rows, "flat_content", counted)
    for _ in range(3):
        fresh.products.get("CM-19")
    fresh.replica.file_catalogue()
    assert len(times) == 1
    assert fresh.products.get("CM-19").price_minor == 1850
    assert fresh.replica.filing._content is None, "nobody needs it any more"


def test_of_two_shops_in_one_folder_each_has_its_own_products(fresh):
    content = fresh.replica.filing.content(fresh.replica)
    fresh.replica.filing._content = replace(content, shop=b"o" * 16, through=10**9, products={})
    assert fresh.products.get("CM-19").price_minor == 1850


def test_a_lookup_does_not_wait_for_the_thread_that_files(fresh):
    found = []
    with fresh.replica.filing.lock:
        looking = threading.Thread(target=lambda: found.append(look(fresh.replica.folder)))
        looking.start()
        looking.join(60)
    assert found == [1850]


def test_a_list_does_not_wait_for_the_thread_that_files(fresh):
    listed = []
    with fresh.replica.filing.lock:
        looking = threading.Thread(target=lambda: listed.extend(listing(fresh.replica.folder)))
        looking.start()
        looking.join(60)
    assert listed == ["CM-19", "TER-01"]


def listing(folder):
    with Register.open(folder) as beside:
        beside.replica.files_views = False
        return [row.sku for row in beside.products.list()]


def test_a_list_leaves_out_what_is_off_sale_unless_it_is_asked_for(fresh, till):
    till.products.archive("CM-19")
    assert [row.sku for row in fresh.products.list()] == ["TER-01"]
    assert [row.sku for row in fresh.products.list(archived=True)] == ["CM-19", "TER-01"]


def test_whoever_files_gives_way_to_whoever_looks_through_all_of_them(fresh, monkeypatch):
    filing, has_waited = fresh.replica.filing, threading.Event()
    wait_for = filing._turn.wait_for
    monkeypatch.setattr(filing._turn, "wait_for", lambda *until: (has_waited.set(), wait_for(*until)))
    filer = threading.Thread(target=lambda: file_in(fresh.replica.folder))
    with filing.looking():
        filer.start()
        assert has_waited.wait(60)
        assert filed_seq(fresh) == 0
    filer.join(60)
    assert filed_seq(fresh) > 0


def file_in(folder):
    with Register.open(folder) as beside:
        beside.replica.file_catalogue()


def test_whoever_looks_for_ever_does_not_keep_the_products_from_the_views(fresh, monkeypatch):
    monkeypatch.setattr(once, "GIVES_WAY_S", 0.0)
    with fresh.replica.filing.looking():
        fresh.replica.file_catalogue()
    assert filed_seq(fresh) > 0


def test_what_was_made_for_a_list_is_what_is_filed(fresh, monkeypatch):
    made, times = product_rows.product_rows, []

    def counted(sku, keys):
        times.append(sku)
        return made(sku, keys)

    monkeypatch.setattr(product_rows, "product_rows", counted)
    listed = list(fresh.products.list())
    content = fresh.replica.filing.content(fresh.replica)
    fresh.replica.file_catalogue()
    assert not content._rows, "what is filed is not kept"
    assert times == ["CM-19", "TER-01"]
    assert list(fresh.products.list()) == listed


def look(folder):
    with Register.open(folder) as beside:
        beside.replica.files_views = False
        return beside.products.get("CM-19").price_minor


def test_what_only_the_engine_can_say_is_asked_of_it(fresh, monkeypatch):
    monkeypatch.setattr(product_rows, "flat_content", lambda root, updates: None)
    assert fresh.products.get("CM-19").price_minor == 1850
    assert "catalogue" in vars(fresh.replica)
    assert filed_seq(fresh) > 0


def rot(folder, sql):
    with closing(apsw.Connection(str(folder / STORE))) as file:
        file.execute(sql)
        assert file.changes() == 1


@pytest.mark.parametrize("who", ["sells", "files"])
def test_where_a_record_of_the_catalogue_rotted_the_other_products_are_sold(till, folder, clock, who):
    """As after an update that makes the views anew: nothing is filed, and all records are read."""
    with till.replica.store.transaction():
        for number in range(300):  # Whoever opens the log reads its newest rows, and finds out there.
            till.replica.log.append(_note(number))
    found = till.replica.log.document_seqs(CATALOGUE_DOCUMENT)[1]
    rot(folder, f"UPDATE record SET bytes = zeroblob(length(bytes)) WHERE pos & 0xffffffff = {found}")
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as fresh:
        with fresh.replica.store.transaction():
            fresh.replica.tables.drop()
            fresh.replica.tables.prepare()
        fresh.replica.files_views = False
        if who == "files":
            Filer(fresh.replica)._file(fresh.replica, has_come=False)
            assert filed_seq(fresh) > 0
        assert fresh.sell(["CM-19"], ["card"]).total_minor == 1850
        assert len(list(fresh.replica.log.apart())) == 1


def _note(number):
    record = update_record("x/notes", number.to_bytes(2, "big"))
    return Item(record, "x/notes", record_digest(record))


def test_the_thread_beside_files_what_was_looked_up(fresh):
    fresh.products.get("CM-19")
    beside = Filer(fresh.replica)
    beside._file(fresh.replica, has_come=False)
    assert filed_seq(fresh) > 0
    assert fresh.products.get("CM-19").price_minor == 1850


def test_what_is_not_filed_is_found_as_the_views_find_it(till, clock):
    rng, now_ms = Random(5), clock.now_ms()
    catalogue = till.replica.catalogue
    made = wine.products(rng, 60)
    catalogue.write([catalogue.view.draft_add(product, by="u-lea", at_ms=now_ms) for product in made])
    for place, product in enumerate(made):
        if place % 3 == 0:
            till.products.set(product.sku, price_minor=100 + place, valid_from_ms=now_ms + place * DAY_MS)
        if place % 5 == 0:
            till.products.archive(product.sku)
        if place % 7 == 0:
            till.products.set(product.sku, barcodes=[CODE])
    unfiled = Unfiled(product_rows.read_content(till.replica.log), till.replica.filing)
    queries = till.replica.queries
    codes = {code for product in made for code in product.barcodes} | {CODE, SHARED, "", "x"}
    for at_ms in (0, now_ms - 1, now_ms, now_ms + 10 * DAY_MS, now_ms + 100 * DAY_MS):
        for sku in [*(product.sku for product in made), "CM-19", "NOPE", ""]:
            assert unfiled.product(sku, at_ms) == queries.product(sku, at_ms)
        for code in codes:
            assert unfiled.products_with(code, at_ms) == queries.products_with(code, at_ms)
        assert list(unfiled.products(at_ms)) == list(queries.products(at_ms))


def test_a_price_in_dispute_is_shown_so_before_it_is_filed(till, clock):
    from tests.unit.runtime.test_products_without_engine import write_apart

    now_ms = clock.now_ms()
    write_apart(
        till,
        lambda one: one.set_price("CM-19", amount_minor=1950, by="u-lea", at_ms=now_ms),
        lambda one: one.set_price("CM-19", amount_minor=2050, by="u-max", at_ms=now_ms + 1),
    )
    till.products.refresh()
    unfiled = Unfiled(product_rows.read_content(till.replica.log), till.replica.filing)
    assert unfiled.product("CM-19", now_ms + 2) == till.replica.queries.product("CM-19", now_ms + 2)
    assert unfiled.product("CM-19", now_ms + 2).disputed


# -- what is still on its way -------------------------------------------------------------------------------


def belong(register, *, wanted=(), first=(), of=RELAY_LOG, log_id=RELAY_LOG):
    log = register.replica.log
    with register.replica.store.transaction():
        save_relay(log, Relay("ws://relay.example", b"\2" * 33, log_id))
        if log_id is not None:
            log.set_cursor(log_id, Cursor(Position(100, b"h" * 32), tuple(wanted)))
            save_first(log, of, first)


def test_a_register_without_a_relay_waits_for_no_products(till):
    assert not till.products.are_coming
    with pytest.raises(UnknownProduct) as error:
        till.sell(["NOPE"], ["card"])
    assert "on their way" not in str(error.value)


def test_as_long_as_what_comes_first_is_wanted_products_are_coming(till):
    belong(till, wanted=[(40, 60), (1, 20)], first=[(50, 55)])
    assert till.products.are_coming
    for ask in (lambda: till.products.get("NOPE"), lambda: till.sell(["NOPE"], ["card"])):
        with pytest.raises(UnknownProduct, match="products are still on their way") as error:
            ask()
        assert "`crdtsync status`" in error.value.hint
    assert till.sell(["CM-19"], ["card"]).total_minor == 1850, "what is here is sold"


@pytest.mark.parametrize(
    ("wanted", "first", "of"),
    [
        ([(1, 20)], [(50, 55)], RELAY_LOG),
        ([], [(50, 55)], RELAY_LOG),
        ([(40, 60)], [], RELAY_LOG),
        ([(40, 60)], [(50, 55)], OTHER_LOG),
    ],
)
def test_while_only_history_is_on_its_way_all_products_are_here(till, wanted, first, of):
    belong(till, wanted=wanted, first=first, of=of)
    assert not till.products.are_coming


def test_who_never_met_the_relay_has_no_products_of_it_yet(tmp_path, till, clock):
    belong(till, log_id=None)
    assert not till.products.are_coming, "it has products, of a relay before this one"
    with Register.init(tmp_path / "new", name="Caisse 2", clock=clock) as new:
        belong(new, log_id=None)
        assert new.products.are_coming


def test_where_it_cannot_be_read_what_comes_first_nothing_is_waited_for(till, folder, clock):
    belong(till, wanted=[(40, 60)], first=[(50, 55)])
    till.close()
    rot(folder, "UPDATE state SET crc = crc + 1 WHERE key = 'first_wanted'")
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as again:
        assert not again.products.are_coming
        with pytest.raises(UnknownProduct):
            again.sell(["NOPE"], ["card"])
        let_products_be_filed(again.replica, again.replica.log)


def test_what_this_process_sees_coming_counts_too(till):
    till.replica.awaits_first = lambda: True
    assert till.products.are_coming
