"""What a sale does on its way to another register, hop by hop: figures of ``docs/decisions``.

    python -m benchmarks.decisions.hops_of_a_sale [--sales 200] [--folder DIR]

The case ``visible_full`` of `make bench`: two full registers and a relay, processes of their own, 50 sales a
second. Moments are stamped in all three (see ``benchmarks.stamping``) and put together by the machine's
clock. Of each hop the lower quartile and the median, in µs. With ``--folder /dev/shm`` a commit waits for no
disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.cases import visible_full
from benchmarks.context import Bench
from benchmarks.figures import percentile

STAMPING = Path(__file__).parents[1] / "stamping"
WARM_UP = 15
SELLS, RELAY, SEES = "sells", "relay", "sees"

HOPS = (
    (SELLS, "sell>", ""),
    (SELLS, "begin<", "seller: write lock"),
    (SELLS, "sign>", "seller: ticket, form, canonical JSON"),
    (SELLS, "sign<", "seller: signature"),
    (SELLS, "commit>", "seller: totals, rows, head"),
    (SELLS, "commit<", "seller: COMMIT"),
    (SELLS, "look>", "seller: its syncer wakes up"),
    (SELLS, "grew>", "seller: the end of the log is read"),
    (SELLS, "flush>", "seller: rows are read and encoded"),
    (RELAY, "take>", "WebSocket, to the relay"),
    (RELAY, "submit>", "relay: frame is read"),
    (RELAY, "judge>", "relay: hand-over to the committer"),
    (RELAY, "judge<", "relay: form and signature"),
    (RELAY, "commit>", "relay: BEGIN, rows, cursor"),
    (RELAY, "commit<", "relay: COMMIT"),
    (RELAY, "told>", "relay: hand-over to the event loop"),
    (RELAY, "send>", "relay: rows are encoded"),
    (SEES, "take>", "WebSocket, to the other register"),
    (SEES, "submit>", "other: frame is read"),
    (SEES, "judge>", "other: hand-over to the committer"),
    (SEES, "judge<", "other: form and signature"),
    (SEES, "commit>", "other: BEGIN, rows, cursor"),
    (SEES, "commit<", "other: COMMIT"),
    (SEES, "next>", "other: who waits in `poll` wakes up"),
    (SEES, "next<", "other: rows are read for `observe`"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.hops_of_a_sale")
    parser.add_argument("--sales", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where stores are made; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crdtsync-hops-", dir=options.folder) as folder:
        stamps = Path(folder) / "stamps"
        stamps.mkdir()
        os.environ["CRDTSYNC_BENCH_STAMPS"] = str(stamps)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(STAMPING), os.environ.get("PYTHONPATH")))
        )
        bench = Bench(folder=Path(folder), shared=Path(folder), extent="quick", seed=1)
        run = asyncio.run(visible_full._once(bench, 0, options.sales))
        sales = [sale for sale in put_together(stamps)[WARM_UP:] if len(sale) == len(HOPS)]
    print(f"{len(sales)} of {options.sales} sales; µs: lower quartile, median")
    for place, (_, _, says) in enumerate(HOPS[1:], start=1):
        hops = [(sale[place] - sale[place - 1]) / 1000 for sale in sales]
        print(f"  {says:<40} {percentile(hops, 0.25):7.0f} {percentile(hops, 0.5):7.0f}")
    whole = [(sale[-1] - sale[0]) / 1000 for sale in sales]
    print(f"  {'in all':<40} {percentile(whole, 0.25):7.0f} {percentile(whole, 0.5):7.0f}")
    for says, took in (("bare relay", run.bare_ms), ("bare commit", run.commits_ms)):
        print(f"  {says:<40} {percentile(took, 0.25) * 1000:7.0f} {percentile(took, 0.5) * 1000:7.0f}")


def put_together(folder: Path) -> list[list[int]]:
    """For each sale the moments of its hops in ns, as far as each follows the one before."""
    moments: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in folder.glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        who = {"serve": RELAY, "sell": SELLS, "watch": SEES}
        found = [who[word] for word in told["arguments"] if word in who]
        if found:
            moments[found[0]] += [(at_ns, name) for at_ns, name in told["stamps"]]
    begun = [at_ns for at_ns, name in moments[SELLS] if name == "sell>"]
    sales = []
    for began, ends in zip(begun, [*begun[1:], 1 << 63], strict=True):
        sale = [began]
        for who, name, _ in HOPS[1:]:
            later = [at_ns for at_ns, one in moments[who] if one == name and sale[-1] <= at_ns < ends]
            if not later:
                break
            sale.append(min(later))
        sales.append(sale)
    return sales


if __name__ == "__main__":
    main()
