"""Checksums of the rows of a store: over what a row holds and over all that it is filed by."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_NUMBERS: Final = struct.Struct("<qqqqqq")


def row_crc(
    pos: int,
    document: int,
    chain: int | None,
    n: int | None,
    origin: int,
    origin_seq: int,
    digest: bytes,
    prev: bytes | None,
    h: bytes,
    record: bytes | None,
) -> int:
    """Of a row of ``record``. Raises ``TypeError`` or ``struct.error`` for values of a wrong type."""
    numbers = _NUMBERS.pack(pos, document, chain or 0, n or 0, origin, origin_seq)
    return zlib.crc32(record or b"", zlib.crc32(b"".join((numbers, digest, prev or b"", h))))


def chain_crc(link: bytes, runs: bytes) -> int:
    """Of a row of ``chain``."""
    return zlib.crc32(runs, zlib.crc32(link))


def pack_crc(pos: int, last: int, h_before: bytes, h: bytes, blob: bytes) -> int:
    """Of a row of ``pack``, but for its columns, which have their own."""
    return zlib.crc32(blob, checksum(pos, last, h_before, h))


def checksum(*values: bytes | str | int | None) -> int:
    """Of a row of any of the small tables."""
    # Not `repr`: which characters it escapes depends on the version of Unicode, and so of Python.
    return zlib.crc32(ascii(values).encode())
