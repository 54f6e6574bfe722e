"""What a log knows of the rows of a pack and never sends: numbers of documents, chains, entries and origins.

One column of integers each, as differences that are mostly 0 or 1, compressed and checked by CRC-32.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import sub
from typing import Final

import zstandard

from crdtsync.storage.pack import ROWS_MAX

_LEVEL: Final = 3
_LINK_BYTES: Final = 32
_COLUMNS: Final = 5
_HEAD_BYTES: Final = 16
_PLAIN_BYTES_MAX: Final = _HEAD_BYTES + (8 * _COLUMNS + 8 + _LINK_BYTES) * ROWS_MAX
_WINDOW_BYTES_MIN: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One row: numbers as in the table ``record``; ``chain`` and ``n`` are 0 and ``prev`` is None where it is
    no entry.
    """

    document: int
    chain: int
    n: int
    origin: int
    origin_seq: int
    prev: bytes | None


class PackColumns:
    """The columns of one pack. ``prevs`` holds the ``prev`` of those entries (by place) that do not follow
    the last entry of their chain before them in the pack.
    """

    __slots__ = ("chains", "documents", "ns", "origin_seqs", "origins", "prevs")

    def __init__(
        self,
        documents: array[int],
        chains: array[int],
        ns: array[int],
        origins: array[int],
        origin_seqs: array[int],
        prevs: dict[int, bytes],
    ) -> None:
        self.documents = documents
        self.chains = chains
        self.ns = ns
        self.origins = origins
        self.origin_seqs = origin_seqs
        self.prevs = prevs

    def __len__(self) -> int:
        return len(self.documents)

    def place_before(self, place: int) -> int:
        """Where the entry is that entry ``place`` follows."""
        chain = self.chains[place]
        place -= 1
        while self.chains[place] != chain:
            place -= 1
        return place


def from_rows(rows: Iterable[tuple[PackedRow, bytes]]) -> PackColumns:
    """The columns of rows with their digests."""
    documents, chains, ns, origins, origin_seqs = (array("q") for _ in range(_COLUMNS))
    prevs: dict[int, bytes] = {}
    last_links: dict[int, bytes] = {}
    for place, (row, digest) in enumerate(rows):
        documents.append(row.document)
        chains.append(row.chain)
        ns.append(row.n)
        origins.append(row.origin)
        origin_seqs.append(row.origin_seq)
        if row.chain:
            if row.prev is not None and last_links.get(row.chain) != row.prev:
                prevs[place] = row.prev
            last_links[row.chain] = digest
    return PackColumns(documents, chains, ns, origins, origin_seqs, prevs)


def encode(columns: PackColumns) -> bytes:
    """To bytes."""
    places = array("q", columns.prevs)
    parts = [
        array("q", [len(columns), len(places)]).tobytes(),
        _differences(columns.documents).tobytes(),
        _differences(columns.chains).tobytes(),
        _steps(columns.ns, columns.chains).tobytes(),
        _differences(columns.origins).tobytes(),
        _steps(columns.origin_seqs, columns.origins).tobytes(),
        places.tobytes(),
        *columns.prevs.values(),
    ]
    plain = b"".join(parts)
    return zlib.crc32(plain).to_bytes(4, "big") + zstandard.ZstdCompressor(level=_LEVEL).compress(plain)


def decode(packed: bytes) -> PackColumns:
    """From bytes. Raises ``ValueError`` where they are damaged."""
    try:
        # The frame's own header decides how much memory is taken, and one bit of it may be damaged.
        stated = zstandard.get_frame_parameters(packed[4:])
        if not 0 < stated.content_size <= _PLAIN_BYTES_MAX or stated.window_size > max(
            2 * stated.content_size, _WINDOW_BYTES_MIN
        ):
            raise ValueError("the columns of a pack state a size that they cannot have")
        plain = zstandard.ZstdDecompressor().decompress(packed[4:])
    except zstandard.ZstdError as error:
        raise ValueError("the columns of a pack cannot be unpacked") from error
    if zlib.crc32(plain).to_bytes(4, "big") != packed[:4]:
        raise ValueError("the columns of a pack do not have their checksum")
    count, prevs = array("q", plain[:16])
    columns = []
    for column in range(_COLUMNS):
        start = 16 + 8 * count * column
        columns.append(array("q", plain[start : start + 8 * count]))
    documents, chains, ns, origins, origin_seqs = columns
    documents, chains, origins = (array("q", accumulate(part)) for part in (documents, chains, origins))
    start = 16 + 8 * count * _COLUMNS
    places = array("q", plain[start : start + 8 * prevs])
    start += 8 * prevs
    links = [plain[at : at + _LINK_BYTES] for at in range(start, start + _LINK_BYTES * prevs, _LINK_BYTES)]
    return PackColumns(
        documents,
        chains,
        _unsteps(ns, chains),
        origins,
        _unsteps(origin_seqs, origins),
        dict(zip(places, links, strict=True)),
    )


def _differences(column: array[int]) -> array[int]:
    return array("q", map(sub, column, chain((0,), column)))


def _steps(column: array[int], keys: array[int]) -> array[int]:
    """Differences from the last value with the same key."""
    if not keys or keys.count(keys[0]) == len(keys):
        return _differences(column)
    last: dict[int, int] = {}
    steps = []
    for value, key in zip(column, keys, strict=True):
        steps.append(value - last.get(key, 0))
        last[key] = value
    return array("q", steps)


def _unsteps(steps: array[int], keys: array[int]) -> array[int]:
    last: dict[int, int] = {}
    column = array("q")
    for step, key in zip(steps, keys, strict=True):
        value = last[key] = last.get(key, 0) + step
        column.append(value)
    return column
