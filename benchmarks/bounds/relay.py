"""A relay that stores nothing, checks nothing and knows nobody: each message goes to everybody else.

    python -m benchmarks.bounds.relay [--merge-ms 2] [--answer FILE]

With ``--merge-ms`` what came in within so many milliseconds goes to everybody (also to its senders) as one
message. With ``--answer`` every connection is sent the contents of a file at once, in messages of 128 KiB.
On standard output it prints its port, on one line.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

FRAME_BYTES_MAX = 1 << 20
ANSWER_BYTES = 128 << 10


class BareRelay:
    """Everybody who is connected, and what waits to be merged."""

    def __init__(self, merge_s: float, answer: bytes) -> None:
        self._merge_s = merge_s
        self._answer = [answer[at : at + ANSWER_BYTES] for at in range(0, len(answer), ANSWER_BYTES)]
        self._all: set[ServerConnection] = set()
        self._waiting: list[bytes] = []

    async def serve_one(self, connection: ServerConnection) -> None:
        """Pass on what one connection says until it is gone."""
        self._all.add(connection)
        try:
            for part in self._answer:
                await connection.send(part)
            async for message in connection:
                assert isinstance(message, bytes)
                if self._merge_s:
                    self._merge(message)
                else:
                    broadcast(self._all - {connection}, message)
        except ConnectionClosed:
            pass
        finally:
            self._all.discard(connection)

    def _merge(self, message: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_later(self._merge_s, self._send_merged)
        self._waiting.append(message)

    def _send_merged(self) -> None:
        waiting, self._waiting = self._waiting, []
        broadcast(self._all, b"".join(waiting))


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds.relay")
    parser.add_argument("--merge-ms", type=float, default=0.0)
    parser.add_argument("--answer", type=Path)
    arguments = parser.parse_args()
    answer = arguments.answer.read_bytes() if arguments.answer else b""
    relay = BareRelay(arguments.merge_ms / 1000, answer)
    async with serve(
        relay.serve_one, "127.0.0.1", 0, compression=None, max_size=FRAME_BYTES_MAX, ping_interval=None
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
