import pytest
from pycrdt import Array, Doc, Map, Text

from crdtsync.errors import UnsafeUpdate
from crdtsync.protocol.fingerprint import content_fingerprint


def fingerprint(doc):
    return content_fingerprint(doc.get_update())


def shop(**entries):
    doc = Doc(client_id=5)
    for key, value in entries.items():
        doc.get("products", type=Map)[key] = value
    return doc


def copy_of(doc):
    other = Doc(client_id=6)
    other.apply_update(doc.get_update())
    return other


def test_a_deletion_is_seen_where_the_state_vector_shows_none():
    before = shop(a="1", b="2")
    after = copy_of(before)
    del after.get("products", type=Map)["a"]
    assert before.get_state() == after.get_state()
    assert fingerprint(before) != fingerprint(after)


def test_a_replica_that_keeps_deleted_content_holds_the_same():
    keeping, dropping = Doc(client_id=5, skip_gc=True), Doc(client_id=5)
    for doc in (keeping, dropping):
        doc.get("products", type=Map)["a"] = "old value"
        doc.get("products", type=Map)["a"] = "new value"
    assert keeping.get_update() != dropping.get_update()
    assert fingerprint(keeping) == fingerprint(dropping)


def test_two_contents_under_one_client_id_are_seen_where_the_state_vector_shows_none():
    one, other = shop(a="1"), shop(a="2")
    assert one.get_state() == other.get_state()
    assert fingerprint(one) != fingerprint(other)


def test_the_key_of_a_value_counts():
    assert fingerprint(shop(a="1")) != fingerprint(shop(b="1"))


def test_the_order_of_an_object_does_not_count():
    value = {name: {"x": [1.5, True, None], "y": b"z"} for name in "abcdefgh"}
    assert len({fingerprint(shop(a=dict(sorted(value.items(), reverse=n % 2)))) for n in range(8)}) == 1


def test_what_an_object_holds_counts():
    assert fingerprint(shop(a={"x": 1})) != fingerprint(shop(a={"x": 2}))


def test_text_typed_letter_by_letter_or_at_once_is_the_same_document():
    at_once, by_letter = Doc(client_id=5), Doc(client_id=5)
    at_once.get("text", type=Text).insert(0, "Sancerre")
    for place, letter in enumerate("Sancerre"):
        by_letter.get("text", type=Text).insert(place, letter)
    assert fingerprint(at_once) == fingerprint(by_letter)


def test_the_order_of_a_list_counts():
    one, other = Doc(client_id=5), Doc(client_id=5)
    one.get("list", type=Array).extend(["a", "b"])
    other.get("list", type=Array).extend(["b", "a"])
    assert fingerprint(one) != fingerprint(other)


def test_marks_and_embeds_count_whatever_the_order_of_their_objects():
    def marked(embed):
        doc = Doc(client_id=5)
        text = doc.get("text", type=Text)
        text.insert(0, "ab", {"bold": True})
        text.insert_embed(0, embed)
        return fingerprint(doc)

    assert marked({"a": 1, "b": 2}) == marked({"b": 2, "a": 1}) != marked({"a": 1, "b": 3})


def test_integers_of_browsers_are_values_too():
    def entry(value):
        return content_fingerprint(b"\x01\x01\x05\x00\x28\x01\x01m\x01k\x01" + value + b"\x00")

    assert len({entry(b"\x7d\x05"), entry(b"\x7d\x85\x01"), entry(b"\x7e"), entry(b"\x7c\x40\xa0\0\0")}) == 4


def test_a_collected_block_is_gone_like_a_deleted_one():
    deleted = b"\x01\x01\x05\x00\x21\x01\x01m\x01k\x02\x01\x05\x01\x00\x02"
    collected = b"\x01\x01\x05\x00\x00\x02\x01\x05\x01\x00\x02"
    assert content_fingerprint(deleted) == content_fingerprint(collected)


def test_a_hole_is_no_content():
    def at(clock_and_hole):
        return content_fingerprint(clock_and_hole + b"\x28\x01\x01m\x01k\x01\x78\x00")

    assert at(b"\x01\x01\x05\x03") == at(b"\x01\x02\x05\x00\x0a\x03")


def test_what_is_no_state_is_refused():
    with pytest.raises(UnsafeUpdate):
        content_fingerprint(b"\x01")
