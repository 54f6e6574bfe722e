"""A newcomer in a process of its own: it joins a peer, and says how long that took and what it cost it.

python -m benchmarks.peers.joining NAME PORT REGISTERS SALES
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os

from benchmarks.driver.processes import peak_mib
from benchmarks.peers.client import join
from benchmarks.peers.contenders import PEERS

QUIET_S = 90.0


def main() -> None:
    """Join, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.joining")
    parser.add_argument("name", choices=PEERS)
    for name in ("port", "registers", "sales"):
        parser.add_argument(name, type=int)
    given = parser.parse_args()
    peer = PEERS[given.name]
    joined = asyncio.run(
        join(peer.dialect, given.port, given.registers, expected=given.sales, quiet_s=QUIET_S)
    )
    print(
        json.dumps(
            {
                "sales": len(joined.sales),
                "seconds": joined.seconds,
                "bytes": joined.received_bytes,
                "peak_mib": peak_mib(os.getpid()),
            }
        )
    )


if __name__ == "__main__":
    main()
