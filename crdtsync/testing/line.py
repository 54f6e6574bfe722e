"""The network between a register and its relay, for real sockets: a TCP proxy that can be made to fail.

::

    with FaultyLine(relay.url) as line:
        register = Register.join(folder, line.url, relay.pairing_code(), name="Caisse 1")
        line.stall("down")                  # the register sends, and hears nothing any more
        ...
        line.heal()

It listens on this machine's loopback address. ``with`` runs it on a thread of its own, so that code that
blocks can use it; ``async with`` (or ``start`` and ``close``) runs it in the loop that is there, for code
that does not. Everything else may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from crdtsync.errors import UsageError

CHUNK_BYTES: Final = 64 * 1024
LAST_BYTES_WITHIN_S: Final = 0.2
"""A cut waits no longer for its last bytes, where nothing is being transferred."""

STEP_S: Final = 0.05
"""A slow line passes something on so often."""

Direction = Literal["up", "down", "both"]
"""``up`` is from the register to the relay."""


class _Way:
    """One direction of one connection, or of all: what is done to the bytes that go there."""

    def __init__(self) -> None:
        self.flows = asyncio.Event()
        self.flows.set()
        self.delay_s = 0.0
        self.piece_bytes = 0
        self.is_black_hole = False
        self.bytes_per_s = 0.0
        self.breaks_after_bytes = 0
        self.breaks_left: int | None = None


class FaultyLine:
    """One register's way to a relay. It works until it is told to fail; ``heal`` ends every fault.

    ``bytes_up`` and ``bytes_down`` are what was passed on, ``cuts`` how many connections were reset.
    """

    def __init__(self, relay: str | int) -> None:
        """``relay``: its URL (``ws://HOST:PORT``; TLS is passed on as it is), or its port on this machine."""
        at = f"ws://127.0.0.1:{relay}" if isinstance(relay, int) else relay
        parts = urlsplit(at if "://" in at else f"ws://{at}")
        self._scheme, self._path = parts.scheme, parts.path
        self._relay = (parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "wss" else 80))
        self.bytes_up = 0
        self.bytes_down = 0
        self.cuts = 0
        self._ways: dict[bool, _Way] = {}
        self._accepts = True
        self._left: int | None = None
        self._port: int | None = None
        self._server: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- running -------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """What the register is given instead of the relay's URL. Raises ``UsageError`` if it does not run."""
        if self._port is None:
            raise UsageError("the line is not up", hint="use it in a `with` block")
        return f"{self._scheme}://127.0.0.1:{self._port}{self._path}"

    async def start(self) -> int:
        """Listen, in the running loop; the port."""
        self._loop = asyncio.get_running_loop()
        self._ways = {True: _Way(), False: _Way()}
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._port = int(self._server.sockets[0].getsockname()[1])
        return self._port

    async def close(self) -> None:
        """Hang up."""
        self._accepts = False
        if self._server is not None:
            self._server.close()
        for way in self._ways.values():
            way.flows.set()
        self._reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._port = None

    async def __aenter__(self) -> Self:
        """Start it in the running loop."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        await self.close()

    def __enter__(self) -> Self:
        """Start it on a thread of its own."""
        is_up, failures = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(is_up, failures)), name="faulty line", daemon=True
        )
        self._thread.start()
        is_up.wait()
        if failures:
            self._thread.join()
            raise failures[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up, and end the thread."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
            self._thread = None

    async def _run(self, is_up: threading.Event, failures: list[BaseException]) -> None:
        self._end = asyncio.Event()
        try:
            await self.start()
        except OSError as error:
            failures.append(error)
            return
        finally:
            is_up.set()
        await self._end.wait()
        await self.close()

    # -- faults --------------------------------------------------------------------------------------------

    def cut(self, bytes_left: int = 0) -> None:
        """Let so many bytes pass, then reset every connection, in the midst of a frame or not, and let nobody
        in. Where nothing is transferred, it is cut after a moment.
        """
        self._do(lambda: self._cut(bytes_left))

    def stall(self, direction: Direction = "both") -> None:
        """Hold back what goes that way; connections stay, and what was held back comes after ``heal``."""
        self._do(lambda: self._each(direction, lambda way: way.flows.clear()))

    def black_hole(self, direction: Direction = "both") -> None:
        """Swallow what goes that way, and who connects waits for ever: half-open, as when a cable was pulled.
        Connections that lost bytes are reset by ``heal``.
        """
        self._do(lambda: self._each(direction, _swallow))

    def delay(self, delay_s: float, direction: Direction = "both") -> None:
        """Pass everything that goes that way on so much later."""
        self._do(lambda: self._each(direction, lambda way: setattr(way, "delay_s", delay_s)))

    def split(self, piece_bytes: int, direction: Direction = "both") -> None:
        """Pass everything that goes that way on in pieces of so many bytes, each a write of its own."""
        self._do(lambda: self._each(direction, lambda way: setattr(way, "piece_bytes", piece_bytes)))

    def throttle(self, bytes_per_s: float, direction: Direction = "both") -> None:
        """Pass on what goes that way at that speed, as a poor line in the country does."""
        self._do(lambda: self._each(direction, lambda way: setattr(way, "bytes_per_s", bytes_per_s)))

    def break_after(
        self, passed_bytes: int, direction: Direction = "down", *, times: int | None = None
    ) -> None:
        """Reset every connection, also later ones, once so many bytes of it went that way; only so many of
        them, with ``times``.
        """

        def breaks(way: _Way) -> None:
            way.breaks_after_bytes, way.breaks_left = passed_bytes, times

        self._do(lambda: self._each(direction, breaks))

    def heal(self) -> None:
        """All is well again."""
        self._do(self._heal)

    def _do(self, what: Callable[[], None]) -> None:
        """In the loop's thread; returns when it is done."""
        if self._loop is None:
            raise UsageError("the line is not up", hint="use it in a `with` block")
        if self._thread is None or self._thread is threading.current_thread():
            what()
            return
        done = threading.Event()

        def do() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(do)
        done.wait()

    def _each(self, direction: Direction, what: Callable[[_Way], None]) -> None:
        for is_up, way in self._ways.items():
            if direction == "both" or is_up == (direction == "up"):
                what(way)

    def _cut(self, bytes_left: int) -> None:
        self._accepts = False
        self._left = bytes_left
        for way in self._ways.values():
            way.flows.set()
        asyncio.get_running_loop().call_later(LAST_BYTES_WITHIN_S, self._reset_if_cut)

    def _heal(self) -> None:
        if self._left is not None or any(way.is_black_hole for way in self._ways.values()):
            self._reset()
        self._accepts = True
        self._left = None
        for is_up, way in self._ways.items():
            way.flows.set()
            self._ways[is_up] = _Way()

    # -- passing on ----------------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self._accepts:
            writer.transport.abort()
            return
        try:
            relay_reader, relay_writer = await asyncio.open_connection(*self._relay)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, relay_writer}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, relay_writer, up=True))
                group.create_task(self._pass_on(relay_reader, writer, up=False))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for end in (writer, relay_writer):
                self._writers.discard(end)
                end.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        passed = 0
        while chunk := await reader.read(CHUNK_BYTES):
            if delay_s := self._ways[up].delay_s:
                await asyncio.sleep(delay_s)
            await self._ways[up].flows.wait()
            way = self._ways[up]
            if way.is_black_hole:
                continue
            if self._left is not None:
                chunk, self._left = chunk[: self._left], max(0, self._left - len(chunk))
            limit = way.breaks_after_bytes if way.breaks_left != 0 else 0
            passed += len(chunk)
            if limit and passed >= limit:
                chunk = chunk[: max(0, len(chunk) - (passed - limit))]
            await _write(writer, chunk, way)
            self.bytes_up += len(chunk) if up else 0
            self.bytes_down += 0 if up else len(chunk)
            if self._left == 0:
                self._reset()
            if limit and passed >= limit:
                self.cuts += 1
                way.breaks_left = None if way.breaks_left is None else way.breaks_left - 1
                raise ConnectionResetError
        # The other direction may still have something to say; the end of both ends the connection.
        with suppress(OSError):
            if not self._ways[up].is_black_hole:
                writer.write_eof()

    def _reset_if_cut(self) -> None:
        if self._left is not None:
            self._reset()

    def _reset(self) -> None:
        self.cuts += len(self._writers) // 2
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def _write(writer: asyncio.StreamWriter, chunk: bytes, way: _Way) -> None:
    step = int(way.bytes_per_s * STEP_S) or way.piece_bytes
    for piece in _pieces(chunk, step):
        writer.write(piece)
        with suppress(ConnectionError):
            await writer.drain()
        if step:
            await asyncio.sleep(len(piece) / way.bytes_per_s if way.bytes_per_s else 0)


def _swallow(way: _Way) -> None:
    way.is_black_hole = True


def _pieces(chunk: bytes, piece_bytes: int) -> list[bytes]:
    if not piece_bytes:
        return [chunk]
    return [chunk[start : start + piece_bytes] for start in range(0, len(chunk), piece_bytes)]
