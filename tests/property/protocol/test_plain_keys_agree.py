"""What is said in bulk of an update of new keys is what the strict reader says of it, byte by byte."""

from random import Random

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol import flat, scanner
from crdtsync.protocol.flat import flat_content
from crdtsync.protocol.plain_keys import plain_keys
from crdtsync.testing.documents import Writers

seeds = st.integers(0, 2**32)


def verdict(update):
    """What the scanner says of an update of the catalogue."""
    try:
        return scanner.scan_document("catalogue", update)
    except (UnsafeUpdate, RecordTooBig) as error:
        return type(error)


def agrees(update):
    """Whether it was read in bulk; both ways say the same of it."""
    plain = plain_keys(update, "products")
    found = verdict(update)
    content = None if isinstance(found, type) else flat_content("products", [update])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanner, "plain_keys", lambda update, root: None)
        patch.setattr(flat, "plain_keys", lambda update, root: None)
        assert verdict(update) == found
        if not isinstance(found, type):
            assert repr(flat_content("products", [update])) == repr(content)
    return plain is not None


def new_keys(rng, count):
    """An update that one writer made of new keys."""
    writers = Writers(rng.randrange(2**32), flat=True)
    doc = writers.docs[0]
    values = (
        True,
        False,
        None,
        0,
        -1,
        2019,
        2**40,
        0.25,
        1e300,
        "",
        "é" * 40,
        "json:{}",
        "products",
        "x" * 200,
    )
    items, before = doc.get("products", type=pycrdt.Map), doc.get_state()
    with doc.transaction():
        for place in range(count):
            items[f"A{place % 3}/{rng.choice('abcdé')}{place}"] = rng.choice(values)
    return doc.get_update(before)


@given(seeds, st.integers(1, 12))
def test_any_update_is_told_as_the_strict_reader_tells_it(seed, transactions):
    writers = Writers(seed, flat=True)
    writers.write(transactions)
    for update in [*writers.updates, *(doc.get_update() for doc in writers.docs)]:
        agrees(update)


@given(st.randoms(use_true_random=False), st.integers(1, 30))
def test_new_keys_are_told_as_the_strict_reader_tells_them(rng, count):
    agrees(new_keys(rng, count))


@settings(max_examples=settings.default.max_examples // 12)
@given(seeds)
def test_a_damaged_update_is_told_as_the_strict_reader_tells_it(seed):
    rng = Random(seed)
    update = new_keys(rng, 4)
    for place in range(len(update)):
        for bit in range(8):
            agrees(update[:place] + bytes([update[place] ^ 1 << bit]) + update[place + 1 :])
        agrees(update[:place] + update[place + 1 :])
        agrees(update[:place] + bytes([rng.randrange(256)]) + update[place:])


def test_short_texts_and_numbers_are_read_in_bulk():
    assert any(agrees(new_keys(Random(seed), 3)) for seed in range(20))
