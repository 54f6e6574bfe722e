"""Judging what arrives: the rules of the model and the scanner, applied to records by their kind."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from crdtsync.errors import CrdtsyncError, RecordError
from crdtsync.ids import ENTRY, OWNER_DOCUMENT, Item, Origin, record_digest, split_update_record
from crdtsync.model.admission import (
    NOTHING_KNOWN,
    Known,
    Verdict,
    judge_entry,
    judge_run,
    judge_update,
    signature_holds,
)
from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.entry import Entry, read_entry
from crdtsync.runtime.committing.scans import scan_record
from crdtsync.storage.log import ShopLog, Store

if TYPE_CHECKING:
    from crdtsync.runtime.committing.bounds import Bounds

ENTRIES_AT_ONCE: Final = 4096
"""Judged together, so that one signature vouches for a till's run in a whole pack of the past."""


_DIRECTORIES: Final[WeakValueDictionary[bytes, Directory]] = WeakValueDictionary()
"""By the entries that they were folded of, in their order: a hash of the shop and of all their links. A relay
judges each shop in three threads, for each of the shops with a device connected.
"""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a record is not admitted. ``held``: it is judged again when certificates change."""

    digest: bytes
    code: str
    reason: str
    held: bool


class Admission:
    """Judges records for one shop by its certificates. Use from one thread; each thread has its own.

    ``bounds``: what the shop may fill, which is asked when a record is stored; None: whatever comes.
    """

    def __init__(self, shop: bytes, bounds: Bounds | None = None) -> None:
        self.directory = Directory(shop)
        self.bounds = bounds
        self.is_stale = True
        self._data_version = -1
        self._seen_seq = 0
        self._folded = self.directory, shop
        self._has_new_certificates = False

    def notice(self, store: Store) -> None:
        """Whether another process or thread has stored something since, certificates perhaps."""
        version = store.data_version()
        self.is_stale |= version != self._data_version
        self._data_version = version

    def refresh(self, log: ShopLog) -> None:
        """Read the certificates that other processes or threads have stored, if ``is_stale``."""
        if not self.is_stale:
            return
        owner = log.document(OWNER_DOCUMENT)
        if owner is not None and owner.last_seq == self._seen_seq:
            # Every device that comes asks for this, and the owner's chain has an entry for each of them.
            self.is_stale = False
            return
        new = [row for row in log.document_records(OWNER_DOCUMENT) if row[0] > self._seen_seq]
        if new:
            self._fold([record for _, record in new])
            self._seen_seq = new[-1][0]
            self._has_new_certificates = True
        self.is_stale = False

    def _fold(self, records: Sequence[bytes]) -> None:
        """Let the directory know admitted entries of the owner's chain."""
        before, name = self._folded
        after, is_shared = self.directory, before is self.directory
        for record in records:
            name = hashlib.sha256(name + record_digest(record)).digest()
        shared = _DIRECTORIES.get(name) if is_shared else None
        if shared is None:
            for record in records:
                after = after.with_entry(read_entry(record[1:]), admitted=True)
            shared = _DIRECTORIES.setdefault(name, after) if is_shared else after
        self.directory = shared
        if is_shared:
            self._folded = shared, name

    def judge(
        self,
        records: Sequence[bytes],
        role: str,
        unchecked: set[bytes] | None = None,
        origins: Sequence[Origin | None] | None = None,
        links: Sequence[bytes | None] | None = None,
        known: Known = NOTHING_KNOWN,
    ) -> list[Item | Rejection]:
        """One judgement for each record that a device of that role sent, in the same order.

        Certificates among them count for the entries after them. In an unbroken run of one chain the last
        signature covers the others: their links go into ``unchecked``, or are verified here without it.
        ``origins``: where each came from, as it will stand in its item. ``links``: of those that were just
        unpacked, see ``storage.pack.unpack``. ``known``: signatures that were verified ahead.
        """
        places = [place for place, record in enumerate(records) if record[:1] == ENTRY]
        judged: list[Item | Rejection | None] = [None] * len(records)
        directory = self.directory
        if origins is None:
            origins = [None] * len(records)
        for first in range(0, len(places), ENTRIES_AT_ONCE):
            part = places[first : first + ENTRIES_AT_ONCE]
            sealed = [records[place][1:] for place in part]
            if links is None:
                verdicts = judge_run(sealed, directory, known=known)
            else:
                verdicts = judge_run(sealed, directory, [links[place] for place in part], known)
            for place, verdict in zip(part, verdicts, strict=True):
                entry = verdict.entry
                if entry is not None and entry.facts.document == OWNER_DOCUMENT and verdict.admitted:
                    directory = directory.with_entry(entry, admitted=True)
                judged[place] = _entry(records[place], verdict, directory, unchecked, origins[place])
        return [
            self._update(record, role, origin) if found is None else found
            for record, found, origin in zip(records, judged, origins, strict=True)
        ]

    def appended(self, item: Item) -> None:
        """A record was stored; a certificate among them counts from now on."""
        if item.document == OWNER_DOCUMENT:
            self._fold([item.record])
            self._has_new_certificates = True

    def item_of(self, record: bytes) -> Item:
        """What the log has to know of a record, admitted or not. Raises ``RecordError``."""
        if record[:1] == ENTRY:
            return entry_item(read_entry(record[1:]), record)
        return Item(record, split_update_record(record)[0], record_digest(record))

    def take_new_certificates(self) -> bool:
        """Whether somebody stored certificates since the last call: then held entries are judged again."""
        found, self._has_new_certificates = self._has_new_certificates, False
        return found

    def certificate(self, device: bytes, shown: Sequence[bytes] = ()) -> Certificate | None:
        """The certificate of a device that presents itself, if the shop's owner signed one.

        ``shown`` are sealed entries of the owner's chain that it brought along (a relay restored from a
        backup may lack them); they are believed for this question only, and as if they were to be stored:
        what a key signed that the owner has given up counts no more here than in the log.
        """
        directory = self.directory
        try:
            for entry in sorted(map(read_entry, shown), key=lambda one: one.facts.n):
                if isinstance(judge_entry(entry.sealed, directory), Entry):
                    directory = directory.with_entry(entry, admitted=True)
        except CrdtsyncError:
            return None
        return directory.certificate(device)

    def is_revoked(self, device: bytes) -> bool:
        """Whether the device was revoked and not certified again."""
        return self.directory.is_revoked(device)

    def _update(self, record: bytes, role: str, origin: Origin | None) -> Item | Rejection:
        digest = record_digest(record)
        try:
            document, _ = split_update_record(record)
            if role != "relay":
                judge_update(document, role)
            scan_record(record, digest)
        except RecordError as error:
            return Rejection(digest, error.code, str(error), held=False)
        return Item(record, document, digest, None, origin)


def _entry(
    record: bytes,
    verdict: Verdict,
    directory: Directory,
    unchecked: set[bytes] | None,
    origin: Origin | None,
) -> Item | Rejection:
    entry = verdict.entry
    if not verdict.admitted or entry is None:
        return Rejection(record_digest(record), verdict.code, verdict.reason, verdict.held)
    if verdict.awaits_check and unchecked is not None:
        unchecked.add(entry.link)
    elif verdict.awaits_check and not signature_holds(entry, directory):
        reason = f"the signature of entry {entry.link.hex()[:8]} is not that of its author"
        return Rejection(entry.link, "bad-signature", reason, held=False)
    return entry_item(entry, record, origin)


def entry_item(entry: Entry, record: bytes, origin: Origin | None = None) -> Item:
    """What the log has to know of an admitted entry."""
    facts = entry.facts
    return Item(record, facts.document, facts.link, facts, origin)
