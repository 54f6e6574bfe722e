"""A simulated machine: a disk, a clock, and processes that live until it crashes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, TypeVar

from crdtsync.errors import CrdtsyncError, DamagedStore
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.upkeep import Upkeep
from crdtsync.runtime.committing.work import CommitObserver, Work
from crdtsync.runtime.syncing.comparison import DocumentDigests
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.storage.log import ShopLog, Store
from crdtsync.testing.simulation.clock import SimulatedClock
from crdtsync.testing.simulation.plates import Plate, records_of
from crdtsync.testing.simulation.timeline import Event

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

T = TypeVar("T")

UPKEEP_US = 5_000
QUIET_US = 500_000


class Machine(ABC):
    """What registers and relays have in common. ``life`` counts starts: what a dead process had set down to
    do later does not happen.
    """

    def __init__(self, shop: Shop, name: str, plate: Plate) -> None:
        self.shop = shop
        self.name = name
        self.plate = plate
        self.timeline = shop.timeline
        self.chance = Random(f"{shop.seed}/{name}")
        self.random_bytes = Random(f"{shop.seed}/ids/{name}").randbytes
        self._line_bytes = Random(f"{shop.seed}/line/{name}").randbytes
        self.clock = SimulatedClock(self.timeline)
        self.is_on = False
        self.life = 0
        self.disk_us = (80, 400)
        self.reader: Store | None = None
        """With which checks read the log as any process of this machine would."""
        self._records: tuple[object, list[bytes], frozenset[bytes]] = None, [], frozenset()
        self.losses = 0
        """Counts up whenever this disk loses something: it is put back, or damaged, or another one."""

    def __repr__(self) -> str:
        return self.name

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Switch it on."""
        self.life += 1
        self.is_on = True

    def crash(self, *, is_told: bool = True) -> None:
        """Lose what is in memory and what was not synced. ``is_told``: peers see their connections break."""
        self.life += 1
        self.is_on = False
        self.shop.network.lose(self, is_told=is_told)
        self.stop_processes()
        self.reader = None
        self.plate.cut_power()

    def have(self, plate: Plate) -> None:
        """Another disk takes the place of this one, while the machine is off."""
        self.plate.cut_power()
        self.plate, self.reader = plate, None

    @abstractmethod
    def stop_processes(self) -> None:
        """Forget them."""

    def work(self, what: Callable[[], object]) -> None:
        """Let a process of this machine do something. If the power goes meanwhile, it is off afterwards."""
        if not self.is_on:
            return
        what()
        if self.plate.is_off and self.is_on:
            self.shop.story.tell(self.name, "loses its power in the midst of a write")
            self.crash()
            self.shop.restart_later(self)

    def later(self, delay_us: int, what: Callable[[], object]) -> Event:
        """Let this life of the machine do something later."""
        life = self.life

        def do() -> None:
            if self.life == life:
                self.work(what)

        return self.timeline.after_us(delay_us, do)

    @abstractmethod
    def ended(self, connection: Connection) -> None:
        """A connection of this machine has ended."""

    @abstractmethod
    def scrub(self) -> None:
        """Read all of the log, and set apart what is damaged."""

    def exchange_seed(self) -> bytes:
        """What a connection's frames are bound with, where lines have no TLS."""
        return self._line_bytes(32) if self.shop.is_open_line else b""

    # -- from outside --------------------------------------------------------------------------------------

    def records(self) -> list[bytes]:
        """What is on the disk, whoever could read it."""
        return self._read()[0]

    def record_set(self) -> frozenset[bytes]:
        """The same, without an order."""
        return self._read()[1]

    def _read(self) -> tuple[list[bytes], frozenset[bytes]]:
        version = self.plate, self.plate.version, self.losses
        if self._records[0] != version:
            found = records_of(self.plate, self.shop.shop_id)
            self._records = version, found, frozenset(found)
        return self._records[1:]


class SimulatedCommitter(Committer):
    """The product's committer: events of the timeline in the place of its threads."""

    def __init__(
        self,
        machine: Machine,
        open_store: Callable[[], Store],
        admissions: Callable[[bytes], Admission],
        observer: CommitObserver,
    ) -> None:
        timeline = machine.timeline
        super().__init__(
            open_store, admissions, observer, machine.clock.now_ms, lambda: timeline.now_us / 1_000_000
        )
        self._machine = machine
        self._store: Store | None = None
        self._untold: deque[Callable[[], None]] = deque()
        self._is_due = self._is_kept_up = False
        self._steps: Upkeep | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether something is not committed, or its outcome not told."""
        return bool(self._queue or self._untold)

    def submit(self, work: Work) -> None:
        """See ``Committer``."""
        self._queue.append(work)
        if not self._is_due:
            self._is_due = True
            self._machine.later(self._machine.chance.randint(*self._machine.disk_us), self._write)

    def _write(self) -> None:
        self._is_due = False
        batch, self._queue = self._queue, []
        try:
            if self._store is None:
                self._store = self._open_store()
                self._steps = Upkeep(
                    self._open_store(), self._submit_change, limits=self._machine.shop.upkeep_limits
                )
                self._upkeep = self._steps  # type: ignore[assignment]
        except CrdtsyncError as error:
            self._hand_back(batch, self._fail(batch, error), [], 0.0, error)
            return
        if batch:
            self._commit(self._store, batch)
        self._keep_up_later(is_quiet=False)

    def _call(self, tell: Callable[[], None]) -> None:
        self._untold.append(tell)
        self._machine.later(self._machine.chance.randint(10, 200), self._tell)

    def _tell(self) -> None:
        self._untold.popleft()()

    def _keep_up_later(self, *, is_quiet: bool) -> None:
        if not self._is_kept_up:
            self._is_kept_up = True
            self._machine.later(QUIET_US if is_quiet else UPKEEP_US, lambda: self._keep_up(is_quiet=is_quiet))

    def _keep_up(self, *, is_quiet: bool) -> None:
        self._is_kept_up = False
        steps = self._steps
        if steps is None:
            return
        is_more = False
        with suppress(CrdtsyncError):  # As the product's thread: what cannot be read is met elsewhere.
            is_more = steps.step(is_quiet=is_quiet and not self._queue)
        if is_more or (steps.waits_for_quiet and not is_quiet):
            self._keep_up_later(is_quiet=not is_more)


class SimulatedReader:
    """Answers questions about documents some time later."""

    def __init__(self, machine: Machine, open_store: Callable[[], Store]) -> None:
        self._machine = machine
        self._open_store = open_store
        self._shops: dict[bytes, DocumentDigests] = {}

    def ask(self, shop: bytes, question: Callable[[DocumentDigests], T], done: Callable[[T], None]) -> None:
        """See ``Reader``."""

        def answer() -> None:
            try:
                if shop not in self._shops:
                    self._shops[shop] = DocumentDigests(self._open_store().shop(shop))
                found = question(self._shops[shop])
            except (CrdtsyncError, KeyError):
                return
            self._machine.later(100, lambda: done(found))

        self._machine.later(self._machine.chance.randint(200, 2_000), answer)

    def close(self) -> None:
        """See ``Reader``."""


def read_all(log: ShopLog, mend: Callable[[DamagedStore], bool]) -> None:
    """Read a log from its beginning; ``mend`` sets a damaged record apart."""
    after = 0
    while True:
        try:
            batch = log.read(after, bytes_max=1 << 18)
        except DamagedStore as damage:
            if not mend(damage):
                raise
            continue
        if batch.to.seq == after:
            return
        after = batch.to.seq


def saved(log: ShopLog, key: str) -> int | None:
    """A number that a simulation keeps beside a log."""
    found = log.state(key)
    return None if found is None else int(found)
