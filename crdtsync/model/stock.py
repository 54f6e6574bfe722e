"""Stock: the sum of movements since the last count, never a number that somebody keeps.

Sales and refunds are movements, deliveries and losses too; each is named by its entry. A *count* says how
much lay on the shelf and which movements that includes: its *cut*, per chain the number of the last entry
known to whoever counted. A movement that arrives late but lies below the cut was on the shelf already (or
gone from it), and is not counted a second time.

A count that knew of another replaces it, whatever the clocks say. Of counts made without knowing of each
other, the one with the later time is used and the disagreement is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Movement:
    """``delta`` thousandths of ``sku`` came (or, negative, went) with entry ``n`` of ``chain``."""

    sku: str
    chain: bytes
    n: int
    delta: int


@dataclass(frozen=True, slots=True)
class Count:
    """Entry ``n`` of ``chain`` (its link: ``link``) says that ``counted`` thousandths of ``sku`` were there,
    all movements up to ``cut`` included. ``at_ms`` is what the clock said.
    """

    sku: str
    chain: bytes
    n: int
    link: bytes
    at_ms: int
    counted: int
    cut: Mapping[bytes, int]

    def known_of(self, chain: bytes) -> int:
        """The number of the last entry of ``chain`` that whoever counted knew; their own are all known."""
        return max(self.cut.get(chain, 0), self.n - 1 if chain == self.chain else 0)

    def includes(self, chain: bytes, n: int) -> bool:
        """Whether whoever counted knew entry ``n`` of ``chain``."""
        return n <= self.known_of(chain)


@dataclass(frozen=True, slots=True)
class Level:
    """What is there of one product, in thousandths; negative when more was sold than was known to be there.

    ``counted_at_ms`` is the time of the count it rests on, or None; ``disputed`` says that another count,
    made without knowing of that one, said something else.
    """

    sku: str
    quantity: int
    counted_at_ms: int | None = None
    disputed: bool = False


def standing_counts(counts: Iterable[Count]) -> list[Count]:
    """The counts of one product that no other count knew of; the one to use comes first."""
    known = list(counts)
    standing = [
        count
        for count in known
        if not any(other.link != count.link and other.includes(count.chain, count.n) for other in known)
    ]
    # Two counts that claim to have known each other can only come from a forked chain: none is thrown away.
    return sorted(standing or known, key=lambda count: (count.at_ms, count.link), reverse=True)


def settled(sku: str, counts: Iterable[Count], since: Callable[[Count | None], int]) -> Level:
    """The stock of one product from all its counts, in any order.

    ``since(count)`` is the sum of the movements that the count does not include; of all, for None.
    """
    standing = standing_counts(counts)
    if not standing:
        return Level(sku, since(None))
    quantities = [count.counted + since(count) for count in standing]
    return Level(sku, quantities[0], standing[0].at_ms, disputed=len(set(quantities)) > 1)


def level(sku: str, counts: Iterable[Count], movements: Iterable[Movement]) -> Level:
    """The stock of one product from all its counts and movements, in any order."""
    moved = list(movements)

    def since(count: Count | None) -> int:
        return sum(
            movement.delta
            for movement in moved
            if count is None or not count.includes(movement.chain, movement.n)
        )

    return settled(sku, counts, since)
