"""A pack in memory of which more than one record rots, or that is none of ours."""

import pytest

from crdtsync.ids import Position
from crdtsync.storage import memory_log
from crdtsync.storage.log import PreparedPack
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.storage.pack import decode_pack, encode_pack
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP = bytes(range(16))


def test_a_record_of_a_pack_is_set_apart_although_another_one_of_it_rots_too():
    """A simulated register could not set either apart, and never synchronised again."""
    disk = MemoryDisk()
    store = MemoryStore(disk)
    items = MadeUpChain().entries(6)
    with store.transaction():
        log = store.create_shop(SHOP, bytes(16))
        for item in items:
            log.append(item)
    with store.transaction():
        assert log.pack(6, 6)
    for seq in (2, 5):
        disk.damage(SHOP, seq)
    with store.transaction():
        assert log.set_damaged_apart(2, at_ms=1)
    assert [seq for seq, _ in log.read(0, bytes_max=1 << 20).records] == [1, 3, 4, 6]
    assert len(log.apart()) == 2
    packed = decode_pack(log.pack_at(1).blob, bytes_max=10_000)
    assert packed == [(seq, items[seq - 1].record) for seq in (1, 3, 4, 6)]


def test_of_a_pack_exactly_what_rots_in_it_is_set_apart():
    disk = MemoryDisk()
    store = MemoryStore(disk)
    items = MadeUpChain().entries(9)
    with store.transaction():
        log = store.create_shop(SHOP, bytes(16))
        for item in items:
            log.append(item)
    for _ in range(2):
        with store.transaction():
            assert log.pack(3, 6)
    for seq in (3, 4, 6, 7):
        disk.damage(SHOP, seq)
    with store.transaction():
        assert log.set_damaged_apart(4, at_ms=1)
    assert len(log.apart()) == 2
    pack = log.pack_at(4)
    assert (pack.start, pack.to.seq) == (Position(3, log.hash_at(3)), 6)
    assert decode_pack(pack.blob, bytes_max=10_000) == [(5, items[4].record)]
    with store.transaction():
        assert [log.set_damaged_apart(seq, at_ms=1) for seq in (6, 3, 7)] == [False, True, True]


def one_note(disk):
    store = MemoryStore(disk)
    with store.transaction():
        log = store.create_shop(SHOP, bytes(16))
        log.append(made_up_update("x/a", b"one"))
    return store, log


def test_a_note_that_rotted_and_was_replaced_is_not_set_apart():
    disk = MemoryDisk()
    store, log = one_note(disk)
    disk.damage(SHOP, 1)
    with store.transaction():
        log.compact(made_up_update("x/a", b"state", state=True), [1])
    with store.transaction():
        assert not log.set_damaged_apart(1, at_ms=1)


def test_a_pack_that_does_not_give_back_its_rows_is_not_made(monkeypatch):
    _, log = one_note(MemoryDisk())
    monkeypatch.setattr(memory_log, "encode_pack", lambda records, **rows: encode_pack([], **rows))
    with pytest.raises(AssertionError, match="give back"):
        log.prepare_pack(1, 1)


def test_a_pack_of_another_store_is_told():
    store, log = one_note(MemoryDisk())
    with pytest.raises(TypeError, match="another store"), store.transaction():
        log.store_pack(PreparedPack(1, 1, b"pack"))
