"""A sale on a register: numbered, signed, on the disk with fsync, against a bare commit of as many bytes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from benchmarks.bounds.commit import BareCommits
from benchmarks.bounds.signature import BareSignatures
from benchmarks.context import Bench, settle
from benchmarks.figures import Bound, Budget, Figure, Measured, percentile
from crdtsync import Register
from crdtsync.testing import wine
from crdtsync.testing.wine import Cart


@dataclass(frozen=True, slots=True)
class Size:
    """Turns of so many sales and so many bare commits, one after the other."""

    turns: int
    per_turn: int


SIZES = {"full": Size(20, 200), "quick": Size(6, 150), "smallest": Size(2, 5)}
TIMES_THE_BOUND_MAX = 2.0


def run(bench: Bench) -> list[Figure]:
    """The sale, and what of it is the signature."""
    size = SIZES[bench.extent]
    rng = Random(bench.seed)
    carts = list(wine.carts(rng, wine.products(rng, 500), size.turns * size.per_turn))
    with Register.init(bench.place("till"), name="Caisse 1") as till:
        till.open_day(10_000)
        row_bytes = _row_bytes(till, carts)
        bare, signatures = BareCommits(bench.folder / "bare.db"), BareSignatures(row_bytes)
        sales, commits, signs = _measure(till, carts, bare, signatures, row_bytes, size)
        bare.close()
    bound = Bound("bare commit of as many bytes", _in_us(commits))
    each = {"sales": size.turns * size.per_turn, "bytes": row_bytes}
    medians = [statistics.median(turn) for turn in sales]
    ratios = tuple(m / statistics.median(turn) for m, turn in zip(medians, commits, strict=True))
    return [
        Figure(
            "sale on a register, median",
            "µs",
            _in_us(sales),
            bound,
            Budget(TIMES_THE_BOUND_MAX, "ratio"),
            paired=ratios,
            size=each,
            note="sealed, and stored with fsync; views are filed every 16 sales",
        ),
        Figure(
            "sale on a register, p99",
            "µs",
            Measured.of([percentile(turn, 0.99) * 1e6 for turn in sales]),
            Bound("bare commit, p99", Measured.of([percentile(turn, 0.99) * 1e6 for turn in commits])),
            size=each,
        ),
        Figure(
            "of it: one ES256 signature",
            "µs",
            _in_us(signs),
            size={"signatures": size.turns * size.per_turn, "bytes": row_bytes},
            note="with the package alone; the product's are deterministic, which costs a little more",
        ),
    ]


def _measure(
    till: Register,
    carts: list[Cart],
    bare: BareCommits,
    signatures: BareSignatures,
    row_bytes: int,
    size: Size,
) -> tuple[list[list[float]], list[list[float]], list[list[float]]]:
    left = iter(carts)

    def sell() -> None:
        cart = next(left)
        till.sell(cart.lines, cart.payments)

    settle()
    sales, commits, signs = [], [], []
    for _ in range(size.turns):
        commits.append([_timed_s(lambda: bare.commit(row_bytes)) for _ in range(size.per_turn)])
        sales.append([_timed_s(sell) for _ in range(size.per_turn)])
        signs.append([_timed_s(signatures.sign) for _ in range(size.per_turn)])
    return sales, commits, signs


def _row_bytes(till: Register, carts: list[Cart]) -> int:
    """How many bytes a sale's row has, on average over a few."""
    before, count = till.end.seq, min(20, len(carts))
    for cart in carts[:count]:
        till.sell(cart.lines, cart.payments)
    batch = till.replica.log.read(before, bytes_max=1 << 20)
    return batch.records_bytes // count


def _timed_s(act: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    act()
    return time.perf_counter() - began_s


def _in_us(turns: list[list[float]]) -> Measured:
    return Measured.of([statistics.median(turn) * 1e6 for turn in turns])
