"""hocuspocus: the whole document into SQLite, two seconds after the last change."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.frames import in_each_message
from benchmarks.peers.peer import DOCUMENT, STARTS, Command, Peer


def _start(installed: Path, data: Path, port: int) -> Command:
    script = installed / "hocuspocus.mjs"
    # Packages are found from where the script lies.
    script.write_bytes((STARTS / "hocuspocus.mjs").read_bytes())
    return Command(
        ("node", str(script), str(port), str(data / "documents.sqlite")), {"NODE_ENV": "production"}
    )


PEER = Peer(
    name="hocuspocus",
    client="npm",
    packages={"@hocuspocus/server": "4.7.0", "@hocuspocus/extension-sqlite": "4.7.0"},
    beside={"yjs": "13.6.33", "better-sqlite3": "12.11.1"},
    builds=("better-sqlite3",),
    dialect=in_each_message(DOCUMENT),
    start=_start,
    settings=(
        "its defaults: the whole document is stored 2 s after the last change, 10 s after the first at most",
        "SQLite in a file, with better-sqlite3's defaults",
        "what comes in within one turn of its event loop goes out as one message",
    ),
)
