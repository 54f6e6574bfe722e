"""Group commit: what arrived while the last commit ran is judged and stored in one transaction.

One thread owns the store's writing connection. Connections submit ``Work`` from the event loop; when nothing
is under way it is committed at once, otherwise it joins the next commit. Only after the commit are the
outcomes handed back, on the loop: an acknowledgement cannot overtake it. Work of many shops shares one fsync.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from crdtsync.errors import CrdtsyncError, LinkClosed, StorageError
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.batches import bounded, by_peer, is_history
from crdtsync.runtime.committing.shop_commit import ShopCommit
from crdtsync.runtime.committing.upkeep import UpkeepThread
from crdtsync.runtime.committing.work import OUT_OF_STEP, CommitObserver, Outcome, Work
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.sqlite_errors import MORE_FILES

if TYPE_CHECKING:
    from crdtsync.runtime.committing.ahead import Verifier

LET_GO_S: Final = 5.0
"""What is known of a log is kept in memory so long after it was last written: to read it again takes a part
of a millisecond, and a relay may have thousands of shops that sell nothing now.
"""

LOGS_KEPT: Final = 64
"""Of so many shops it is known how their log stands: 2.5 KB each. Where more bring something within those
seconds, it is read again with the next, which takes 0.1 ms.
"""


class Committer:
    """The one writer of a process. ``start`` and ``stop`` belong to the event loop's thread."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        admissions: Callable[[bytes], Admission],
        observer: CommitObserver,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        verifier: Verifier | None = None,
    ) -> None:
        self.before_history: Callable[[ShopLog], object] = lambda log: None
        """Called on the committer's thread before each pack of the past, with the log as this thread has it;
        may take its time.
        """
        self.on_disk: Callable[[list[Growth]], object] = lambda growths: None
        """Called on the committer's thread as soon as something is on disk, before the event loop hears of
        it: for whoever waits to see it. Returns at once.
        """
        self._open_store = open_store
        self._admissions = admissions
        self._observer = observer
        self._now_ms = now_ms
        self._monotonic_s = monotonic_s
        self._verifier = verifier
        self._is_committing = False
        self._gathered: list[Work] = []
        self._queue: list[Work] = []
        self._failed: WeakSet[object] = WeakSet()
        self._signal = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._upkeep: UpkeepThread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._was_alone = True
        self._used_s: dict[bytes, float] = {}

    def start(self) -> None:
        """Begin to take work. Call on the event loop."""
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()
        self._upkeep = UpkeepThread(self._open_store, self._submit_change)
        self._upkeep.start()

    def submit(self, work: Work) -> None:
        """Hand over work; ``work.done`` follows. May be called from any thread."""
        is_gathering = self._gathered or not self._was_alone
        if is_gathering and self._loop is not None and threading.get_ident() == self._loop_thread:
            # More than one comes at a time: what else this turn of the loop brings joins the same commit.
            if not self._gathered:
                self._loop.call_soon(self._hand_over)
            self._gathered.append(work)
            return
        with self._signal:
            self._queue.append(work)
            self._signal.notify()

    def _hand_over(self) -> None:
        gathered, self._gathered = self._gathered, []
        if self._verifier is not None:
            self._verifier.ask(gathered, is_waiting=self._is_committing)
        with self._signal:
            self._queue += gathered
            self._signal.notify()

    async def stop(self) -> None:
        """Commit what was submitted, then end the threads."""
        if self._upkeep is not None:
            await asyncio.to_thread(self._upkeep.stop)
        self._hand_over()
        with self._signal:
            self._stopping = True
            self._signal.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _submit_change(
        self, shop: bytes, change: Callable[[ShopLog], object], done: Callable[[bool], None]
    ) -> None:
        self.submit(Work(shop, b"", "", lambda outcome: done(outcome.error is None), also=change))

    def _run(self) -> None:
        store: Store | None = None
        with suppress(CrdtsyncError):  # So that the first commit need not; it tries again, and tells.
            store = self._open_store()
        import crdtsync.model.plain  # noqa: F401  # As well; whoever never judges does without it.

        try:
            while True:
                batch = self._next_batch(store)
                if not batch:
                    return
                self._was_alone = len(batch) == 1
                try:
                    store = store or self._open_store()
                except Exception as error:  # Whoever submitted is told, and the next work tries again.
                    known = _known(error)
                    self._hand_back(batch, self._fail(batch, known), [], 0.0, known)
                    continue
                self._use(batch)
                self._commit(store, batch)
                self._let_go(store)
                if self._verifier is not None:
                    self._verifier.committed(batch)
        finally:
            if self._verifier is not None:
                self._verifier.stop()
            if store is not None:
                store.close()

    def _next_batch(self, store: Store | None) -> list[Work]:
        """What has come meanwhile, as soon as something has; nothing at the end."""
        self._is_committing = False
        while True:
            rests_s = self._verifier.rests_s() if self._verifier is not None else None
            waits_s = [LET_GO_S] if self._used_s else []
            with self._signal:
                if not self._queue and not self._stopping:
                    self._signal.wait(min(waits_s if rests_s is None else [rests_s, *waits_s], default=None))
                if self._queue or self._stopping:
                    batch, self._queue = self._queue, []
                    self._is_committing = True
                    return batch
            if store is not None:
                self._let_go(store)

    def _use(self, batch: list[Work]) -> None:
        now_s = self._monotonic_s()
        for work in batch:
            self._used_s.pop(work.shop, None)  # The one used last is the last one.
            self._used_s[work.shop] = now_s

    def _let_go(self, store: Store) -> None:
        """Of the logs that nothing was brought to for a while, or to so many others meanwhile."""
        since_s = self._monotonic_s() - LET_GO_S
        while self._used_s:
            shop, used_s = next(iter(self._used_s.items()))
            if used_s > since_s and len(self._used_s) <= LOGS_KEPT:
                return
            del self._used_s[shop]
            with suppress(KeyError, CrdtsyncError):  # A shop that was never there, or cannot be read.
                store.shop(shop).let_go()

    def _commit(self, store: Store, batch: list[Work]) -> None:
        if len(parts := bounded(batch)) > 1:
            for part in parts:
                self._commit(store, part)
            return
        started, known = self._monotonic_s(), None
        try:
            outcomes, growths = self._transact(store, batch)
        except Exception as error:  # The boundary of a commit: whatever went wrong, nothing was stored.
            if len(batch) > 1 and not isinstance(error, StorageError):
                for work in batch:  # One peer's work must not keep the others' from the disk.
                    self._commit(store, [work])
                return
            known = _known(error)
            outcomes, growths = self._fail(batch, known), []
        else:
            self.on_disk(growths)
        seconds = self._monotonic_s() - started
        self._hand_back(batch, outcomes, growths, seconds, known)

    def _fail(self, batch: list[Work], error: CrdtsyncError) -> list[Outcome]:
        self._failed.update(work.sender for work in batch if work.sender is not None)
        return [Outcome(error=error) for _ in batch]

    def _hand_back(
        self,
        batch: list[Work],
        outcomes: list[Outcome],
        growths: list[Growth],
        seconds: float,
        error: CrdtsyncError | None,
    ) -> None:
        def tell() -> None:
            for work, outcome in zip(batch, outcomes, strict=True):
                self._report(work, outcome)
            self._observer.committed(growths, seconds, error)
            # Last: its thread wakes up for it, and would take the interpreter's lock from who is waited for.
            if self._upkeep is not None:
                for growth in growths:
                    if growth.rows:
                        self._upkeep.grew(growth)

        self._call(tell)

    def _report(self, work: Work, outcome: Outcome) -> None:
        work.done(outcome)

    def _call(self, tell: Callable[[], None]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(tell)

    def _transact(self, store: Store, batch: list[Work]) -> tuple[list[Outcome], list[Growth]]:
        commits: dict[bytes, ShopCommit] = {}
        for work in batch:
            if work.shop not in commits:
                admission = self._admissions(work.shop)
                admission.notice(store)
                commits[work.shop] = ShopCommit(
                    store.shop(work.shop), admission, self._now_ms(), self._verifier
                )
        growths: list[Growth] = []
        for works in by_peer(batch):
            commit = commits[works[0].shop]
            if is_history(works[0]):
                self.before_history(store.shop(works[0].shop))
                with _collector_at_rest():
                    growths += commit.append_ahead(store, works[0])
            else:
                commit.judge(works)
        with store.transaction():
            for commit in commits.values():
                commit.begin(store)
            for work in batch:  # All cursors now: a question between appends has these written out singly.
                commits[work.shop].cursor(work.peer_log)
            outcomes = self._apply(commits, batch)
            growths += [commit.finish() for commit in commits.values()]
        for work, outcome in zip(batch, outcomes, strict=True):
            commits[work.shop].leave_out_admitted(work, outcome)
            if outcome.error is not None and work.sender is not None:
                self._failed.add(work.sender)
        return outcomes, [growth for growth in growths if growth.rows or growth.admitted_anew]

    def _apply(self, commits: dict[bytes, ShopCommit], batch: list[Work]) -> list[Outcome]:
        """A sender hears of a failure later than the next of its work is under way. That may be an
        acknowledgement, and what failed the refusals before it: without them it would say too much.
        """
        outcomes, failed = [], set(self._failed)
        for work in batch:
            if work.sender is not None and work.sender in failed:
                outcome = Outcome(error=LinkClosed("what came before was not stored", code=OUT_OF_STEP))
            else:
                outcome = commits[work.shop].apply(work)
            if outcome.error is not None:
                failed.add(work.sender)
            outcomes.append(outcome)
        return outcomes


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Without Python's search for cycles: a pack is 30,000 values without one, which it would look through
    again and again, and with them all products. They are gone after the pack.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _known(error: Exception) -> CrdtsyncError:
    if isinstance(error, CrdtsyncError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return StorageError("nothing was stored: too many files are open", hint=MORE_FILES)
    return StorageError(f"nothing was stored: {error!r}")
