"""What is read of a flat document without the CRDT engine is what the engine holds, whatever its history."""

from random import Random

import pycrdt
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol.causal import in_causal_order
from crdtsync.protocol.flat import flat_content
from crdtsync.protocol.plain_keys import split_keys
from crdtsync.protocol.scanner import scan_document
from crdtsync.testing.documents import Writers, ungrouped

seeds = st.integers(0, 2**32)


def admitted(updates):
    """Those that the scanner takes, as (update, scan)."""
    found = []
    for update in updates:
        try:
            found.append((update, scan_document("catalogue", update, state=True)))
        except (UnsafeUpdate, RecordTooBig):
            continue
    return found


def spelled(content):
    """Comparable to the last bit: equal numbers of another type differ, and what is no number is itself."""
    return sorted((key, type(value).__name__, repr(value)) for key, value in content.items())


def engine_content(scanned):
    doc = Doc(client_id=0)
    for update in in_causal_order(scanned)[0]:
        doc.apply_update(update)
    return doc.get("products", type=pycrdt.Map).to_py()


def agrees(updates):
    """Whether anything was said, which must be true then."""
    scanned = admitted(updates)
    content = flat_content("products", [update for update, _ in scanned])
    split = [split_keys(update, "products") if scan.is_plain else update for update, scan in scanned]
    assert repr(flat_content("products", split)) == repr(content)
    if content is not None:
        assert spelled(ungrouped(content)) == spelled(engine_content(scanned))
    return content is not None


@given(seeds, st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_history_is_told_as_the_engine_has_it_or_not_at_all(seed, transactions, rng):
    writers = Writers(seed, flat=True)
    writers.write(transactions)
    agrees(writers.updates)
    agrees([writers.docs[0].get_update(), *writers.updates])
    agrees([doc.get_update() for doc in writers.docs])
    some = rng.sample(writers.all_updates(), rng.randrange(1, 4))
    agrees(some)


@given(seeds, st.integers(1, 30))
def test_what_one_writes_and_clears_and_writes_again_is_told(seed, steps):
    rng, updates = Random(seed), []
    doc = Doc(client_id=rng.randrange(2**53))
    items = doc.get("products", type=pycrdt.Map)
    subscription = doc.observe(lambda event: updates.append(event.update))
    for _ in range(steps):
        key = f"A/{rng.choice('abcd')}"
        with doc.transaction():
            if key in items and rng.random() < 0.3:
                del items[key]
            else:
                items[key] = rng.choice(
                    (None, True, False, 7, -7, 2**40, 0.5, 1e300, "", "é" * 200, "json:{}")
                )
    doc.unobserve(subscription)
    assert agrees(updates)
    assert agrees([doc.get_update()])


@settings(max_examples=settings.default.max_examples // 12)
@given(seeds)
def test_a_damaged_update_that_is_admitted_is_told_as_the_engine_has_it_or_not_at_all(seed):
    rng, writers = Random(seed), Writers(seed, flat=True)
    writers.write(6)
    update = rng.choice([update for update in writers.updates if len(update) < 300])
    for place in range(len(update)):
        for bit in range(8):
            damaged = update[:place] + bytes([update[place] ^ 1 << bit]) + update[place + 1 :]
            agrees([damaged])
