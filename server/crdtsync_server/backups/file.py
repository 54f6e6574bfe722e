"""The file of a backup: pieces of content under their digests, and after each backup a manifest.

::

    file      = "crdtsync-backup/1" 0x0a backup*
    backup    = piece* manifest
    piece     = "P" length(4) digest(32) zstd(content)       digest = SHA-256(content)
    manifest  = "M" length(4) digest(32) zstd(MessagePack)   digest = SHA-256(file up to "M" ‖ these bytes)

Numbers are big-endian; a length is that of the compressed bytes. A backup holds what its manifest names;
pieces that an earlier backup in the file has brought are named again, not written again. A backup counts from
the moment that its manifest is in the file whole: its digest is over everything before it, so that nothing
torn, cut or rotten is ever taken for a whole one. What lies behind the last whole manifest is a backup that
was interrupted; the next one takes its place.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgpack
import zstandard

from crdtsync.errors import DamagedStore, DiskFull, NotAStore, ReadOnlyStore, StorageError

MAGIC: Final = b"crdtsync-backup/1\n"
PIECE, MANIFEST = b"P", b"M"
PIECE_BYTES_MAX: Final = 64 << 20
"""What a piece may become: far more than any that is written, so that a wrong length asks for no memory."""

MANIFEST_BYTES_MAX: Final = 1 << 30

_FRAME: Final = struct.Struct(">cI32s")
_LEVEL: Final = 3

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the compressed bytes of a piece are in the file."""

    offset: int
    size: int


class BackupFile:
    """A file of backups, read from its beginning. ``pieces``: what its whole backups brought, by digest.

    ``manifest``: the newest whole one, None where there is none. ``whole_bytes``: the file up to its end.
    ``torn_bytes``: what lies behind. ``is_damaged``: that is no interrupted backup, as a manifest is in it.
    """

    def __init__(self, path: Path) -> None:
        """Raises ``NotAStore`` (no file of backups), ``ReadOnlyStore``, ``StorageError``."""
        self.path = path
        self.manifest: Manifest | None = None
        self.pieces: dict[bytes, Place] = {}
        self.backups = 0
        self.whole_bytes = len(MAGIC)
        self._sha = hashlib.sha256(MAGIC)
        with translated(path):
            self._file = path.open("rb")
        try:
            with translated(path):
                self._size = os.fstat(self._file.fileno()).st_size
                if self._file.read(len(MAGIC)) != MAGIC:
                    raise NotAStore(
                        f"{path} is no backup of crdtsync",
                        hint="name another file: this one is left as it is",
                    )
                self._scan()
        except BaseException:
            self._file.close()
            raise

    @property
    def torn_bytes(self) -> int:
        """See the class."""
        return self._size - self.whole_bytes

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def piece(self, digest: bytes) -> bytes:
        """The content of a piece. Raises ``DamagedStore``."""
        place = self.pieces.get(digest)
        if place is None:
            raise DamagedStore(f"{self.path} lacks a part that its newest backup names")
        with translated(self.path):
            self._file.seek(place.offset)
            content = _unpacked(self._file.read(place.size), PIECE_BYTES_MAX)
        if content is None or hashlib.sha256(content).digest() != digest:
            raise DamagedStore(f"{self.path} is damaged at byte {place.offset}", hint="use another backup")
        return content

    def check(self) -> None:
        """Read every piece that the newest backup names. Raises ``DamagedStore``."""
        if self.manifest is None:
            raise DamagedStore(
                f"there is no whole backup in {self.path}", hint="it was interrupted, or cut off: use another"
            )
        for digest in named_pieces(self.manifest):
            self.piece(digest)

    @property
    def is_damaged(self) -> bool:
        """Whether a manifest follows behind what is whole: then something before it has changed."""
        with translated(self.path):
            self._file.seek(self.whole_bytes)
            while frame := _read_frame(self._file, self._size):
                kind, _, size, offset = frame
                if kind == MANIFEST:
                    return True
                self._file.seek(offset + size)
        return False

    def _scan(self) -> None:
        sha, found = self._sha.copy(), dict[bytes, Place]()
        self._file.seek(self.whole_bytes)
        while frame := _read_frame(self._file, self._size):
            kind, digest, size, offset = frame
            payload = self._file.read(size)
            if kind == PIECE:
                sha.update(_FRAME.pack(kind, size, digest))
                sha.update(payload)
                found[digest] = Place(offset, size)
                continue
            whole = sha.copy()
            whole.update(payload)
            content = _unpacked(payload, MANIFEST_BYTES_MAX) if whole.digest() == digest else None
            if content is None:
                return
            self.manifest = msgpack.unpackb(content, strict_map_key=False)
            self.pieces |= found
            self.backups += 1
            sha.update(_FRAME.pack(kind, size, digest))
            sha.update(payload)
            self._sha, self.whole_bytes, found = sha.copy(), offset + size, {}


class BackupWriter:
    """Appends one backup to a file, or begins a new one that takes its place when it is whole.

    ``written_bytes``: what was written so far. Nothing counts before ``finish`` has returned.
    """

    def __init__(self, path: Path, before: BackupFile | None) -> None:
        """``before``: the file, to be added to; None: it is written anew. Raises ``StorageError``."""
        self.path = path
        self._whole_bytes = before.whole_bytes if before is not None else 0
        self._draft = path if before is not None else path.with_name(path.name + ".part")
        self._known = set(before.pieces) if before is not None else set[bytes]()
        self._sha = before._sha.copy() if before is not None else hashlib.sha256(MAGIC)
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        with translated(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (0 if before is not None else os.O_TRUNC)
            self._file: IO[bytes] = os.fdopen(os.open(self._draft, flags, 0o600), "r+b")
            if before is None:
                self._file.write(MAGIC)
            else:
                # What an interrupted backup left behind is in no backup.
                self._file.truncate(before.whole_bytes)
                self._file.seek(before.whole_bytes)
        self.written_bytes = 0

    def add(self, content: bytes) -> bytes:
        """The digest of a piece, which is written unless the file has it."""
        digest = hashlib.sha256(content).digest()
        if digest not in self._known:
            self._write(PIECE, digest, self._compress(content))
            self._known.add(digest)
        return digest

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest; the backup is whole and durable on return. Raises ``StorageError``."""
        payload = self._compress(msgpack.packb(manifest))
        whole = self._sha.copy()
        whole.update(payload)
        self._write(MANIFEST, whole.digest(), payload)
        with translated(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if self._draft != self.path:
                os.replace(self._draft, self.path)
            sync_folder(self.path.parent)

    def abandon(self) -> None:
        """Let go of the file; what was written of this backup counts for nothing, and is gone."""
        with suppress(OSError):  # On a full disk there is no writing of what was not written yet.
            self._file.close()
        with suppress(OSError):
            if self._draft != self.path:
                self._draft.unlink(missing_ok=True)
            else:
                os.truncate(self.path, self._whole_bytes)

    def _write(self, kind: bytes, digest: bytes, payload: bytes) -> None:
        head = _FRAME.pack(kind, len(payload), digest)
        with translated(self.path):
            self._file.write(head)
            self._file.write(payload)
        self._sha.update(head)
        self._sha.update(payload)
        self.written_bytes += len(head) + len(payload)


def named_pieces(manifest: Manifest) -> Iterator[bytes]:
    """The digests of all pieces that a backup is made of."""
    for database in manifest["databases"].values():
        for table in database["tables"].values():
            yield from table["pieces"]


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class translated:  # noqa: N801  # Reads as a word.
    """Errors of the system around a file, in our words."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise ``DiskFull``, ``ReadOnlyStore`` or ``StorageError`` for an ``OSError``."""
        import errno

        if not isinstance(error, OSError):
            return
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"no space left for {self._path}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReadOnlyStore(f"{self._path} cannot be used: {error.strerror}") from error
        raise StorageError(f"{self._path}: {error.strerror}") from error


def _read_frame(file: IO[bytes], size: int) -> tuple[bytes, bytes, int, int] | None:
    """Kind, digest, length and offset of the next payload; None where no whole frame follows."""
    head = file.read(_FRAME.size)
    if len(head) < _FRAME.size:
        return None
    kind, length, digest = _FRAME.unpack(head)
    offset = file.tell()
    if kind not in (PIECE, MANIFEST) or offset + length > size:
        return None
    return kind, digest, length, offset


def _unpacked(payload: bytes, bytes_max: int) -> bytes | None:
    try:
        if zstandard.frame_content_size(payload) > bytes_max:
            return None
        return zstandard.ZstdDecompressor().decompress(payload, max_output_size=bytes_max)
    except zstandard.ZstdError:
        return None
