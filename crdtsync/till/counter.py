"""The counter: the one thread that has the register. Pages ask it, one after the other.

Between two questions it looks whether anything has changed, and tells those who listen.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeVar

from crdtsync.errors import CrdtsyncError, UsageError
from crdtsync.till.desk import Desk
from crdtsync.till.safety import Safety, Snapshot

T = TypeVar("T")
_logger = logging.getLogger("crdtsync.till")

LOOK_EVERY_S: Final = 0.1
STOP_S: Final = 30.0
"""What is under way then (a commit, a connection that is closed) takes seconds at most."""

WAITING_MAX: Final = 64
"""So many questions wait at once; more come from no person."""


class Counter:
    """The thread. ``start`` and ``stop`` belong to one thread, ``ask`` to an event loop."""

    def __init__(self, open_desk: Callable[[], Desk], told: Callable[[Snapshot], None]) -> None:
        """``told`` is called on this thread with what pages show, whenever that has changed."""
        self._open_desk, self._told = open_desk, told
        self._jobs: deque[Callable[[Desk], None]] = deque()
        self._signal = threading.Condition()
        self._stopping = False
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._last: Snapshot | None = None
        self._look_due_s = 0.0
        self._mistake = ""
        self._thread = threading.Thread(target=self._run, name="till-counter", daemon=True)

    def start(self) -> None:
        """Open the register. Raises what that raises."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End after what is being done now."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                _logger.error(
                    "the register is not closed after %s s: it is left to the end of the process", STOP_S
                )

    async def ask(self, question: Callable[[Desk], T]) -> T:
        """The desk's answer. Raises what ``question`` raises. What is shown is told before it returns."""
        future: Future[T] = Future()

        def job(desk: Desk) -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                answer = question(desk)
                self._tell(desk)
            except BaseException as error:  # Whoever asked is told.
                future.set_exception(error)
            else:
                future.set_result(answer)

        with self._signal:
            if self._stopping or len(self._jobs) >= WAITING_MAX:
                raise UsageError("the till stops, or has too much to do")
            self._jobs.append(job)
            self._signal.notify()
        return await asyncio.wrap_future(future)

    def _run(self) -> None:
        try:
            desk = self._open_desk()
        except BaseException as error:  # Carried over to whoever starts it.
            self._failure = error
            self._ready.set()
            return
        try:
            if self._can_tell(desk):
                self._ready.set()
                while not self._stopping:
                    self._next(desk)
        finally:
            with self._signal:
                self._stopping = True  # Nobody waits for an answer that does not come any more.
                waiting, self._jobs = self._jobs, deque()
            for job in waiting:
                job(desk)
            desk.close()
            self._ready.set()

    def _can_tell(self, desk: Desk) -> bool:
        try:
            self._tell(desk)
        except BaseException as error:  # As above: else pages would wait at a counter where nobody stands.
            self._failure = error
            return False
        return True

    def _next(self, desk: Desk) -> None:
        with self._signal:
            left_s = self._look_due_s - time.monotonic()
            if not self._jobs and not self._stopping and left_s > 0:
                self._signal.wait(left_s)
            job = self._jobs.popleft() if self._jobs else None
        if job is not None:
            job(desk)
        # Also while one page follows the other without a pause: a busy till synchronises as well.
        if job is None or time.monotonic() >= self._look_due_s:
            self._look(desk)

    def _look(self, desk: Desk) -> None:
        self._look_due_s = time.monotonic() + LOOK_EVERY_S
        try:
            with suppress(CrdtsyncError):  # What cannot be done now is tried at the next look.
                desk.look()
            self._tell(desk)
            self._mistake = ""
        except Exception as error:  # A mistake in looking ends no till: the next look tries again.
            if repr(error) != self._mistake:  # Said once, not ten times a second.
                _logger.exception("looking around failed")
            self._mistake = repr(error)
            if self._last is not None:  # What was told last may not be so any more.
                self._last = replace(self._last, safety=Safety("unknown"))
                self._told(self._last)

    def _tell(self, desk: Desk) -> None:
        snapshot = desk.snapshot()
        if snapshot != self._last:
            self._last = snapshot
            self._told(snapshot)
