"""A register of the replay as the one who runs it sees it: a process, its network, and what it tells."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.replay.plan import Happening
from benchmarks.replay.usage import Usage
from crdtsync.testing.line import FaultyLine

LAST_BYTES_MAX = 20_000
IN_STEP_ROWS = 8
"""Rows that a register which goes on selling may have under way while it counts as in step."""

OUTPUT_LINE_BYTES_MAX = 16 << 20


class TillFailed(Exception):
    """A register's process ended when nobody had ended it."""


@dataclass(slots=True)
class Window:
    """A time without the relay. ``behind``: baskets sold meanwhile by this till, and by the others.

    ``connected_s`` and ``caught_up_s`` count from its end; the first is the register's own pause before it
    tries again. They stay None where the next window began before.
    """

    till: int
    kind: str
    began_s: float
    own_before: int
    all_before: int
    ended_s: float | None = None
    own_behind: int = 0
    others_behind: int = 0
    connected_s: float | None = None
    caught_up_s: float | None = None

    def facts(self) -> dict[str, Any]:
        """For the report."""
        return {
            "till": self.till,
            "kind": self.kind,
            "lasted_s": round((self.ended_s or self.began_s) - self.began_s, 3),
            "own_behind": self.own_behind,
            "others_behind": self.others_behind,
            "connected_s": self.connected_s,
            "caught_up_s": self.caught_up_s,
        }


@dataclass(slots=True)
class Till:
    """One register."""

    number: int
    folder: Path
    baskets_file: Path
    baskets: int
    gate: FaultyLine
    happenings: list[Happening]
    arguments: list[str]
    random: Random
    log: Path
    all_sold: Callable[[], int]
    changed: asyncio.Event
    sold: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    kills: int = 0
    usage: Usage = field(default_factory=Usage)
    sell_ms: list[float] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    may_go: bool = False

    async def run(self) -> None:
        """Start it, and again after each kill, until it ends by itself. Raises ``TillFailed``."""
        while True:
            killed = await self._run_once()
            if not killed:
                return

    def go(self) -> None:
        """Let it begin to sell; also when it was killed and comes again."""
        self.may_go = True
        self._say(b"go\n")

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.usage.add(self.process.pid)
        self._say(b"stop\n")

    def _say(self, word: bytes) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.write(word)

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    @property
    def is_done(self) -> bool:
        """Whether everything is sold and closed."""
        return bool(self.state.get("event") == "waiting")

    @property
    def is_quiet(self) -> bool:
        """Whether it says that nothing is under way any more."""
        state = self.state
        rows = (state.get("pending"), state.get("to_receive"))
        is_well = bool(state.get("connected")) and state.get("error") is None
        return self.is_done and is_well and rows == (0, 0)

    async def _run_once(self) -> bool:
        """Whether it was killed."""
        with self.log.open("ab") as log:
            self.process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "benchmarks.replay.worker",
                *self.arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=OUTPUT_LINE_BYTES_MAX,
            )
        assert process.stdout is not None
        killed = False
        while line := await process.stdout.readline():
            if killed or not line.endswith(b"\n"):
                continue
            self._hear(json.loads(line))
            killed = self._happen()
            if killed:
                self.usage.add(process.pid)
                process.kill()
                self.kills += 1
        code = await process.wait()
        if code and not killed:
            raise TillFailed(f"till {self.number} ended with {code}: see {self.log}")
        return killed

    def _hear(self, said: dict[str, Any]) -> None:
        self.sold = said["sold"]
        self.sell_ms += said["sell_ms"]
        if said["event"] != "ended":
            self.state = said
            self._watch_windows()
            if said["event"] == "opened" and self.may_go:
                self._say(b"go\n")
        self.changed.set()

    def _happen(self) -> bool:
        """Let happen what is due; whether it is a kill."""
        while self.happenings and self.happenings[0].at <= self.sold:
            what = self.happenings.pop(0).what
            if what == "kill":
                return True
            self._turn(what)
        return False

    def _turn(self, what: str) -> None:
        now_s = time.monotonic()
        if what == "open":
            self.gate.heal()
            window = self.windows[-1]
            window.ended_s = now_s
            window.own_behind = self.sold - window.own_before
            window.others_behind = self.all_sold() - window.all_before - window.own_behind
            return
        if what == "cut":
            self.gate.cut(self.random.randrange(LAST_BYTES_MAX))
        else:
            self.gate.stall()
        self.windows.append(Window(self.number, what, now_s, self.sold, self.all_sold()))

    def _watch_windows(self) -> None:
        now_s = time.monotonic()
        for window in self.windows[-1:]:
            if window.ended_s is None or window.caught_up_s is not None or not self.state["connected"]:
                continue
            since_s = round(now_s - window.ended_s, 3)
            if window.connected_s is None:
                window.connected_s = since_s
            if self.state["pending"] + self.state["to_receive"] <= IN_STEP_ROWS:
                window.caught_up_s = since_s


def percentile(values: Sequence[float], part: float) -> float | None:
    """A percentile of what was measured; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
