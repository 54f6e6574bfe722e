"""Whether the relay can do its work: what its commits show, and what its disk says when asked."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress

from crdtsync.errors import CrdtsyncError, DamagedStore, StorageError
from crdtsync_server.folder import DataFolder
from crdtsync_server.serving.app import Health
from crdtsync_server.serving.metrics import RelayMetrics

PROBE = ".probe"

LOOK_EVERY_S = 1.0
"""Health may be asked by anybody, a probe costs an fsync: between two, the last answer counts."""

FAILURE_COUNTS_S = 60.0
"""How long a failed commit speaks against the store, unless one succeeds before. Registers try again within
seconds, so that a fault that lasts is seen again."""


class StoreHealth:
    """Told of every commit, asked by ``/healthz``. Safe from any thread."""

    def __init__(
        self,
        folder: DataFolder,
        metrics: RelayMetrics,
        *,
        disk_free_mb_min: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._metrics = metrics
        self._disk_free_mb_min = disk_free_mb_min
        self._monotonic_s = monotonic_s
        self._committed_s: float | None = None
        self._failure: tuple[float, str] | None = None
        self._damage = ""
        self._looked: tuple[float, Health] | None = None

    def committed(self, *, seconds: float, records: int, records_bytes: int) -> None:
        """A transaction is on disk."""
        self._committed_s = self._monotonic_s()
        if self._failure is not None:
            self._failure = self._looked = None
        self._metrics.commits.inc()
        self._metrics.commit_seconds.observe(seconds)
        self._metrics.commit_records.observe(records)
        self._metrics.records.inc(records)
        self._metrics.records_bytes.inc(records_bytes)

    def failed(self, error: CrdtsyncError) -> None:
        """A transaction failed. Only the disk's own errors speak against the store, not what a peer sent."""
        self._metrics.commit_failures.inc()
        if isinstance(error, StorageError):
            self.speaks_against(error)

    def speaks_against(self, error: StorageError) -> None:
        """Something else than a transaction showed that the store cannot be used as it is."""
        self._failure = (self._monotonic_s(), str(error))
        self._looked = None
        if isinstance(error, DamagedStore):
            self._damage = str(error)

    def mended(self) -> None:
        """What was damaged was set apart; its senders are asked for it again."""
        self._failure, self._damage, self._looked = None, "", None

    def look(self) -> Health:
        """The state of things now, or of a second ago. Blocks for an fsync."""
        now_s = self._monotonic_s()
        if self._looked is not None and now_s - self._looked[0] < LOOK_EVERY_S:
            return self._looked[1]
        problem = self._damage or self._recent_failure(now_s) or self._probe()
        writable = not problem
        free_mb = self._free_mb()
        if writable and free_mb < self._disk_free_mb_min:
            problem = f"only {free_mb} MB are free in {self._folder.root}: sales will soon not be taken"
        age_s = None if self._committed_s is None else round(now_s - self._committed_s, 3)
        health = Health(writable, age_s, free_mb, problem)
        self._metrics.healthy.set(health.ok)
        self._looked = (now_s, health)
        return health

    def _recent_failure(self, now_s: float) -> str:
        failure = self._failure
        return failure[1] if failure is not None and now_s - failure[0] < FAILURE_COUNTS_S else ""

    def _probe(self) -> str:
        path = self._folder.root / PROBE
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(handle, bytes(4096))
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            return f"{self._folder.root} cannot be written: {error.strerror}"
        finally:
            with suppress(OSError):
                path.unlink()
        return ""

    def _free_mb(self) -> int:
        try:
            return shutil.disk_usage(self._folder.root).free >> 20
        except OSError:
            return 0
