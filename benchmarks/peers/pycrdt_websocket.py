"""pycrdt-websocket: SQLite, a transaction per update, written behind the relaying."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers.frames import in_the_path
from benchmarks.peers.peer import DOCUMENT, STARTS, Command, Peer


def _start(installed: Path, data: Path, port: int) -> Command:
    python = installed / "bin" / Path(sys.executable).name
    script = STARTS / "pycrdt_rooms.py"
    return Command((str(python), str(script), str(port), str(data / "rooms.sqlite")))


PEER = Peer(
    name="pycrdt-websocket",
    client="pip",
    packages={"pycrdt-websocket": "0.16.5"},
    beside={
        "pycrdt-store": "0.1.5",
        "pycrdt": "0.14.13",
        "uvicorn": "0.54.0",
        "websockets": "17.4",
        "uvloop": "0.23.0",
    },
    dialect=in_the_path(DOCUMENT),
    start=_start,
    settings=(
        "SQLiteYStore: a row and a transaction per update, a checkpoint every 100, synchronous=FULL",
        "under uvicorn with uvloop, no compression",
        "rooms are loaded from the store and opened one at a time by a script of ours "
        "(it leaves both to whoever deploys it)",
    ),
)
