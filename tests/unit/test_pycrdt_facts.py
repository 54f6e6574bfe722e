"""What the CRDT engine really does, as far as crdtsync relies on it or guards against it.

A test that fails here after an upgrade of pycrdt is news, not a defect: look at what relied on it.
"""

from decimal import Decimal

import pycrdt
import pytest
from pycrdt import Array, Doc, Map, Text

from crdtsync.model.engine import lies_beyond
from crdtsync.testing.yjs_bytes import hidden_behind_json


def document(client_id=5):
    doc = Doc(client_id=client_id)
    return doc, doc.get("products", type=Map)


def updates_of(*steps):
    doc, items = document()
    updates = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for keys in steps:
        with doc.transaction():
            items.update(keys)
    doc.unobserve(subscription)
    return updates


def applied(*updates):
    doc, items = document(client_id=9)
    for update in updates:
        doc.apply_update(update)
    return doc, items


# -- bytes ---------------------------------------------------------------------------------------------------


def test_a_list_of_old_json_is_read_one_text_too_far():
    # So the scanner admits none: what follows would be other blocks for the engine than for the scanner.
    doc = Doc(client_id=9)
    doc.apply_update(hidden_behind_json(3))
    first, swallowed = doc.get("a", type=Array).to_py()
    assert (first, swallowed[:4]) == ("1", '\1\1a"')


# -- values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "read"),
    [(1, float), (2**53 - 1, float), (2**53, int), (True, bool), ("a", str), (b"a", bytearray)],
)
def test_the_type_of_a_value_is_not_always_the_one_written(written, read):
    _, items = document()
    items["k"] = written
    assert (items["k"], type(items["k"])) == (written, read)


def test_a_decimal_in_an_object_becomes_none_in_silence():
    _, items = document()
    items["k"] = {"price": Decimal("18.50")}
    assert items["k"] == {"price": None}


def test_a_decimal_by_itself_is_refused():
    _, items = document()
    with pytest.raises(TypeError):
        items["k"] = Decimal("18.50")


# -- transactions --------------------------------------------------------------------------------------------


def test_a_transaction_does_not_roll_back():
    doc, items = document()
    updates = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    with pytest.raises(ZeroDivisionError), doc.transaction():
        items["a"] = "1"
        raise ZeroDivisionError
    doc.unobserve(subscription)
    assert (items["a"], len(updates)) == ("1", 1)


def test_setting_the_same_value_again_is_an_update():
    assert len(updates_of({"a": "1"}, {"a": "1"})) == 2


def test_an_update_names_only_its_own_transaction():
    first, second = updates_of({"a": "1"}, {"b": "2"})
    assert b"a" not in second
    assert len(second) == len(first)


# -- damaged and foreign bytes -----------------------------------------------------------------------------


def test_a_corrupted_update_is_accepted():
    [update] = updates_of({"a": "price"})
    _, items = applied(update.replace(b"price", b"prize"))
    assert items["a"] == "prize"


def test_bytes_left_over_are_accepted():
    [update] = updates_of({"a": "1"})
    assert applied(update + b"junk")[1]["a"] == "1"


def test_bytes_that_are_cut_short_are_refused():
    [update] = updates_of({"a": "1"})
    with pytest.raises(ValueError, match="Cannot decode update"):
        applied(update[:-3])


def test_a_block_in_what_is_no_container_is_refused_after_a_part_of_the_update_was_applied():
    whole = b"\x01\x02\x05\x00\x28\x01\x08products\x01a\x01\x78\x08\x00\x05\x00\x01\x78\x00"
    doc, items = document(client_id=9)
    with pytest.raises(RuntimeError, match="Cannot apply update"):
        doc.apply_update(whole)
    assert items["a"] is True


# -- order ---------------------------------------------------------------------------------------------------


def test_what_comes_too_early_is_shown_and_its_event_is_empty():
    _, second = updates_of({"a": "1"}, {"b": "2"})
    doc, items = document(client_id=9)
    events = []
    subscription = doc.observe(lambda event: events.append(event.update))
    doc.apply_update(second)
    doc.unobserve(subscription)
    assert (items["b"], events, doc.get_state()) == ("2", [b"\0\0"], b"\x01\x05\x00")


def test_of_what_comes_too_early_an_overwrite_is_lost_and_takes_the_old_value_with_it():
    first, second = updates_of({"a": "1"}, {"b": "2", "a": "3"})
    doc, items = applied(second, first)
    assert items.to_py() == {"b": "2"}
    assert lies_beyond(doc, second)


def test_what_was_lost_is_taken_when_it_is_given_again():
    first, second = updates_of({"a": "1"}, {"b": "2", "a": "3"})
    doc, items = applied(second, first, second)
    assert items["a"] == "3"
    assert not lies_beyond(doc, second)


def test_what_comes_in_order_lies_within():
    first, second = updates_of({"a": "1"}, {"b": "2", "a": "3"})
    doc, _ = applied(first, second)
    assert not lies_beyond(doc, first)
    assert not lies_beyond(doc, second)


def test_a_deletion_that_comes_too_early_lies_beyond():
    doc, items = document()
    items["a"] = "1"
    before = doc.get_state()
    del items["a"]
    deletion = doc.get_update(before)
    assert lies_beyond(applied(deletion)[0], deletion)
    assert not lies_beyond(doc, deletion)


# -- what two documents know of each other -----------------------------------------------------------------


def test_state_vectors_do_not_see_deletions():
    doc, items = document()
    items["a"] = "1"
    other, _ = applied(doc.get_update())
    del other.get("products", type=Map)["a"]
    assert doc.get_state() == other.get_state()


def test_one_client_id_in_two_documents_diverges_for_ever():
    (one, ones), (other, others) = document(), document()
    ones["a"], others["a"] = "1", "2"
    one.apply_update(other.get_update())
    other.apply_update(one.get_update())
    assert (ones["a"], others["a"], one.get_state() == other.get_state()) == ("1", "2", True)


def test_of_two_concurrent_writes_the_higher_client_id_wins():
    (low, lows), (high, _) = document(client_id=1), document(client_id=2)
    high.get("products", type=Map)["a"] = "high"
    for _ in range(5):
        lows["a"] = "low"
    low.apply_update(high.get_update())
    assert lows["a"] == "high"


def test_of_two_nested_maps_made_at_once_one_vanishes_whole():
    (one, ones), (other, others) = document(client_id=1), document(client_id=2)
    ones["wine"], others["wine"] = Map({"name": "Sancerre"}), Map({"price": 1850})
    one.apply_update(other.get_update())
    assert ones["wine"].to_py() == {"price": 1850}


def test_a_root_is_what_it_is_first_asked_as():
    doc, items = document()
    items["a"] = "1"
    copy = Doc()
    copy.apply_update(doc.get_update())
    assert copy.get("products", type=Array).to_py() == []


def test_text_counts_bytes():
    text = Doc().get("text", type=Text)
    text.insert(0, "é")
    assert len(text) == 2


def test_a_state_of_a_replica_that_overwrites_keeps_no_old_value():
    doc, items = document()
    for n in range(100):
        items["a"] = f"value {n:04d}"
    assert b"value 0098" not in doc.get_update()
    assert b"value 0098" in pycrdt.merge_updates(*updates_of({"a": "value 0098"}, {"a": "value 0099"}))
