import pytest

from crdtsync.errors import DamagedStore, NoRegister
from crdtsync.runtime.folder.identity import (
    ClockOffset,
    Identity,
    Relay,
    load_clock_offset,
    load_identity,
    load_relay,
    present_shop,
    save_clock_offset,
    save_identity,
    save_relay,
)
from crdtsync.storage.memory import MemoryStore

ME = Identity(b"d" * 16, "Caisse 1", "register", b"\x02" * 33, "ABC", b"s" * 16, "Cave")


@pytest.fixture
def store():
    store = MemoryStore()
    with store.transaction():
        store.create_shop(b"s" * 16, b"l" * 16)
    return store


@pytest.mark.parametrize(
    ("save", "load", "value"),
    [
        (save_identity, load_identity, ME),
        (save_relay, load_relay, Relay("wss://relay", b"\x03" * 33)),
        (save_relay, load_relay, Relay("wss://relay", b"\x03" * 33, b"log-of-the-relay")),
        (save_clock_offset, load_clock_offset, ClockOffset(-250, 1_795_507_200_000)),
    ],
)
def test_what_was_kept_is_read_back_and_can_be_dropped(store, save, load, value):
    log = store.shop(b"s" * 16)
    assert load(log) is None
    with store.transaction():
        save(log, value)
    assert load(log) == value
    with store.transaction():
        save(log, None)
    assert load(log) is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"device":"zz"}', b"\xff"])
def test_what_cannot_be_read_is_damage_and_not_another_register(store, data):
    log = store.shop(b"s" * 16)
    with store.transaction():
        log.set_state("identity", data)
    with pytest.raises(DamagedStore):
        load_identity(log)


def test_the_present_shop_is_the_one_that_has_an_identity(store):
    with pytest.raises(NoRegister):
        present_shop(store)
    with store.transaction():
        save_identity(store.shop(b"s" * 16), ME)
        store.create_shop(b"t" * 16, b"m" * 16)
    assert present_shop(store)[1] == ME
