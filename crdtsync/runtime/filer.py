"""Filing beside the register: what syncing brings in comes into the views without a sale waiting for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from crdtsync.errors import StorageError
from crdtsync.runtime.replica import Replica

LOOK_EVERY_S = 1.0


class Filer:
    """A thread with a store of its own that keeps the views in step with the log."""

    def __init__(self, open_replica: Callable[[], Replica]) -> None:
        self._open_replica = open_replica
        self._wanted = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="crdtsync-views", daemon=True)

    def start(self) -> None:
        """Begin. Call it once."""
        self._thread.start()

    def wake(self) -> None:
        """Something has come in. May be called from any thread; returns at once."""
        self._wanted.set()

    def stop(self) -> None:
        """End, and wait for the end. What is not filed then is filed by whoever reads the views next."""
        self._stopped = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        replica: Replica | None = None
        try:
            while not self._stopped:
                try:
                    replica = replica or self._open_replica()
                    replica.views.catch_up()
                    replica.file_catalogue()
                except StorageError:
                    # A disk that is full or locked now: views may lag, and the next look tries again.
                    pass
                self._wanted.wait(LOOK_EVERY_S)
                self._wanted.clear()
        finally:
            if replica is not None:
                replica.close()
