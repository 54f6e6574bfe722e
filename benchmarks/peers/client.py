"""Registers of a peer: they sell updates made beforehand, and count sales in what comes.

Of most the frames wait until the driver has time, as with the product's clients that count
(``benchmarks.driver.light``). Those that look at the clock keep a document and apply what comes to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pycrdt import Array, Doc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.driver.light import Crowd
from benchmarks.driver.socket import LightSocket
from benchmarks.peers.frames import Dialect
from benchmarks.peers.sales import MARK, array_of

KEEP_ALIVE_MS: Final = 20_000


class PeerRegister:
    """One register. ``seen``, if given, is called with the number of sales that came into its document.

    Every peer sends a register's own sales back to it, so that ``progress`` counts all alike: sales that the
    server has passed on to this register.
    """

    def __init__(
        self,
        crowd: Crowd,
        dialect: Dialect,
        updates: Sequence[bytes],
        *,
        per_update: int = 1,
        seen: Callable[[int], None] | None = None,
    ) -> None:
        self.progress = 0
        self.received = 0
        self.is_joined = False
        self._crowd = crowd
        self._dialect = dialect
        self._messages = [dialect.tell(update) for update in updates]
        self._per_update = per_update
        self._seen = seen
        self._document: Doc[Any] = Doc()
        self._sold = 0
        self._said_ms = 0
        self._frames: list[bytes] = []
        self._is_due = False
        self._refused = ""
        self._socket: LightSocket | None = None

    async def connect(self, port: int) -> None:
        """Open the connection and ask for what there is."""
        self._socket = await LightSocket.open(port, self._dialect.path, self._on_frame)
        for message in (*self._dialect.greeting, self._dialect.ask()):
            self._socket.send(message)
        # Servers that speak first may have been quicker than this.
        self.take_frames()

    @property
    def socket(self) -> LightSocket:
        """The connection."""
        assert self._socket is not None
        return self._socket

    @property
    def trouble(self) -> str:
        """See ``Client.trouble``."""
        return self._refused or (self._socket.closed if self._socket else "")

    def sell(self) -> bytes:
        """See ``Client.sell``."""
        message = self._messages[self._sold]
        self._sold += 1
        self.socket.send(message)
        return message

    def take_frames(self) -> None:
        """See ``Client.take_frames``."""
        frames, self._frames, self._is_due = self._frames, [], False
        for frame in frames:
            self._take(frame)

    def tick(self, now_ms: int) -> None:
        """See ``Client.tick``."""
        if self._dialect.keep_alive and now_ms - self._said_ms > KEEP_ALIVE_MS and not self.trouble:
            self._said_ms = now_ms
            self.socket.send(self._dialect.keep_alive)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()

    def _on_frame(self, frame: bytes) -> None:
        if self._seen is not None and self._socket is not None:
            self._take(frame)
            self._crowd.turn()
            return
        self._frames.append(frame)
        if not self._is_due:
            self._is_due = True
            self._crowd.due(self)

    def _take(self, frame: bytes) -> None:
        sales = frame.count(MARK)
        if sales and self._seen is None:
            self.received += sales
            self.progress = self.received // self._per_update
            return
        kind, payload = self._dialect.read(frame)
        if kind == "state":
            self.socket.send(self._dialect.answer())
        elif kind == "denied":
            self._refused = f"the server let nobody in: {payload!r}"
        elif kind == "changes":
            self.is_joined = True
            if sales and self._seen is not None:
                self._document.apply_update(payload)
                self.received += sales
                self.progress = self.received // self._per_update
                self._seen(sales)


async def connect_all(crowd: Crowd, registers: Sequence[PeerRegister], port: int) -> None:
    """Connect one after the other, and wait until each has been answered."""
    crowd.clients = list(registers)
    crowd.start_ticking()
    for register in registers:
        await register.connect(port)
    await crowd.until(lambda: all(register.is_joined for register in registers))


@dataclass(frozen=True, slots=True)
class Joined:
    """What a newcomer got: sales, how long it took (seconds, until the last of them), bytes of messages."""

    sales: list[str]
    seconds: float
    received_bytes: int


async def join(dialect: Dialect, port: int, registers: int, *, expected: int, quiet_s: float) -> Joined:
    """Join with nothing, and hold so many sales in a document; or what there was, once nothing new has come
    for ``quiet_s`` (a server may answer with nothing first, and load meanwhile).
    """
    loop = asyncio.get_running_loop()
    document: Doc[Any] = Doc()
    arrays = [document.get(array_of(number), type=Array) for number in range(registers)]
    held = received = 0
    began_s = ended_s = loop.time()
    async with connect(
        f"ws://127.0.0.1:{port}{dialect.path}", compression=None, max_size=None, ping_interval=None
    ) as socket:
        for message in (*dialect.greeting, dialect.ask()):
            await socket.send(message)
        while held < expected:
            frame = await _next(socket, quiet_s)
            if frame is None:
                break
            received += len(frame)
            kind, payload = dialect.read(frame)
            if kind == "state":
                await socket.send(dialect.answer())
            elif kind == "changes":
                document.apply_update(payload)
                now_held = sum(map(len, arrays))
                if now_held > held:
                    held, ended_s = now_held, loop.time()
    return Joined([sale for array in arrays for sale in array], ended_s - began_s, received)


async def _next(socket: ClientConnection, quiet_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(quiet_s):
            frame = await socket.recv()
    except (TimeoutError, ConnectionClosed):
        return None
    return frame if isinstance(frame, bytes) else frame.encode()
