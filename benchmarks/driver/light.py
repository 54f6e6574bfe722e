"""Registers that cost little: the product's own session, a log in memory, and counting instead of storing.

What they send is genuine (entries signed by enrolled devices), and the relay cannot tell them from others.
What they receive is decoded, counted and acknowledged, not verified and not kept. Of most of them the frames
wait until the driver has time (``Crowd.drain``), so that their work does not stand in the way of the few
whose clock counts; the same is done where the bare relay is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from benchmarks.driver.chains import Device
from benchmarks.driver.shop import BenchShop
from benchmarks.driver.socket import Closed, LightSocket
from crdtsync.ids import START, Position, entry_record, next_hash
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.signature import sign_with_purpose, verify_with_purpose
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.limits import BATCH_BYTES
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Delivery, Me, ReadRequest, Ready, Standing
from crdtsync.runtime.syncing.address import SYNC_PATH
from crdtsync.storage.pack import PACK_BYTES_MAX, decode_pack

TICK_EVERY_S = 0.25
TICK_GROUPS = 10


class Client(Protocol):
    """One of a crowd. ``progress``: how many sales of the shop it knows to be there, its own included."""

    progress: int

    def sell(self) -> bytes:
        """Send the next of its sales; the record."""
        ...

    def take_frames(self) -> None:
        """Deal with the frames that wait."""
        ...

    def tick(self, now_ms: int) -> None:
        """Time has passed."""
        ...

    @property
    def trouble(self) -> str:
        """Why it is no longer there, or nothing."""
        ...


class Crowd:
    """Clients on one event loop. ``each_turn`` is called when frames came in, once per turn of the loop."""

    def __init__(self) -> None:
        self.clients: list[Client] = []
        self.each_turn: Callable[[], None] = lambda: None
        self._due: list[Client] = []
        self._is_called = False
        self._loop = asyncio.get_running_loop()
        self._ticking: asyncio.Task[None] | None = None

    def due(self, client: Client) -> None:
        """A client has frames that wait."""
        self._due.append(client)
        self.turn()

    def turn(self) -> None:
        """Have ``each_turn`` called when the loop has read what there is to read."""
        if not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._turn)

    def drain(self) -> None:
        """Have every client deal with the frames that wait."""
        while self._due:
            due, self._due = self._due, []
            for client in due:
                client.take_frames()

    def least_progress(self) -> int:
        """Of the client that is farthest behind. Raises ``Closed`` when one has been cut off."""
        return min([client.progress for client in self.clients])

    def check(self) -> None:
        """Raises ``Closed`` when a client is gone."""
        for client in self.clients:
            if client.trouble:
                raise Closed(client.trouble)

    def start_ticking(self) -> None:
        """Let time pass for the clients, in groups: not all at one moment."""
        self._ticking = asyncio.create_task(self._tick())

    def stop_ticking(self) -> None:
        """The reverse of ``start_ticking``."""
        if self._ticking is not None:
            self._ticking.cancel()

    async def until(self, is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait, draining, until something is so. Raises ``Closed``, ``TimeoutError``."""
        reached = asyncio.Event()
        before = self.each_turn

        def look() -> None:
            self.drain()
            if is_so() or any(client.trouble for client in self.clients):
                reached.set()

        self.each_turn = look
        try:
            look()
            async with asyncio.timeout(timeout_s):
                await reached.wait()
        finally:
            self.each_turn = before
        self.check()

    def _turn(self) -> None:
        self._is_called = False
        self.each_turn()

    async def _tick(self) -> None:
        group = 0
        while True:
            await asyncio.sleep(TICK_EVERY_S / TICK_GROUPS)
            now_ms = int(self._loop.time() * 1000)
            for client in self.clients[group::TICK_GROUPS]:
                client.tick(now_ms)
            group = (group + 1) % TICK_GROUPS


class LightRegister:
    """One register. ``seen`` is called with the records that come in, if it is given."""

    def __init__(
        self,
        crowd: Crowd,
        shop: BenchShop,
        device: Device,
        sealed: Sequence[bytes],
        *,
        seen: Callable[[Sequence[tuple[int, bytes]]], None] | None = None,
        log_id: bytes | None = None,
        known: int = 1,
        cursor: Position = START,
        cursor_log: bytes = b"",
    ) -> None:
        """``known``: how many of its entries there are at hello, the others are sold later."""
        self.records = [entry_record(one) for one in sealed]
        self.positions = [START]
        for record in self.records:
            end = self.positions[-1]
            self.positions.append(Position(end.seq + 1, next_hash(end.h, record)))
        self.number = device.number
        self.received = 0
        self.progress = 0
        self.baseline = 0
        self.known = known
        self._crowd = crowd
        self._shop = shop
        self._device = device
        self._seen = seen
        self._log_id = log_id or device.device[::-1]
        self._cursor, self._cursor_log = cursor, cursor_log
        self._frames: list[bytes] = []
        self._is_due = False
        self._socket: LightSocket | None = None
        self._lost = ""
        key = device.key
        self.session = Session(
            connecting=True,
            nonce=b"",
            sign=lambda purpose, payload: sign_with_purpose(key, purpose, payload),
            now_ms=self._now_ms(),
            me=self._me(),
        )

    async def connect(self, port: int) -> LightSocket:
        """Open the connection; the session goes on by itself."""
        self._socket = await LightSocket.open(port, SYNC_PATH, self._on_frame)
        self.take_frames()
        return self._socket

    @property
    def socket(self) -> LightSocket:
        """The connection."""
        assert self._socket is not None
        return self._socket

    @property
    def trouble(self) -> str:
        """Why it is no longer connected, or nothing."""
        return self._lost or (self._socket.closed if self._socket else "")

    def begin(self) -> None:
        """Count from here: what came before is no sale of the measurement."""
        self.baseline = self.received + self.session.outbound.acked.seq
        self.progress = 0

    def sell(self) -> bytes:
        """See ``Client.sell``."""
        self.known += 1
        self.session.log_grew(self.positions[self.known])
        self._pump()
        return self.records[self.known - 1]

    def offer(self, known: int) -> None:
        """Have that many entries, all at once."""
        self.known = known
        self.session.log_grew(self.positions[known])
        self._pump()

    def take_frames(self) -> None:
        """See ``Client.take_frames``."""
        frames, self._frames, self._is_due = self._frames, [], False
        for frame in frames:
            self._take(frame)

    def tick(self, now_ms: int) -> None:
        """See ``Client.tick``."""
        if not self.trouble:
            self.session.tick(now_ms)
            self._pump()

    def close(self) -> None:
        """Hang up."""
        self._lost = "closed by the driver"
        if self._socket is not None:
            self._socket.close()

    # -- inside --------------------------------------------------------------------------------------------

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
        self.session.receive(frame, self._now_ms())
        self._pump()

    def _send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def _pump(self) -> None:
        session = self.session
        while True:
            ready = session.take_ready()
            again = self._do(ready)
            for frame in ready.to_send:
                self._send(frame)
            if not again:
                break
        self.progress = self.received + session.outbound.acked.seq - self.baseline

    def _do(self, ready: Ready) -> bool:
        """Whether there may be more to do."""
        again = False
        if ready.judge is not None:
            self._admit(ready.judge)
            again = True
        if ready.heads_wanted or ready.cut_due or ready.rotate or ready.certificates_wanted:
            raise Closed(f"the relay asked for what these clients do not have: {ready}")
        for delivery in ready.to_persist:
            self._count(delivery)
            self.session.stored(delivery.number)
            again = True
        if ready.to_read is not None:
            self._supply(ready.to_read)
            again = True
        return again

    def _count(self, delivery: Delivery) -> None:
        records = delivery.records
        if delivery.blob:
            own = set(self.records)
            unpacked = decode_pack(delivery.blob, bytes_max=PACK_BYTES_MAX * 2)
            records = tuple((seq, record) for seq, record in unpacked if record not in own)
        self.received += len(records)
        if self._seen is not None and records:
            self._seen(records)

    def _supply(self, request: ReadRequest) -> None:
        records: list[tuple[int, bytes]] = []
        to, size = request.after, 0
        while to < self.known and (not records or size + len(self.records[to]) <= BATCH_BYTES):
            records.append((to + 1, self.records[to]))
            size += len(self.records[to])
            to += 1
        self.session.supply(self.positions[to], records, size)

    def _admit(self, hello: Hello) -> None:
        purpose, payload, signature = self.session.signed_by_peer()
        if not verify_with_purpose(self._shop.relay_key, purpose, payload, signature):
            raise Closed("the relay did not prove who it is")
        me = self._me(hello.log_id)
        fits = hello.cursor_log == me.log_id and (
            hello.cursor.seq <= self.known and self.positions[hello.cursor.seq] == hello.cursor
        )
        self.session.admit(Standing(me, fits))

    def _me(self, peer_log: bytes = b"") -> Me:
        return Me(
            shop=self._shop.shop.id,
            device=self._device.device,
            log_id=self._log_id,
            end=self.positions[self.known],
            cursor_log=peer_log or self._cursor_log,
            cursor=self._cursor,
            wanted=(),
            nonce=self._device.device,
            certificate=b"",
            is_relay=False,
            time_ms=0,
            digest=root_digest([]),
            software=SOFTWARE,
        )

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)


async def connect_all(crowd: Crowd, registers: Sequence[LightRegister], port: int, *, expected: int) -> None:
    """Connect one after the other and wait until each has received so many records, and counts from there."""
    crowd.clients = list(registers)
    crowd.start_ticking()
    for register in registers:
        await register.connect(port)
    await crowd.until(
        lambda: all(
            register.received >= expected and register.session.outbound.is_quiet for register in registers
        )
    )
    for register in registers:
        register.begin()
