"""Packs: an interval of a log, compressed, exactly as it was.

::

    "crdtpack"  version u8  first u64  last u64  signatures u32  plain u32  records u32  SHA-256 of the rest
    signatures: 64 bytes each, in the order of the rows
    zstd frame of ``plain`` bytes:
        three lengths u32
        kinds      one byte per seq from first to last (absent, raw, sealed, linked)
        distances  varints: for each linked entry, how many sealed entries back the one lies that it follows
        lengths    varints: of each raw record
        texts      the bodies of sealed entries, each ended by 0x00, without signature and, where linked,
                   without the 64 digits of ``prev``
        raw        the raw records

A row is kept *sealed* if it is an entry whose signature is the one spelling of its 64 bytes, *linked* if
moreover the first ``"prev":"…"`` of its body is the link of an entry before it in the pack; anything else is
*raw*. So every record comes back byte for byte, whatever it holds. Nothing local is inside but the numbers of
the rows; rows whose bytes a compacted state replaced are absent.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import zstandard

from crdtsync.errors import MalformedRecord
from crdtsync.ids import ENTRY

MAGIC: Final = b"crdtpack"
VERSION: Final = 1
ROWS_MAX: Final = 65_536
PACK_BYTES_MAX: Final = 4 << 20
"""Of records in a pack that a log makes, so that every pack fits in one frame (a single record that is larger
has a pack of its own).
"""
ROW_BYTES: Final = 128
"""What a row takes in memory besides its bytes."""
LEVEL: Final = 9
"""Of zstd. At levels 3, 9, 12 and 19 a sale of 970 bytes becomes 133, 123, 118 and 109 bytes, and 4,096 of
them take 34, 63, 108 and 2,800 ms.
"""
CHAIN_LOG_MAX: Final = 18
HASH_LOG_MAX: Final = 19
"""Of the tables that zstd keeps meanwhile: 3 MiB instead of the 11 of that level. A pack of 4,096 sales is
larger by 4 bytes in a thousand for it, and compressed in 22 ms instead of 26.
"""

_HEADER: Final = struct.Struct(">8sBQQIII32s")
_LENGTHS: Final = struct.Struct(">III")
_SIGNATURE_BYTES: Final = 64
_SIGNATURE_CHARS: Final = 86
_PREV: Final = b'"prev":"'
_PREV_CHARS: Final = 64
_ABSENT, _RAW, _SEALED, _LINKED = range(4)
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_FROM_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_WINDOW_BYTES_MIN: Final = 1 << 20

_sha256 = hashlib.sha256

Rows = Sequence[tuple[int, bytes]]


def encode_pack(
    rows: Rows, *, first: int | None = None, last: int | None = None, level: int = LEVEL
) -> bytes:
    """Pack records with ascending seqs. ``first`` and ``last`` are given where the interval begins or ends
    with rows whose bytes are gone. Raises ``ValueError`` for what is no such interval.
    """
    first = rows[0][0] if first is None else first
    last = rows[-1][0] if last is None else last
    kinds = bytearray(last - first + 1)
    if not 0 < len(kinds) <= ROWS_MAX or first < 1:
        raise ValueError(f"no pack has {len(kinds)} rows")
    signatures: list[bytes] = []
    distances: list[int] = []
    texts: list[bytes] = []
    raw: list[bytes] = []
    ordinals: dict[bytes, int] = {}
    seq_before = first - 1
    for seq, record in rows:
        if not seq_before < seq <= last:
            raise ValueError("the rows of a pack are one ascending interval")
        seq_before = seq
        split = _split_sealed(record)
        if split is None:
            kinds[seq - first] = _RAW
            raw.append(record)
            continue
        body, signature = split
        kinds[seq - first], text, distance = _without_prev(body, ordinals, len(texts))
        if distance:
            distances.append(distance)
        # Later entries name this one by its link in hexadecimal digits.
        ordinals[binascii.hexlify(hashlib.sha256(record[1:]).digest())] = len(texts)
        texts.append(text)
        signatures.append(signature)
    text = b"\0".join([*texts, b""])
    texts.clear()  # As large again.
    plain = _join(bytes(kinds), distances, text, raw)
    del text
    packed = _compress(plain, level)
    content = b"".join(signatures) + packed
    size = sum(len(record) for _, record in rows)
    head = _HEADER.pack(MAGIC, VERSION, first, last, len(signatures), len(plain), size, bytes(32))[:-32]
    return head + hashlib.sha256(head + content).digest() + content


def pack_interval(blob: bytes) -> tuple[int, int]:
    """First and last seq of a pack. Raises ``MalformedRecord``."""
    first, last, *_ = _read_header(blob)
    return first, last


def renumbered(blob: bytes, first: int) -> bytes:
    """The same pack, of rows that begin with seq ``first``. Raises ``MalformedRecord``."""
    was_first, was_last, count, plain_size, size, _ = _read_header(blob)
    last = first + was_last - was_first
    head = _HEADER.pack(MAGIC, VERSION, first, last, count, plain_size, size, bytes(32))[:-32]
    content = memoryview(blob)[_HEADER.size :]
    return b"".join((head, hashlib.sha256(head + content).digest(), content))


def unpacked_size(blob: bytes) -> tuple[int, int]:
    """Rows and bytes that a pack says to hold, to which ``decode_pack`` holds it. Of bytes that are no pack,
    none and their own size. Raises nothing.
    """
    try:
        first, last, _, plain_size, size, _ = _read_header(blob)
    except MalformedRecord:
        return 0, len(blob)
    return last - first + 1, max(plain_size, size)


def unpacked_cost(blob: bytes) -> int:
    """How much memory a pack says that it takes while it is unpacked. Raises nothing."""
    rows, size = unpacked_size(blob)
    return size + ROW_BYTES * rows


def decode_pack(blob: bytes, *, bytes_max: int) -> list[tuple[int, bytes]]:
    """(seq, record) of every row that has bytes, ascending.

    Raises ``MalformedRecord`` for anything that ``encode_pack`` does not make, and for a pack of more than
    ``bytes_max`` bytes, which is found before the memory is taken.
    """
    return unpack(blob, bytes_max=bytes_max)[0]


def unpack(blob: bytes, *, bytes_max: int) -> tuple[list[tuple[int, bytes]], list[bytes | None]]:
    """As ``decode_pack``, and of each row the link of its entry, as it was computed to put the entries after
    it together again; None of a row that the pack holds as it is.
    """
    first, last, count, plain_size, size, digest = _read_header(blob)
    if plain_size > bytes_max or size > bytes_max:
        raise MalformedRecord(f"a pack of {max(plain_size, size)} bytes is over the limit of {bytes_max}")
    content = memoryview(blob)[_HEADER.size :]
    if hashlib.sha256(blob[: _HEADER.size - 32] + content).digest() != digest:
        raise MalformedRecord("a pack does not have the bytes that its hash names")
    if len(content) < count * _SIGNATURE_BYTES:
        raise MalformedRecord("a pack is cut short")
    signatures = content[: count * _SIGNATURE_BYTES]
    plain = _decompress(content[count * _SIGNATURE_BYTES :], plain_size)
    return _Rows(plain, signatures, first, last, size).read()


class _Rows:
    """The rows of one pack while they are put together again."""

    def __init__(self, plain: bytes, signatures: memoryview, first: int, last: int, size: int) -> None:
        self._first = first
        self._size = size
        self._signatures = signatures
        count = len(signatures) // _SIGNATURE_BYTES
        slots = last - first + 1
        if len(plain) < _LENGTHS.size:
            raise MalformedRecord("a pack is cut short")
        distances, lengths, texts = _LENGTHS.unpack_from(plain)
        ends = [_LENGTHS.size]
        for length in (slots, distances, lengths, texts):
            ends.append(ends[-1] + length)
        if ends[-1] > len(plain):
            raise MalformedRecord("a pack is cut short")
        self._kinds = plain[ends[0] : ends[1]]
        linked = self._kinds.count(_LINKED)
        if self._kinds.count(_SEALED) + linked != count:
            raise MalformedRecord("a pack has not one signature per entry")
        self._distances = _read_varints(plain[ends[1] : ends[2]], linked)
        self._lengths = _read_varints(plain[ends[2] : ends[3]], self._kinds.count(_RAW))
        # Texts and raw records are taken out of it one by one: a copy of all would be as large again.
        self._plain = plain
        self._text, self._raw = ends[3], ends[4]

    def read(self) -> tuple[list[tuple[int, bytes]], list[bytes | None]]:
        rows: list[tuple[int, bytes]] = []
        of_rows: list[bytes | None] = []
        links: list[bytes] = []
        plain, lengths, signatures = self._plain, self._lengths, self._signatures
        text, offset = self._text, self._raw
        linked = raw = size = 0
        for seq, kind in enumerate(self._kinds, start=self._first):
            if kind == _ABSENT:
                continue
            link: bytes | None = None
            if kind == _RAW:
                end = offset + lengths[raw]
                record = plain[offset:end]
                raw, offset = raw + 1, end
            elif kind <= _LINKED:
                place = len(links)
                end = plain.find(0, text, self._raw)
                if end < 0:
                    raise MalformedRecord("a pack has not one body per entry")
                body, text = plain[text:end], end + 1
                if kind == _LINKED:
                    body = _with_prev(body, links, self._distances[linked])
                    linked += 1
                start = place * _SIGNATURE_BYTES
                signature = _signature_text(signatures[start : start + _SIGNATURE_BYTES])
                record = b"%c%b\0%b" % (ENTRY, body, signature)
                link = _sha256(memoryview(record)[1:]).digest()
                links.append(link)
            else:
                raise MalformedRecord(f"a pack has rows of a kind {kind} that is not known")
            size += len(record)
            if size > self._size:
                break
            rows.append((seq, record))
            of_rows.append(link)
        if size == self._size and text != self._raw:
            raise MalformedRecord("a pack has not one body per entry")
        if size != self._size or offset != len(plain):
            raise MalformedRecord("a pack does not have the size that it states")
        return rows, of_rows


def _read_header(blob: bytes) -> tuple[int, int, int, int, int, bytes]:
    if len(blob) < _HEADER.size:
        raise MalformedRecord("a pack is cut short")
    magic, version, first, last, count, plain, size, digest = _HEADER.unpack_from(blob)
    if magic != MAGIC or version != VERSION:
        raise MalformedRecord("these bytes are no pack of a known version")
    if not 1 <= first <= last < 1 << 63 or last - first >= ROWS_MAX or count > last - first + 1:
        raise MalformedRecord("a pack names no valid interval")
    return first, last, count, plain, size, digest


def _compress(plain: bytes, level: int) -> bytes:
    parameters = zstandard.ZstdCompressionParameters
    usual = parameters.from_level(level, source_size=len(plain))
    bounded = parameters.from_level(
        level,
        source_size=len(plain),
        chain_log=min(usual.chain_log, CHAIN_LOG_MAX),
        hash_log=min(usual.hash_log, HASH_LOG_MAX),
        write_content_size=True,
    )
    return zstandard.ZstdCompressor(compression_params=bounded).compress(plain)


def _decompress(frame: memoryview, size: int) -> bytes:
    try:
        # The frame's own header decides how much memory is taken: it has to say what the pack says.
        stated = zstandard.get_frame_parameters(frame)
        if stated.content_size != size or stated.window_size > max(2 * size, _WINDOW_BYTES_MIN):
            raise MalformedRecord("a pack does not have the size that it states")
        return zstandard.ZstdDecompressor().decompress(frame, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise MalformedRecord(f"a pack cannot be unpacked: {error}") from error


def _split_sealed(record: bytes) -> tuple[bytes, bytes] | None:
    """Body and raw signature of an entry, or None where they would not come back as they were."""
    end = len(record) - _SIGNATURE_CHARS - 1
    if record[:1] != ENTRY or end < 1 or record.find(0, 1) != end:
        return None
    text = record[end + 1 :]
    try:
        signature = binascii.a2b_base64(text.translate(_URL_SAFE) + b"==", strict_mode=True)
    except binascii.Error:
        return None
    if len(signature) != _SIGNATURE_BYTES or _signature_text(signature) != text:
        return None
    return record[1:end], signature


def _signature_text(signature: bytes | memoryview) -> bytes:
    return binascii.b2a_base64(signature, newline=False)[:_SIGNATURE_CHARS].translate(_FROM_URL_SAFE)


def _without_prev(body: bytes, ordinals: dict[bytes, int], ordinal: int) -> tuple[int, bytes, int]:
    """Kind, text and distance of a body."""
    start = body.find(_PREV) + len(_PREV)
    if start < len(_PREV):
        return _SEALED, body, 0
    before = ordinals.get(body[start : start + _PREV_CHARS])
    if before is None:
        return _SEALED, body, 0
    return _LINKED, body[:start] + body[start + _PREV_CHARS :], ordinal - before


def _with_prev(text: bytes, links: list[bytes], distance: int) -> bytes:
    start = text.find(_PREV) + len(_PREV)
    if start < len(_PREV) or not 1 <= distance <= len(links):
        raise MalformedRecord("a pack names an entry before it that is not there")
    return text[:start] + binascii.hexlify(links[-distance]) + text[start:]


def _join(kinds: bytes, distances: list[int], text: bytes, raw: list[bytes]) -> bytes:
    packed_distances = _varints(distances)
    packed_lengths = _varints(len(record) for record in raw)
    lengths = _LENGTHS.pack(len(packed_distances), len(packed_lengths), len(text))
    return b"".join((lengths, kinds, packed_distances, packed_lengths, text, *raw))


def _varints(numbers: Iterable[int]) -> bytes:
    packed = bytearray()
    for number in numbers:
        left = number
        while left > 0x7F:
            packed.append(left & 0x7F | 0x80)
            left >>= 7
        packed.append(left)
    return bytes(packed)


def _read_varints(packed: bytes, count: int) -> array[int]:
    numbers = array("Q")
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        if byte > 0x7F:
            shift += 7
            if shift > 28:
                raise MalformedRecord("a pack has a number that is too long")
            continue
        numbers.append(number)
        number = shift = 0
        if len(numbers) > count:
            break
    if shift or len(numbers) != count:
        raise MalformedRecord("a pack has not one number for each row that needs it")
    return numbers
