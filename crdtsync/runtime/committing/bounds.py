"""What one shop, one device and one chain may fill of a store that many shops share.

What exceeds a bound is *held*: kept apart with its bytes, told to whoever brought it, pending on its owner's
display, and judged again when the store is opened with wider bounds. What is kept apart is bounded too;
beyond that the connection ends, and what was not taken stays where it is. So nothing is lost, and nobody can
fill the disk of the others.

The relay has bounds. A register has none: what it gets comes from its relay, and its own sales are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from crdtsync.errors import LinkClosed
from crdtsync.ids import ID_BYTES, OWNER_DOCUMENT, EntryFacts, Item, Position
from crdtsync.runtime.committing.admission import Rejection
from crdtsync.runtime.committing.quota import Quota
from crdtsync.storage.log import Refusal, ShopLog

RUNS_PER_CHAIN_MAX: Final = 500
"""Runs of one chain: each hole and each branch makes one. A register whose disk was put back has a few; every
entry beyond them costs as much as there are runs, so that some thousand holes would stop a relay.
"""

CHAINS_PER_DEVICE_MAX: Final = 64
"""Chains that entries of one device may begin. A device has one."""

APART_RECORDS_MAX: Final = 50_000
"""Records of one device that are refused or held. They are told to it again at each hello."""

APART_BYTES_MAX: Final = 32 << 20
"""What is kept apart of what one device brings, refused and held together. Each device has a share of its
own: whoever fills his, also a register that was stolen, takes no room of the others.
"""

APART_LOGS_MAX: Final = 64
"""Under so many ids of its log a device may have something kept apart: an id is easily changed."""

OVER_BOUNDS: Final = 4514
"""The close code of a store that may keep nothing more apart: try again later."""


class Bounds:
    """The bounds of one shop in one store. For the thread that writes it."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._end: Position | None = None
        self._records = self._bytes = 0
        self._documents: set[str] = set()
        self._shares: dict[bytes, _Share] = {}
        self._chains: dict[bytes, _Chain] = {}
        self._is_opened_anew = True

    def begin(self, log: ShopLog) -> None:
        """In a transaction, before anything is asked. What was counted counts if the disk holds as much."""
        self._chains.clear()
        if self._end == log.end:
            self._is_opened_anew = False
            return
        rows = log.documents()
        self._documents = {row.name for row in rows}
        self._records = sum(row.records for row in rows)
        self._bytes = sum(row.records_bytes for row in rows)
        self._shares.clear()

    def finish(self, log: ShopLog) -> None:
        """At the end of that transaction. If it is not committed, the log ends elsewhere next time."""
        self._end = log.end
        self._chains.clear()

    @property
    def may_be_wider(self) -> bool:
        """Whether what was held may have room by now: the store was opened and has not committed yet."""
        return self._is_opened_anew

    # -- what comes in -------------------------------------------------------------------------------------

    def judge(self, log: ShopLog, item: Item) -> Rejection | None:
        """Why a record that was admitted is held all the same; None if it may be stored. The owner's entries
        may, always: without them nobody could be certified or revoked.
        """
        if item.document == OWNER_DOCUMENT:
            return None
        entry = item.entry
        reason = self._over_quota(item)
        if not reason and entry is not None:
            reason = self._over_chains(log, entry, item.document)
        if not reason:
            return None
        if log.holds(item.digest, *((entry.chain, entry.n) if entry else ())):
            return None  # It was stored before, and comes again.
        return Rejection(item.digest, "over-limit", reason, held=True)

    def appended(self, log: ShopLog, item: Item) -> None:
        """A record was stored."""
        self._records += 1
        self._bytes += len(item.record)
        self._documents.add(item.document)
        entry = item.entry
        if entry is None or item.document == OWNER_DOCUMENT:
            return
        chain = self._chain(log, entry)
        if chain.is_new:
            device = _device_of(item.document)
            log.set_state(_chains_key(device), (_chains_begun(log, device) + 1).to_bytes(4, "big"))
        chain.add(entry)

    def keep_apart(
        self, log: ShopLog, peer_log: bytes, refusal: Refusal, record: bytes, device: bytes = b""
    ) -> None:
        """A record that a device brings is about to be kept apart; of a file, whose sender nobody knows, the
        file has a share. Raises ``LinkClosed`` if that would be too much: then nothing of what came with it
        is stored, and its sender keeps all of it.
        """
        who = device or peer_log
        share = self._shares.get(who)
        if share is None or not share.has_room(record):
            # Some may have been let in meanwhile; a record that comes again is counted once on disk.
            share = self._shares[who] = _Share.counted(log, who)
        if not share.has_room(record) or not share.knows(log, peer_log):
            del self._shares[who]
            raise LinkClosed(
                f"the relay can keep nothing more that it does not admit: {refusal.reason}", code=OVER_BOUNDS
            )
        share.records += 1
        share.size += len(record)

    # -- reasons -------------------------------------------------------------------------------------------

    def _over_quota(self, item: Item) -> str:
        quota = self._quota
        if self._records >= quota.records_max:
            return f"this shop has the {quota.records_max:,} records that it may have on the relay"
        if self._bytes + len(item.record) > quota.bytes_max:
            return f"this shop has the {quota.bytes_max >> 20:,} MB that it may have on the relay"
        if item.document not in self._documents and len(self._documents) >= quota.documents_max:
            return f"this shop has the {quota.documents_max:,} documents that it may have on the relay"
        return ""

    def _over_chains(self, log: ShopLog, entry: EntryFacts, document: str) -> str:
        chain = self._chain(log, entry)
        if chain.is_new:
            if _chains_begun(log, _device_of(document)) >= CHAINS_PER_DEVICE_MAX:
                return f"this device has begun {CHAINS_PER_DEVICE_MAX} chains of entries already"
        elif chain.runs >= RUNS_PER_CHAIN_MAX and not chain.continues(entry):
            return f"the entries of this chain have {RUNS_PER_CHAIN_MAX} gaps or branches already"
        return ""

    def _chain(self, log: ShopLog, entry: EntryFacts) -> _Chain:
        if entry.chain not in self._chains:
            self._chains[entry.chain] = _Chain(log, entry.chain)
        return self._chains[entry.chain]


@dataclass(slots=True)
class _Share:
    """What is kept apart of one device, under whatever ids of its log."""

    who: bytes
    logs: list[bytes]
    records: int
    size: int

    @classmethod
    def counted(cls, log: ShopLog, who: bytes) -> _Share:
        """As it is on disk."""
        data = log.state(_share_key(who)) or b""
        logs = [data[place : place + ID_BYTES] for place in range(0, len(data), ID_BYTES)]
        records = sum(len(log.refusals_given(one)) for one in logs)
        return cls(who, logs, records, sum(map(log.apart_bytes, logs)))

    def has_room(self, record: bytes) -> bool:
        """Whether one more may be kept."""
        return self.records < APART_RECORDS_MAX and self.size + len(record) <= APART_BYTES_MAX

    def knows(self, log: ShopLog, peer_log: bytes) -> bool:
        """Note that this is an id of its log; false where there are too many. Inside a transaction."""
        if peer_log not in self.logs:
            if len(self.logs) >= APART_LOGS_MAX:
                return False
            self.logs.append(peer_log)
            log.set_state(_share_key(self.who), b"".join(self.logs))
        return True


class _Chain:
    """The runs of one chain during one transaction: how many there are at most, and where they may go on."""

    def __init__(self, log: ShopLog, chain: bytes) -> None:
        runs = log.runs(chain)
        self.runs = len(runs)
        self._tips = {run.hi_link for run in runs}
        self._roots = {run.lo_prev for run in runs}

    @property
    def is_new(self) -> bool:
        """Nothing of it is held."""
        return not self.runs

    def continues(self, entry: EntryFacts) -> bool:
        """Whether there are no more runs with it than without."""
        return entry.prev in self._tips or entry.link in self._roots

    def add(self, entry: EntryFacts) -> None:
        """It was stored."""
        if entry.prev in self._tips:
            self._tips.discard(entry.prev)
        else:
            self._roots.add(entry.prev)
            # A branch off the middle of a run makes two more; of any other this says one too many, until the
            # next transaction counts.
            self.runs += 2 if self.runs else 1
        if entry.link in self._roots:
            self._roots.discard(entry.link)
        else:
            self._tips.add(entry.link)


def _device_of(document: str) -> str:
    """The device whose ledger it is: ``ledger/<device>/<day>``."""
    return document.split("/")[1]


def _share_key(who: bytes) -> str:
    return f"apart/{who.hex()}"


def _chains_key(device: str) -> str:
    return f"chains/{device}"


def _chains_begun(log: ShopLog, device: str) -> int:
    return int.from_bytes(log.state(_chains_key(device)) or b"", "big")
