"""Yjs updates: first the scanner, then, of what it admits, everything that the product does with it.

First byte: which document the update is for, and whether it comes as a compacted state. The engine is part
of it: what was admitted must not end the process, a catalogue must be readable, and a compacted state that
is offered must be admitted too. (A hostile update may make contents that no state is offered for: what its
blocks name can lie in another update, where no scanner sees it.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Final

from pycrdt import Doc

from crdtsync.errors import IntegrityDefect, NotSynchronised, RecordTooBig, UnsafeUpdate
from crdtsync.model.catalogue import Catalogue
from crdtsync.model.compaction import compact
from crdtsync.model.engine import apply_update, lies_beyond
from crdtsync.protocol.causal import CausalOrder
from crdtsync.protocol.fingerprint import content_fingerprint
from crdtsync.protocol.lib0 import read_varuint
from crdtsync.protocol.scanner import scan_document
from crdtsync.protocol.twice import WrittenOnce
from crdtsync.protocol.yjs import STATE_LIMITS, UpdateReader
from crdtsync.testing.documents import Writers
from crdtsync.testing.yjs_bytes import HARMFUL, MALFORMED, NOT_FLAT, entry, item, nested_json, text, varuint
from tests.fuzz.mutation import EDGES, with_byte_changed, with_pieces_changed
from tests.fuzz.target import Target, require

INPUT_BYTES_MAX: Final = 16 << 10
AT_MS: Final = 1_795_507_200_000
_DOCUMENTS: Final = ("catalogue", "x/notes")


def _run(data: bytes) -> None:
    how = data[0] if data else 0
    document, state, update = _DOCUMENTS[how & 1], bool(how & 2), data[1:]
    try:
        scan = scan_document(document, update, state=state)
    except (RecordTooBig, UnsafeUpdate):
        return
    order = CausalOrder()
    require(bool(order.take(update, scan)) == (order.waiting == 0), "an update is neither ready nor waiting")
    if not state:
        once = WrittenOnce()
        once.add(update)
        require(once.add(update) is None, "an update says something else than itself")
    doc: Doc[Any] = Doc(client_id=0)
    try:
        apply_update(doc, update)
    except UnsafeUpdate:
        return
    is_whole = not lies_beyond(doc, update)
    if is_whole and not scan.needs and all(not start for _, start, _ in scan.clients):
        ends = {client: end for client, _, end in scan.clients}
        require(_ends(doc.get_state()) == ends, "the engine reads other blocks than the scanner")
    try:
        compacted = compact([update], fingerprint=content_fingerprint)
    except (NotSynchronised, IntegrityDefect):
        pass
    else:
        scan_document(document, compacted.state, state=True)
    if document == "catalogue":
        catalogue = Catalogue.open([update], client_id=1)
        list(catalogue.products(AT_MS, archived=True))
        catalogue.conflicts(AT_MS)
        catalogue.problems()


def _ends(state: bytes) -> dict[int, int]:
    """The clocks after the last, by client, of a state vector."""
    count, place = read_varuint(state, 0)
    found = {}
    for _ in range(count):
        client, place = read_varuint(state, place)
        found[client], place = read_varuint(state, place)
    return found


def _seeds() -> Iterator[bytes]:
    for seed in range(6):
        for flat in (True, False):
            writers = Writers(seed, flat=flat)
            writers.write(8)
            for update in writers.all_updates()[-6:]:
                yield bytes((0 if flat else 1,)) + update
                yield bytes((2 if flat else 3,)) + update
    for place, update in enumerate(
        (*MALFORMED.values(), *NOT_FLAT.values(), *_small(HARMFUL.values()), nested_json(1000))
    ):
        yield bytes((place & 1,)) + update


def _small(updates: Iterable[bytes]) -> list[bytes]:
    return [update for update in updates if len(update) < 6000]


def _mutate(data: bytes, rng: Random) -> bytes:
    """Another sequence of blocks, with right counts; or the head, as it is."""
    if len(data) < 2 or rng.random() < 0.05:
        return bytes((rng.randrange(4),)) + data[1:]
    try:
        clients, deleted = _taken_apart(data[1:])
    except UnsafeUpdate:
        return data[:1] + with_byte_changed(data[1:], rng)
    what = rng.randrange(8)
    if what == 0:
        deleted.append((rng.randrange(4), _number(rng), rng.randrange(1, 4)))
    elif what == 1 or not clients:
        clients.append([rng.choice((5, 7, _number(rng))), rng.choice((0, 0, _number(rng))), [_block(rng)]])
    else:
        client = rng.choice(clients)
        if what == 2:
            client[0] = _number(rng)
        elif what == 3:
            client[1] = max(0, client[1] + rng.choice((-1, 1, 2, _number(rng))))
        else:
            client[2] = with_pieces_changed(client[2], rng, _block)
    return data[:1] + _put_together([client for client in clients if client[2]], deleted)


Clients = list[list[Any]]
Deleted = list[tuple[int, int, int]]


def _taken_apart(update: bytes) -> tuple[Clients, Deleted]:
    """[client, clock, blocks as bytes] of each client, and what is deleted."""
    reader = UpdateReader(update, STATE_LIMITS)
    clients: Clients = []
    begin = 0
    for block in reader.blocks():
        if not clients or clients[-1][0] != block.client:
            clients.append([block.client, block.clock, []])
            head = varuint(block.client) + varuint(block.clock)
            begin = update.index(head, begin) + len(head)
        clients[-1][2].append(update[begin : block.end])
        begin = block.end
    return clients, list(reader.deletions())


def _put_together(clients: Clients, deleted: Deleted) -> bytes:
    parts = [varuint(len(clients))]
    for client, clock, blocks in clients:
        parts += [varuint(len(blocks)), varuint(client), varuint(clock), *blocks]
    by_client: dict[int, list[tuple[int, int]]] = {}
    for client, clock, length in deleted:
        by_client.setdefault(client, []).append((clock, length))
    parts.append(varuint(len(by_client)))
    for client, ranges in by_client.items():
        parts += [varuint(client), varuint(len(ranges))]
        parts += [varuint(clock) + varuint(length) for clock, length in sorted(ranges)]
    return b"".join(parts)


def _number(rng: Random) -> int:
    return abs(rng.choice((rng.randrange(12), rng.randrange(12), rng.choice(EDGES))))


def _id(rng: Random) -> bytes:
    return varuint(rng.choice((5, 7, 1, 2, 3))) + varuint(rng.randrange(12))


_VALUES: Final = (
    *(b"\x77" + text("rouge"), b"\x77" + text("\U0001f377"), b"\x78", b"\x79", b"\x7e", b"\x7f"),
    *(b"\x7d\x05", b"\x7d\xbf\x01", b"\x7c\x3f\x80\0\0", b"\x7b" + bytes(8), b"\x7a" + bytes(8)),
    *(b"\x74\x02ab", b"\x75\x02\x78\x79", b"\x76\1\1a\x78", b"\x75\1\x75\1\x78", b"\x75\0", b"\x76\0"),
)
_KEYS: Final = ("A/name", "A/price/x", "A/barcode:3", "A/archived", "A", "k", "", "é")


def _block(rng: Random) -> bytes:
    """A block of any kind, at any place."""
    if rng.random() < 0.3:
        return entry(rng.choice(_KEYS), rng.choice(_VALUES))
    if rng.random() < 0.1:
        return bytes((rng.choice((0, 10)),)) + varuint(rng.randrange(4))
    kind = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 4))
    content = _content(kind, rng)
    flags = rng.choice((0, 0, 0x20, 0x80, 0x80, 0x40, 0xC0, 0xA0))
    if flags & 0xC0:
        ids = b"".join(_id(rng) for bit in (0x80, 0x40) if flags & bit)
        return bytes((kind | flags,)) + ids + content
    key = text(rng.choice(_KEYS)) if flags & 0x20 else b""
    if rng.random() < 0.5:
        return bytes((kind | flags,)) + b"\0" + _id(rng) + key + content
    return item(kind | flags, key + content, root=rng.choice(("products", "list", "map", "text")))


def _content(kind: int, rng: Random) -> bytes:
    words = rng.choice(("a", "rouge", "\U0001f377", "é"))
    levels = rng.choice((1, 2, 31, 32, 33, 1000, 3000))
    json = rng.choice(
        (
            "[" * levels + "]" * levels,
            "1",
            "[]",
            '{"a":[1]}',
            '"a"',
            "null",
            "true",
            "1e400",
            "-0",
            "18446744073709551616",
        )
    )
    if kind == 1:
        return varuint(rng.randrange(4))
    if kind == 2:
        return rng.choice(_JSONS)
    if kind == 3:
        return text(words)
    if kind == 4:
        return text(words)
    if kind == 5:
        return text(json)
    if kind == 6:
        return text(rng.choice(("bold", "", "é"))) + text(json)
    if kind == 7:
        shape = rng.choice((0, 1, 2, 3, 4, 6))
        return bytes((shape,)) + (text(words) if shape == 3 else b"")
    if rng.random() < 0.1:
        return b"\1" + b"\x75\1" * levels + b"\x78"
    return varuint(rng.choice((1, 1, 2))) + rng.choice(_VALUES) + rng.choice(_VALUES)


_JSONS: Final = (b"\1\1" + b"1", b"\2\4null" + text("undefined"), b"\1" + text("[1,2]"), b"\0")

TARGET = Target("scanner", _run, _seeds, _mutate, INPUT_BYTES_MAX)
