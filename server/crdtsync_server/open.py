"""Opening a relay's folder for a command or a part of the relay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from crdtsync.errors import DamagedStore
from crdtsync.storage.log import Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.access import Access
from crdtsync_server.folder import DataFolder


def open_store(folder: DataFolder) -> Store:
    """The logs of all shops. Raises ``StorageError``."""
    return SqliteStore(folder.store)


def mend(store: Store, damage: DamagedStore, now_ms: int) -> bool:
    """Set a damaged record apart; its log goes on under a new id, and the registers bring it back. Durable on
    return. False where that cannot help.
    """
    if damage.shop is None or damage.seq is None:
        return False
    with store.transaction():
        return store.shop(damage.shop).set_damaged_apart(damage.seq, now_ms)


@contextmanager
def opened(data: Path, *, create: bool = False) -> Iterator[tuple[Access, Store]]:
    """A relay's books and logs, beside whoever serves them. Raises ``NoRegister``, ``StorageError``."""
    folder = DataFolder.create(data) if create else DataFolder.open(data)
    with closing(Access(folder)) as access, closing(open_store(folder)) as store:
        access.index_shops(store)
        access.notice_restore(store)
        yield access, store
