"""The scanner takes all that the CRDT engine writes, and what it takes the engine can apply."""

from random import Random

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol.causal import in_causal_order
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.protocol.scanner import scan_document, scan_update
from crdtsync.testing.documents import Writers

seeds = st.integers(0, 2**32)


def history(seed, transactions=12, *, flat=False):
    writers = Writers(seed, flat=flat)
    writers.write(transactions)
    return writers


def built(updates):
    doc = Doc(client_id=0)
    for update in updates:
        doc.apply_update(update)
    return doc


def is_admitted(document, data):
    try:
        scan_document(document, data)
    except (UnsafeUpdate, RecordTooBig):
        return False
    return True


def damaged(data, rng):
    """Every beginning, every single bit flipped, and some worse ones."""
    yield from (data[:end] for end in range(len(data)))
    for place in range(len(data)):
        yield from (data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :] for bit in range(8))
    for _ in range(100):
        worse = bytearray(data)
        for _ in range(rng.randrange(2, 5)):
            worse[rng.randrange(len(worse))] = rng.choice((0, 1, 2, 5, 0x7F, 0x80, rng.randrange(256)))
        yield bytes(worse)


@given(seeds)
def test_whatever_the_engine_writes_is_admitted(seed):
    for update in history(seed).all_updates():
        assert scan_document("x/any", update).blocks >= 0


@given(seeds)
def test_whatever_a_flat_document_is_changed_by_is_admitted_to_the_catalogue(seed):
    writers = history(seed, flat=True)
    for update in (*writers.updates, *(doc.get_update() for doc in writers.docs)):
        assert scan_document("catalogue", update).roots <= {"products"}


@settings(max_examples=settings.default.max_examples // 12)
@given(seeds)
def test_a_damaged_update_is_refused_or_applied_to_an_empty_document(seed):
    rng = Random(seed)
    update = rng.choice([u for u in history(seed).all_updates() if len(u) < 300])
    for data in damaged(update, rng):
        if is_admitted("x/any", data):
            doc = built([data])
            doc.get_update(), doc.get_state()


@settings(max_examples=settings.default.max_examples // 12)
@given(seeds)
def test_a_damaged_update_is_refused_or_applied_to_any_catalogue(seed):
    rng = Random(seed)
    writers = history(seed, flat=True)
    whole = writers.docs[0].get_update()
    update = rng.choice([u for u in writers.updates if len(u) < 300])
    for data in damaged(update, rng):
        if is_admitted("catalogue", data):
            doc = built([whole, data])
            doc.get("products", type=pycrdt.Map).to_py()
            doc.get_update()


@given(seeds, st.randoms(use_true_random=False))
def test_in_causal_order_any_shuffle_gives_the_same_document_and_leaves_no_hole(seed, rng):
    updates = history(seed).all_updates()
    expected = content_fingerprint(built(updates).get_update())
    rng.shuffle(updates)
    ready, waiting = in_causal_order((update, scan_update(update, roots=None)) for update in updates)
    doc = built(ready)
    assert (content_fingerprint(doc.get_update()), waiting) == (expected, 0)
    assert all(pycrdt.get_update(update, doc.get_state())[0] == 0 for update in updates)


@given(seeds, st.randoms(use_true_random=False), st.integers(1, 20))
def test_of_some_of_the_updates_only_those_pass_that_leave_no_hole(seed, rng, count):
    updates = history(seed).all_updates()
    some = rng.sample(updates, min(count, len(updates)))
    ready, waiting = in_causal_order((update, scan_update(update, roots=None)) for update in some)
    doc = Doc(client_id=0)
    for update in ready:
        doc.apply_update(update)
        assert pycrdt.get_update(update, doc.get_state())[0] == 0
    assert len(ready) + waiting == len(some)
    content_fingerprint(doc.get_update())


@given(seeds)
def test_a_state_read_again_holds_the_same(seed):
    for doc in history(seed).docs:
        state = doc.get_update()
        assert content_fingerprint(built([state]).get_update()) == content_fingerprint(state)


@given(seeds)
def test_one_more_transaction_gives_another_fingerprint(seed):
    writers = history(seed)
    doc = writers.docs[0]
    before = content_fingerprint(doc.get_update())
    doc.get("map", type=pycrdt.Map)["new"] = seed
    assert content_fingerprint(doc.get_update()) != before


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read_and_nothing_else_is_raised(data):
    is_admitted("x/any", data)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(seeds)
def test_many_damaged_updates_are_refused_or_applied(seed):
    test_a_damaged_update_is_refused_or_applied_to_an_empty_document.hypothesis.inner_test(seed)
    test_a_damaged_update_is_refused_or_applied_to_any_catalogue.hypothesis.inner_test(seed)
