"""What a register costs alone: a sale, opening, status, filing, at a given age.

    python -m benchmarks.register [--sales 100000] [--folder DIR] [--json]

The bound of a sale is a bare SQLite commit of as many bytes with fsync, measured in the same run, turn by
turn, so that a busy machine slows both. Commands are timed as processes, the start of Python included.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from crdtsync import Register
from crdtsync.runtime.register_tickets import BasketLine, Tickets
from crdtsync.runtime.replica import STORE

TURNS, SALES_PER_TURN = 10, 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sales", type=int, default=100_000, help="how many sales are on the register's disk"
    )
    parser.add_argument("--folder", type=Path, help="where to make it; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder:
        figures = measure(arguments.folder, arguments.sales)
    else:
        with tempfile.TemporaryDirectory(prefix="crdtsync-register-") as folder:
            figures = measure(Path(folder), arguments.sales)
    print(json.dumps(figures, indent=2))


def measure(folder: Path, sales: int) -> dict[str, Any]:
    """All figures of a register with that many sales."""
    data = folder / "till"
    with Register.init(data, name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage 2019 75 cl", price_minor=1850, vat_rate=2000)
        till.products.add("TER-01", name="Terrine de campagne 180 g", price_minor=695, vat_rate=550)
        figures: dict[str, Any] = {"sales": sales, "load": os.getloadavg()[0], **sale(till, folder)}
        figures |= age(till, sales)
    figures["store_mb"] = round(sum(path.stat().st_size for path in data.glob(f"{STORE}*")) / 1e6, 1)
    figures |= {
        "open_ms": timed_ms(lambda: Register.open(data).close()),
        "status_ms": timed_ms(lambda: command("status", data)),
        "help_ms": timed_ms(lambda: command("--help", None)),
        "sales_ms": timed_ms(lambda: command("sales", data)),
        "python_ms": timed_ms(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)),
    }
    return figures


def sale(till: Register, folder: Path) -> dict[str, float]:
    """A sale of two lines against a bare commit of as many bytes, in microseconds."""
    connection = apsw.Connection(str(folder / "bare.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE record (seq INTEGER PRIMARY KEY, bytes BLOB)")
    basket = [BasketLine("CM-19", 2000), "TER-01"]
    till.sell(basket, ["card"])
    [(_, record)] = list(till.replica.log.read(till.end.seq - 1, bytes_max=1).records)

    def bare() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO record (bytes) VALUES (?)", (os.urandom(len(record)),))
        connection.execute("COMMIT")

    ours: list[float] = []
    bound: list[float] = []
    for _ in range(TURNS):
        bound += [timed_us(bare) for _ in range(SALES_PER_TURN)]
        ours += [timed_us(lambda: till.sell(basket, ["card"])) for _ in range(SALES_PER_TURN)]
    return {
        "sale_bytes": len(record),
        "bare_commit_us": round(statistics.median(bound)),
        "sale_us": round(statistics.median(ours)),
        "sale_p99_us": round(sorted(ours)[int(len(ours) * 0.99)]),
        "sale_ratio": round(statistics.median(ours) / statistics.median(bound), 2),
    }


def age(till: Register, sales: int) -> dict[str, float]:
    """Bring the register to that many sales, many in one transaction, and file them."""
    writer = till.replica.writer
    line = Tickets(till.replica)._line("CM-19", till.replica.clock.now_ms())
    from crdtsync.model.ticket import Payment, build_sale

    payload = build_sale([line], [Payment("card", line.unit_price_minor)])
    began_s = time.perf_counter()
    left = sales - till.end.seq
    while left > 0:
        with writer._session(None) as session:
            for _ in range(min(left, 1000)):
                session.append("sale", payload)
        left -= 1000
    made_s = time.perf_counter() - began_s
    lag = till.replica.views.lag()
    began_s = time.perf_counter()
    till.replica.views.catch_up()
    filed_s = time.perf_counter() - began_s
    return {"made_per_s": round(sales / made_s), "filed_per_s": round(lag / filed_s)}


def command(name: str, data: Path | None) -> None:
    """Run a command as a process."""
    where = ["--data", str(data)] if data else []
    subprocess.run([sys.executable, "-m", "crdtsync", name, *where], check=True, stdout=subprocess.DEVNULL)


def timed_us(act: Callable[[], object]) -> float:
    """How long it takes once."""
    began_s = time.perf_counter()
    act()
    return (time.perf_counter() - began_s) * 1e6


def timed_ms(act: Callable[[], object]) -> float:
    """How long it takes, the median of eleven, after once without counting."""
    act()
    return round(statistics.median(timed_us(act) for _ in range(11)) / 1000, 1)


if __name__ == "__main__":
    main()
