"""The figures of a replay: for a person, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.replay.relay import RelayProcess
from benchmarks.replay.till import Till, percentile
from benchmarks.replay.usage import Usage


def report_of(
    facts: dict[str, Any], tills: Sequence[Till], relay: RelayProcess, folder: Path
) -> dict[str, Any]:
    """Everything that was measured. Bytes on the wire are those of both directions, all connections."""
    sales = facts["baskets"]
    wire = sum(till.gate.bytes_up + till.gate.bytes_down for till in tills)
    relay_bytes = _store_bytes(folder / "relay" / "relay.sqlite")
    return facts | {
        "wire_bytes_per_sale_and_copy": round(wire / max(1, sales) / len(tills)),
        "tills": [_till(till, sales) for till in tills],
        "relay": {
            "kills": relay.kills,
            "peak_mb": _mb(relay.usage),
            "cpu_ms_per_sale": _cpu_ms(relay.usage, sales),
            "store_bytes": relay_bytes,
            "store_bytes_per_sale": round(relay_bytes / max(1, sales)),
        },
        "windows": [window.facts() for till in tills for window in till.windows],
    }


def print_report(report: dict[str, Any]) -> None:
    """For a person."""
    console = Console(width=110)
    console.print(
        f"store {report['store']}, seed {report['seed']}: {report['baskets']} sales with {report['lines']} "
        f"lines on {report['days']} days, {report['registers']} registers"
    )
    console.print(
        f"{report['sales_per_s']} sales/s with all faults, {report['selling_s']} s; in step "
        f"{report['settling_s']} s after the last sale; {report['wire_bytes_per_sale_and_copy']} bytes on "
        "the wire per sale and register"
    )
    table = Table(box=None, pad_edge=False)
    headings = (
        "",
        "sales",
        "sell ms median",
        "p99",
        "CPU ms/sale",
        "peak MB",
        "store bytes/sale",
        "kills",
        "cuts",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for till in report["tills"]:
        table.add_row(
            f"till {till['till']}",
            *(str(till[key]) for key in ("sales", "sell_ms_median", "sell_ms_p99", "cpu_ms_per_sale")),
            *(str(till[key]) for key in ("peak_mb", "store_bytes_per_sale", "kills", "cuts")),
        )
    relay = report["relay"]
    table.add_row(
        *("relay", "", "", "", str(relay["cpu_ms_per_sale"]), str(relay["peak_mb"])),
        *(str(relay["store_bytes_per_sale"]), str(relay["kills"]), ""),
    )
    console.print(table)
    _print_windows(console, report["windows"])
    console.print(report["check"], highlight=False)


def _print_windows(console: Console, windows: Sequence[dict[str, Any]]) -> None:
    if not windows:
        return
    table = Table(box=None, pad_edge=False, title="offline windows")
    for heading in (
        "till",
        "kind",
        "lasted s",
        "own sales",
        "others'",
        "connected after s",
        "caught up after s",
    ):
        table.add_column(heading, justify="right")
    for window in windows:
        table.add_row(*("–" if value is None else str(value) for value in window.values()))
    console.print(table)


def _till(till: Till, sales: int) -> dict[str, Any]:
    size = _store_bytes(till.folder / "register.sqlite")
    return {
        "till": till.number,
        "sales": till.baskets,
        "sell_ms_median": percentile(till.sell_ms, 0.5),
        "sell_ms_p99": percentile(till.sell_ms, 0.99),
        "peak_mb": _mb(till.usage),
        "cpu_ms_per_sale": _cpu_ms(till.usage, sales),
        "store_bytes": size,
        "store_bytes_per_sale": round(size / max(1, sales)),
        "bytes_up": till.gate.bytes_up,
        "bytes_down": till.gate.bytes_down,
        "kills": till.kills,
        "cuts": till.gate.cuts,
    }


def _mb(usage: Usage) -> float:
    return round(usage.peak_kb / 1024, 1)


def _cpu_ms(usage: Usage, sales: int) -> float:
    """Per sale of the shop: a register sells some, and takes in the others'."""
    return round(1000 * usage.cpu_s / max(1, sales), 2)


def _store_bytes(store: Path) -> int:
    parts = (store, store.with_name(store.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())
