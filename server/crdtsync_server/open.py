"""Opening a relay's folder for a command or a part of the relay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from crdtsync.errors import UnknownShop
from crdtsync.runtime.clock import Clock, RandomBytes, system_random
from crdtsync.storage.log import Store
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.folder import DataFolder
from crdtsync_server.shops.access import Access

CACHE_KIB: Final = 256
"""A relay has its store open six times, and each would fill 2 MB with pages that the kernel has too."""


COMMITTER_CACHE_KIB: Final = 1024
"""Of the one that writes: with the 2 MB that SQLite takes otherwise, five hundred shops fill it too."""


def open_store(folder: DataFolder, *, cache_kib: int = CACHE_KIB) -> SqliteStore:
    """The logs of all shops, for who reads little of them again. Raises ``StorageError``."""
    return SqliteStore(folder.store, cache_kib=cache_kib)


_LOST: Final = "its store was lost, or put away: the shop's registers fill it again when they synchronise"


@contextmanager
def opened(
    data: Path, *, create: bool = False, clock: Clock | None = None, random: RandomBytes = system_random
) -> Iterator[tuple[Access, Store]]:
    """A relay's books and logs, beside whoever serves them. Raises ``NoRegister``, ``StorageError``; and
    ``UnknownShop`` from inside, for a shop that is in the books and whose log was lost with the store.
    """
    folder = DataFolder.create(data) if create else DataFolder.open(data)
    with closing(Access(folder, clock=clock, random=random)) as access, closing(open_store(folder)) as store:
        access.index_shops(store)
        access.notice_restore(store)
        try:
            yield access, store
        except KeyError as error:
            lost = [shop for shop in access.shops() if error.args == (shop.id.hex(),)]
            if not lost:
                raise
            raise UnknownShop(f"nothing of {lost[0].name} is in this relay's store", hint=_LOST) from error
