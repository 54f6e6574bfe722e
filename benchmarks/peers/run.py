"""The relay and its peers on the same work in the same run: `make bench-peers`.

    python -m benchmarks.peers.run [--quick] [--workload NAME]... [--peer NAME]... [--seed 1]

Packages are installed by name into a temporary folder (``--installed DIR`` keeps them there for another run);
everything else is in one too. See ``docs/how-to/compare-with-peers.md``.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.machine import describe_machine
from benchmarks.peers.contenders import OURS, PEERS, Contender, Ours, Theirs
from benchmarks.peers.installing import NotInstalled, install
from benchmarks.peers.printing import print_comparison, told_of
from benchmarks.peers.stand import SIZES, Stand

WORKLOADS: Final = ("fan_out", "join", "kill", "deaf")
OUT: Final = Path(".make/bench/peers.json")
VERSION: Final = 1
OUR_SETTINGS: Final = (
    "crdtsync-relay serve with its defaults: SQLite, WAL, synchronous=FULL; a sale is passed on and "
    "acknowledged after the commit that holds it",
)


def main() -> int:
    """Install, measure, print, write. 1 where something could not be measured; being behind is no error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, once each: for a first look")
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="only this; can be repeated")
    parser.add_argument("--peer", action="append", choices=PEERS, help="only this one; can be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of baskets, keys and pauses")
    parser.add_argument("--json", type=Path, default=OUT, help=f"where the figures go (default {OUT})")
    parser.add_argument("--folder", type=Path, help="where data is; a temporary folder by default")
    parser.add_argument("--installed", type=Path, help="where packages are, and stay")
    arguments = parser.parse_args()
    try:
        return asyncio.run(_run(arguments))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nStopped. All that was started has been ended, and its files removed.", file=sys.stderr)
        return 130


async def _run(arguments: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    # As Ctrl-C: everything that was started is ended on the way out.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    console = Console(stderr=True)

    def say(what: str) -> None:
        console.print(f"{time.strftime('%H:%M:%S')} {what}", highlight=False, markup=False)

    if arguments.folder:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="crdtsync-peers-", dir=arguments.folder) as name:
        folder = Path(name)
        installed = arguments.installed.absolute() if arguments.installed else folder / "installed"
        extent = "quick" if arguments.quick else "full"
        report = _begin(extent, arguments.seed)
        contenders = await _install(arguments.peer or list(PEERS), installed, report, say)
        stand = Stand(folder / "data", contenders, SIZES[extent], arguments.seed, say)
        for workload in arguments.workload or WORKLOADS:
            await importlib.import_module(f"benchmarks.peers.workloads.{workload}").run(stand)
            report["figures"] = [row.to_json() for row in stand.rows]
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    _print(report, stand)
    print(f"All of it: {arguments.json}")
    return 1 if stand.failed or report["not_installed"] else 0


def _begin(extent: str, seed: int) -> dict[str, Any]:
    ours = {name: version(name) for name in ("crdtsync", "apsw", "uvicorn", "websockets", "pycrdt")}
    return {
        "version": VERSION,
        "extent": extent,
        "seed": seed,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": describe_machine(),
        "contenders": {OURS: {"versions": ours, "settings": list(OUR_SETTINGS)}},
        "not_installed": {},
        "figures": [],
    }


async def _install(
    names: Sequence[str], installed: Path, report: dict[str, Any], say: Any
) -> list[Contender]:
    contenders: list[Contender] = [Ours()]
    for name in names:
        peer = PEERS[name]
        say(f"installing {', '.join(peer.packages)}")
        try:
            versions = await install(peer, installed / name)
        except NotInstalled as error:
            report["not_installed"][name] = str(error)
            say(f"{name} could not be installed: {error}")
            continue
        report["contenders"][name] = {"versions": versions, "settings": list(peer.settings)}
        contenders.append(Theirs(peer, installed / name))
    return contenders


def _print(report: dict[str, Any], stand: Stand) -> None:
    machine = report["machine"]
    print(
        f"\n{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, SQLite "
        f"{machine['sqlite']}, seed {report['seed']}, load before {machine['load_before']}"
    )
    if report["extent"] != "full":
        print(f"Sizes: {report['extent']}. For a first look only.")
    for line in told_of(report):
        print(line)
    print()
    print_comparison(stand.rows)
    for name, reason in report["not_installed"].items():
        print(f"NOT INSTALLED: {name}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
