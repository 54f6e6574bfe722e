"""Where workloads are run: who takes part, how much of everything, and what happens when one fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from benchmarks.driver.processes import RegisterFailed
from benchmarks.driver.socket import Closed
from benchmarks.peers.comparison import Row
from benchmarks.peers.contenders import OURS, Contender
from benchmarks.peers.server import ServerFailed
from benchmarks.replay.relay import RelayFailed

STEP_S_MAX: Final = 300.0
"""Of one contender in one repeat of one workload."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Size:
    """``sold``: sales flat out, by width. ``deaf_mib``: sales that go by those who never read."""

    paced: int
    sold: dict[int, int]
    repeats: int
    history: int
    kills: int
    deaf_readers: int
    deaf_mib: int
    run_s_max: float


SIZES: Final = {
    "full": Size(150, {2: 6000, 10: 6000, 50: 3000, 200: 1000}, 3, 100_000, 20, 20, 32, 2700.0),
    "quick": Size(40, {2: 1000, 10: 1000, 50: 500, 200: 200}, 1, 10_000, 4, 20, 12, 900.0),
}


@dataclass(slots=True)
class Stand:
    """One run. ``say`` tells a person how far it is."""

    folder: Path
    contenders: Sequence[Contender]
    size: Size
    seed: int
    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)
    failed: bool = False
    _began_s: float = field(default_factory=time.monotonic)

    def row(self, name: str, unit: str, *, is_rate: bool = False, note: str = "") -> Row:
        """A new row, with a cell for everybody."""
        row = Row(name, unit, OURS, is_rate, note)
        for contender in self.contenders:
            row.cell(contender.name)
        self.rows.append(row)
        return row

    def in_turn(self, repeat: int) -> Iterator[Contender]:
        """Everybody, each time another first: what the machine does meanwhile favours nobody."""
        first = repeat % len(self.contenders)
        yield from (*self.contenders[first:], *self.contenders[:first])

    def place(self, *parts: str) -> Path:
        """A folder, made."""
        path = self.folder.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def prepare(self, contender: Contender, folder: Path, registers: int, each: int, **more: int) -> Any:
        """See ``Contender.prepare``."""
        with interruptible():
            return contender.prepare(folder, registers, each, self.seed, **more)

    async def attempt(
        self, contender: Contender, rows: Sequence[Row], step: Callable[[], Awaitable[Result]]
    ) -> Result | None:
        """One step of one contender, in bounded time. What fails is said in these rows, and others go on."""
        cells = [row.cell(contender.name) for row in rows]
        if any(cell.missing for cell in cells):
            return None
        if time.monotonic() - self._began_s > self.size.run_s_max:
            reason = f"the run had taken {self.size.run_s_max:.0f} s"
        else:
            self.say(f"{rows[0].name}: {contender.name}")
            try:
                async with asyncio.timeout(STEP_S_MAX):
                    return await step()
            except TimeoutError as error:
                reason = str(error) or "it took too long"
            except (Closed, ServerFailed, RelayFailed, RegisterFailed, OSError) as error:
                reason = f"{type(error).__name__}: {error}"
        self.failed = True
        for cell in cells:
            cell.missing = reason
        return None


@contextmanager
def interruptible() -> Iterator[None]:
    """For work that does not let the event loop run and has processes of its own: Ctrl-C ends it at once. The
    processes are ended by it too, and would otherwise be waited for without end.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
