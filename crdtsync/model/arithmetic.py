"""The arithmetic of tickets: rule ``rate-half-up/1``.

Integers only: amounts in minor units, quantities in thousandths, rates in 1/100 %. A verifier computes the
same again, so that the rule's id stands in every ticket and the rule never changes under its id.

1. line ``ttc`` = half_up(unit price x quantity / 1000) - discount;
2. a discount on the whole ticket is spread over its lines by largest remainder, in proportion to ``ttc``;
3. per rate: TTC = sum of ``ttc``; HT = TTC x 10000 / (10000 + rate), half up; VAT = TTC - HT;
4. line ``ht`` by largest remainder of its rate's HT (ties: the lowest line);
5. grand totals: ``real`` += ttc, ``abs`` += the amount of ttc without its sign.

Half up means half away from zero: what is negative is computed as if positive, then negated. Otherwise a
refund would leave a cent behind (-3 cents at 20 % is the refund of 3 cents: HT 3 and -3, not 3 and -2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

RULE: Final = "rate-half-up/1"

_WHOLE: Final = 10_000
"""100 % in units of a rate."""


def half_up(numerator: int, denominator: int) -> int:
    """Divide and round to the nearest integer, halves away from zero. ``denominator`` is positive."""
    half = (2 * abs(numerator) + denominator) // (2 * denominator)
    return half if numerator >= 0 else -half


def line_gross(unit_price_minor: int, quantity_thousandths: int) -> int:
    """What a line costs before its discount, with tax."""
    return half_up(unit_price_minor * quantity_thousandths, 1000)


def without_tax(ttc: int, rate: int) -> int:
    """The part of an amount with tax that is not tax."""
    return half_up(ttc * _WHOLE, _WHOLE + rate)


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split ``total`` in proportion to weights (not negative, not all zero) by largest remainder.

    The parts add up to ``total``; of equal remainders the lowest index is served first.
    """
    if total < 0:
        return [-part for part in apportion(-total, weights)]
    return _round_to(total, [total * weight for weight in weights], sum(weights))


def lines_without_tax(ttcs: Sequence[int], rate: int) -> list[int]:
    """HT of each line of one rate; they add up to ``without_tax(sum(ttcs), rate)``."""
    if len(ttcs) == 1:
        return [without_tax(ttcs[0], rate)]
    total = sum(ttcs)
    if total < 0:
        return [-ht for ht in lines_without_tax([-ttc for ttc in ttcs], rate)]
    return _round_to(without_tax(total, rate), [ttc * _WHOLE for ttc in ttcs], _WHOLE + rate)


def refund_share(ttc: int, quantity: int, *, done_quantity: int, done_ttc: int, more_quantity: int) -> int:
    """What ``more_quantity`` of a line is worth, after ``done_quantity`` of it went back for ``done_ttc``.

    All are positive. The value of the first q of a line is half_up(ttc x q / quantity), and a refund pays
    the difference to what went back before: however a line is refunded in parts, they add up to it, and the
    last takes the rest.
    """
    return max(0, half_up(ttc * (done_quantity + more_quantity), quantity) - done_ttc)


def _round_to(total: int, numerators: list[int], denominator: int) -> list[int]:
    """Round fractions to integers whose sum is ``total`` (which is within one half of the exact sum)."""
    parts = [numerator // denominator for numerator in numerators]
    missing = total - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda i: -(numerators[i] % denominator))
    for i in by_remainder[:missing]:
        parts[i] += 1
    return parts
