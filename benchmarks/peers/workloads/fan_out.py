"""A shop's registers sell: how soon the others have it at 50 sales a second, and how many go through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.bounds.commit import BareCommits
from benchmarks.cases.visible import SALES_PER_S, Lane, observers_of, sell_at_pace
from benchmarks.context import settle
from benchmarks.driver.flat_out import flat_out, under_way_of
from benchmarks.driver.light import Crowd
from benchmarks.driver.processes import Usage, this_process
from benchmarks.figures import percentile
from benchmarks.peers.contenders import Contender
from benchmarks.peers.stand import Stand

SELLERS_MAX = 8


async def run(stand: Stand) -> None:
    """Paced first, then flat out, at each width."""
    for width in stand.size.sold:
        await _paced(stand, width)
    for width, sales in stand.size.sold.items():
        await _flat_out(stand, width, sales)


async def _paced(stand: Stand, width: int) -> None:
    what = f"sale to visible at {SALES_PER_S}/s, {width} registers"
    median, slow = stand.row(f"{what}, median", "ms"), stand.row(f"{what}, p99", "ms")
    watching = observers_of(width)
    sellers = [number for number in range(width) if number not in watching][:SELLERS_MAX]
    each = -(-stand.size.paced // len(sellers))
    prepared = _prepared(stand, f"paced-{width}", width, each)
    commits_ms: list[float] = []
    for repeat in range(stand.size.repeats):
        for contender in stand.in_turn(repeat):
            place = stand.folder / f"paced-{width}" / contender.name / f"repeat-{repeat}"
            made = prepared[contender.name]

            async def step(one: Contender = contender, place: Path = place, made: Any = made) -> Any:
                return await _sell_at_pace(one, made, place, width, sellers, stand)

            if (found := await stand.attempt(contender, (median, slow), step)) is not None:
                seen_ms, loads, commit_ms = found
                commits_ms.append(commit_ms)
                median.cell(contender.name).add(repeat, percentile(seen_ms, 0.5), loads)
                slow.cell(contender.name).add(repeat, percentile(seen_ms, 0.99), loads)
    if commits_ms:
        median.note = (
            f"a bare commit in the same run took {percentile(commits_ms, 0.5):.2g} ms; only ours waits"
        )


async def _sell_at_pace(
    contender: Contender, prepared: Any, folder: Path, width: int, sellers: list[int], stand: Stand
) -> tuple[list[float], dict[str, float], float]:
    lane = Lane(width)
    seen = dict.fromkeys(lane.watching, lane.seen)
    async with contender.connected(prepared, folder, lane.crowd, width, seen) as served:
        lane.sellers = [served.registers[number] for number in sellers]
        lane.is_counting = True
        usage = Usage(server=served.server.pid, driver=this_process())
        commits_ms = await sell_at_pace(
            (lane,), stand.size.paced, stand.seed, BareCommits(folder.parent / f"{folder.name}.bare.db")
        )
        return lane.seen_ms, usage.loads(), percentile(commits_ms, 0.5)


async def _flat_out(stand: Stand, width: int, sales: int) -> None:
    rate = stand.row(f"sales/s flat out, {width} registers", "/s", is_rate=True)
    cost = stand.row(f"server CPU per 1,000 sales flat out, {width} registers", "s")
    prepared = _prepared(stand, f"flat-out-{width}", width, -(-sales // width))
    for repeat in range(stand.size.repeats):
        for contender in stand.in_turn(repeat):
            place = stand.folder / f"flat-out-{width}" / contender.name / f"repeat-{repeat}"
            made = prepared[contender.name]

            async def step(one: Contender = contender, place: Path = place, made: Any = made) -> Any:
                return await _sell_flat_out(one, made, place, width, sales)

            if (found := await stand.attempt(contender, (rate, cost), step)) is not None:
                per_s, cpu_s, loads = found
                rate.cell(contender.name).add(repeat, per_s, loads)
                cost.cell(contender.name).add(repeat, cpu_s / sales * 1000)


async def _sell_flat_out(
    contender: Contender, prepared: Any, folder: Path, width: int, sales: int
) -> tuple[float, float, dict[str, float]]:
    crowd = Crowd()
    async with contender.connected(prepared, folder, crowd, width, {}) as served:
        settle()
        usage = Usage(server=served.server.pid, driver=this_process())
        seconds = await flat_out(crowd, sales, under_way_of(width))
        return sales / seconds, usage.cpu_s("server"), usage.loads()


def _prepared(stand: Stand, name: str, width: int, each: int) -> dict[str, Any]:
    return {
        one.name: stand.prepare(one, stand.place(name, one.name), width, each) for one in stand.contenders
    }
