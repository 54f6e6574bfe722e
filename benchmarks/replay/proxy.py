"""The network between one register and the relay: a TCP proxy that can be cut, stalled and opened.

A cut happens in the middle of a transfer: so many bytes still pass, then the connection is reset, wherever in
a frame that is. A stall is the nastier fault: the connection stays, and nothing comes through any more.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

CHUNK_BYTES = 64 * 1024
LAST_BYTES_WITHIN_S = 0.2
"""A cut waits no longer for its last bytes, where nothing is being transferred."""


class Gate:
    """One register's way to the relay. Lives on one event loop."""

    def __init__(self, relay_port: int) -> None:
        self._relay_port = relay_port
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._accepts = True
        self._left: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.bytes_up = 0
        self.bytes_down = 0
        self.cuts = 0

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self, bytes_left: int) -> None:
        """Let so many bytes pass, then reset everything and let nobody in."""
        self._accepts = False
        self._left = bytes_left
        self._flows.set()
        asyncio.get_running_loop().call_later(LAST_BYTES_WITHIN_S, self._reset_if_cut)

    def stall(self) -> None:
        """Let nothing through from now on; connections stay."""
        self._flows.clear()

    def open(self) -> None:
        """All is well again."""
        if self._left is not None:
            self._reset()
        self._accepts = True
        self._left = None
        self._flows.set()

    async def close(self) -> None:
        """Hang up."""
        self._accepts = False
        if self._server is not None:
            self._server.close()
        self._flows.set()
        self._reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._accepts:
            writer.transport.abort()
            return
        try:
            relay_reader, relay_writer = await asyncio.open_connection("127.0.0.1", self._relay_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, relay_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, relay_writer, up=True))
                group.create_task(self._pump(relay_reader, writer, up=False))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, relay_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        while chunk := await reader.read(CHUNK_BYTES):
            await self._flows.wait()
            if self._left is not None:
                chunk, self._left = chunk[: self._left], max(0, self._left - len(chunk))
            writer.write(chunk)
            self.bytes_up += len(chunk) if up else 0
            self.bytes_down += 0 if up else len(chunk)
            with suppress(ConnectionError):
                await writer.drain()
            if self._left == 0:
                self._reset()
        # The other direction may still have something to say; the end of both ends the connection.
        with suppress(OSError):
            writer.write_eof()

    def _reset_if_cut(self) -> None:
        if self._left is not None:
            self._reset()

    def _reset(self) -> None:
        self.cuts += len(self._writers) // 2
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
