"""Many histories at a time, each in a process that does not live long."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from time import monotonic

from crdtsync.testing.simulation.plan import SHORT, Plan, Size, draw_plan
from crdtsync.testing.simulation.run import Result, play
from crdtsync.testing.simulation.shrink import same_failure, shrink

HISTORIES_PER_PROCESS = 20
"""What a day leaves in caches must not add up."""


@dataclass(frozen=True)
class Options:
    """How each history is played."""

    size: Size
    sqlite_share: float
    genuine: bool


def play_seed(seed: int, options: Options) -> Result:
    """One history; without its story and its actions where nothing went wrong: they follow from the seed."""
    plan = draw_plan(seed, options.size, sqlite_share=options.sqlite_share)
    result = play(plan, genuine_signatures=options.genuine)
    if not result.failure:
        result.story.clear()
        result.plan = plan.without(())
    return result


def play_many(
    wanted: Iterator[int], options: Options, *, jobs: int, until_s: float | None
) -> Iterator[Result]:
    """The histories of these seeds as they end, ``jobs`` at a time; none is begun after ``until_s`` (of
    ``time.monotonic``).
    """
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), max_tasks_per_child=HISTORIES_PER_PROCESS
    )
    with pool:
        under_way: set[Future[Result]] = set()
        is_over = False
        while True:
            while not is_over and len(under_way) < 2 * jobs:
                seed = next(wanted, None)
                if seed is None or (until_s is not None and monotonic() > until_s):
                    is_over = True
                else:
                    under_way.add(pool.submit(play_seed, seed, options))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            yield from sorted((one.result() for one in done), key=lambda result: result.plan.seed)


def played_again_by(plan: Plan, *, genuine: bool = False) -> str:
    """The commit and the command that play the history of a seed again, to the letter."""
    size = f"DAYS={plan.size.days}" + (" SHORT=1" if plan.size.minutes == SHORT.minutes else "")
    size += f" SQLITE={int(plan.is_sqlite)}" + (" GENUINE=1" if genuine else "")
    return f"commit {_commit()}; make sim SEED={plan.seed} {size}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:  # Without git nobody knows; the history is told all the same.
        return "unknown"
    return found.stdout.strip() or "unknown"


def made_smaller(result: Result, options: Options) -> Result:
    """A failing history with as little in it as can be."""
    if not result.failure:
        return result

    def check(plan: Plan) -> str:
        return play(plan, genuine_signatures=options.genuine).check

    before = len(result.plan.actions)
    smaller = play(shrink(result.plan, same_failure(result.check, check)), genuine_signatures=options.genuine)
    smaller.story.append(f"(made smaller: {before} actions became {len(smaller.plan.actions)})")
    return smaller if smaller.failure else result
