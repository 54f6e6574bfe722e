"""A disk that fails as disks do, under the real store.

SQLite writes to a ``SimulatedDisk`` through a VFS. What was not followed by a sync when the power is cut is
lost, or half there, or there out of order; the disk can also be full, refuse to sync, or go read-only.

::

    disk = SimulatedDisk(folder, seed=7)
    store = SqliteStore(disk.path, vfs=disk.vfs)
    disk.cut_power_after(operations=25)
    ...                                     # until it raises
    store = SqliteStore(disk.survivors(another_folder))

The files lie in a real folder while the machine runs; ``survivors`` writes what a power cut leaves of them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

SECTOR_BYTES: Final = 512
"""A write that is under way when the power goes ends at a sector."""

_JOURNALS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL

_numbers = itertools.count(1)


@dataclass(slots=True)
class _Pending:
    """A write that no sync followed, or a truncation (``data`` is None) to the size ``offset``."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
        else:
            content.extend(bytes(max(0, self.offset - len(content))))
            content[self.offset : self.offset + len(self.data)] = self.data


@dataclass(slots=True)
class _Image:
    """What is on the platter of one file, and what is still under way to it."""

    durable: bytearray
    pending: list[_Pending] = field(default_factory=list)
    size: int = 0
    syncs_folder: bool = False

    def sync(self) -> None:
        for write in self.pending:
            write.apply(self.durable)
        self.pending.clear()


class SimulatedDisk:
    """One disk with one database file, ``path``. ``seed`` decides what a power cut leaves.

    ``felt`` is called with ``"room"`` (full or read-only), ``"sync"`` or ``"power"`` when something fails for
    that reason. ``free_bytes`` is how much files may still grow (None: without end); ``read_only`` refuses
    every write and every new file; ``failing_syncs`` lets syncs fail. ``operations`` counts writes,
    truncations, syncs and deletions.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        name: str = "shop.db",
        felt: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = folder / name
        self.vfs = f"simulated-disk-{next(_numbers)}"
        self.operations = 0
        self.is_off = False
        self.read_only = False
        self.failing_syncs = False
        self._syncs_to_fail = 0
        self.free_bytes: int | None = None
        self._off_at: int | None = None
        self._is_looked_at = False
        self._felt = felt
        self._random = random.Random(seed)
        self._images: dict[str, _Image] = {}
        self._deleted: dict[str, bytes] = {}
        self._registered = _Vfs(self)

    def cut_power_after(self, operations: int | None) -> None:
        """Let the power go at that write, truncation, sync or deletion from now on; None: at none."""
        self._off_at = None if operations is None else self.operations + operations

    def fail_syncs(self, count: int) -> None:
        """Let the next syncs fail, so many."""
        self._syncs_to_fail = count

    @contextmanager
    def looked_at(self) -> Iterator[None]:
        """While the block runs, somebody reads who is no part of what is tried: that counts as no operation,
        and brings about no fault.
        """
        self._is_looked_at = True
        try:
            yield
        finally:
            self._is_looked_at = False

    def cut_power(self) -> None:
        """Let the power go now."""
        self.is_off = True

    def survivors(self, folder: Path) -> Path:
        """Write what is left after the power cut to another folder; the path of the database there.

        Every unsynced write may have arrived or not, whatever came later; one of them may be torn.
        """
        self.cut_power()
        folder.mkdir(parents=True, exist_ok=True)
        for name, deleted in self._deleted.items():
            if self._random.random() < 0.5:
                (folder / Path(name).name).write_bytes(deleted)
        for name, image in self._images.items():
            content = bytearray(image.durable)
            for write in self._arrived(image.pending):
                write.apply(content)
            (folder / Path(name).name).write_bytes(content)
        return folder / self.path.name

    def _arrived(self, pending: list[_Pending]) -> list[_Pending]:
        chance = self._random.choice((0.0, 0.5, 0.9, 1.0))
        arrived = [write for write in pending if self._random.random() < chance]
        if arrived and self._random.random() < 0.5:
            torn = self._random.randrange(len(arrived))
            data = arrived[torn].data
            if data is not None:
                end = self._random.randrange(0, len(data) + SECTOR_BYTES, SECTOR_BYTES)
                arrived[torn] = _Pending(arrived[torn].offset, data[:end])
        return arrived

    # -- what the files call ----------------------------------------------------------------------------

    def opened(self, name: str, flags: int) -> _Image:
        """A file is opened, and made if it is not there."""
        image = self._images.get(name)
        if image is None:
            content = Path(name).read_bytes() if Path(name).exists() else b""
            image = self._images[name] = _Image(bytearray(content), size=len(content))
            # SQLite's VFS for Unix syncs the folder with the first sync of a new journal or WAL.
            image.syncs_folder = not content and bool(flags & _JOURNALS)
            self._deleted.pop(name, None)
        return image

    def write(self, image: _Image, data: bytes, offset: int) -> bytes:
        """The bytes that find room. Raises what SQLite is to see."""
        if self.read_only:
            self._felt("room")
            raise apsw.ReadOnlyError("the disk is read-only")
        grown = max(0, offset + len(data) - image.size)
        room = len(data)
        if self.free_bytes is not None and grown > self.free_bytes:
            self._felt("room")
            room = max(0, len(data) - grown + self.free_bytes)
            data, grown = data[:room], self.free_bytes
        if self.free_bytes is not None:
            self.free_bytes -= grown
        image.size = max(image.size, offset + len(data))
        image.pending.append(_Pending(offset, data))
        self._count()
        return data

    def truncate(self, image: _Image, size: int) -> None:
        """A file is cut off."""
        if self.read_only:
            self._felt("room")
            raise apsw.ReadOnlyError("the disk is read-only")
        if self.free_bytes is not None:
            self.free_bytes += max(0, image.size - size)
        image.size = size
        image.pending.append(_Pending(size, None))
        self._count()

    def sync(self, image: _Image) -> None:
        """What was written to a file becomes durable."""
        self._count()
        if self.failing_syncs or self._syncs_to_fail:
            self._syncs_to_fail = max(0, self._syncs_to_fail - 1)
            self._felt("sync")
            raise apsw.IOError("the disk cannot sync")
        image.sync()
        if image.syncs_folder:
            image.syncs_folder = False
            self._deleted.clear()

    def delete(self, name: str, sync_folder: bool) -> None:
        """A file is deleted; unless its folder is synced, a power cut may bring it back."""
        self._count()
        image = self._images.pop(name, None)
        if sync_folder:
            self._deleted.clear()
        elif image is not None:
            self._deleted[name] = bytes(image.durable)

    def _count(self) -> None:
        if self._is_looked_at:
            return
        self.operations += 1
        if self._off_at is not None and self.operations >= self._off_at:
            self.is_off = True
            self._felt("power")
        self.check_power()

    def check_power(self) -> None:
        """Raise what SQLite is to see when the power is off. Who only looks carries the disk elsewhere."""
        if self.is_off and not self._is_looked_at:
            raise apsw.IOError("the power is off")


class _Vfs(apsw.VFS):
    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        super().__init__(disk.vfs, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        self._disk.check_power()
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is None:
            return apsw.VFSFile("", name, flags)
        if self._disk.read_only and not Path(path).exists():
            raise apsw.CantOpenError("the disk is read-only")
        return _File(self._disk, self._disk.opened(path, flags[0]), name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self._disk.delete(filename, syncdir)
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(
        self, disk: SimulatedDisk, image: _Image, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._image = image

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        written = self._disk.write(self._image, bytes(data), offset)
        super().xWrite(written, offset)
        if len(written) < len(data):
            raise apsw.FullError("the disk is full")

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.truncate(self._image, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.sync(self._image)
        super().xSync(flags)
