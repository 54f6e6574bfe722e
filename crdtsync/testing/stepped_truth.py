"""What must hold of a shop that is stepped by hand: at every moment, and when everything has come to rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from crdtsync.ids import ENTRY
from crdtsync.model.ledger import project
from crdtsync.testing.slips import need_of, permit_of
from crdtsync.testing.stepped import SHOP, Replica, SteppedShop
from crdtsync.testing.stepped_documents import content, facts_in, facts_of

DOCUMENTS = ("catalogue", "x/notes")


def words(records: Iterable[bytes]) -> list[str]:
    """What tells records apart, for a failure."""
    return sorted(b" ".join(re.findall(rb'#\d+|permit.*"', record)).decode() for record in records)


class Truth:
    """The promises that a test can see, whoever is connected to whom.

    ``bad`` are the records that nobody admits.
    """

    def __init__(self, shop: SteppedShop) -> None:
        self.shop = shop
        self.bad: set[bytes] = set()

    # -- at every moment -------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise ``AssertionError`` where a promise is broken."""
        assert self.shop.faults() == []
        for register in self.shop.registers:
            self._check_pending(register)
        for replica in self.shop.replicas:
            rows = replica.rows()
            assert len(rows) == len(set(rows)), (replica, "a record counts twice")
            for other in self.shop.replicas:
                if other is not replica:
                    self._check_cursor(replica, other)

    def _check_pending(self, register: Replica) -> None:
        """What is not pending is on the relay's disk, unless that was lost since the last contact."""
        relay = self.shop.relay
        if register.knows_life_of_relay != relay.life:
            return
        missing = register.records() - self.pending(register)
        assert not lacking(missing, relay.records()), (register, words(missing - relay.records()))

    def _check_cursor(self, replica: Replica, other: Replica) -> None:
        """What a cursor counts as held is held, or set apart."""
        theirs = other.log
        cursor = replica.log.cursor(theirs.log_id)
        if cursor is None or theirs.hash_at(cursor.position.seq) != cursor.position.h:
            return
        kept = replica.kept()
        mine_there = theirs.cursor(replica.log.log_id)
        fits = mine_there is None or replica.log.hash_at(mine_there.position.seq) == mine_there.position.h
        wanted = {seq for lo, hi in cursor.wanted for seq in range(lo, hi + 1)}
        for seq in range(1, cursor.position.seq + 1):
            row = other.disk.shops[SHOP].rows.committed[seq]
            if row.record is None or seq in wanted or row.record in kept:
                continue
            if not lacking({row.record}, replica.records()):
                continue
            # Rows that came from this log are left out. If its disk was put back or cloned, they may be
            # missing: that is found out at the next contact, and the log goes on under a new id.
            assert not fits, (replica.name, other.name, seq)
            assert row.origin[0] == replica.log.log_id, (replica.name, other.name, seq)

    def pending(self, register: Replica) -> set[bytes]:
        """What a register shows as not being on the relay's disk."""
        return {record for _, record in register.log.unacknowledged(self.shop.relay.log.log_id)}

    # -- at rest -----------------------------------------------------------------------------------------

    def come_to_rest(self) -> None:
        """Everybody connects, twice: the second time finds what came up while clones were connected. Then
        everybody holds everything, and shows as pending what the relay did not admit. Where damage took the
        only copy of a permit, that comes true when the owner has signed it again.
        """
        admitted, kept = self._everything(Replica.records), self._everything(Replica.kept)
        for _ in range(2):
            for wire in list(self.shop.wires):
                self.shop.cut(wire, lost=False)
            self.shop.settle()
        self._sign_lost_permits_again()
        self.check()
        relay = self.shop.relay
        held = relay.kept() - relay.records()
        assert kept <= self._everything(Replica.kept)
        assert not lacking(admitted - relay.kept(), relay.records())
        for replica in self.shop.replicas:
            missing = admitted - self.bad - held
            assert not lacking(missing, replica.records()), (replica, words(missing - replica.records()))
        for register in self.shop.registers:
            pending, expected = self.pending(register), (self.bad | held) & register.records()
            assert pending == expected, (register, words(pending - expected), words(expected - pending))
        for document in DOCUMENTS:
            assert len({content(of(replica, document)) for replica in self.shop.replicas}) == 1, document

    def _sign_lost_permits_again(self) -> None:
        """A relay that has admitted a sale may lose the permit before anybody else has it. Then nobody else
        can admit the sale, but everybody keeps it apart until the owner has signed the permit again.
        """
        permits = {"", *map(permit_of, self._everything(Replica.records))}
        waiting = {record for record in self.shop.relay.records() if need_of(record) not in permits}
        for replica in self.shop.replicas:
            apart = {held.record for held in replica.log.apart() if held.held}
            missing = waiting - replica.records() - apart
            assert not missing, (replica, words(missing))
        for name in sorted({need_of(record) for record in waiting}):
            self.shop.relay.permit(name)
        if waiting:
            self.shop.settle()

    def check_days(self) -> None:
        """What everybody has of a day is the same document, to the byte."""
        shared = set.intersection(*(replica.records() for replica in self.shop.replicas))
        names = {row.name for replica in self.shop.replicas for row in replica.log.documents()}
        for name in names:
            if name.startswith("ledger/"):
                days = {
                    project(record[1:] for record in of(replica, name) if record in shared)
                    for replica in self.shop.replicas
                }
                assert len(days) == 1, name

    def _everything(self, held_by: Callable[[Replica], set[bytes]]) -> set[bytes]:
        return set().union(*(held_by(replica) for replica in self.shop.replicas))


def of(replica: Replica, document: str) -> list[bytes]:
    """The records of one document, in the order of the log."""
    return [record for _, record in replica.log.document_records(document)]


def lacking(wanted: set[bytes], held: set[bytes]) -> bool:
    """Whether something of ``wanted`` is not held, neither as it is nor in a compacted state."""
    missing = wanted - held
    if not missing or any(record[:1] == ENTRY for record in missing):
        return bool(missing)
    there = facts_in(record for record in held if record[:1] != ENTRY)
    return any(not facts_of(record) <= there for record in missing)
