"""What the newest backup in a file holds, and the relay has no more.

Only the newest one in a file can be put back, and the length of a log says nothing of what was damaged and
set apart, nor of what was lost with a restore and made up for by new sales. Looked for is what cannot be made
again: entries, in every version of a chain that forked; changes of documents; what is kept apart, such as the
sales of a stolen register that wait for a person; invoices.

Of the tables only those rows of the file are read that lie in pieces which the relay would not write now.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgpack

from crdtsync.errors import RecordError
from crdtsync.ids import ENTRY, record_digest, split_update_record
from crdtsync.model.entry import read_entry
from crdtsync.protocol.intervals import Interval, difference, joined
from crdtsync.runtime.syncing.comparison import content_digest
from crdtsync.said import many
from crdtsync.storage.database import Database
from crdtsync.storage.log import DAMAGED, Run, ShopLog
from crdtsync.storage.pack import decode_pack
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.backups.file import BackupFile
from crdtsync_server.backups.rows import OFFICE, RELAY, pieces_of, tables_of

PACK_BYTES_MAX: Final = 64 << 20

RunHeld = tuple[bytes, int, int] | tuple[bytes, int, int, bytes]
"""Entries of a chain that a backup holds: chain, first and last number, link of the last."""

Row = dict[str, Any]
Lost = tuple[str, bytes]
"""In words what it is, and of which shop."""


def runs_of(log: ShopLog) -> tuple[RunHeld, ...]:
    """Which entries a log holds. O(chains)."""
    return tuple((run.chain, run.lo, run.hi, run.hi_link) for run in log.runs())


def entries_lost(before: Iterable[RunHeld], log: ShopLog) -> int:
    """How many entries there were, and are not. A record that was damaged and set apart leaves its number in
    the log; of a chain that forked another version may have that number. O(chains), and O(what several
    versions have).
    """
    runs = defaultdict[bytes, list[Run]](list)
    for run in log.runs():
        runs[run.chain].append(run)
    held = {chain: joined([(run.lo, run.hi) for run in found], len(found)) for chain, found in runs.items()}
    before = list(before)
    gone: list[Interval] = []
    for chain, lo, hi, *_ in before:
        gone += difference([(lo, hi)], held.get(chain, []))
    if gone:
        return sum(last - first + 1 for first, last in gone)
    return sum(_versions_lost(log, runs[chain], lo, hi, link[0]) for chain, lo, hi, *link in before if link)


def _versions_lost(log: ShopLog, runs: list[Run], lo: int, hi: int, link: bytes) -> int:
    """Of an unbroken run that ended with ``link``: how many entries from its first one up to where what is
    held cannot be followed any more. All numbers are held, of one version or another.
    """
    n = hi
    while n >= lo:
        covering = [run for run in runs if run.lo <= n <= run.hi]
        own = [run for run in covering if (run.hi, run.hi_link) == (n, link)]
        if not own and link not in log.links_at(runs[0].chain, n):
            return n - lo + 1
        if own or len(covering) == 1:
            (run, *_) = own or covering
            n, link = run.lo - 1, run.lo_prev
        else:
            (found,) = [one for one in map(read_entry, log.entry(runs[0].chain, n)) if one.link == link]
            n, link = n - 1, found.facts.prev
    return 0


def lost_rows(before: BackupFile, store: SqliteStore, office: Database | None) -> Iterator[Lost]:
    """What else there was, and is not. Raises ``DamagedStore``, ``StorageError``."""
    shops = {row["no"]: row["id"] for row in _rows(before, RELAY, "shop")}
    here = set(store.shops())
    yield from _changes_lost(before, store, {no: shop for no, shop in shops.items() if shop in here})
    yield from _apart_lost(before, store, {no: shop for no, shop in shops.items() if shop in here})
    for row in _changed(before, OFFICE, "invoice", office):
        if row["shop"] in here and not _has_invoice(office, row):
            yield f"the invoice {row['number']}", row["shop"]


def _changes_lost(before: BackupFile, store: SqliteStore, shops: dict[int, bytes]) -> Iterator[Lost]:
    """Changes of documents that are neither here nor in a state of the document that is here."""
    missing: dict[bytes, bytes] = {}
    for row in _changed(before, RELAY, "held_update", store.database):
        shop = shops.get(row["shop"])
        if shop is not None and not store.shop(shop).holds(row["digest"]):
            missing[row["digest"]] = shop
    if not missing:
        return
    found = defaultdict[tuple[bytes, str], list[bytes]](list)
    for record in _records(before):
        shop = missing.pop(record_digest(record), None) if record[:1] != ENTRY else None
        if shop is not None:
            found[shop, split_update_record(record)[0]].append(record)
    # What is left was in a state by then, which is among what was looked for itself.
    for (shop, document), records in found.items():
        here = [record for _, record in store.shop(shop).document_records(document)]
        if not _brings_nothing(here, records):
            yield f"{many(len(records), 'change')} of the document {document}", shop


def _brings_nothing(here: list[bytes], records: list[bytes]) -> bool:
    """Whether a document of the records that are here holds all that these others say."""
    try:
        return bool(here) and content_digest([*here, *records]) == content_digest(here)
    except RecordError:
        return False


def _apart_lost(before: BackupFile, store: SqliteStore, shops: dict[int, bytes]) -> Iterator[Lost]:
    """What was kept apart, and is neither apart nor admitted now. Damaged bytes are nothing to be kept."""
    gone = defaultdict[bytes, int](int)
    here = {shop: {apart.digest for apart in store.shop(shop).apart()} for shop in shops.values()}
    for row in _changed(before, RELAY, "apart", store.database):
        shop = shops.get(row["shop"])
        if shop is None or row["code"] == DAMAGED or row["digest"] in here[shop]:
            continue
        gone[shop] += not _is_admitted(store.shop(shop), row["bytes"], row["digest"])
    for shop, count in gone.items():
        if count:
            yield f"{many(count, 'record')} kept apart", shop


def _is_admitted(log: ShopLog, record: bytes, digest: bytes) -> bool:
    if record[:1] != ENTRY:
        return log.holds(digest)
    try:
        facts = read_entry(record[1:]).facts
    except RecordError:
        return False
    return log.holds(facts.link, facts.chain, facts.n)


def _has_invoice(office: Database | None, row: Row) -> bool:
    if office is None:
        return False
    sql = f"SELECT {', '.join(row)} FROM invoice WHERE shop = ? AND number = ?"  # noqa: S608
    return office.row(sql, (row["shop"], row["number"])) == tuple(row.values())


def _records(before: BackupFile) -> Iterator[bytes]:
    """All records whose bytes a backup has."""
    for row in _rows(before, RELAY, "record"):
        if row["bytes"] is not None:
            yield row["bytes"]
    for row in _rows(before, RELAY, "pack"):
        try:
            yield from (record for _, record in decode_pack(row["bytes"], bytes_max=PACK_BYTES_MAX))
        except RecordError:
            continue  # It was damaged then, and nothing of it could be put back.


def _changed(before: BackupFile, name: str, table: str, database: Database | None) -> Iterator[Row]:
    """The rows of a table in a backup, without those in pieces that would be the same now."""
    present: set[bytes] = set()
    columns, key = tables_of(database).get(table, ([], [])) if database is not None else ([], [])
    if database is not None and columns:
        present = {hashlib.sha256(piece).digest() for piece, _ in pieces_of(database, table, columns, key)}
    return _rows(before, name, table, present)


def _rows(before: BackupFile, name: str, table: str, known: set[bytes] | None = None) -> Iterator[Row]:
    """The rows of a table in the newest backup, without those in pieces that are known."""
    manifest = before.manifest
    databases = manifest["databases"] if manifest is not None else {}
    facts = databases.get(name, {"tables": {}})["tables"].get(table)
    if facts is None:
        return
    for digest in facts["pieces"]:
        if known is not None and digest in known:
            continue
        piece = before.piece(digest)
        unpacker = msgpack.Unpacker(max_buffer_size=len(piece) or 1, use_list=False)
        unpacker.feed(piece)
        for row in unpacker:
            yield dict(zip(facts["columns"], row, strict=True))
