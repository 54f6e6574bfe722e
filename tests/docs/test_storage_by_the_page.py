"""A reader and a writer made from the storage format's page alone, with another SQLite library.

They share no code with the store. If the page left something out, one of them could not be written.
"""

import hashlib
import sqlite3
import struct
import zlib
from base64 import urlsafe_b64encode
from contextlib import closing

import pytest
import zstandard

from crdtsync.ids import Origin, Position, update_record
from crdtsync.storage.log import Cursor
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, PEER = b"s" * 16, b"p" * 16


@pytest.fixture
def path(tmp_path):
    """A register's log: two chains, a document, packs and loose rows. Nobody has it open."""
    store = SqliteStore(tmp_path / "register.sqlite")
    tills = MadeUpChain(1), MadeUpChain(2)
    with store.transaction():
        log = store.create_shop(SHOP, b"l" * 16)
        for number in range(1, 41):
            log.append(tills[0].entry())
            log.append(tills[1].entry(Origin(PEER, number)))
            if number % 10 == 0:
                log.append(made_up_update("x/notes", b"note %d" % number))
        log.set_cursor(PEER, Cursor(Position(40, b"h" * 32), ((41, 50),)))
        log.set_acknowledged(PEER, Position(30, log.hash_at(30)), 1)
        assert log.pack(24, 48)
        assert log.pack(24, 48)
    store.close()
    return tmp_path / "register.sqlite"


@pytest.fixture
def truth(path):
    store = SqliteStore(path)
    log = store.shop(SHOP)
    found = (
        list(log.read(0, bytes_max=1 << 30).records),
        log.end,
        [seq for seq, _ in log.unacknowledged(PEER)],
    )
    store.close()
    return found


# -- reading -----------------------------------------------------------------------------------------------


def numbers(data):
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


def unpack(blob):
    magic, version, first, last, signatures, size, records, digest = struct.unpack(">8sBQQIII32s", blob[:69])
    assert (magic, version) == (b"crdtpack", 1)
    assert hashlib.sha256(blob[:37] + blob[69:]).digest() == digest
    at = 69 + 64 * signatures
    plain = zstandard.ZstdDecompressor().decompress(blob[at:])
    assert len(plain) == size
    lengths = struct.unpack(">III", plain[:12])
    kinds, rest = plain[12 : 13 + last - first], plain[13 + last - first :]
    distances, raw_lengths = numbers(rest[: lengths[0]]), numbers(rest[lengths[0] : lengths[0] + lengths[1]])
    texts = iter(rest[lengths[0] + lengths[1] :][: lengths[2]].split(b"\0"))
    raw, links = rest[sum(lengths) :], []
    for seq, kind in enumerate(kinds, first):
        if kind == 0:
            continue
        if kind == 1:
            length = next(raw_lengths)
            record, raw = raw[:length], raw[length:]
        else:
            body = next(texts)
            if kind == 3:
                body = body.replace(b'"prev":"', b'"prev":"' + links[-next(distances)].hex().encode(), 1)
            signature = blob[69 + 64 * len(links) :][:64]
            sealed = body + b"\0" + urlsafe_b64encode(signature).rstrip(b"=")
            links.append(hashlib.sha256(sealed).digest())
            record = b"E" + sealed
        records -= len(record)
        yield seq, record
    assert records == 0


def read(connection):
    """(seq, record) and the end of a shop's log."""
    (no,) = connection.execute("SELECT no FROM shop WHERE id = ?", (SHOP,)).fetchone()
    first, last = no << 40, (no + 1) << 40
    found = []
    for (blob,) in connection.execute(
        "SELECT bytes FROM pack WHERE pos BETWEEN ? AND ? ORDER BY pos", (first, last)
    ):
        found += unpack(blob)
    for pos, record in connection.execute(
        "SELECT pos, bytes FROM record WHERE pos BETWEEN ? AND ? ORDER BY pos", (first, last)
    ):
        found.append((pos - first, record))
    h = bytes(32)
    for _, record in found:
        h = hashlib.sha256(h + struct.pack(">I", len(record)) + record).digest()
    return found, Position(found[-1][0], h)


def test_a_reader_made_from_the_page_reads_the_whole_log(path, truth):
    with closing(sqlite3.connect(path)) as connection:
        assert read(connection) == truth[:2]


def test_what_is_pending_can_be_told_from_the_page(path, truth):
    with closing(sqlite3.connect(path)) as connection:
        base = 1 << 40
        (seq,) = connection.execute("SELECT seq FROM acknowledged WHERE log_id = ?", (PEER,)).fetchone()
        peer = connection.execute("SELECT no FROM origin WHERE log_id = ? AND void = 0", (PEER,)).fetchone()
        loose = connection.execute(
            "SELECT pos FROM record WHERE pos > ? AND origin <> ? ORDER BY pos", (base + seq, *peer)
        )
        pending = [pos - base for (pos,) in loose]
        packed = []
        for pos, last, columns in connection.execute("SELECT pos, last, columns FROM pack ORDER BY pos"):
            plain = zstandard.ZstdDecompressor().decompress(columns[4:])
            assert zlib.crc32(plain) == int.from_bytes(columns[:4], "big")
            (rows, _), origin = struct.unpack("<qq", plain[:16]), 0
            steps = struct.unpack(f"<{rows}q", plain[16 + 8 * rows * 3 :][: 8 * rows])
            for number, step in enumerate(steps):
                origin += step
                place = pos - base + number
                assert place <= last
                if origin != peer[0] and place > seq:
                    packed.append(place)
    assert packed + pending == truth[2]


# -- writing -----------------------------------------------------------------------------------------------


def text_crc(*values):
    return zlib.crc32(ascii(values).encode())


def append_update(connection, name, yjs):
    """Append a Yjs update of a new document, made here, as the page says."""
    record = b"U" + struct.pack(">H", len(name)) + name.encode() + yjs
    digest = hashlib.sha256(record).digest()
    connection.execute("BEGIN IMMEDIATE")
    no, log_id = connection.execute("SELECT no, log_id FROM shop WHERE id = ?", (SHOP,)).fetchone()
    end = read(connection)[1]
    seq, pos = end.seq + 1, (no << 40) + end.seq + 1
    h = hashlib.sha256(end.h + struct.pack(">I", len(record)) + record).digest()
    connection.execute("INSERT INTO held_update VALUES (?, ?, ?)", (no, digest, seq))
    totals = (1, len(record), seq)
    connection.execute(
        "INSERT INTO document VALUES (NULL, ?, ?, ?, ?, ?, ?)", (no, name, *totals, text_crc(name, *totals))
    )
    (document,) = connection.execute("SELECT no FROM document WHERE name = ?", (name,)).fetchone()
    (origin,) = connection.execute(
        "SELECT no FROM origin WHERE shop = ? AND log_id IS NULL", (no,)
    ).fetchone()
    packed = struct.pack("<6q", pos, document, 0, 0, origin, 0)
    crc = zlib.crc32(packed + digest + h + record)
    row = (pos, document, None, None, origin, 0, crc, digest, None, h, record)
    connection.execute(f"INSERT INTO record VALUES ({', '.join('?' * len(row))})", row)
    connection.execute("INSERT INTO stretch VALUES (?, ?, NULL, NULL, ?)", (pos, document, origin))
    head = (log_id, seq, h)
    connection.execute("UPDATE shop SET seq = ?, h = ?, crc = ? WHERE no = ?", (seq, h, text_crc(*head), no))
    connection.execute("COMMIT")
    return record


def test_a_writer_made_from_the_page_leaves_a_store_without_a_defect(path, truth):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        record = append_update(connection, "x/shelf", b"\0\0")
    store = SqliteStore(path)
    assert list(store.check()) == []
    log = store.shop(SHOP)
    assert list(log.document_records("x/shelf")) == [(truth[1].seq + 1, record)]
    assert record == update_record("x/shelf", b"\0\0")
    with store.transaction():
        assert log.append(made_up_update("x/shelf", b"more")) == truth[1].seq + 2
    store.close()
