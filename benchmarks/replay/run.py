"""Replay one store: ``python -m benchmarks.replay.run --store-id 367 --registers 4 --seed 1``.

A relay and one process per register, real sockets through proxies, offline windows, kills; then everything
must be equal everywhere: the registers' own word (`crdtsync status`, `crdtsync verify`), and the checker's,
which knows nothing of the product. Exit code 0 only then.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.replay import source
from benchmarks.replay.assortment import most_sold
from benchmarks.replay.clock import business_day
from benchmarks.replay.plan import Plan, make_plan
from benchmarks.replay.progress import Shown
from benchmarks.replay.relay import RelayFailed, RelayProcess, command
from benchmarks.replay.report import print_report, report_of
from benchmarks.replay.till import Till, TillFailed
from crdtsync.testing.line import FaultyLine

SHOP = "Replayed store"
FEW_BASKETS = 500
"""Up to here registers tell of every sale, so that what the plan says happens in between."""

MARKER = "replay.json"
"""In a folder that a replay made: only such a folder is ever emptied."""


class ReplayFailed(Exception):
    """Something is not as it should be at the end."""


class Replay:
    """One replay, from the raw source to stores on disk."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._folder: Path = options.folder
        self._changed = asyncio.Event()
        self.relay = RelayProcess(self._folder / "relay", self._folder / "relay.log")
        self.tills: list[Till] = []
        self.facts: dict[str, Any] = {}
        self._plan = Plan((), ())

    async def run(self) -> None:
        """Do all of it. Raises ``ReplayFailed``, ``RelayFailed``, ``TillFailed``."""
        parts = self._prepare()
        await self._open_shop(parts)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sell_and_settle(group))
        except* (ReplayFailed, RelayFailed, TillFailed) as failures:
            raise failures.exceptions[0] from None
        finally:
            self.relay.abandon()
            for till in self.tills:
                till.abandon()
                await till.gate.close()

    def _prepare(self) -> list[list[source.Basket]]:
        options = self._options
        folder = options.source or source.data_folder()
        baskets = source.read_store(folder, options.store_id, baskets_max=options.baskets)
        _empty(self._folder)
        self._folder.mkdir(mode=0o700, parents=True)
        parts = source.by_register(baskets, options.registers)
        for number, part in enumerate(parts, start=1):
            source.write_baskets(self._folder / f"baskets-{number}.jsonl", part)
        (self._folder / "assortment.txt").write_text("\n".join(most_sold(baskets)))
        self._plan = make_plan(options.seed, [len(part) for part in parts])
        self.facts = {
            "store": options.store_id,
            "registers": options.registers,
            "seed": options.seed,
            "baskets": len(baskets),
            "lines": sum(len(basket.lines) for basket in baskets),
            "days": len({business_day(basket.at_ms) for basket in baskets}),
        }
        (self._folder / MARKER).write_text(json.dumps(self.facts) + "\n")
        return parts

    async def _open_shop(self, parts: list[list[source.Basket]]) -> None:
        data = str(self.relay.folder)
        await command("crdtsync-relay", "shop", "create", SHOP, "--data", data)
        start_ms = min(part[0].at_ms for part in parts if part)
        for number, part in enumerate(parts, start=1):
            code = (await command("crdtsync-relay", "pair", SHOP, "--data", data))["code"]
            gate = FaultyLine(self.relay.port)
            port = await gate.start()
            till = Till(
                number=number,
                folder=self._folder / f"till-{number}",
                baskets_file=self._folder / f"baskets-{number}.jsonl",
                baskets=len(part),
                gate=gate,
                happenings=list(self._plan.tills[number - 1]),
                arguments=[],
                random=Random(f"{self._options.seed} gate {number}"),
                log=self._folder / f"till-{number}.log",
                all_sold=self._sold,
                changed=self._changed,
            )
            till.arguments = [
                *("--folder", str(till.folder), "--baskets", str(till.baskets_file)),
                *("--assortment", str(self._folder / "assortment.txt")),
                *("--number", str(number), "--relay", f"ws://127.0.0.1:{port}", "--code", code),
                *("--start-ms", str(start_ms), "--seed", str(self._options.seed)),
                *("--tell-every-s", "0" if self.facts["baskets"] < FEW_BASKETS else "0.05"),
            ]
            self.tills.append(till)

    # -- while it runs -------------------------------------------------------------------------------------

    async def _sell_and_settle(self, group: asyncio.TaskGroup) -> None:
        await self.relay.start()
        for till in self.tills:
            group.create_task(till.run())
        with Shown(self.tills, self.relay, quiet=self._options.quiet) as shown:
            began_s = await self._until_sold(shown)
            sold_s = time.monotonic()
            await self._until_settled(shown)
        settled_s = time.monotonic()
        self.facts |= {
            "selling_s": round(sold_s - began_s, 3),
            "settling_s": round(settled_s - sold_s, 3),
            "sales_per_s": round(self.facts["baskets"] / (sold_s - began_s), 1),
        }
        for till in self.tills:
            till.stop()
        await self.relay.stop()

    def _sold(self) -> int:
        return sum(till.sold for till in self.tills)

    async def _until_sold(self, shown: Shown) -> float:
        """Until every register has sold and closed everything; the relay's kills happen meanwhile. When they
        began to sell.
        """
        left = list(self._plan.relay)
        while not all(till.state for till in self.tills):
            await self._wait(shown)  # A register is enrolled once, and that needs the relay.
        began_s = time.monotonic()
        for till in self.tills:
            till.go()
        while left or not all(till.is_done for till in self.tills):
            while left and (left[0].at <= self._sold() or all(till.is_done for till in self.tills)):
                if left.pop(0).what == "kill relay":
                    await self.relay.kill()
                else:
                    await self.relay.start()
            await self._wait(shown)
        return began_s

    async def _until_settled(self, shown: Shown) -> None:
        """Until nothing is pending and all hold the same. Raises ``ReplayFailed`` after the deadline."""
        for till in self.tills:
            till.happenings.clear()
            till.gate.heal()
        try:
            async with asyncio.timeout(self._options.settle_s):
                while not self._is_settled():
                    await self._wait(shown)
        except TimeoutError:
            states = {till.number: till.state for till in self.tills}
            raise ReplayFailed(
                f"the registers are not in step after {self._options.settle_s} s: {states}"
            ) from None

    def _is_settled(self) -> bool:
        digests = {till.state.get("digest") for till in self.tills}
        return all(till.is_quiet for till in self.tills) and len(digests) == 1

    async def _wait(self, shown: Shown) -> None:
        self._changed.clear()
        shown.refresh()
        await self._changed.wait()

    # -- afterwards ----------------------------------------------------------------------------------------

    async def judge(self) -> None:
        """The product's own word, then the checker's. Raises ``ReplayFailed``, ``RelayFailed``."""
        catalogues: list[Any] = []
        for till in self.tills:
            data = ("--data", str(till.folder))
            verified = await command("crdtsync", "verify", *data)
            if verified["findings"]:
                raise ReplayFailed(f"crdtsync verify on till {till.number}: {verified['findings']}")
            status = await command("crdtsync", "status", "--documents", *data)
            (till.folder / "documents.json").write_text(json.dumps(status))
            catalogues.append(await command("crdtsync", "product", "list", *data))
        if any(catalogue != catalogues[0] for catalogue in catalogues):
            raise ReplayFailed("the registers do not have the same products and prices")
        self.facts["products"] = len(catalogues[0])
        self.facts["prices_disputed"] = sum(product["disputed"] for product in catalogues[0])
        shops = (await command("crdtsync-relay", "status", "--data", str(self.relay.folder)))["shops"]
        apart = sum(shops[0][why] for why in ("held", "refused", "damaged"))
        if apart:
            raise ReplayFailed(f"the relay has set {apart} records apart")
        process = await asyncio.create_subprocess_exec(*self._checker(), stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        self.facts["check"] = out.decode()
        if process.returncode:
            raise ReplayFailed(f"the checker found differences:\n{out.decode()}")

    def _checker(self) -> list[str]:
        options = self._options
        limits = ["--baskets", str(options.baskets)] if options.baskets else []
        where = ["--source", str(options.source)] if options.source else []
        return [
            *(sys.executable, "-m", "benchmarks.replay.check", str(self._folder)),
            *("--store-id", str(options.store_id), "--registers", str(options.registers)),
            *limits,
            *where,
        ]


def _empty(folder: Path) -> None:
    """Make room. Raises ``ReplayFailed`` for a folder that no replay made."""
    if not folder.exists():
        return
    if any(folder.iterdir()) and not (folder / MARKER).exists():
        raise ReplayFailed(f"{folder} is there already, and no replay made it")
    shutil.rmtree(folder)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay.run", description=__doc__)
    parser.add_argument("--store-id", type=int, default=367, help="a store of the source (367: the largest)")
    parser.add_argument("--registers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    parser.add_argument("--baskets", type=int, help="only the first so many baskets")
    parser.add_argument("--source", type=Path, help="folder of transactions.parquet and products.parquet")
    parser.add_argument("--folder", type=Path, help="where the stores go (default: .make/replay/<store>)")
    parser.add_argument("--settle-s", type=float, default=300.0, help="how long getting in step may take")
    parser.add_argument("--report", type=Path, help="write the figures to this file, as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress, only the report")
    options = parser.parse_args(arguments)
    if options.folder is None:
        options.folder = Path(".make/replay") / str(options.store_id)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit code."""
    options = _parse(arguments)

    async def everything() -> Replay:
        replay = Replay(options)
        await replay.run()
        await replay.judge()
        return replay

    try:
        replay = asyncio.run(everything())
    except (ReplayFailed, RelayFailed, TillFailed, ValueError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"{error}: `make replay` installs what is needed", file=sys.stderr)
        return 2
    report = report_of(replay.facts, replay.tills, replay.relay, options.folder)
    with contextlib.suppress(BrokenPipeError):
        print_report(report)
    if options.report:
        options.report.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
