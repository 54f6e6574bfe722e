"""A shop that goes on and on: memory, file descriptors, log and WAL over time. `make soak`.

    python -m benchmarks.soak [--minutes 60] [--per-s 1] [--registers 3] [--seed 1] [--json FILE]

A relay and full registers, each a process, on this machine. ``--per-s 0`` sells without a pause. It fails
where something grows that should not: the last third of the time is compared with the second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from benchmarks.driver.processes import full_register, relay_process, rss_mib
from benchmarks.driver.shop import BenchShop, make_shop
from benchmarks.machine import describe_machine
from crdtsync.runtime.committing.upkeep import LOOSE_ROWS, PACK_ROWS
from crdtsync.runtime.folder.replica import STORE
from crdtsync_server.folder import DataFolder

OUT = Path(".make/bench/soak.json")
LOOKS: Final = 120
"""How often each process is looked at, spread over the time."""

RSS_GROWTH_MIB_MAX: Final = 12.0
"""Between the medians of the second and the last third: caches go up and down by some."""

FDS_GROWTH_MAX: Final = 2
WAL_MIB_MAX: Final = 80.0
"""The store gives back what lies beyond 64 MiB at the next checkpoint."""

PAST_SALES: Final = 2 * (LOOSE_ROWS + PACK_ROWS)
"""Of the shop, before the first look: a register's first pack takes 24 MiB that it keeps, and that is
not what is looked for.
"""

BYTES_A_SALE_MAX: Final = 3_000
"""Of a store, with its views: about 900 bytes are the entry."""


@dataclass(frozen=True, slots=True)
class Look:
    """A process and its store at one moment."""

    at_s: float
    rss_mib: float
    fds: int
    wal_mib: float
    store_mib: float


@dataclass(frozen=True, slots=True)
class Course:
    """What one process did over the time."""

    name: str
    looks: tuple[Look, ...]

    def third(self, number: int) -> tuple[Look, ...]:
        """Of the looks, the first (0), second or last (2) third."""
        size = len(self.looks) // 3
        return self.looks[number * size : (number + 1) * size] if number < 2 else self.looks[2 * size :]

    @property
    def rss_growth_mib(self) -> float:
        """From the second third to the last."""
        before, after = (median(look.rss_mib for look in self.third(part)) for part in (1, 2))
        return after - before

    @property
    def fds_growth(self) -> int:
        """From the second third to the last."""
        before, after = (median(look.fds for look in self.third(part)) for part in (1, 2))
        return int(after - before)

    def complaints(self, rows: int) -> list[str]:
        """What grew that should not have; ``rows`` are in its log at the end."""
        found = []
        if self.rss_growth_mib > RSS_GROWTH_MIB_MAX:
            found.append(f"{self.name}: memory grew by {self.rss_growth_mib:.1f} MiB in a third of the time")
        if self.fds_growth > FDS_GROWTH_MAX:
            found.append(f"{self.name}: {self.fds_growth} more file descriptors")
        wal_mib = max(look.wal_mib for look in self.looks)
        if wal_mib > WAL_MIB_MAX:
            found.append(f"{self.name}: a WAL of {wal_mib:.0f} MiB")
        a_sale = self.looks[-1].store_mib * (1 << 20) / max(rows, 1)
        if rows > 10_000 and a_sale > BYTES_A_SALE_MAX:
            found.append(f"{self.name}: {a_sale:.0f} bytes of store for each record")
        return found


def main() -> int:
    """Run it, print what was seen, write it; 1 where something grew."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument(
        "--per-s", type=float, default=1.0, help="sales a second of each register; 0: no pause"
    )
    parser.add_argument("--registers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of baskets, keys and pauses")
    parser.add_argument("--json", type=Path, default=OUT, help=f"where it goes (default {OUT})")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crdtsync-soak-") as folder:
        report = asyncio.run(soak(Path(folder), options))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(report)
    print(f"All of it: {options.json}")
    return 1 if report["complaints"] else 0


async def soak(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The report: what was sold, and the course of each process."""
    shop = make_shop(folder / "relay", 1, options.seed)
    for_s = options.minutes * 60
    stores = {"relay": DataFolder(shop.folder).store}
    stores |= {f"register {n}": folder / f"till-{n}" / STORE for n in range(1, options.registers + 1)}
    async with relay_process(shop.folder, folder / "relay.log") as relay:
        pids: dict[str, int] = {"relay": relay.pid()}
        told = asyncio.gather(
            *(_sell(folder, shop, relay.port, n, options, pids) for n in range(1, options.registers + 1))
        )
        looks: dict[str, list[Look]] = {name: [] for name in stores}
        began_s = time.monotonic()
        while not told.done():
            if len(pids) == len(stores):
                for name, store in stores.items():
                    looks[name].append(_look(time.monotonic() - began_s, pids[name], store))
            await asyncio.wait([told], timeout=max(0.2, for_s / LOOKS))
        facts = await told
    courses = [Course(name, tuple(found)) for name, found in looks.items()]
    rows = max(one["rows"] for one in facts)
    return {
        "machine": describe_machine(),
        "minutes": options.minutes,
        "per_s": options.per_s,
        "seed": options.seed,
        "sold": [one["sold"] for one in facts],
        "rows": rows,
        "complaints": [said for course in courses for said in course.complaints(rows)],
        "courses": [asdict(course) for course in courses],
    }


async def _sell(
    folder: Path, shop: BenchShop, port: int, number: int, options: argparse.Namespace, pids: dict[str, int]
) -> dict[str, Any]:
    """What one register tells at the end; ``pids`` has it while it sells."""
    async with full_register(
        "keep-selling",
        folder / f"till-{number}",
        url=f"ws://127.0.0.1:{port}",
        code=shop.pairing_code(),
        name=f"Caisse {number}",
        seed=options.seed + number,
        sales=PAST_SALES // options.registers,
        for_s=options.minutes * 60,
        per_s=options.per_s,
    ) as register:
        await register.heard()
        pids[f"register {number}"] = register.pid
        register.go_on()
        facts = await register.heard()
        del pids[f"register {number}"]
        return facts


def _look(at_s: float, pid: int, store: Path) -> Look:
    wal = store.with_name(store.name + "-wal")
    return Look(
        round(at_s, 1),
        round(rss_mib(pid), 2),
        psutil.Process(pid).num_fds(),
        round(_mib(wal), 2),
        round(_mib(store), 2),
    )


def _mib(path: Path) -> float:
    try:
        return path.stat().st_size / (1 << 20)
    except FileNotFoundError:
        return 0.0


def _print(report: dict[str, Any]) -> None:
    print(f"{report['minutes']:g} minutes, sold {report['sold']}, {report['rows']} records in each log\n")
    table = Table(title=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("process")
    for title in ("memory, by thirds (MiB)", "descriptors", "largest WAL (MiB)", "store at the end (MiB)"):
        table.add_column(title, justify="right", no_wrap=True)
    for facts in report["courses"]:
        course = Course(facts["name"], tuple(Look(**look) for look in facts["looks"]))
        parts: Sequence[tuple[Look, ...]] = [course.third(number) for number in range(3)]
        table.add_row(
            course.name,
            " ".join(f"{median(look.rss_mib for look in part):.1f}" for part in parts),
            " ".join(f"{median(look.fds for look in part):.0f}" for part in parts),
            f"{max(look.wal_mib for look in course.looks):.1f}",
            f"{course.looks[-1].store_mib:.1f}",
        )
    Console(width=110).print(table)
    for complaint in report["complaints"]:
        print(f"GREW: {complaint}")
    if not report["complaints"]:
        print("\nNothing grew that should not.")


if __name__ == "__main__":
    sys.exit(main())
