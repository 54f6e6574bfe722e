"""Filing beside the register: what syncing brings in comes into the views without a sale waiting for it.

It is filed some moments later: what comes in meanwhile is filed with it, and whoever waits to see a sale of
another register come in is served first. While ever more comes in, products are filed first and entries a
few hundred at a time; the rest follows when it is quiet. While a whole past comes in, entries wait until it
is on disk, and products until all of them are. Whoever reads the views files what is not there yet.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from crdtsync.errors import StorageError
from crdtsync.runtime.folder.replica import Replica

LOOK_EVERY_S = 1.0

GATHER_S = 0.2
"""How long what came in waits for more."""

PAST_FIRST_S = 60.0
"""How long views that lag far behind wait for a past that is coming in, at most: filing it takes the
processor from what brings it to disk. Days that are asked for are shown meanwhile, see ``day_views``.
"""

FIRST_WHOLE_S = 5.0
"""How long products wait for those of a new register that are still on their way, at most: half of them
filed are to be filed once more, and keep the other half from the disk.
"""


class Filer:
    """A thread with a store of its own that keeps the views in step with the log. ``replica`` is the one that
    sells beside it: it need not file meanwhile. ``awaits_first`` says whether products or sales of today are
    still on their way.
    """

    def __init__(self, replica: Replica, awaits_first: Callable[[], bool] = lambda: False) -> None:
        self._beside = replica
        self._awaits_first = awaits_first
        self._first_since_s: float | None = None
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._waits_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="crdtsync-views", daemon=True)

    def start(self) -> None:
        """Begin. Call it once."""
        self._beside.files_views = False
        self._thread.start()

    def wake(self) -> None:
        """Something has come in. May be called from any thread; returns at once."""
        self._wanted.set()

    def stop(self) -> None:
        """End, and wait for the end. What is not filed then is filed by whoever reads the views next."""
        self._stopped.set()
        self._wanted.set()
        self._thread.join()
        self._beside.files_views = True

    def _open(self) -> Replica:
        beside = self._beside
        return Replica(beside.config, beside.clock, beside.random_bytes)

    def _has_nothing_come(self) -> bool:
        return not self._wanted.is_set()

    def _waits_for_the_first(self) -> bool:
        """Whether what a new register needs to sell is still coming in."""
        if not self._awaits_first():
            self._first_since_s = None
            return False
        if self._first_since_s is None:
            self._first_since_s = time.monotonic()
        return time.monotonic() - self._first_since_s < FIRST_WHOLE_S

    def _waits_for_the_past(self, replica: Replica, *, has_come: bool) -> bool:
        """Whether so much is coming in that nothing of it is filed for now."""
        if not has_come or replica.views.lag() <= replica.lag_rows_max:
            self._waits_since_s = None
            return False
        if self._waits_since_s is None:
            self._waits_since_s = time.monotonic()
        return time.monotonic() - self._waits_since_s < PAST_FIRST_S

    def _file(self, replica: Replica, *, has_come: bool) -> None:
        replica.file_catalogue()
        # History that is coming in waits: first it is to be on disk, and the products for sale.
        if not self._waits_for_the_past(replica, has_come=has_come):
            replica.views.catch_up(go_on=self._has_nothing_come)

    def _run(self) -> None:
        _load()
        replica: Replica | None = None
        has_come = True  # Whoever begins to synchronise has a backlog to send and to fetch first.
        try:
            while not self._stopped.is_set():
                waits = False
                try:
                    replica = replica or self._open()
                    waits = self._waits_for_the_first()
                    if not waits:
                        self._file(replica, has_come=has_come)
                except StorageError:
                    # A disk that is full or locked now: views may lag, and the next look tries again.
                    pass
                came_before, has_come = has_come, self._wanted.wait(LOOK_EVERY_S)
                if replica is not None and came_before and not has_come:
                    replica.log.let_go()  # Unpacked packs of a past that is filed now.
                if not waits:
                    self._stopped.wait(GATHER_S)
                self._wanted.clear()
        finally:
            if replica is not None:
                replica.close()


def _load() -> None:
    """Load what products are read with. Somebody waits for it once they have come, and for nothing now."""
    import crdtsync.runtime.filing.product_rows
    import crdtsync.runtime.filing.unfiled  # noqa: F401
