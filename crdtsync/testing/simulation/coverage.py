"""What simulated shops have gone through, so that one can see what no seed has reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from crdtsync.errors import CrdtsyncError, LinkClosed
from crdtsync.protocol import codec
from crdtsync.testing.simulation.plan import FAULTS

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop


def states_of(shop: Shop) -> Counter[str]:
    """What the product went through in one shop."""
    states: Counter[str] = Counter()
    for number, count in shop.network.kinds.items():
        states[f"message {type(codec.decode(shop.network.examples[number])).__name__}"] += count
    for _, error in shop.errors:
        code = f" {error.code}" if isinstance(error, LinkClosed) else ""
        states[f"ended by {type(error).__name__}{code}"] += 1
    for machine in shop.machines:
        try:
            log = machine.plate.open().shop(shop.shop_id)
            states["log has packs"] += log.pack_at(1) is not None
            states["log is compacted"] += any(record[:1] == b"C" for record in machine.records())
            for row in log.apart():
                states[f"set apart: {row.code}"] += 1
        except (CrdtsyncError, KeyError):
            states["log cannot be read"] += 1
    return +states


class Coverage:
    """Sums over many histories."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.states: Counter[str] = Counter()

    def add(self, faults: Counter[str], states: Counter[str]) -> None:
        """One more history."""
        self.faults.update(faults)
        self.pairs.update(combinations(sorted(faults), 2))
        self.states.update(states)

    def lines(self) -> Iterable[str]:
        """For people."""
        kinds = FAULTS
        pairs = len(kinds) * (len(kinds) - 1) // 2
        seen = [kind for kind in kinds if self.faults[kind]]
        met = [pair for pair in self.pairs if set(pair) <= set(kinds)]
        yield f"kinds of faults: {len(seen)} of {len(kinds)}"
        yield f"pairs of them in one history: {len(met)} of {pairs}"
        for kind in kinds:
            yield f"  {kind:<30} {self.faults[kind]:>8}"
        yield f"states: {len(self.states)}"
        for state, count in sorted(self.states.items()):
            yield f"  {state:<42} {count:>8}"
