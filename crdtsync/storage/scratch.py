"""A database in the memory of one process: for views that can be made again from a log at any time."""

from __future__ import annotations

from crdtsync.storage.database import Database


class ScratchDatabase(Database):
    """Empty at first, gone when it is closed. For one thread."""

    def __init__(self) -> None:
        super().__init__(
            ":memory:", read_only=False, create=True, busy_timeout_s=0, application_id=0, migrations=()
        )

    def _use_wal(self) -> None:
        """There is no file."""
