"""The owner's chain of a shop as the relay writes it: one certificate after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crdtsync.errors import DamagedStore, SetupError
from crdtsync.ids import OWNER_DOCUMENT, Item, entry_record
from crdtsync.model import owner_key
from crdtsync.model.certificate import Directory
from crdtsync.model.chain import ChainHead, Moment, next_body, rebuild
from crdtsync.model.entry import Entry, Head, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.clock import Clock
from crdtsync.storage.log import ShopLog

OPERATOR = "relay"
"""Who made the entry, as far as the relay knows: whoever runs it."""


@dataclass(frozen=True, slots=True)
class OwnerChain:
    """The owner's entries that one log holds, by number, and what they say. Immutable."""

    entries: tuple[Entry, ...]
    directory: Directory

    @classmethod
    def read(cls, log: ShopLog) -> OwnerChain:
        """Read it from the log, where every entry was verified before it was stored."""
        found = (read_entry(record[1:]) for _, record in log.document_records(OWNER_DOCUMENT))
        directory = Directory(log.shop)
        entries = tuple(sorted(found, key=lambda entry: (entry.facts.n, entry.link)))
        for entry in entries:
            directory = directory.with_entry(entry, admitted=True)
        return cls(entries, directory)

    @property
    def series(self) -> frozenset[str]:
        """Every series that was ever given out in the shop, to revoked devices too."""
        return frozenset(entry.body["series"] for entry in self.entries if "series" in entry.body)

    def about(self, *devices: bytes) -> tuple[bytes, ...]:
        """The sealed entries that tell who these devices are: the first one, and those that name them."""
        names = {device.hex() for device in devices}
        keys = self.directory.keys
        named = [entry for entry in self.entries if entry.body.get("device") in names]
        # What a key signed that was given up since is good for who can follow the chain from the rotation.
        follows = any(owner_key.signed_by(entry.body) != keys.present for entry in named)
        return tuple(
            entry.sealed
            for entry in self.entries
            if entry.kind in ("owner", owner_key.KIND) or entry in named or follows
        )

    def branches(self) -> tuple[Head, ...]:
        """The ends of all branches but the one that the next entry continues."""
        followed = {entry.facts.prev for entry in self.entries} | {self._head().link}
        ends = [entry for entry in self.entries if entry.link not in followed]
        return tuple(Head(entry.facts.chain, entry.link, entry.facts.n) for entry in ends)

    def with_entry(self, entry: Entry) -> OwnerChain:
        """The chain with one more entry that was just made here."""
        return OwnerChain((*self.entries, entry), self.directory.with_entry(entry, admitted=True))

    def next_entry(self, kind: str, payload: Mapping[str, Any], key: PrivateKey, clock: Clock) -> Entry:
        """Seal the entry that follows the newest one whose ancestors are all held here. Raises ``SetupError``
        for a key that is not the owner's present one.
        """
        head = self._head()
        if key.public != self.directory.owner_public:
            present = self.directory.owner_public
            raise SetupError(
                "the owner's key that is here does not sign any more: the shop's owner has handed over to "
                f"{present.hex()[:16] if present is not None else 'another'}…",
                hint="after a restore from an older backup that key is in a newer copy of the keys folder: "
                "put the file back, or move the old key away and sign with the new one where it is (`owner "
                "request`)",
            )
        if self.directory.keys.present != owner_key.FIRST:
            payload = {**payload, "by": key.public.hex()}
        at = owner_moment(clock)
        # Order is the chain's: a clock that went back does not stop an enrolment.
        at = replace(at, ts_ms=max(at.ts_ms, head.ts_ms), bd=max(at.bd, head.bd))
        return read_entry(seal(next_body(head, kind, payload, at), key))

    def _head(self) -> ChainHead:
        by_link = {entry.link: entry for entry in self.entries}
        for tip in reversed(self.entries):
            line: list[Entry] = []
            entry: Entry | None = tip
            while entry is not None:
                line.append(entry)
                entry = by_link.get(entry.facts.prev)
            if line[-1].kind == "owner":
                head = rebuild(reversed(line))
                assert head is not None
                return head
        raise DamagedStore("the log holds no owner of the shop")


def heads_of(log: ShopLog, device: bytes) -> tuple[Head, ...]:
    """The newest entry of every unbroken run of a device's entries: one where no chain has holes or forks."""
    return tuple(
        Head(run.chain, run.hi_link, run.hi)
        for run in log.runs()
        if any(read_entry(sealed).author == device for sealed in log.entry(run.chain, run.hi))
    )


def owner_moment(clock: Clock) -> Moment:
    """Now, as an entry of the owner's chain says it."""
    ts_ms = clock.now_ms()
    tz_min = clock.utc_offset_min(ts_ms)
    day = (datetime.fromtimestamp(ts_ms / 1000, UTC) + timedelta(minutes=tz_min)).date()
    return Moment(ts_ms, tz_min, day.isoformat(), OPERATOR)


def owner_item(entry: Entry) -> Item:
    """The entry as a log takes it."""
    return Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts)
