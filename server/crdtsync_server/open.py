"""Opening a relay's folder for a command or a part of the relay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from crdtsync.runtime.clock import Clock, RandomBytes, system_random
from crdtsync.storage.log import Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access


def open_store(folder: DataFolder) -> Store:
    """The logs of all shops. Raises ``StorageError``."""
    return SqliteStore(folder.store)


@contextmanager
def opened(
    data: Path, *, create: bool = False, clock: Clock | None = None, random: RandomBytes = system_random
) -> Iterator[tuple[Access, Store]]:
    """A relay's books and logs, beside whoever serves them. Raises ``NoRegister``, ``StorageError``."""
    folder = DataFolder.create(data) if create else DataFolder.open(data)
    with closing(Access(folder, clock=clock, random=random)) as access, closing(open_store(folder)) as store:
        access.index_shops(store)
        access.notice_restore(store)
        yield access, store
