"""Synchronising beside the register: a thread with an event loop of its own, and a short way to use it once.

The thread has stores of its own; the register and the syncer meet only on disk. The register stays
synchronous and never waits for the network.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from crdtsync.errors import CrdtsyncError, NotSynchronised, RoleTaken, StorageError
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.syncing.progress import Progress
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.said import many

INTERRUPT_LOOK_S: Final = 0.1
"""How long Ctrl-C may go unnoticed."""


class BackgroundSync:
    """A syncer on a thread. ``start`` takes the role of syncing this folder, ``stop`` gives it back."""

    def __init__(self, folder: Path, make_syncer: Callable[[], Syncer]) -> None:
        self._folder = folder
        self._make_syncer = make_syncer
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._syncer: Syncer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Begin to synchronise; returns when the role is held. Raises ``RoleTaken``, ``StorageError``."""
        self._ready.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, name="crdtsync", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    @property
    def is_running(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def error(self) -> CrdtsyncError | None:
        """Why there is no connection at this moment, or why the thread has ended; None while all is well."""
        if isinstance(self._failure, CrdtsyncError):
            return self._failure
        return self._syncer.error if self._syncer else None

    @property
    def is_connected(self) -> bool:
        """Whether the relay is connected at this moment."""
        connection = self._syncer.connection if self._syncer else None
        return connection is not None and connection.session.is_live

    @property
    def awaits_first(self) -> bool:
        """Whether products or sales of today, which a new register needs, are still on their way here."""
        connection = self._syncer.connection if self._syncer else None
        if connection is None or not connection.session.is_live or connection.session.peer is None:
            return False
        return connection.session.inbound.first_left(connection.session.peer.end) > 0

    def progress(self) -> Progress:
        """How far it is."""
        return self._syncer.progress() if self._syncer else Progress(False, 0, 0, 0, None)

    def wake(self) -> None:
        """The register has written something: send it at once."""
        if self._syncer is not None:
            self._syncer.wake()

    def try_now(self) -> None:
        """A person asks: if there is no connection, try now and not only when it is time."""
        if self._syncer is not None:
            self._syncer.try_now()

    def stop(self) -> None:
        """End the connection and the thread. Idempotent; what is not sent stays pending."""
        loop, stop, thread = self._loop, self._stop, self._thread
        if thread is None:
            return
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join()
        self._thread = None

    def _run(self) -> None:
        try:
            with sync_role(self._folder):
                asyncio.run(self._main())
        except BaseException as error:  # The boundary of a thread: told by `error`, never lost.
            self._failure = error
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._syncer = self._make_syncer()
        self._ready.set()
        try:
            await self._syncer.run(self._stop)
        finally:
            self._syncer.close()


def sync_once(
    folder: Path,
    make_syncer: Callable[[], Syncer],
    *,
    timeout_s: float,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Synchronise once and return when everything local is on the relay's disk. Blocks.

    Raises ``NotSynchronised`` when that was not reached in time, or at once where nothing is missing but what
    the relay refused for good, or what was damaged here before the relay had it, ``RoleTaken`` when another
    process does the work (which is asked to do it now), and what the network or the relay gives cause to.
    Nothing local is lost by any of them, nor by ``KeyboardInterrupt``, at which the connection is closed
    before anything else happens.
    """
    result: list[bool] = []
    refused: set[int] = set()
    damaged: list[int] = []
    failure: list[BaseException] = []
    stopping: list[Callable[[], object]] = []
    interrupted = threading.Event()

    async def main() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        stopping.append(lambda: loop.call_soon_threadsafe(stop.set))
        if interrupted.is_set():
            stop.set()
        syncer = make_syncer()
        try:
            result.append(await syncer.sync_once(timeout_s, progress, stop))
            refused.update(syncer.refused_for_good())
            damaged.append(syncer.damaged_own())
        finally:
            syncer.close()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # Carried over to the caller's thread.
            failure.append(error)

    try:
        with sync_role(folder):
            _run_interruptibly(run, stopping, interrupted)
    except RoleTaken:
        # That one may be waiting for its next attempt.
        with suppress(StorageError), closing(make_syncer()) as syncer:
            syncer.ask_other_process()
        raise
    if failure:
        raise failure[0]
    if not result[0] and refused:
        raise NotSynchronised(
            f"the relay did not take {many(len(refused), 'record')} of this register",
            hint="`crdtsync quarantine list` says which and why; they stay on this register",
        )
    if result[0] and damaged[0]:
        raise NotSynchronised(
            f"the relay has everything but {many(damaged[0], 'entry', 'entries')} of this register that "
            f"{'was' if damaged[0] == 1 else 'were'} damaged on this disk before it had come there",
            hint="`crdtsync quarantine list` names it, `crdtsync quarantine show DIGEST` shows what is left",
        )
    if not result[0]:
        raise NotSynchronised(
            f"not everything is on the relay's disk after {timeout_s:g} s",
            hint="`crdtsync status` shows what is missing; it stays on this register",
        )


def _run_interruptibly(
    run: Callable[[], None], stopping: list[Callable[[], object]], interrupted: threading.Event
) -> None:
    # A thread of its own, because the caller may itself be inside an event loop.
    thread = threading.Thread(target=run, name="crdtsync-once")
    try:
        thread.start()  # An interrupt may come while it waits for the thread to run.
        while thread.is_alive():
            # Not without end: a signal that comes as this begins to wait is noticed only when it wakes up.
            thread.join(INTERRUPT_LOOK_S)
    except BaseException:
        # The role must not be given back while the thread works on.
        interrupted.set()
        with suppress(RuntimeError):
            for stop_loop in stopping:
                stop_loop()
        with suppress(RuntimeError):  # It has not begun, and when it does, it sees that it was interrupted.
            thread.join()
        raise
