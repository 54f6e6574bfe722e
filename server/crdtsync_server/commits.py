"""The relay's committer: it counts what was not admitted, and knows whose work is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.ahead import Verifier
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import CommitObserver, Outcome, Work
from crdtsync.storage.log import Store
from crdtsync_server.serving.metrics import RelayMetrics


class CountedCommitter(Committer):
    """A committer whose deliveries are counted from the event loop that they come from."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        admissions: Callable[[bytes], Admission],
        observer: CommitObserver,
        now_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        metrics: RelayMetrics,
        came: Callable[[Work], None] = lambda work: None,
    ) -> None:
        super().__init__(open_store, admissions, observer, now_ms, monotonic_s, Verifier(monotonic_s))
        self._metrics = metrics
        self._came = came
        self._under_way: dict[bytes, int] = {}
        self._settled = asyncio.Event()
        self._settled.set()

    def submit(self, work: Work) -> None:
        """Hand over work; ``work.done`` follows. Work with deliveries comes from the event loop."""
        if work.deliveries:
            self._came(work)
            self._under_way[work.shop] = self._under_way.get(work.shop, 0) + 1
            self._settled.clear()
        super().submit(work)

    def _report(self, work: Work, outcome: Outcome) -> None:
        if work.deliveries:
            self._under_way[work.shop] -= 1
            if not self._under_way[work.shop]:
                del self._under_way[work.shop]
            if not self._under_way:
                self._settled.set()
            if outcome.stored:
                self._count(outcome)
        super()._report(work, outcome)

    def is_at_work(self, shop: bytes) -> bool:
        """Whether deliveries of that shop are on their way to the disk, or their outcome to the loop."""
        return shop in self._under_way

    async def settled(self) -> None:
        """Wait until every delivery that was handed over is on disk and its outcome was told."""
        await self._settled.wait()

    def _count(self, outcome: Outcome) -> None:
        for _, refused in outcome.stored:
            for refusal in refused:
                counter = self._metrics.holds if refusal.held else self._metrics.refusals
                counter.labels(refusal.code).inc()
