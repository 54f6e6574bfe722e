"""A register that says that it was copied is found out, and what looks like that costs nothing."""

import pytest

from crdtsync.ids import entry_record
from crdtsync.model import chain as chains
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.runtime.committing.admission import entry_item
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.till import MemoryOwner
from crdtsync_server.shops.copied import chains_that_follow, newly_copied


class NothingIsRead:
    """A log that nothing is to be asked of."""

    def __getattr__(self, name):
        raise AssertionError(f"the log was asked for {name}")


@pytest.fixture
def owner():
    return MemoryOwner()


def begun_by(till, owner):
    """The first entry of the chain in which a copied register goes on."""
    body = chains.start(
        till.author,
        till.key.public,
        owner.shop,
        series="ZUDSZW",
        nonce=b"another nonce...",
        moment=till.moment,
        heads=[till.end.known],
        follows=till.end.known,
    )
    return read_entry(seal(body, till.key))


def test_a_register_that_goes_on_in_another_chain_is_told_when_that_chain_begins(owner):
    till = owner.enrol("Caisse 1")
    first = begun_by(till, owner)
    store = MemoryStore(MemoryDisk())
    with store.transaction():
        log = store.create_shop(owner.author, b"l" * 16)
        for entry in [*owner.entries, *till.entries, first]:
            log.append(entry_item(entry, entry_record(entry.sealed)))
    [told] = newly_copied(log, chains_that_follow([entry_record(first.sealed)]))
    assert (told.device, told.goes_on, told.n) == (till.author, first.facts.chain, 1)
    assert newly_copied(log, chains_that_follow([entry_record(till.entries[0].sealed)])) == []


def test_whatever_a_device_writes_into_its_sales_every_chain_is_not_looked_at_for_it(owner):
    till = owner.enrol("Caisse 1")
    head = till.end.known.to_json()
    odd = [till.append("odd", {"follows": head, "in": {"kind": "register"}}) for _ in range(3)]
    assert newly_copied(NothingIsRead(), chains_that_follow([entry_record(one.sealed) for one in odd])) == []
