"""Playing simulated shops: one seed with its story, or as many as there is time for.

::

    python -m crdtsync.testing.simulation --seed 7             # one day, and what happened
    python -m crdtsync.testing.simulation --seed 7 --genuine   # with real signatures
    python -m crdtsync.testing.simulation --kept FILE          # a history that was kept
    python -m crdtsync.testing.simulation --first 1 --seeds 1000 --days 2 --jobs 2
    python -m crdtsync.testing.simulation --first 1 --minutes 30

A history that fails is made smaller, told, and kept under ``.make/sim``; the exit code is 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice
from math import isnan
from pathlib import Path
from time import monotonic

import click

from crdtsync.errors import UsageError
from crdtsync.testing.simulation.campaign import Options, made_smaller, play_many, played_again_by
from crdtsync.testing.simulation.coverage import Coverage
from crdtsync.testing.simulation.plan import DAY, SHORT, Plan, draw_plan
from crdtsync.testing.simulation.run import Result, play

KEPT = Path(".make/sim")


@click.command()
@click.option("--seed", type=int, help="Play this one and tell its story.")
@click.option("--kept", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Play a kept one.")
@click.option("--first", type=int, default=1, show_default=True, help="The first seed of many.")
@click.option("--seeds", type=click.IntRange(min=0), default=0, help="How many seeds.")
@click.option(
    "--minutes", type=click.FloatRange(0, 1_000_000), default=0, help="As many as there is time for."
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="How many at a time.")
@click.option("--short", is_flag=True, help="A quarter of an hour instead of a day.")
@click.option(
    "--days", type=click.IntRange(min=1), default=1, show_default=True, help="Days of each history."
)
@click.option(
    "--sqlite",
    "sqlite_share",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Share on real stores.",
)
@click.option("--genuine", is_flag=True, help="With real signatures.")
@click.option("--whole", is_flag=True, help="Do not make failing histories smaller.")
def main(
    seed: int | None,
    kept: Path | None,
    first: int,
    seeds: int,
    minutes: float,
    jobs: int,
    short: bool,
    days: int,
    sqlite_share: float,
    genuine: bool,
    whole: bool,
) -> None:
    """Play simulated shops and check what must hold of them."""
    options = Options(replace(SHORT if short else DAY, days=days), sqlite_share, genuine)
    if isnan(minutes):
        raise click.BadParameter("a number of minutes is expected", param_hint="--minutes")
    if sum((seed is not None, kept is not None, bool(seeds or minutes))) > 1:
        raise click.UsageError("--seed, --kept, and --seeds or --minutes exclude one another")
    if kept is not None:
        try:
            plan = Plan.from_json(kept.read_bytes())
        except UsageError as error:
            raise click.BadParameter(f"{kept}: {error}", param_hint="--kept") from error
        sys.exit(_tell(play(plan, genuine_signatures=genuine)))
    if seed is not None:
        plan = draw_plan(seed, options.size, sqlite_share=sqlite_share)
        result = play(plan, genuine_signatures=genuine)
        sys.exit(_tell(result if whole else made_smaller(result, options)))
    if not seeds and not minutes:
        raise click.UsageError("name a --seed, a number of --seeds, or --minutes")
    wanted = islice(count(first), seeds) if seeds else count(first)
    sys.exit(_campaign(wanted, options, jobs=jobs, minutes=minutes, whole=whole))


def _campaign(wanted: Iterator[int], options: Options, *, jobs: int, minutes: float, whole: bool) -> int:
    coverage, began_s, failed = Coverage(), monotonic(), []
    histories = events = tickets = 0
    worst_rest_s = busy_s = 0.0
    for result in play_many(wanted, options, jobs=jobs, until_s=began_s + minutes * 60 if minutes else None):
        histories += 1
        events += result.events
        tickets += result.tickets
        busy_s += result.seconds
        worst_rest_s = max(worst_rest_s, result.rest_s)
        coverage.add(result.faults, result.states)
        if result.failure:
            failed.append(result.plan.seed)
            _tell(result if whole else made_smaller(result, options))
        if histories % 50 == 0:
            click.echo(
                f"{histories} histories, {len(failed)} failed, {monotonic() - began_s:.0f} s", err=True
            )
    days = histories * options.size.days
    click.echo(f"{histories} histories, {days} shop days, {tickets} tickets, {events} events")
    click.echo(f"{events / max(busy_s, 0.001):.0f} events per second and core")
    click.echo(f"longest way to rest after the last fault: {worst_rest_s:.0f} s")
    for line in coverage.lines():
        click.echo(line)
    click.echo(f"failed: {failed or 'none'}")
    return 1 if failed else 0


def _tell(result: Result) -> int:
    plan = result.plan
    for line in result.story:
        click.echo(line)
    click.echo(
        f"seed {plan.seed}, {'real stores' if plan.is_sqlite else 'disks in memory'}, "
        f"faults that exist: {', '.join(plan.faults) or 'none'}"
    )
    click.echo(
        f"digest {result.digest}; {result.tickets} tickets, {result.events} events, {result.frames} frames, "
        f"{result.seconds:.1f} s; at rest after {result.rest_s:.1f} s"
    )
    if not result.failure:
        click.echo("everything that is promised held")
        return 0
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / f"seed-{plan.seed}.json"
    file.write_text(plan.to_json())
    click.echo(f"FAILED: {result.failure}")
    click.echo(f"{played_again_by(plan)}, or as it is kept:")
    click.echo(f"  python -m crdtsync.testing.simulation --kept {file}")
    return 1


if __name__ == "__main__":
    main()
