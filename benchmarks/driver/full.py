"""Full registers, each in a process of its own: stores, views, everything that a till does.

    python -m benchmarks.driver.full ACTION FOLDER OPTIONS

It prints one JSON object for each thing that it did, and takes its next step when it reads a line. Times are
``time.monotonic_ns`` where two processes compare them (one clock for the whole machine), seconds elsewhere.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.context import settle
from benchmarks.driver.processes import peak_mib, rss_mib, this_process
from crdtsync import Register
from crdtsync.ids import CATALOGUE_DOCUMENT
from crdtsync.model.ticket import build_sale
from crdtsync.runtime.belonging.join import join_shop
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.runtime.folder.identity import save_relay
from crdtsync.runtime.register.changes import Change
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.runtime.syncing.background import BackgroundSync
from crdtsync.testing import wine

LOOK_EVERY_S: Final = 0.002
"""How often a process looks at its own disk; so exact are the times until something is there."""

WITHIN_S: Final = 300.0
ROWS_PER_S_LEAST: Final = 2_000
SKU, PER_TRANSACTION = "CM-19", 1000
TIMES_SHOWN: Final = 5


def main() -> None:
    """Do one action."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.driver.full")
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default="")
    parser.add_argument("--code", default="", help="join with this pairing code first")
    parser.add_argument("--name", default="Caisse neuve")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sales", type=int, default=0)
    parser.add_argument("--per-s", type=float, default=50.0)
    parser.add_argument("--for-s", type=float, default=60.0)
    parser.add_argument("--rows", type=int, default=0, help="how many rows the log has when it is complete")
    parser.add_argument("--catalogue-rows", type=int, default=0)
    parser.add_argument("--sku", default="", help="a product that somebody scans until it is found")
    parser.add_argument("--file", type=int, default=1, help="1: wait until the views hold everything too")
    parser.add_argument("--today", default="{}", help="JSON: rows of each ledger of today")
    ACTIONS[parser.parse_args().action](parser.parse_args())


def join(options: argparse.Namespace) -> None:
    """From nothing to everything; the shop's products can be sold long before that. What is scanned is sold
    first, as soon as it is known and all of today is there; then all products are listed.
    """
    settle()
    began_s = time.perf_counter()
    passed: Callable[[], float] = lambda: time.perf_counter() - began_s  # noqa: E731
    join_shop(
        options.folder,
        options.url,
        options.code,
        name=options.name,
        clock=SystemClock(),
        random_bytes=system_random,
    )
    facts: dict[str, Any] = {"enrolled_s": passed()}
    with Register.open(options.folder) as till:
        sync = till.start_sync()
        rows_of = json.loads(options.today) | {CATALOGUE_DOCUMENT: options.catalogue_rows}
        wanted = {name: rows for name, rows in rows_of.items() if rows}
        _until(lambda: all(_rows(till, name) >= rows for name, rows in wanted.items()))
        facts["first_on_disk_s"] = passed()
        if options.sku:
            _until(lambda: till.products.find(options.sku) is not None)
            till.sell([BasketLine(options.sku)], ["card"])
            facts["sells_s"], facts["sells_cpu_s"] = passed(), time.process_time()
        facts["first_rows"] = till.end.seq
        products = list(till.products.list())
        facts["products"] = len(products)
        if products:
            till.sell([BasketLine(products[0].sku)], ["card"])
        facts["usable_s"], facts["usable_cpu_s"] = passed(), time.process_time()
        _until(lambda: till.end.seq >= options.rows and _has_received_all(sync), rows=options.rows)
        facts["complete_s"], facts["complete_cpu_s"] = passed(), time.process_time()
        facts["rows"] = till.end.seq
        facts["moved_bytes"] = sync.progress().bytes_moved
        facts["peak_mib"] = peak_mib(this_process())
        if options.file:
            till.replica.views.catch_up()
            facts["filed_s"] = passed()
        _tell(facts)
        _wait()


def catch_up(options: argparse.Namespace) -> None:
    """Opened and not connected; then everything that came in meanwhile."""
    with _opened(options) as till:
        facts: dict[str, Any] = {"rows_before": till.end.seq}
        settle()
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        sync = till.start_sync()
        _until(lambda: till.end.seq >= options.rows and _has_received_all(sync))
        facts["seconds"], facts["cpu_s"] = time.perf_counter() - began_s, time.process_time() - began_cpu_s
        facts["moved_bytes"] = sync.progress().bytes_moved
        facts["rows"] = till.end.seq
        _tell(facts)
        _wait()


def push(options: argparse.Namespace) -> None:
    """Sell without a connection, then connect: until all of it is on the relay's disk."""
    with _opened(options) as till:
        _sell_in_bulk(till, options.sales, options.seed)
        facts: dict[str, Any] = {"rows": till.end.seq}
        settle()
        _tell({"ready": True})
        _wait()
        began_s, began_ns, began_cpu_s = time.perf_counter(), time.monotonic_ns(), time.process_time()
        sync = till.start_sync()
        rows = till.end.seq
        _until(lambda: _has_acknowledged(till, rows))
        facts |= {"seconds": time.perf_counter() - began_s, "began_ns": began_ns}
        facts["cpu_s"] = time.process_time() - began_cpu_s
        facts["moved_bytes"] = sync.progress().bytes_moved
        _tell(facts)
        _wait()


def open_register(options: argparse.Namespace) -> None:
    """Open it, sell once, and say what that took and holds."""
    empty_mib = rss_mib(this_process())
    began_s = time.perf_counter()
    with Register.open(options.folder) as till:
        opened_s = time.perf_counter() - began_s
        mib = rss_mib(this_process())
        began_s = time.perf_counter()
        till.sell([_line()], ["card"])
        _tell(
            {
                "open_s": opened_s,
                "rss_empty_mib": empty_mib,
                "rss_mib": mib,
                "first_sale_s": time.perf_counter() - began_s,
                "rss_after_sale_mib": rss_mib(this_process()),
                "rows": till.end.seq,
            }
        )


def use(options: argparse.Namespace) -> None:
    """What a till does all day, with whatever is on its disk: opened, sales, today shown."""
    began_s = time.perf_counter()
    with Register.open(options.folder) as till:
        facts: dict[str, Any] = {"open_s": time.perf_counter() - began_s}
        line = _line()
        till.sell([line], ["card"])  # Modules and key are loaded now.
        settle()
        facts["sale_s"] = [_passed(lambda: till.sell([line], ["card"])) for _ in range(options.sales)]
        today = till.x_report().business_day
        till.report(today)
        facts["today_s"] = [
            _passed(lambda: (till.sales(day=today, rows_max=1000), till.report(today)))
            for _ in range(TIMES_SHOWN)
        ]
        facts["tickets_today"] = till.report(today).tickets
        _tell(facts)


def keep_selling(options: argparse.Namespace) -> None:
    """Join with a past of so many sales, then sell so many a second for so long (0 a second: without a
    pause), in step with the relay. Tells first that all of the past is there, then, asked to go on, what it
    has sold.
    """
    with _joined(options) as till:
        _sell_in_bulk(till, options.sales, options.seed)
        sync = till.start_sync()
        _until(lambda: _has_received_all(sync) and _is_acknowledged(till))
        rng, sold = Random(options.seed), 0
        products = wine.products(rng, 100)
        _tell({"ready": True})
        _wait()
        next_s = time.perf_counter()
        ends_s = next_s + options.for_s
        while next_s < ends_s:
            for cart in wine.carts(rng, products, 100):
                if options.per_s:
                    next_s += rng.uniform(0.5, 1.5) / options.per_s
                    time.sleep(max(0.0, min(next_s, ends_s) - time.perf_counter()))
                else:
                    next_s = time.perf_counter()
                if next_s >= ends_s:
                    break
                till.sell(cart.lines, cart.payments)
                sold += 1
        _until(lambda: _has_received_all(sync) and _is_acknowledged(till))
        _tell({"sold": sold, "rows": till.end.seq})
        _wait()


def sell(options: argparse.Namespace) -> None:
    """Sell so many, so many a second, in step with the relay; when each one began."""
    with _joined(options) as till:
        sync = till.start_sync()
        _until(lambda: _has_received_all(sync) and _is_acknowledged(till))
        rng, began = Random(options.seed), {}
        carts = wine.carts(rng, wine.products(rng, 100), options.sales)
        settle()
        _tell({"ready": True})
        _wait()
        next_s = time.perf_counter()
        for cart in carts:
            next_s += rng.uniform(0.5, 1.5) / options.per_s
            time.sleep(max(0.0, next_s - time.perf_counter()))
            began_ns = time.monotonic_ns()
            began[till.sell(cart.lines, cart.payments).link.hex()] = began_ns
        _until(lambda: _is_acknowledged(till))
        _tell({"began": began})
        _wait()


def watch(options: argparse.Namespace) -> None:
    """See so many tickets come in; when each one was there."""
    with _joined(options) as till:
        sync = till.start_sync()
        _until(lambda: _has_received_all(sync) and _is_acknowledged(till))
        seen: dict[str, int] = {}

        def see(change: Change) -> None:
            now_ns = time.monotonic_ns()
            seen.update((ticket.link.hex(), now_ns) for ticket in change.tickets)

        till.observe(see)
        settle()
        _tell({"ready": True})
        ends_s = time.monotonic() + WITHIN_S
        while len(seen) < options.sales and time.monotonic() < ends_s:
            till.poll(1.0)
        _tell({"seen": seen})
        _wait()


ACTIONS: Final = {
    "join": join,
    "catch-up": catch_up,
    "push": push,
    "open": open_register,
    "use": use,
    "keep-selling": keep_selling,
    "sell": sell,
    "watch": watch,
}


def _opened(options: argparse.Namespace) -> Register:
    """The register in the folder, told where its relay is now."""
    till = Register.open(options.folder)
    relay = till.replica.relay
    if relay is not None and options.url:
        with till.replica.store.transaction():
            save_relay(till.replica.log, replace(relay, url=options.url))
    return till


def _joined(options: argparse.Namespace) -> Register:
    join_shop(
        options.folder,
        options.url,
        options.code,
        name=options.name,
        clock=SystemClock(),
        random_bytes=system_random,
    )
    return Register.open(options.folder)


def _sell_in_bulk(till: Register, sales: int, seed: int) -> None:
    """As ``sell`` does it, with many sales in one transaction."""
    rng = Random(seed)
    payloads = [
        build_sale(cart.lines, cart.payments)
        for cart in wine.carts(rng, wine.products(Random(seed), 500), sales)
    ]
    for first in range(0, sales, PER_TRANSACTION):
        with till.replica.writer._session(None) as session:
            for payload in payloads[first : first + PER_TRANSACTION]:
                session.append("sale", payload)


def _line() -> Any:
    rng = Random(1)
    return next(iter(wine.carts(rng, wine.products(rng, 5), 1))).lines[0]


def _passed(act: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    act()
    return time.perf_counter() - began_s


def _rows(till: Register, document: str) -> int:
    row = till.replica.log.document(document)
    return row.records if row else 0


def _has_received_all(sync: BackgroundSync) -> bool:
    progress = sync.progress()
    return progress.is_connected and progress.to_receive == 0


def _has_acknowledged(till: Register, rows: int) -> bool:
    """Whether the relay has said that it holds this log up to there; looking costs nothing."""
    relay = till.replica.relay
    known = till.replica.log.acknowledged(relay.log_id) if relay and relay.log_id else None
    return known is not None and known.position.seq >= rows


def _is_acknowledged(till: Register) -> bool:
    """Whether the relay has said of everything that it is on its disk."""
    relay = till.replica.relay
    log_id = relay.log_id if relay else None
    return log_id is not None and next(iter(till.replica.log.unacknowledged(log_id)), None) is None


def _until(is_so: Callable[[], bool], *, rows: int = 0) -> None:
    """Look until something is so, every two milliseconds; longer for so many rows that are to come."""
    pause, ends_s = threading.Event(), time.monotonic() + WITHIN_S + rows / ROWS_PER_S_LEAST
    while not is_so():
        if time.monotonic() > ends_s:
            raise TimeoutError("what was waited for did not come")
        pause.wait(LOOK_EVERY_S)


def _tell(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def _wait() -> None:
    sys.stdin.readline()


if __name__ == "__main__":
    main()
