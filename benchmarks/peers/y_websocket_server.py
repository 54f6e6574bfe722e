"""y-websocket-server: LevelDB, a row per update, written behind the relaying."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.frames import in_the_path
from benchmarks.peers.peer import DOCUMENT, Command, Peer


def _start(installed: Path, data: Path, port: int) -> Command:
    script = installed / "node_modules/@y/websocket-server/src/server.js"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "YPERSISTENCE": str(data / "leveldb")}
    return Command(("node", str(script)), {"NODE_ENV": "production", **settings})


PEER = Peer(
    name="y-websocket-server",
    client="npm",
    packages={"@y/websocket-server": "0.1.1"},
    # Versions after 0.1.1 ask for a Yjs 14 that is not published yet, and store nothing.
    beside={"yjs": "13.6.33", "y-leveldb": "0.1.2", "ws": "6.2.7"},
    dialect=in_the_path(DOCUMENT),
    start=_start,
    settings=("its own server.js with its defaults", "YPERSISTENCE: LevelDB, without asking for a sync"),
)
