"""What is filed beside selling: the catalogue once, a slice of sales at a time."""

import threading

import pytest

from crdtsync.ids import Position
from crdtsync.runtime.filing import filer, views
from crdtsync.runtime.folder import replica
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.syncing import make_syncer
from crdtsync.runtime.syncing.progress import save_first
from crdtsync.storage.log import Cursor


def test_of_two_threads_one_files_the_catalogue_and_the_other_waits_for_it(till, same_till, folder):
    same_till.products.set("CM-19", name="Crozes 2019")
    found = []

    def look():
        with Register.open(folder) as third:
            found.append((third.products.get("CM-19").name, "catalogue" in third.replica.__dict__))

    looking = threading.Thread(target=look)
    with till.replica.filing.lock:
        # Written by a process that did not file it: the view of the products is behind.
        with till.replica.store.transaction():
            till.replica.store.database.write("UPDATE view_shop SET catalogue_seq = 0")
        looking.start()
        till.replica.catalogue.file()
    looking.join()
    assert found == [("Crozes 2019", False)]


def test_a_pack_of_the_past_waits_until_the_products_are_filed(till, folder, monkeypatch):
    monkeypatch.setattr(replica, "PRODUCTS_FIRST_S", 600.0)
    wait = make_syncer(till.replica, lambda: None).committer.before_history
    behind(till)
    till.replica.files_views = False
    begun, let_go = threading.Event(), []

    def bring_history():
        with Register.open(folder) as other:
            begun.set()
            wait(other.replica.log)
            let_go.append(other.replica.tables.catalogue_seq(other.replica.log.shop))

    history = threading.Thread(target=bring_history)
    history.start()
    begun.wait()
    assert let_go == []
    till.replica.file_catalogue()
    history.join()
    assert let_go[0] > 0
    wait(till.replica.log)  # There is nothing to wait for.


@pytest.mark.parametrize("why", ["nobody files", "more is coming", "it takes too long"])
def test_a_pack_of_the_past_waits_for_no_products_that_nobody_files_now(till, monkeypatch, why):
    monkeypatch.setattr(replica, "PRODUCTS_FIRST_S", 0.01 if why == "it takes too long" else 600.0)
    behind(till)
    till.replica.files_views = why == "nobody files"
    if why == "more is coming":
        with till.replica.store.transaction():
            save_relay(till.replica.log, Relay("ws://relay.example", b"\2" * 33, b"r" * 16))
            till.replica.log.set_cursor(b"r" * 16, Cursor(Position(9, b"h" * 32), ((1, 9),)))
            save_first(till.replica.log, b"r" * 16, [(1, 9)])
    replica.let_products_be_filed(till.replica, till.replica.log)
    monkeypatch.setattr(replica, "PRODUCTS_FIRST_S", 600.0)
    replica.let_products_be_filed(till.replica, till.replica.log)  # Not a second time for the same.


def behind(till):
    """As where the catalogue has just come."""
    with till.replica.store.transaction():
        till.replica.store.database.write("UPDATE view_shop SET catalogue_seq = 0")


def test_as_soon_as_nothing_of_what_comes_first_is_left_products_are_filed(till, same_till, monkeypatch):
    monkeypatch.setattr(filer, "GATHER_S", 600.0)
    behind(till)
    left, asked = [True], threading.Event()

    def awaits_first():
        asked.set()
        return left[0]

    beside = filer.Filer(same_till.replica, awaits_first)
    beside.start()
    asked.wait(60)
    left[0] = False
    beside.wake()
    same_till.replica.filing.wait_until_filed(same_till.replica.log.document("catalogue").last_seq, 60)
    beside.stop()
    assert till.replica.tables.catalogue_seq(till.replica.log.shop) > 0


def test_when_nothing_comes_any_more_what_was_read_for_filing_is_let_go(till, same_till, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(type(till.replica.log), "let_go", lambda log: let_go.set())
    monkeypatch.setattr(filer, "LOOK_EVERY_S", 0.01)
    beside = filer.Filer(same_till.replica)
    beside.start()
    assert let_go.wait(60)
    beside.stop()


def test_looking_for_changes_of_the_products_reads_no_sale(till, monkeypatch):
    catalogue = till.replica.catalogue
    till.sell(["CM-19"], ["card"])
    monkeypatch.setattr(type(till.replica.log), "read", None)
    assert catalogue.refresh() is False
    assert catalogue.seq == till.replica.log.end.seq


def test_filing_ends_after_a_slice_when_something_else_comes_first(till, monkeypatch):
    monkeypatch.setattr(views.ViewKeeper._read, "__defaults__", (1,))
    till.replica.files_views = False
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    till.replica.views.catch_up(go_on=lambda: False)
    assert till.replica.views.lag() > 0
    till.replica.views.catch_up()
    assert till.replica.views.lag() == 0


@pytest.mark.parametrize("ends_well", [True, False])
def test_rows_that_are_inserted_together_are_there_for_the_next_question_or_were_never_there(till, ends_well):
    database = till.replica.store.database
    database.write("CREATE TEMP TABLE shelf (bottle INTEGER, label TEXT)")
    database.begin()
    for bottle in range(250):
        database.defer("INSERT INTO shelf", (bottle, "Crozes"))
    if ends_well:
        assert database.row("SELECT count(*) FROM shelf") == (250,)
        database.commit()
    else:
        database.rollback()
    assert database.row("SELECT count(DISTINCT bottle) FROM shelf") == (250 if ends_well else 0,)


def test_views_that_lag_far_wait_for_a_past_that_is_coming_in_and_not_for_ever(till, monkeypatch):
    beside = filer.Filer(till.replica)
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    assert not beside._waits_for_the_past(till.replica, has_come=True)
    till.replica.lag_rows_max = till.replica.views.lag() - 1
    assert beside._waits_for_the_past(till.replica, has_come=True)
    assert not beside._waits_for_the_past(till.replica, has_come=False)
    assert beside._waits_for_the_past(till.replica, has_come=True)
    monkeypatch.setattr(filer, "PAST_FIRST_S", 0.0)
    assert not beside._waits_for_the_past(till.replica, has_come=True)
    till.replica.views.catch_up()
    assert not beside._waits_for_the_past(till.replica, has_come=True)


def test_a_status_names_the_devices_and_leaves_a_whole_past_to_be_filed_by_others(till):
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    till.replica.lag_rows_max = 0
    with till.replica.store.transaction():
        till.replica.tables.drop()
        till.replica.tables.prepare()
    assert till.replica.views.lag() > 3
    assert [device.name for device in till.status().devices]
    assert till.replica.views.lag() == 0
    till.sell(["CM-19"], ["card"])
    assert till.status().pending.sales == 4
    assert till.replica.views.lag() > 0
