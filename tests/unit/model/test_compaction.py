import pytest
from pycrdt import Doc, Map

from crdtsync.errors import IntegrityDefect, NotSynchronised, UnsafeUpdate
from crdtsync.model.compaction import compact
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.testing.yjs_bytes import HALF_A_CHARACTER


def price_updates(count):
    doc, updates = Doc(client_id=5), []
    items = doc.get("products", type=Map)
    subscription = doc.observe(lambda event: updates.append(event.update))
    for n in range(count):
        with doc.transaction():
            items["CM-19/name"], items[f"CM-19/price/{n}"] = f"name {n}", n
    doc.unobserve(subscription)
    return updates


def content(*updates):
    doc = Doc()
    for update in updates:
        doc.apply_update(update)
    return doc.get("products", type=Map).to_py()


def test_a_state_holds_what_its_updates_hold_in_fewer_bytes():
    updates = price_updates(200)
    compacted = compact(updates, fingerprint=content_fingerprint)
    assert content(compacted.state) == content(*updates)
    assert len(compacted.state) < sum(map(len, updates))
    assert compacted.fingerprint == content_fingerprint(compacted.state)


def test_a_state_can_be_compacted_again_with_what_came_after():
    updates = price_updates(20)
    earlier = compact(updates[:10], fingerprint=content_fingerprint)
    later = compact([earlier.state, *updates[10:]], fingerprint=content_fingerprint)
    assert later == compact(updates, fingerprint=content_fingerprint)


def test_nothing_is_compacted_while_an_update_is_missing():
    first, _, third = price_updates(3)
    with pytest.raises(NotSynchronised, match="update 2 waits"):
        compact([first, third], fingerprint=content_fingerprint)


def test_nothing_is_compacted_while_a_deletion_waits():
    doc = Doc(client_id=5)
    items = doc.get("products", type=Map)
    items["a"] = 1
    before = doc.get_state()
    del items["a"]
    with pytest.raises(NotSynchronised):
        compact([doc.get_update(before)], fingerprint=content_fingerprint)


def test_a_state_whose_content_differs_replaces_nothing():
    answers = iter((b"one", b"other"))
    with pytest.raises(IntegrityDefect):
        compact(price_updates(2), fingerprint=lambda _: next(answers))


def test_an_update_that_the_engine_refuses_ends_the_attempt():
    with pytest.raises(UnsafeUpdate):
        compact([b"\x01\x02"], fingerprint=content_fingerprint)


def test_nothing_is_compacted_into_a_state_that_nobody_could_read():
    with pytest.raises(IntegrityDefect, match="no replica would take"):
        compact([HALF_A_CHARACTER], fingerprint=content_fingerprint)


def test_no_updates_are_an_empty_state():
    assert compact([], fingerprint=content_fingerprint).state == b"\0\0"
