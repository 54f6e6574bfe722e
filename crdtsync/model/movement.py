"""Stock movements: the payloads of ``move`` and ``count`` entries.

Sales and refunds are movements already; these are the others. Quantities are thousandths of the product's
unit. A count says what lay on the shelf and, in ``cut``, which entries it takes into account: per chain the
number of the last one known to whoever counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from crdtsync.errors import InvalidSale
from crdtsync.model import money
from crdtsync.model.ticket import LINES_MAX, plain_text

_T = TypeVar("_T")

REASONS: Final = ("delivery", "supplier-return", "breakage", "corked", "tasting", "transfer", "other")


@dataclass(frozen=True, slots=True)
class Moved:
    """``quantity_thousandths`` came (or, negative, went), and why. ``reference``: a delivery note, say."""

    sku: str
    quantity_thousandths: int
    why: str
    reference: str | None = None


def build_move(lines: Sequence[Moved]) -> dict[str, Any]:
    """The payload of a movement. Raises ``InvalidSale`` and ``InvalidAmount``."""
    return {"lines": [_moved_json(line) for line in _some(lines)]}


def build_count(quantities: Mapping[str, int], *, cut: Mapping[bytes, int]) -> dict[str, Any]:
    """The payload of a count: SKU -> thousandths found. Raises ``InvalidSale`` and ``InvalidAmount``."""
    for quantity in quantities.values():
        if money.check_quantity(quantity) < 0:
            raise InvalidSale("what lies on a shelf is not negative")
    return {
        "lines": [
            {"sku": plain_text(sku, "a SKU", 64), "qty": quantities[sku]} for sku in _some(sorted(quantities))
        ],
        "cut": {chain.hex(): n for chain, n in cut.items()},
    }


def _moved_json(line: Moved) -> dict[str, Any]:
    if money.check_quantity(line.quantity_thousandths) == 0 or line.why not in REASONS:
        raise InvalidSale(f"a movement has a quantity and one of the reasons {', '.join(REASONS)}")
    moved = {"sku": plain_text(line.sku, "a SKU", 64), "qty": line.quantity_thousandths, "why": line.why}
    if line.reference:
        moved["ref"] = plain_text(line.reference, "a reference", 64)
    return moved


def _some(lines: Sequence[_T]) -> Sequence[_T]:
    if not 0 < len(lines) <= LINES_MAX:
        raise InvalidSale(f"a movement or a count has 1 to {LINES_MAX} lines, this one has {len(lines)}")
    return lines
