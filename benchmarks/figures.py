"""What was measured, beside the bound measured in the same run and the budget that it is held to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

FULL: Final = "full registers"
COUNTING: Final = "clients that count"
NONE: Final = "none"

DRIVER_FULL: Final = 0.9
"""Of a core: with a driver that is as busy as that, a rate is the driver's as much as the product's."""

Receivers = Literal["full registers", "clients that count", "none"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with its spread: the median of ``n`` repeats, the lowest and the highest of them."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Measured:
        """Of repeats, at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))


@dataclass(frozen=True, slots=True)
class Bound:
    """What cannot be bettered: the same work with nothing of the product in it, from the same run."""

    name: str
    measured: Measured


@dataclass(frozen=True, slots=True)
class Budget:
    """What the figure is held to. ``of``: its own value, or its ratio to the bound."""

    limit: float
    of: Literal["value", "ratio"] = "value"
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    ``ratio`` is value over bound. ``paired``: ratios of the repeats, each to the bound measured beside it;
    their median is steadier than the ratio of medians where other work comes and goes on the machine.
    ``size``: how much of what (sales, registers, bytes). ``load``: processors used by each part, 1.0 being
    one core. ``note``: what a reader must know, in one sentence.
    """

    name: str
    unit: str
    measured: Measured
    bound: Bound | None = None
    budget: Budget | None = None
    receivers: Receivers = "none"
    paired: tuple[float, ...] = ()
    size: dict[str, int] = field(default_factory=dict)
    load: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the bound."""
        if self.paired:
            return statistics.median(self.paired)
        if self.bound is None or not self.bound.measured.value:
            return None
        return self.measured.value / self.bound.measured.value

    @property
    def is_floor(self) -> bool:
        """Whether the driver was as good as full, so that the product may do better."""
        return self.load.get("driver", 0.0) > DRIVER_FULL

    @property
    def judged(self) -> float | None:
        """The number that the budget speaks of."""
        if self.budget is None:
            return None
        return self.ratio if self.budget.of == "ratio" else self.measured.value

    @property
    def is_met(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        budget, judged = self.budget, self.judged
        if budget is None or judged is None:
            return None
        return judged >= budget.limit if budget.at_least else judged <= budget.limit

    @property
    def missed_by(self) -> float | None:
        """By what part of the budget it is missed (0.25: a quarter); None where it is kept or missing."""
        budget, judged = self.budget, self.judged
        if budget is None or judged is None or self.is_met:
            return None
        return abs(judged - budget.limit) / budget.limit

    def to_json(self) -> dict[str, Any]:
        """For the file."""
        budget = self.budget
        return {
            "name": self.name,
            "unit": self.unit,
            **_spread(self.measured),
            "bound": {"name": self.bound.name, **_spread(self.bound.measured)} if self.bound else None,
            "ratio": _rounded(self.ratio),
            "budget": {"limit": budget.limit, "of": budget.of, "at_least": budget.at_least}
            if budget
            else None,
            "met": self.is_met,
            "missed_by": _rounded(self.missed_by),
            "receivers": self.receivers,
            "size": self.size,
            "load": {part: round(load, 2) for part, load in self.load.items()},
            "note": self.note,
        }

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Figure:
        """The reverse of ``to_json``."""
        bound, budget = facts["bound"], facts["budget"]
        ratio = facts["ratio"]
        return cls(
            name=facts["name"],
            unit=facts["unit"],
            measured=_measured(facts),
            bound=Bound(bound["name"], _measured(bound)) if bound else None,
            budget=Budget(**budget) if budget else None,
            receivers=facts["receivers"],
            paired=(ratio,) if ratio is not None else (),
            size=facts["size"],
            load=facts["load"],
            note=facts["note"],
        )


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of the values lies. At least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _spread(measured: Measured) -> dict[str, Any]:
    return {
        "value": _rounded(measured.value),
        "low": _rounded(measured.low),
        "high": _rounded(measured.high),
        "n": measured.n,
    }


def _measured(facts: dict[str, Any]) -> Measured:
    return Measured(facts["value"], facts["low"], facts["high"], facts["n"])


def _rounded(value: float | None) -> float | None:
    """To four digits: more would be noise."""
    return None if value is None else float(f"{value:.4g}")
