"""Rescue files: records that no relay has acknowledged, in one compact file for a mail or a stick.

::

    "crdtresc"  version u8
    pieces      kind u8 ("C" certificates, "R" records), length u32, a pack (see ``pack``)
    "E"  length u32  footer: a JSON object of at most 64 KiB
    SHA-256 of everything before
    signature   64 bytes over that hash, by the device that the footer names; zero bytes where its key is lost

All numbers are big-endian. The rows of the packs are numbered 1, 2, 3, … through the whole file. A file is
read twice: once to see that it is whole and what it says of itself, once for the records, of which one piece
at a time is in memory. What a piece unpacks to is bounded before the memory is taken.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from crdtsync.errors import InvalidRescue, MalformedRecord, StorageError
from crdtsync.storage.pack import decode_pack, encode_pack, pack_interval

MAGIC: Final = b"crdtresc"
VERSION: Final = 1
CERTIFICATES: Final = b"C"
RECORDS: Final = b"R"
_END: Final = b"E"

PIECE_BYTES: Final = 4 << 20
"""Of records in one piece; a single record that is larger has a piece of its own."""

PIECE_ROWS: Final = 4096
PIECE_BYTES_MAX: Final = 16 << 20
"""What one piece may have, packed or unpacked: a compacted state of 15 MiB fits."""

FOOTER_BYTES_MAX: Final = 64 << 10
SIGNATURE_BYTES: Final = 64

_HEAD: Final = struct.Struct(">8sB")
_PIECE: Final = struct.Struct(">cI")
_TAIL_BYTES: Final = 32 + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class RescueFile:
    """A rescue file that is whole: what it says of itself, and by what a device signs for it."""

    path: Path
    footer: dict[str, Any]
    digest: bytes
    signature: bytes


class RescueWriter:
    """Writes one file. It is there under its name when ``finish`` has returned, durably, and not before."""

    def __init__(self, path: Path) -> None:
        """Raises ``InvalidRescue`` where there is a file of that name: it may hold what nobody else has any
        more. Raises ``StorageError``.
        """
        self._path = path
        self._unfinished = path.with_name(path.name + ".unfinished")
        if os.path.exists(path):  # Unlike ``Path.exists`` it is silent where this user may not look.
            raise InvalidRescue(
                f"{path} is there already", hint="choose another name: nothing is overwritten"
            )
        self._hash = hashlib.sha256()
        self._rows: list[tuple[int, bytes]] = []
        self._rows_bytes = 0
        self._kind = RECORDS
        self._number = 0
        try:
            handle = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}", hint=_ELSEWHERE) from error
        self._file = os.fdopen(handle, "wb")
        self._write(_HEAD.pack(MAGIC, VERSION))

    def add(self, record: bytes, kind: bytes = RECORDS) -> None:
        """One more record. Raises ``StorageError``."""
        is_full = self._rows_bytes + len(record) > PIECE_BYTES or len(self._rows) >= PIECE_ROWS
        if self._rows and (is_full or kind != self._kind):
            self._end_piece()
        self._kind = kind
        self._number += 1
        self._rows.append((self._number, record))
        self._rows_bytes += len(record)

    def finish(self, footer: dict[str, Any], sign: Callable[[bytes], bytes] | None) -> int:
        """Write what is left, and the file's end; durable on return. The size of the file."""
        self._end_piece()
        data = orjson.dumps(footer, option=orjson.OPT_SORT_KEYS)
        self._write(_PIECE.pack(_END, len(data)) + data)
        digest = self._hash.digest()
        self._write(digest + (sign(digest) if sign is not None else bytes(SIGNATURE_BYTES)))
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.close()
        except OSError as error:  # Before it has its name: what is not whole never gets it.
            raise self._cannot_be_written(error) from error
        try:
            os.link(self._unfinished, self._path)  # Unlike a renaming, this overwrites nothing.
        except FileExistsError:
            raise InvalidRescue(f"{self._path} is there already", hint="choose another name") from None
        except OSError:
            self._rename()
        self.give_up()
        _sync_folder(self._path.parent)
        return size

    def give_up(self) -> None:
        """Remove what is unfinished. Idempotent."""
        with suppress(OSError):  # What was not written yet is not to be written any more.
            self._file.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def _rename(self) -> None:
        # A stick has a file system without links, most often.
        if self._path.exists():
            raise InvalidRescue(f"{self._path} is there already", hint="choose another name")
        try:
            os.rename(self._unfinished, self._path)
        except OSError as error:
            raise self._cannot_be_written(error) from error

    def _cannot_be_written(self, error: OSError) -> StorageError:
        return StorageError(f"{self._path} cannot be written: {error.strerror}", hint=_ELSEWHERE)

    def _end_piece(self) -> None:
        if self._rows:
            pack = encode_pack(self._rows)
            self._write(_PIECE.pack(self._kind, len(pack)) + pack)
        self._rows, self._rows_bytes = [], 0

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise self._cannot_be_written(error) from error


def read_rescue(path: Path) -> RescueFile:
    """Read a file through, and see that it is whole. Raises ``InvalidRescue``. O(the file)."""
    seen = hashlib.sha256()
    try:
        with path.open("rb") as file:
            head = _take(file, _HEAD.size, path)
            magic, version = _HEAD.unpack(head)
            if magic != MAGIC:
                raise InvalidRescue(f"{path} is no rescue file")
            if version != VERSION:
                raise InvalidRescue(
                    f"{path} is a rescue file of version {version}, this program reads {VERSION}",
                    hint="update crdtsync on this machine",
                )
            seen.update(head)
            footer = _read_pieces(file, path, seen)
            tail = _take(file, _TAIL_BYTES, path)
            if tail[:32] != seen.digest() or file.read(1):
                raise InvalidRescue(f"{path} was changed, or is not whole", hint=_AGAIN)
    except OSError as error:
        raise InvalidRescue(f"{path} cannot be read: {error.strerror}") from error
    return RescueFile(path, footer, seen.digest(), tail[32:])


def rescued_records(rescue: RescueFile) -> Iterator[tuple[bytes, list[tuple[int, bytes]]]]:
    """(``CERTIFICATES`` or ``RECORDS``, numbered records) of each piece. Raises ``InvalidRescue``."""
    number = 0
    with rescue.path.open("rb") as file:
        _take(file, _HEAD.size, rescue.path)
        while True:
            kind, length = _PIECE.unpack(_take(file, _PIECE.size, rescue.path))
            if kind == _END:
                return
            pack = _take(file, min(length, PIECE_BYTES_MAX), rescue.path)
            try:
                if pack_interval(pack)[0] != number + 1:
                    raise MalformedRecord("records are not numbered from 1 on")
                rows = decode_pack(pack, bytes_max=PIECE_BYTES_MAX)
                number = pack_interval(pack)[1]
            except MalformedRecord as error:
                raise InvalidRescue(f"{rescue.path} cannot be read: {error}", hint=_AGAIN) from error
            yield kind, rows


def _read_pieces(file: BinaryIO, path: Path, seen: Any) -> dict[str, Any]:
    while True:
        piece = _take(file, _PIECE.size, path)
        kind, length = _PIECE.unpack(piece)
        seen.update(piece)
        length_max = FOOTER_BYTES_MAX if kind == _END else PIECE_BYTES_MAX
        if kind not in (CERTIFICATES, RECORDS, _END) or length > length_max:
            raise InvalidRescue(f"{path} was changed, or is not whole", hint=_AGAIN)
        data = _take(file, length, path)
        seen.update(data)
        if kind == _END:
            return _read_footer(data, path)


def _read_footer(data: bytes, path: Path) -> dict[str, Any]:
    try:
        footer = orjson.loads(data)
    except ValueError:
        footer = None
    if not isinstance(footer, dict):
        raise InvalidRescue(f"{path} does not say what it is", hint=_AGAIN)
    return footer


def _take(file: BinaryIO, length: int, path: Path) -> bytes:
    data = file.read(length)
    if len(data) != length:
        raise InvalidRescue(f"{path} is cut short", hint=_AGAIN)
    return data


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_AGAIN: Final = "write it again with `crdtsync rescue FILE`, or copy it again"
_ELSEWHERE: Final = "write it to another disk; nothing was changed here"
