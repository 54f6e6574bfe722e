"""One register of the replay, as a process of its own: it sells its baskets, in the order of time.

It can be killed at any moment. What it told to be paid is in ``told.jsonl`` (written after ``sell`` returned,
as a till prints a ticket); whoever starts it again goes on with the basket after that. The basket's id is the
request id, so that a basket whose sale was on disk but not told gets the same ticket, not a second one.

On standard output it tells, one JSON object a line, how far it is. On standard input, ``go`` lets it begin,
and the next word ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.replay.assortment import Assortment
from benchmarks.replay.clock import DAY_STARTS_MIN, SourceClock, business_day
from benchmarks.replay.mapping import lines_of, payments_of
from benchmarks.replay.plan import forgets
from benchmarks.replay.source import Basket, read_baskets
from crdtsync.errors import NoRegister
from crdtsync.protocol.heads import root_digest
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import system_random
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.background import BackgroundSync

WAIT_S: Final = 0.05
PENDING_TOLD_MAX: Final = 100
FLOAT_MINOR: Final = 10_000
"""Cash in the drawer in the morning."""


class Till:
    """A register that replays baskets."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._folder: Path = options.folder
        self._told = _Told(self._folder / "told.jsonl")
        self._clock = SourceClock(options.start_ms)
        self._register = self._open()
        self._clock.set(self._head.ts_ms)
        self._assortment = Assortment(self._register, options.assortment.read_text().split())
        self._sync: BackgroundSync = self._register.start_sync()
        self._last_told_s = 0.0
        self._sell_ms: list[float] = []

    def run(self) -> None:
        """Sell everything, close everything, stay in step until stopped."""
        self._tell("opened")
        sys.stdin.readline()
        for basket in self._left():
            day = business_day(basket.at_ms)
            self._begin_day(day, basket.at_ms)
            self._sell(basket, day)
            if self._is_stopped():
                break
        else:
            self._end()
            self._stay()
        self._register.close()
        self._tell_end()

    def _open(self) -> Register:
        options = self._options
        settings: dict[str, Any] = {"day_starts_min": DAY_STARTS_MIN, "operator": f"till-{options.number}"}
        try:
            return Register.open(self._folder, clock=self._clock, **settings)
        except NoRegister:
            join_shop(
                self._folder,
                options.relay,
                options.code,
                name=f"till {options.number}",
                clock=self._clock,
                random_bytes=system_random,
                day_starts_min=DAY_STARTS_MIN,
            )
        return Register.open(self._folder, clock=self._clock, **settings)

    def _left(self) -> Iterator[Basket]:
        return read_baskets(self._options.baskets, skip=self._told.count)

    @property
    def _head(self) -> Any:
        return self._register.replica.writer.head()

    # -- selling -------------------------------------------------------------------------------------------

    def _sell(self, basket: Basket, day: str) -> None:
        self._clock.set(basket.at_ms)
        lines = self._assortment.sold_lines(lines_of(basket), day)
        payments = payments_of(basket)
        began_s = time.perf_counter()
        ticket = self._register.sell(lines, payments, request_id=str(basket.basket_id))
        self._sell_ms.append(round((time.perf_counter() - began_s) * 1000, 3))
        self._told.tell(basket.basket_id, ticket.number, ticket.link)
        if time.monotonic() - self._last_told_s >= self._options.tell_every_s:
            self._tell("sold")

    def _begin_day(self, day: str, at_ms: int) -> None:
        """Whatever is due before the first basket of a day; nothing, if all of it is done already."""
        head = self._head
        if head.bd == day and head.day.counts.get("open"):
            return
        if head.bd < day and not forgets(self._options.seed, self._options.number, head.bd):
            self._close_day()
        if head.bd[:7] < day[:7]:
            self._close_day()
            self._close_month()
        # The day is told, as a person would: a till that has been off for days does not believe its clock,
        # which went on all the same.
        self._clock.set(at_ms)
        self._register.open_day(FLOAT_MINOR, day)

    def _close_day(self) -> None:
        if not {"open", "sale"}.isdisjoint(self._head.day.counts):
            self._register.close_day(self._register.x_report().cash_expected_minor)

    def _close_month(self) -> None:
        if self._head.period("month").end:
            self._register.close_period("month")

    def _end(self) -> None:
        """The last day, the last month, and the year."""
        self._close_day()
        self._close_month()
        if self._head.period("year").end:
            self._register.close_period("year")

    # -- telling -------------------------------------------------------------------------------------------

    def _stay(self) -> None:
        """Stay in step, and say how things stand, until stopped."""
        while True:
            digest = root_digest(self._register.replica.log.runs()).hex()
            self._tell("waiting", digest=digest, seq=self._register.end.seq)
            if self._is_stopped(WAIT_S):
                return

    def _tell(self, event: str, **facts: Any) -> None:
        progress = self._sync.progress()
        error = self._sync.error
        self._last_told_s = time.monotonic()
        _print(
            event=event,
            sold=self._told.count,
            connected=progress.is_connected,
            pending=self._pending(PENDING_TOLD_MAX),
            to_receive=progress.to_receive,
            error=f"{type(error).__name__}: {error}" if error else None,
            sell_ms=self._sell_ms,
            **facts,
        )
        self._sell_ms = []

    def _pending(self, most: int) -> int:
        """How many records the relay has not acknowledged; no more than ``most`` are counted."""
        replica = self._register.replica
        relay = replica.relay
        if relay is None or relay.log_id is None:
            return most
        return sum(1 for _ in islice(replica.log.unacknowledged(relay.log_id), most))

    def _tell_end(self) -> None:
        _print(event="ended", sold=self._told.count, sell_ms=self._sell_ms)

    def _is_stopped(self, wait_s: float = 0.0) -> bool:
        return bool(select.select([sys.stdin], [], [], wait_s)[0])


class _Told:
    """What was told to be paid: one line each, written at once. A kill leaves whole lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.count = len(path.read_bytes().splitlines()) if path.exists() else 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def tell(self, basket: int, number: str, link: bytes) -> None:
        """This basket is paid: here is its ticket."""
        line = json.dumps({"basket": basket, "number": number, "link": link.hex()})
        os.write(self._file, line.encode() + b"\n")
        self.count += 1


def _print(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay.worker", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--baskets", type=Path, required=True, help="the register's file of baskets")
    parser.add_argument("--assortment", type=Path, required=True, help="the SKUs of the catalogue")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--relay", required=True, help="ws://… of the relay, as the register sees it")
    parser.add_argument("--code", required=True, help="a pairing code, for the first start")
    parser.add_argument("--start-ms", type=int, required=True, help="the clock before the first basket")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tell-every-s", type=float, default=0.05, help="the least time between two words")
    Till(parser.parse_args()).run()


if __name__ == "__main__":
    main()
