"""A device with a valid certificate that speaks the protocol as it should, and says what it should not.

Every case is brought to a relay and to a register, each with a store of its own on disk and the committer
that the product uses. Both must come to the same judgement, for the same reason, and what they held before
(of this device and of its neighbour) must be what it was.

=========================  ===============================================================================
what the device brings     what must become of it
=========================  ===============================================================================
bytes that are no entry    refused, and kept apart: ``malformed``, ``too-big``, ``bad-signature``
                           (``REFUSED``, ``FORMS``)
what it may not say        held, and kept apart: ``unknown-device``, ``unknown-key``, ``other-shop``,
                           ``role``, ``revoked`` (``HELD``)
what cannot be so          stored, and named by whoever verifies: a lie in a field, a gap, a fork, another's
                           chain, an old key (``FLAGGED_BY_KIT``, ``FLAGGED``)
every field of every kind  not signed anew: refused. Signed anew, in the middle of the chain: refused, held,
altered                    or named
one thing here, another    both versions are kept by both, and named
there
=========================  ===============================================================================

A replayed or stolen hello never comes so far: ``tests/integration/test_relay_hostile.py`` and
``tests/unit/protocol/test_session_attacked.py``.
"""

import asyncio
from contextlib import closing
from functools import cache

import pytest
from hypothesis import find, settings

from crdtsync.ids import ENTRY, START, Position
from crdtsync.model import sealed
from crdtsync.model.sealed import seal
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.bounds import Bounds
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.quota import Quota
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.register.document_status import links_fingerprint
from crdtsync.runtime.register.verify import verify_log
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.strange_entries import everything_once
from crdtsync.testing.strategies.entries import hostile_entries
from crdtsync.testing.till import MemoryOwner

SIDES = ("relay", "register")


@cache
def shop():
    """Owner, the hostile device and its neighbour, who have recorded everything that there is, once."""
    owner = MemoryOwner()
    device, neighbour = owner.enrol("Caisse 1"), owner.enrol("Caisse 2", series="02")
    everything_once(device)
    everything_once(neighbour)
    return owner, device, neighbour


class Quiet:
    """Told of commits, and says nothing."""

    def committed(self, growths, seconds, error):
        assert error is None


class Side:
    """A relay or a register that is brought something. ``path``: its store."""

    def __init__(self, kind, folder, owner=None):
        self.kind, self.path = kind, folder / f"{kind}.sqlite"
        self.shop = (owner or shop()[0]).author
        with closing(SqliteStore(self.path)) as store, store.transaction():
            store.create_shop(self.shop, b"l" * 16)
        self.seq = 0

    def bring(self, *entries):
        """Sealed bytes, one after the other, as the log of the device holds them; the codes of those that
        were not admitted.
        """
        return asyncio.run(self._bring([ENTRY + data for data in entries]))

    async def _bring(self, records):
        is_relay = self.kind == "relay"
        admission = Admission(self.shop, Bounds(Quota()) if is_relay else None)
        committer = Committer(
            lambda: SqliteStore(self.path), lambda _: admission, Quiet(), lambda: 0, lambda: 0.0
        )
        committer.start()
        begin = Position(self.seq, bytes(32) if not self.seq else bytes([self.seq % 256]) * 32)
        self.seq += len(records)
        end = Position(self.seq, bytes([self.seq % 256]) * 32)
        rows = tuple(enumerate(records, start=begin.seq + 1))
        done = asyncio.get_running_loop().create_future()
        role = "register" if is_relay else "relay"
        delivery = Delivery(1, begin if begin.seq else START, end, rows)
        committer.submit(Work(self.shop, b"p" * 16, role, done.set_result, [delivery]))
        outcome = await done
        await committer.stop()
        assert outcome.error is None
        return [one.code for _, refused in outcome.stored for one in refused]

    def look(self, of=None):
        """The root digest and, by ledger, the fingerprint of what is held; ``of`` one device alone."""
        with closing(SqliteStore(self.path)) as store:
            log = store.shop(self.shop)
            ledgers = {
                row.name: links_fingerprint({sealed.link(r[1:]) for _, r in log.document_records(row.name)})
                for row in log.documents()
                if of is None or of.hex() in row.name
            }
            return (root_digest(log.runs()) if of is None else b""), ledgers

    def apart(self):
        """What lies apart: its bytes and why."""
        with closing(SqliteStore(self.path)) as store:
            return {one.record[1:]: one.code for one in store.shop(self.shop).apart()}

    def flags(self):
        """The codes of what whoever verifies all of it finds."""
        with closing(SqliteStore(self.path)) as store:
            return {one.code for one in verify_log(store.shop(self.shop), lambda chain: "").findings}


@pytest.fixture
def sides(tmp_path):
    """A relay and a register that hold the owner's chain and all of the neighbour's."""
    owner, _, neighbour = shop()
    found = [Side(kind, tmp_path) for kind in SIDES]
    for side in found:
        assert side.bring(*owner.sealed, *neighbour.sealed) == []
    return found


def both(sides, *entries):
    """What both say to the same entries: one judgement."""
    told = [side.bring(*entries) for side in sides]
    assert told[0] == told[1], "relay and register judge alike"
    return told[0]


def resealed(entry, **fields):
    """An entry that says something else, signed by its author."""
    return seal({**entry.body, **fields}, shop()[1].key)


def one_of(wrong):
    """The simplest entry with that one thing wrong."""
    return find(
        hostile_entries(shop()[1], only=[wrong]),
        lambda _: True,
        settings=settings(database=None, max_examples=1),
    )
