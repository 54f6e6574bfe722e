"""What was measured of the relay and of each peer, the ratio between them, and who is behind."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from benchmarks.figures import Measured

LEVEL: Final = 1.1
"""Less than this times the other is no difference."""

FLOOR_LOAD: Final = 0.9
"""With a driver as busy as this a rate is the driver's as much as the server's: a floor."""

Behind = Literal["we", "they", "level"]


@dataclass(slots=True)
class Cell:
    """One contender in one row. ``values``: by number of the repeat. ``missing``: why there is none."""

    values: dict[int, float] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)
    note: str = ""
    missing: str = ""

    @property
    def measured(self) -> Measured | None:
        """Median and spread."""
        return Measured.of(list(self.values.values())) if self.values else None

    def add(self, repeat: int, value: float, load: Mapping[str, float] | None = None) -> None:
        """One repeat. Of the loads the highest is kept."""
        self.values[repeat] = value
        for part, cores in (load or {}).items():
            self.load[part] = max(cores, self.load.get(part, 0.0))


@dataclass(slots=True)
class Row:
    """One figure of all contenders. ``is_rate``: more is better, and a busy driver makes it a floor."""

    name: str
    unit: str
    ours: str
    is_rate: bool = False
    note: str = ""
    cells: dict[str, Cell] = field(default_factory=dict)

    def cell(self, name: str) -> Cell:
        """A contender's, made at need."""
        return self.cells.setdefault(name, Cell())

    def ratio(self, peer: str) -> float | None:
        """How many times ours the peer's figure is: the median over repeats, each to ours of the same repeat.
        None where ours is 0 or one of them is missing.
        """
        pairs = self._pairs(peer)
        if not pairs or any(not ours for ours, _ in pairs):
            return None
        return statistics.median(theirs / ours for ours, theirs in pairs)

    def behind(self, peer: str) -> Behind | None:
        """Who has the worse figure. Level where repeats do not agree on it, or the difference is small."""
        pairs = self._pairs(peer)
        if not pairs:
            return None
        found = {self._worse(ours, theirs) for ours, theirs in pairs}
        ratio = self.ratio(peer)
        if len(found) > 1 or (ratio is not None and 1 / LEVEL < ratio < LEVEL):
            return "level"
        return found.pop()

    def is_floor(self, name: str) -> bool:
        """Whether the driver may have set the figure."""
        return self.is_rate and self.cell(name).load.get("driver", 0.0) >= FLOOR_LOAD

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "more_is_better": self.is_rate,
            "note": self.note,
            "contenders": {name: self._cell_json(name, cell) for name, cell in self.cells.items()},
        }

    def _cell_json(self, name: str, cell: Cell) -> dict[str, Any]:
        measured = cell.measured
        return {
            "value": measured and _rounded(measured.value),
            "low": measured and _rounded(measured.low),
            "high": measured and _rounded(measured.high),
            "n": len(cell.values),
            "ratio": None if name == self.ours else _rounded(self.ratio(name)),
            "behind": None if name == self.ours else self.behind(name),
            "floor": self.is_floor(name),
            "load": {part: round(cores, 2) for part, cores in cell.load.items()},
            "note": cell.note,
            "missing": cell.missing,
        }

    def _pairs(self, peer: str) -> list[tuple[float, float]]:
        ours, theirs = self.cell(self.ours).values, self.cell(peer).values
        return [(ours[repeat], theirs[repeat]) for repeat in sorted(ours.keys() & theirs.keys())]

    def _worse(self, ours: float, theirs: float) -> Behind:
        if ours == theirs:
            return "level"
        return "we" if (ours < theirs) == self.is_rate else "they"


def where_we_are_behind(rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Every row and peer in which ours is the worse figure."""
    return [
        (row, peer) for row in rows for peer in row.cells if peer != row.ours and row.behind(peer) == "we"
    ]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
