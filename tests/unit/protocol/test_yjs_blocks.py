"""Every kind of block read to its last byte, and each bound of an update from both sides."""

from dataclasses import replace

import pytest

from crdtsync.errors import RecordTooBig, UnsafeUpdate
from crdtsync.protocol.yjs import (
    ANY,
    BINARY,
    DELETED,
    EMBED,
    FORMAT,
    GC,
    SKIP,
    STATE_LIMITS,
    STRING,
    TYPE,
    UPDATE_LIMITS,
    Limits,
    UpdateReader,
)
from crdtsync.testing.yjs_bytes import NAME, entry, item, nested_values, text, update, varuint

FEW = Limits(update_bytes=1000, clients=2, blocks=3, deleted_ranges=3, values=9)


def blocks(data, limits=UPDATE_LIMITS):
    return list(UpdateReader(data, limits).blocks())


def read(data, limits=UPDATE_LIMITS):
    """Blocks and deletions of a whole update."""
    reader = UpdateReader(data, limits)
    return list(reader.blocks()), list(reader.deletions())


def clients(*runs):
    return varuint(len(runs)) + b"".join(runs)


def run(*parts, client=5, clock=0):
    return update(*parts, client=client, clock=clock)[1:-1]


# -- what one update may hold --------------------------------------------------------------------------------


def test_the_bounds_are_those_that_every_replica_has():
    assert Limits(65_536, 256, 2048, 2048, 4096, 32, 500, 512) == UPDATE_LIMITS
    assert Limits(15 << 20, 100_000, 2_000_000, 1_000_000, 4_000_000, 32, 500, 512) == STATE_LIMITS


def test_an_update_may_have_as_many_bytes_as_it_may_have():
    data = update(NAME)
    assert read(data, replace(FEW, update_bytes=len(data)))[0]
    with pytest.raises(RecordTooBig):
        read(data, replace(FEW, update_bytes=len(data) - 1))


def test_clients_are_counted():
    two = [run(NAME, client=9), run(NAME)]
    assert len(blocks(clients(*two) + b"\0", FEW)) == 2
    with pytest.raises(UnsafeUpdate, match="3 clients are too many"):
        blocks(clients(run(NAME, client=11), *two) + b"\0", FEW)


def test_blocks_are_counted_over_all_clients():
    assert len(blocks(clients(run(NAME, client=9), run(NAME, NAME)) + b"\0", FEW)) == 3
    with pytest.raises(UnsafeUpdate, match="2 blocks are too many"):
        blocks(clients(run(NAME, NAME, client=9), run(NAME, NAME)) + b"\0", FEW)


def test_deleted_ranges_are_counted_over_all_clients():
    assert len(read(b"\0\2\x09\2\0\1\2\1\5\1\0\1", FEW)[1]) == 3
    with pytest.raises(UnsafeUpdate, match="2 deleted ranges are too many"):
        read(b"\0\2\x09\2\0\1\2\1\5\2\0\1\2\1", FEW)


def test_clients_with_deletions_are_counted():
    with pytest.raises(UnsafeUpdate, match="3 clients are too many"):
        read(b"\0\3\x0b\1\0\1\x09\1\0\1\5\1\0\1", FEW)


def test_a_deletion_may_end_with_the_last_clock():
    assert read(b"\0\1\5\1" + varuint(2**31 - 2) + b"\1")[1] == [(5, 2**31 - 2, 1)]
    with pytest.raises(UnsafeUpdate, match="deleted ranges"):
        read(b"\0\1\5\1" + varuint(2**31 - 2) + b"\2")


def test_values_are_nested_as_deep_as_they_may_be():
    assert blocks(nested_values(32))
    with pytest.raises(UnsafeUpdate, match="nested too deep"):
        blocks(nested_values(33))


def continuing(*, kind=8, content=b"\1\x78", client=5, times=3):
    """A block and others that say what they follow."""
    after = [bytes([kind | 0x80, client]) + varuint(n) + content for n in range(times)]
    return update(item(kind, content), *after)


def test_blocks_that_continue_one_another_are_counted():
    assert len(blocks(continuing(times=2), replace(UPDATE_LIMITS, side_by_side=2))) == 3
    with pytest.raises(UnsafeUpdate, match="should be one"):
        blocks(continuing(times=3), replace(UPDATE_LIMITS, side_by_side=2))


@pytest.mark.parametrize(
    "data", [continuing(client=7), continuing(kind=3, content=b"\1a")], ids=["of another client", "of bytes"]
)
def test_blocks_that_the_engine_does_not_join_may_follow_one_another(data):
    assert len(blocks(data, replace(UPDATE_LIMITS, side_by_side=0))) == 4


def test_an_update_that_is_cut_short_is_refused_by_whoever_reads_its_blocks():
    with pytest.raises(UnsafeUpdate, match="cut short"):
        blocks(update(NAME)[:-4])


# -- blocks --------------------------------------------------------------------------------------------------


def contents(data):
    """(kind, clocks, content) of each block."""
    return [(block.kind, block.length, data[block.start : block.end]) for block in blocks(data)]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (item(3, b"\2ab"), (BINARY, 1, b"\2ab")),
        (item(4, text("abc")), (STRING, 3, b"abc")),
        (item(4, text("aé🍷")), (STRING, 4, "aé🍷".encode())),
        (item(5, text("{}")), (EMBED, 1, text("{}"))),
        (item(6, text("bold") + text("true")), (FORMAT, 1, text("bold") + text("true"))),
        (item(7, b"\1"), (TYPE, 1, b"\1")),
        (item(7, b"\3" + text("p")), (TYPE, 1, b"\3" + text("p"))),
        (item(8, b"\2\x78\x7e"), (ANY, 2, b"\x78\x7e")),
        (item(1, b"\3"), (DELETED, 3, b"")),
        (b"\0\3", (GC, 3, b"")),
        (b"\x0a\3", (SKIP, 3, b"")),
    ],
)
def test_a_block_is_read_to_its_last_byte(block, expected):
    data = update(block, NAME)
    assert contents(data)[0] == expected
    assert (blocks(data)[1].clock, blocks(data)[1].key) == (expected[1], "A/name")


@pytest.mark.parametrize("kind", [0, 1, 2, 4, 6])
def test_a_container_of_every_type_is_read(kind):
    assert contents(update(item(7, bytes([kind])))) == [(TYPE, 1, bytes([kind]))]


@pytest.mark.parametrize("kind", [5, 7, 8, 255])
def test_a_container_of_another_type_is_refused(kind):
    with pytest.raises(UnsafeUpdate, match=f"a type of kind {kind}"):
        blocks(update(item(7, bytes([kind]))))


@pytest.mark.parametrize(
    ("block", "right_origin", "parent"),
    [
        (b"\x48\7\4\1\x78", (7, 4), None),
        (b"\x48\5\0\1\x78", (5, 0), None),
        (b"\x08\0\7\4\1\x78", None, (7, 4)),
        (b"\x08\0\5\0\1\x78", None, (5, 0)),
    ],
)
def test_a_block_names_its_neighbour_or_its_parent_earlier_or_elsewhere(block, right_origin, parent):
    read_last = blocks(update(NAME, block))[1]
    assert (read_last.right_origin, read_last.parent) == (right_origin, parent)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x88\5\1\1\x78", "before its origin"),
        (b"\x48\5\1\1\x78", "before its origin"),
        (b"\x48\5\2\1\x78", "before its origin"),
        (b"\x08\0\5\1\1\x78", "before its parent"),
        (b"\x08\0\5\2\1\x78", "before its parent"),
        (b"\x08\2\5\0\1\x78", "unknown kind of parent"),
        (b"\x18\1" + text("list") + b"\1\x78", "unknown kind of block"),
        (item(9, b"\1\x78"), "content of kind 9"),
        (item(12, b"\1" + text("1")), "content of kind 12"),
    ],
)
def test_a_block_that_is_none_is_refused_for_what_it_is(block, why):
    with pytest.raises(UnsafeUpdate, match=why):
        blocks(update(NAME, block))


# -- the short way through the commonest block ---------------------------------------------------------------


class WithoutShortWay(UpdateReader):
    def _entry(self, client, clock, pos):
        return None


def result(reader, data, values):
    try:
        return list(reader(data, replace(UPDATE_LIMITS, values=values)).blocks())
    except UnsafeUpdate as refusal:
        return str(refusal)


SANCERRE = b"\x77" + text("Sancerre")
LIKE_A_NAME = {
    "as it is": NAME,
    **{f"a root of {n} bytes": entry("k", SANCERRE, root="r" * n) for n in (0, 1, 127, 128, 129)},
    **{f"a key of {n} bytes": entry("k" * n, SANCERRE) for n in (0, 1, 2, 127, 128, 129)},
    **{f"a text of {n} bytes": entry("k", b"\x77" + text("t" * n)) for n in (0, 1, 127, 128, 129)},
    "a length that could be part of a text": entry("w", SANCERRE, root="r" * 127 + "\0"),
    "another value": entry("k", b"\x7d\5"),
    **{f"a value of kind {tag:#x}": entry("k", bytes([tag]) + bytes(8)) for tag in range(0x74, 0x80)},
    "a number of four bytes": entry("k", b"\x7c\x44\xfc\x20\0"),
    "a number of eight bytes": entry("k", b"\x7b" + bytes(8)),
    "true": entry("k", b"\x78"),
    "false": entry("k", b"\x79"),
    "null": entry("k", b"\x7e"),
    "two values": b"\x28\1" + text("products") + text("k") + b"\2" + SANCERRE + b"\x78",
    "no values": b"\x28\1" + text("products") + text("k") + b"\0" + SANCERRE,
    "an item of a list": b"\x08\1" + text("products") + b"\1" + SANCERRE,
    "another kind of parent": b"\x28\2" + text("products") + text("k") + b"\1" + SANCERRE,
    "a parent by its id": b"\x28\0\7\4" + text("k") + b"\1" + SANCERRE,
    "bytes under a key": b"\x23\1" + text("products") + text("k") + b"\1a",
    "a key that is not UTF-8": b"\x28\1" + text("products") + b"\1\xff\1" + SANCERRE,
    "a root that is not UTF-8": b"\x28\1" + b"\1\xff" + text("k") + b"\1" + SANCERRE,
    "a text that is not UTF-8": entry("k", b"\x77\1\xff"),
    "names outside ASCII": entry("é/nom", b"\x77" + text("Abîmé"), root="produits été"),
}


@pytest.mark.parametrize("block", LIKE_A_NAME.values(), ids=LIKE_A_NAME.keys())
def test_the_short_way_reads_what_the_long_way_reads(block):
    for values in (0, 1, 2, 9):
        for data in (update(block, NAME), update(block)):
            found = result(UpdateReader, data, values)
            assert found == result(WithoutShortWay, data, values), (values, data)


@pytest.mark.parametrize("block", LIKE_A_NAME.values(), ids=LIKE_A_NAME.keys())
def test_the_short_way_does_not_read_beyond_the_end(block):
    for cut in range(1, 6):
        data = update(block)[:-cut]
        found = result(UpdateReader, data, 9), result(WithoutShortWay, data, 9)
        assert found[0] == found[1] or all(isinstance(refusal, str) for refusal in found), cut


@pytest.mark.parametrize("value", [SANCERRE, b"\x7c\x44\xfc\x20\0", b"\x78", b"\x79"])
def test_the_short_way_is_taken(value):
    data = entry("k", value)
    found = UpdateReader(data, UPDATE_LIMITS)._entry(5, 0, 0)
    assert found == WithoutShortWay(data, UPDATE_LIMITS)._block(5, 0, 0)
