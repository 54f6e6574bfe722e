"""The tables of a store file, as ordered migrations.

Numbers replace names wherever a row would repeat them: ``shop.no``, ``chain.no``, ``document.no`` and
``origin.no`` are local to the file and never leave it. ``pos`` is ``shop.no << 40 | seq``, so that one shop's
log is one part of one table.

Rows of ``record`` that were packed live in ``pack`` alone; what has to be found of them without unpacking
(which chains, documents and origins are in which pack) has one row per pack, never one per entry.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x43724474
"""``CrDt`` in the header of the file: it is a store of crdtsync."""

SEQ_BITS: Final = 40
SEQ_MAX: Final = (1 << SEQ_BITS) - 1

_LOG: Final = """
CREATE TABLE shop (
    no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, log_id BLOB NOT NULL, seq INTEGER NOT NULL,
    h BLOB NOT NULL, crc INTEGER NOT NULL
) STRICT;
CREATE TABLE chain (
    no INTEGER PRIMARY KEY, shop INTEGER NOT NULL, link BLOB NOT NULL, runs BLOB NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (shop, link)
) STRICT;
CREATE TABLE document (
    no INTEGER PRIMARY KEY, shop INTEGER NOT NULL, name TEXT NOT NULL, records INTEGER NOT NULL,
    records_bytes INTEGER NOT NULL, last_seq INTEGER NOT NULL, crc INTEGER NOT NULL, UNIQUE (shop, name)
) STRICT;
CREATE TABLE origin (
    no INTEGER PRIMARY KEY, shop INTEGER NOT NULL, log_id BLOB, void INTEGER NOT NULL
) STRICT;
CREATE INDEX origin_of_log ON origin (shop, log_id, void);
CREATE TABLE record (
    pos INTEGER PRIMARY KEY, document INTEGER NOT NULL, chain INTEGER, n INTEGER, origin INTEGER NOT NULL,
    origin_seq INTEGER NOT NULL, crc INTEGER NOT NULL, digest BLOB NOT NULL, prev BLOB, h BLOB NOT NULL,
    bytes BLOB
) STRICT;
CREATE TABLE stretch (
    pos INTEGER PRIMARY KEY, document INTEGER NOT NULL, chain INTEGER, n INTEGER, origin INTEGER NOT NULL
) STRICT;
CREATE INDEX stretch_by_number ON stretch (chain, n) WHERE chain IS NOT NULL;
CREATE INDEX stretch_by_origin ON stretch (origin);
CREATE INDEX stretch_by_document ON stretch (document);
CREATE TABLE held_update (
    shop INTEGER NOT NULL, digest BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (shop, digest)
) STRICT, WITHOUT ROWID;
"""

_PEERS: Final = """
CREATE TABLE cursor (
    shop INTEGER NOT NULL, log_id BLOB NOT NULL, seq INTEGER NOT NULL, h BLOB NOT NULL, wanted BLOB NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY (shop, log_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE acknowledged (
    shop INTEGER NOT NULL, log_id BLOB NOT NULL, our_log_id BLOB NOT NULL, seq INTEGER NOT NULL,
    h BLOB NOT NULL, at_ms INTEGER NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY (shop, log_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE refusal_given (
    shop INTEGER NOT NULL, log_id BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, held INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (shop, log_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusal_by_digest ON refusal_given (shop, digest);
CREATE TABLE refusal_received (
    shop INTEGER NOT NULL, log_id BLOB NOT NULL, seq INTEGER NOT NULL, digest BLOB NOT NULL,
    code TEXT NOT NULL, reason TEXT NOT NULL, held INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (shop, log_id, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE apart (
    no INTEGER PRIMARY KEY, shop INTEGER NOT NULL, digest BLOB NOT NULL, log_id BLOB, log_seq INTEGER,
    code TEXT NOT NULL, reason TEXT NOT NULL, held INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    bytes_crc INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (shop, digest)
) STRICT;
CREATE TABLE state (
    shop INTEGER NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (shop, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE request (
    shop INTEGER NOT NULL, id TEXT NOT NULL, link BLOB NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (shop, id)
) STRICT, WITHOUT ROWID;
"""

_PACKS: Final = """
CREATE TABLE pack (
    pos INTEGER PRIMARY KEY, last INTEGER NOT NULL, crc INTEGER NOT NULL, h_before BLOB NOT NULL,
    h BLOB NOT NULL, columns BLOB NOT NULL, bytes BLOB NOT NULL
) STRICT;
CREATE TABLE pack_hashes (pos INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE pack_chain (
    chain INTEGER NOT NULL, pos INTEGER NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL,
    PRIMARY KEY (chain, pos)
) STRICT, WITHOUT ROWID;
CREATE TABLE pack_document (
    document INTEGER NOT NULL, pos INTEGER NOT NULL, PRIMARY KEY (document, pos)
) STRICT, WITHOUT ROWID;
CREATE TABLE pack_origin (
    origin INTEGER NOT NULL, pos INTEGER NOT NULL, PRIMARY KEY (origin, pos)
) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_LOG + _PEERS + _PACKS,)
"""``MIGRATIONS[i]`` leads from version i to version i + 1. Never change one that was released."""
