"""A pack in memory of which more than one record rots."""

from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.records import MadeUpChain

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
