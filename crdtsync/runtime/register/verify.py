"""Verifying everything that a register holds, from checksums to grand totals.

Nothing is believed because it is on the disk: rows are read against their checksums, the running hash is
computed again, certificates are verified under the owner's key that the shop's id follows from, and every
chain is followed from its first entry. A defect is named and the work goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from crdtsync.errors import CrdtsyncError, DamagedStore, StorageError
from crdtsync.ids import ENTRY, OWNER_DOCUMENT, STATE, next_hash, split_update_record
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import Entry, Head, read_entry, read_heads
from crdtsync.model.naming import names_apart
from crdtsync.model.returns import Returns
from crdtsync.model.verify import Defect, verify_chain
from crdtsync.protocol.scanner import scan_document
from crdtsync.protocol.twice import WrittenOnce
from crdtsync.runtime.filing.views import entry_rows
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.flags import held_versions
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.view_check import Shown, ViewCheck

BATCH_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold. ``place`` is a chain's device, a document or the store; ``seq`` the
    number along the chain (or in the log, where ``code`` is ``store``), ``number`` the ticket's.
    """

    place: str
    code: str
    seq: int
    link: bytes | None
    number: str | None
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified, and what did not hold. ``notes`` are no defects: the owner's chain has branches
    where the relay was once put back from a backup, and all of them count.
    """

    entries: int
    chains: int
    records: int
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]


def verify_replica(replica: Replica, progress: Callable[[int, int], None] = lambda *_: None) -> Verification:
    """Verify a register's log, all chains, the file that they lie in, and that the views show what the
    entries say. O(everything); reads only, except that views which show something else are made again.

    ``progress`` is told how many records are done, and of how many.
    """
    found = verify_log(replica.log, lambda chain: _place(replica, chain), progress)
    known = {(finding.place, finding.seq) for finding in found.findings if finding.code == "store"}
    of_file = [one for one in verify_file(replica.store) if not one.seq or (one.place, one.seq) not in known]
    return replace(found, findings=(*of_file, *found.findings, *_verify_views(replica)))


def verify_file(store: Store) -> list[Finding]:
    """The structure of the database file, and that what is kept beside the rows follows from them. Nothing of
    a store in memory.
    """
    if not isinstance(store, SqliteStore):
        return []
    return [
        Finding(damage.document or "store", "store", damage.seq or 0, None, None, str(damage))
        for damage in store.check()
    ]


def verify_log(
    log: ShopLog, place_of: Callable[[bytes], str], progress: Callable[[int, int], None] = lambda *_: None
) -> Verification:
    """As ``verify_replica``, of any log. ``place_of`` says whose a chain is."""
    total = log.end.seq
    findings, records = list(_verify_store(log, lambda done: progress(done, total))), total
    directory, problems = _directory(log)
    findings.extend(problems)
    owners, notes = _owner_chains(log), list[Finding]()
    chains = sorted({run.chain for run in log.runs()})
    known: list[Head] = []
    returns = Returns()
    series: dict[str, list[Entry]] = {}
    entries = 0
    for chain in chains:
        held = _Counted(_chain_entries(log, chain), returns, series)
        place = place_of(chain)
        for defect in verify_chain(chain, held, directory=directory):
            is_branch = defect.code == "fork" and chain in owners
            (notes if is_branch else findings).append(_finding(place, defect))
        entries += held.count
        known.extend(held.heads)
    findings.extend(_verify_apart(log, place_of))
    findings.extend(_verify_known(log, known, place_of))
    findings.extend(_verify_returns(log, returns))
    findings.extend(_verify_series(series, place_of))
    return Verification(entries, len(chains), records, tuple(findings), tuple(notes))


class _Counted:
    """Passes entries on, counting them and taking down the heads that they name of other chains, what they
    give back, and the series of a chain that issues tickets.
    """

    def __init__(self, entries: Iterable[bytes], returns: Returns, series: dict[str, list[Entry]]) -> None:
        self._entries = entries
        self._returns = returns
        self._series = series
        self._first: bytes | None = None
        self.count = 0
        self.heads: list[Head] = []

    def __iter__(self) -> Iterator[bytes]:
        for sealed in self._entries:
            self.count += 1
            if b'"wit":' in sealed or b'"heads":' in sealed:
                self.heads.extend(_heads_named(sealed))
            if b'"kind":"refund"' in sealed:
                self._gather(sealed)
            if b'"kind":"register"' in sealed:
                self._first = sealed
            elif self._first is not None and b'"num":' in sealed:
                self._note_series(self._first)
            yield sealed

    def _note_series(self, first: bytes) -> None:
        self._first = None
        with suppress(CrdtsyncError):  # Reported by the walk along the chain.
            entry = read_entry(first)
            self._series.setdefault(entry.body["series"], []).append(entry)

    def _gather(self, sealed: bytes) -> None:
        try:
            self._returns.add(read_entry(sealed))
        except CrdtsyncError:
            return  # Reported by the walk along the chain.


def _verify_store(log: ShopLog, progress: Callable[[int], None]) -> Iterator[Finding]:
    """Every row against its checksum, the running hash, and Yjs records against the scanner."""
    after, end = 0, log.end.seq
    written: dict[str, WrittenOnce] = {}
    while after < end:
        try:
            batch = log.read(after, bytes_max=BATCH_BYTES_MAX)
        except DamagedStore as error:
            seq = error.seq or after + 1
            yield Finding(error.document or "store", "store", seq, None, None, str(error))
            after = max(seq, after + 1)
            continue
        if batch.to.seq == after:
            return
        if len(batch.records) == batch.to.seq - after:
            h = batch.start.h
            for _, record in batch.records:
                h = next_hash(h, record)
            if h != batch.to.h:
                message = f"the running hash of records {after + 1} to {batch.to.seq} does not hold"
                yield Finding("store", "store", batch.to.seq, None, None, message)
        yield from _verify_updates(batch.records, written)
        after = batch.to.seq
        progress(after)


def _verify_updates(
    records: Iterable[tuple[int, bytes]], written: dict[str, WrittenOnce]
) -> Iterator[Finding]:
    for seq, record in records:
        if record[:1] == ENTRY:
            continue
        try:
            name, update = split_update_record(record)
            scan_document(name, update, state=record[:1] == STATE)
            twice = None if record[:1] == STATE else written.setdefault(name, WrittenOnce()).add(update)
        except CrdtsyncError as error:
            yield Finding("store", "update", seq, None, None, str(error))
            continue
        if twice is not None:
            message = f"client {twice[0]} wrote clock {twice[1]} twice, each time something else: one is lost"
            yield Finding(name, "twice", seq, None, None, message)


def _verify_views(replica: Replica) -> Iterator[Finding]:
    """The views, which have no checksums, against the entries they follow from."""
    log = replica.log
    if any(row.code == "damaged" for row in log.apart()):
        return  # The views still show what was set apart.
    shown, check, seq = Shown.read(replica.store.database, log.shop), ViewCheck(), 0
    try:
        while seq < shown.seq:
            batch = log.read(seq, bytes_max=BATCH_BYTES_MAX)
            for at, record in batch.records:
                if record[:1] == ENTRY and at <= shown.seq:
                    check.add(entry_rows(record))
            if batch.to.seq == seq:
                break
            seq = batch.to.seq
    except DamagedStore:
        return  # Reported by the walk through the store.
    wrong = check.differing(shown)
    if wrong:
        with suppress(StorageError):
            replica.views.rebuild()
        message = "lists and reports did not show what the entries say; they were made again from the entries"
        yield Finding("views", "views", 0, None, None, f"{', '.join(wrong)}: {message}")


def _directory(log: ShopLog) -> tuple[Directory, list[Finding]]:
    """The shop's certificates, each verified."""
    directory, findings = Directory(log.shop), []
    try:
        records = list(log.document_records(OWNER_DOCUMENT))
    except DamagedStore:
        records = []  # Reported by the walk through the store.
    for _, record in records:
        try:
            directory = directory.with_entry(read_entry(record[1:]))
        except CrdtsyncError as error:
            findings.append(Finding(OWNER_DOCUMENT, "certificate", 0, None, None, str(error)))
    return directory, findings


def _owner_chains(log: ShopLog) -> set[bytes]:
    """The owner's chain, by who signed it: a device may be called anything."""
    found = set()
    with suppress(CrdtsyncError):  # Reported by the walk through the store.
        for _, record in log.document_records(OWNER_DOCUMENT):
            entry = read_entry(record[1:])
            if entry.author == log.shop:
                found.add(entry.facts.chain)
    return found


def _chain_entries(log: ShopLog, chain: bytes) -> Iterator[bytes]:
    last = max(run.hi for run in log.runs(chain))
    n = 1
    while n <= last:
        try:
            for _, sealed in log.chain_entries(chain, n, last):
                yield sealed
                n = read_entry(sealed).facts.n + 1
        except DamagedStore:
            # Reported by the walk through the store; here it shows as a gap.
            n += 1
            continue
        return


def _verify_apart(log: ShopLog, place_of: Callable[[bytes], str]) -> Iterator[Finding]:
    """Entries that were damaged on this disk, set apart, and have not come back: what a gap once held."""
    for row in log.apart():
        if row.code != "damaged" or row.record[:1] != ENTRY:
            continue
        try:
            body = orjson.loads(row.record[1:].partition(b"\0")[0])
            chain, n, number = bytes.fromhex(body["chain"]), body["seq"], body.get("num")
        except (ValueError, TypeError, KeyError):
            continue  # Nothing is left of it but the gap.
        if type(n) is int and not log.links_at(chain, n):
            shown = number if isinstance(number, str) else None
            yield Finding(
                place_of(chain), "damaged", n, None, shown, f"{row.reason}; its bytes are set apart"
            )


def _verify_known(log: ShopLog, known: Iterable[Head], place_of: Callable[[bytes], str]) -> Iterator[Finding]:
    """Heads that entries of other chains name must be here, or their chains are cut short."""
    for head in sorted(set(known), key=lambda head: (head.chain, head.n)):
        runs = log.runs(head.chain)
        if runs and head.link not in log.links_at(head.chain, head.n):
            message = f"entry {head.n}, which another entry names, is not here"
            yield Finding(place_of(head.chain), "tail", head.n, head.link, None, message)


def _verify_series(
    series: Mapping[str, Sequence[Entry]], place_of: Callable[[bytes], str]
) -> Iterator[Finding]:
    """Chains that number their tickets in one series: by a key that was used for two, or by a forged one."""
    for name, firsts in sorted(series.items()):
        for first in firsts if len(firsts) > 1 else ():
            message = f"{len(firsts)} chains issue tickets of series {name}: numbers can be there twice"
            yield Finding(place_of(first.facts.chain), "number", 1, first.link, None, message)


def _verify_returns(log: ShopLog, returns: Returns) -> Iterator[Finding]:
    """Refunds, on whatever register, against the sales that they name."""
    for defect in returns.check(lambda place: held_versions(log, place)):
        yield _finding("shop", defect)


def _heads_named(sealed: bytes) -> tuple[Head, ...]:
    try:
        entry: Entry = read_entry(sealed)
        witness = entry.body.get("wit")
        named = read_heads([witness]) if witness is not None else ()
        return (*named, *(read_heads(entry.body["heads"]) if "heads" in entry.body else ()))
    except CrdtsyncError:
        return ()  # Reported by the walk along the chain.


def _place(replica: Replica, chain: bytes) -> str:
    names = names_apart((row.device, row.name, row.series) for row in replica.queries.devices())
    rows = [row for row in replica.queries.chains() if row.chain == chain]
    # Whose it is says its first entry; another device may have written into it.
    for row in sorted(rows, key=lambda row: not row.since):
        return names.get(row.device) or ("owner" if row.device == replica.log.shop else row.device.hex())
    return chain.hex()


def _finding(place: str, defect: Defect) -> Finding:
    return Finding(place, defect.code, defect.seq, defect.link, defect.num, defect.message)
