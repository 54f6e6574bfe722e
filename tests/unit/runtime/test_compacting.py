"""Who compacts a document, when, and what is dropped."""

from random import Random

import pytest
from pycrdt import Doc, Map

from crdtsync.ids import Item, Origin, Position, record_digest, split_update_record, update_record
from crdtsync.model.compaction import compact
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.runtime.committing.compacting import plan_compaction
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.storage.memory import MemoryStore

SHOP, LOG, RELAY_LOG = b"s" * 16, b"l" * 16, b"r" * 16
RELAY = Relay("ws://127.0.0.1:1", b"\2" * 33, RELAY_LOG)
POINTS = "x/loyalty"


def visits(count, *, client=7, seed=1):
    """Updates of a document in which customers collect points."""
    chance = Random(seed)
    doc = Doc(client_id=client)
    made = []
    for _ in range(count):
        before = doc.get_state()
        doc.get("points", type=Map)[f"customer {chance.randrange(5)}"] = float(chance.randrange(100))
        made.append(doc.get_update(before))
    return made


def item(update, *, state=False, origin=None):
    record = update_record(POINTS, update, state=state)
    return Item(record, POINTS, record_digest(record), None, origin)


def content(log):
    doc = Doc()
    for _, record in log.document_records(POINTS):
        doc.apply_update(split_update_record(record)[1])
    return content_fingerprint(doc.get_update())


@pytest.fixture
def store():
    store = MemoryStore()
    with store.transaction():
        store.create_shop(SHOP, LOG)
    return store


@pytest.fixture
def run(upkeep_of):
    """All steps that a quiet moment brings."""

    def run(store):
        upkeep = upkeep_of(store, compact_records=20)
        while upkeep.step(is_quiet=True):
            pass

    return run


def fill(store, items):
    with store.transaction():
        log = store.shop(SHOP)
        for one in items:
            log.append(one)
    return log


def test_a_relay_puts_one_state_in_the_place_of_many_updates(run, store):
    log = fill(store, map(item, visits(30)))
    before = content(log)
    run(store)
    assert log.document(POINTS).records == 1
    assert content(log) == before


def test_a_document_of_few_updates_stays_as_it_is(run, store):
    log = fill(store, map(item, visits(19)))
    run(store)
    assert log.document(POINTS).records == 19


def test_a_state_is_replaced_only_when_the_updates_after_it_hold_as_much(run, store):
    log = fill(store, map(item, visits(200)))
    run(store)
    [(_, state)] = log.document_records(POINTS)
    fill(store, map(item, visits(1, client=8)))
    assert plan_compaction(log, POINTS, records_min=1) is None
    fill(store, map(item, visits(len(state) // 20, client=9)))
    assert plan_compaction(log, POINTS, records_min=1) is not None


def test_what_waits_for_an_update_that_is_not_there_is_left_alone(run, store):
    log = fill(store, map(item, visits(31)[1:]))
    run(store)
    assert log.document(POINTS).records == 30


def register(store, updates, *, from_relay, acknowledged, state):
    """A register of a relay: its own updates, those that came from the relay, a state of the relay."""
    with store.transaction():
        log = store.shop(SHOP)
        save_relay(log, RELAY)
        for number, update in enumerate(updates, start=1):
            log.append(item(update, origin=Origin(RELAY_LOG, number) if from_relay else None))
        end = log.end
        log.append(item(state, state=True, origin=Origin(RELAY_LOG, 1000)))
        if acknowledged:
            log.set_acknowledged(RELAY_LOG, Position(end.seq, log.hash_at(end.seq)), 0)
    return log


def state_of(updates):
    return compact(updates, fingerprint=content_fingerprint).state


@pytest.mark.parametrize("from_relay", [True, False])
def test_a_register_drops_what_a_state_of_the_relay_holds(run, store, from_relay):
    updates = visits(30)
    log = register(store, updates, from_relay=from_relay, acknowledged=True, state=state_of(updates))
    before = content(log)
    run(store)
    assert log.document(POINTS).records == 1
    assert content(log) == before


def test_a_register_keeps_what_the_relay_has_not_acknowledged(run, store):
    updates = visits(30)
    log = register(store, updates, from_relay=False, acknowledged=False, state=state_of(updates))
    run(store)
    assert log.document(POINTS).records == 31


def test_a_register_keeps_what_is_not_in_the_state(run, store):
    updates = visits(30)
    log = register(store, updates, from_relay=False, acknowledged=True, state=state_of(updates[:-1]))
    run(store)
    assert log.document(POINTS).records == 31


def test_a_register_of_a_relay_makes_no_state_of_its_own(run, store):
    log = fill(store, map(item, visits(30)))
    with store.transaction():
        save_relay(log, RELAY)
        log.set_acknowledged(RELAY_LOG, log.end, 0)
    run(store)
    assert log.document(POINTS).records == 30
