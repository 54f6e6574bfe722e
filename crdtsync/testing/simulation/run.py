"""Playing a plan: people and faults at their times, checks after every change, and rest at the end."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from unittest import mock

from crdtsync.protocol import limits
from crdtsync.runtime.committing import batches
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.runtime.syncing import answer, connection
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation.broken import Broken, require
from crdtsync.testing.simulation.coverage import states_of
from crdtsync.testing.simulation.faults import Faults
from crdtsync.testing.simulation.network import GONE
from crdtsync.testing.simulation.people import People
from crdtsync.testing.simulation.plan import PEOPLE, Action, Plan
from crdtsync.testing.simulation.shop import Shop
from crdtsync.testing.simulation.timeline import FIRST_MS

SMALL_BOUNDS = {
    "HEADS_ROWS_MIN": 5,
    "CUT_ROWS_MIN": 9,
    "WANT_SEQS": 4,
    "WANT_SEQS_UNDER_WAY": 8,
    "WANTS_UNDER_WAY_MAX": 3,
    "FIRST_INTERVALS_MAX": 2,
    "BATCH_BYTES": 2_000,
    "IN_FLIGHT_BYTES_MAX": 5_000,
    "ACK_EVERY_BYTES": 2_000,
    "ROOM_BYTES": 4_000,
    "RUNS_PER_MESSAGE_MAX": 2,
    "DOCUMENTS_PER_MESSAGE_MAX": 1,
    "REFUSALS_PER_MESSAGE_MAX": 2,
}
"""Bounds of the protocol that a history of some dozen records reaches."""

SMALL_UPKEEP = UpkeepLimits(pack_rows=8, loose_rows=12, compact_records=4)

REST_S = 240


@dataclass(slots=True)
class Result:
    """What became of a plan. ``failure`` is None if everything that is promised held."""

    plan: Plan
    failure: str = ""
    """What did not hold; empty if everything did."""
    check: str = ""
    """The name of the check that failed, or of the error."""
    story: list[str] = field(default_factory=list)
    digest: str = ""
    events: int = 0
    frames: int = 0
    tickets: int = 0
    rest_s: float = 0.0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    """What the product went through: messages that arrived, ways in which connections ended, what lies in the
    logs at the end.
    """


def play(plan: Plan, *, genuine_signatures: bool = False, checks_each_event: bool = True) -> Result:
    """Play a plan from beginning to end. Never raises for what goes wrong in it: see ``Result.failure``."""
    result = Result(plan)
    began_s = perf_counter()
    with ExitStack() as stack:
        if not genuine_signatures:
            stack.enter_context(fast_signatures())
        if plan.small_bounds:
            stack.enter_context(small_bounds())
        shop = stack.enter_context(
            Shop(
                plan.size.registers,
                plan.seed,
                disks="sqlite" if plan.is_sqlite else "memory",
                upkeep_limits=SMALL_UPKEEP if plan.small_bounds else None,
                is_open_line=plan.is_open_line,
            )
        )
        run = Run(shop, plan, result, checks_each_event=checks_each_event)
        try:
            run.play()
        except Exception as error:  # Whatever it is, it is told with the seed and the story.
            result.failure = f"{type(error).__name__}: {error}"
            result.check = error.check if isinstance(error, Broken) else type(error).__name__
            shop.story.tell("check", result.failure)
            shop.story.tell("check", _place_of(error))
        result.story, result.digest = shop.story.lines(), shop.story.digest
        result.events, result.frames = shop.timeline.events, shop.network.frames
        result.tickets = len(shop.notebook.tickets)
        result.states = states_of(shop)
    result.seconds = perf_counter() - began_s
    return result


def _place_of(error: BaseException) -> str:
    """Where in the product it was: the last lines of the traceback."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(
        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )


@contextmanager
def small_bounds() -> Iterator[None]:
    """While the block runs, the protocol's bounds are so small that a short history reaches them."""
    with ExitStack() as stack:
        for name, value in SMALL_BOUNDS.items():
            stack.enter_context(mock.patch.object(limits, name, value))
        stack.enter_context(mock.patch.object(connection, "OUTBOX_BYTES_MAX", 4_000))
        stack.enter_context(mock.patch.object(answer, "PACKED_BYTES_MIN", 1_500))
        stack.enter_context(mock.patch.object(batches, "KEPT_ROWS_MIN", 3))
        yield


class Run:
    """One plan being played."""

    def __init__(self, shop: Shop, plan: Plan, result: Result, *, checks_each_event: bool) -> None:
        self.shop = shop
        self.plan = plan
        self.result = result
        self.people = People(shop, lambda: bool(result.faults))
        self.faults = Faults(shop, self._happened)
        self._checks_each_event = checks_each_event
        self._checked: tuple[object, ...] = ()

    def play(self) -> None:
        """From the first morning to rest after the last evening. Raises ``Broken``."""
        shop = self.shop
        shop.run(30, each=self._look)
        self.faults.back_up()
        for action in self.plan.actions:
            at_us = (FIRST_MS + action.at_ms) * 1000
            shop.run(max(0.0, (at_us - shop.timeline.now_us) / 1_000_000), each=self._look)
            self._do(action)
            self._look()
        if self.plan.actions:
            shop.run(30, each=self._look)
        if not self.result.faults:
            # In the evening registers are switched off.
            ended = [f"{name}: {error}" for name, error in shop.errors if getattr(error, "code", 0) != GONE]
            require(not ended, "nothing breaks off where nothing goes wrong", ended[:2])
        self.result.rest_s = shop.settle(REST_S, each=self._look)
        if "record rots" in self.result.faults:
            shop.scrub()
            shop.run(10, each=self._look)
        shop.run(5, each=self._look)
        shop.check_in_step()
        # Once more: the second time finds what came up while copies of one register were connected.
        for wire in shop.wires():
            shop.network.cut(wire)
        shop.run(1, each=self._look)
        shop.settle(REST_S, each=self._look)
        self.people.last_customers()
        shop.settle(REST_S, each=self._look)
        shop.check_at_rest()

    def _do(self, action: Action) -> None:
        if action.what in PEOPLE:
            if action.what == "open":
                self.faults.back_up()
            self.people.do(action)
        else:
            self.faults.do(action)

    def _happened(self, fault: str) -> None:
        self.result.faults[fault] += 1

    def _look(self) -> None:
        """Check, if anything has changed on a disk."""
        if not self._checks_each_event:
            return
        shop = self.shop
        versions = tuple((machine.plate, machine.plate.version, machine.losses) for machine in shop.machines)
        if versions != self._checked:
            self._checked = versions
            shop.check()
