"""A register's side of synchronising: one connection to its relay, kept up for as long as it is wanted.

The syncer has stores of its own and meets the rest of the register only through the log, exactly as another
process would: a sale never waits for it. It holds the *role* of syncing (a file lock), so that two processes
do not push the same log at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from crdtsync.errors import (
    AccessDenied,
    CrdtsyncError,
    LinkClosed,
    NoRegister,
    RelayUnreachable,
    UnsupportedVersion,
)
from crdtsync.ids import ID_BYTES, START, Position
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.backoff import delay_ms, may_retry
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.intervals import count
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me
from crdtsync.runtime.admission import Admission
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committer import Committer, Outcome, Work
from crdtsync.runtime.comparison import DocumentReader
from crdtsync.runtime.connection import Connection, Socket, refused
from crdtsync.runtime.identity import (
    ClockOffset,
    Identity,
    Relay,
    load_clock_offset,
    load_relay,
    save_clock_offset,
    save_relay,
)
from crdtsync.runtime.link import open_link
from crdtsync.runtime.role import SYNC_LOCK, hold_role
from crdtsync.runtime.tail import Growth, Tail
from crdtsync.storage.log import ShopLog, Store

LOOK_EVERY_S = 0.02
"""How often the syncer looks for what other processes sold. Costs some microseconds each time."""

PRESENCE_EVERY_S = 2.0
CLOCK_TOLERANCE_MS = 1_000

OpenSocket = Callable[[str], "asyncio.Future[Socket] | Any"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far synchronising is: rows still to come and to go, bytes moved, seconds left (None: unknown)."""

    is_connected: bool
    to_receive: int
    to_send: int
    bytes_moved: int
    left_s: float | None


class Syncer:
    """Keeps one register in step with its relay. Lives on one event loop; ``wake`` may be called from others.

    ``open_store`` opens the register's store; ``presence`` makes the facts that the relay may show;
    ``changed`` is told of every commit that brought records from elsewhere.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        identity: Identity,
        key: PrivateKey,
        clock: Clock,
        random: RandomBytes,
        presence: Callable[[ShopLog], dict[str, Any]] = lambda _: {},
        changed: Callable[[], None] = lambda: None,
        tls_ca: str | None = None,
        connect: Callable[[str], Any] | None = None,
    ) -> None:
        self._identity = identity
        self._key = key
        self._clock = clock
        self._random = random
        self._presence = presence
        self._changed = changed
        self._connect = connect or (lambda url: open_link(url, tls_ca=tls_ca))
        self._store = open_store()
        self._log = self._store.shop(identity.shop)
        self._relay = load_relay(self._log)
        self._admission = Admission(identity.shop)
        self._tail = Tail(self._log.end, 1 << 20)
        self._jitter = Random(int.from_bytes(random(8), "big"))  # noqa: S311
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._data_version = -1
        self._began_bytes = 0
        self._started_s = time.monotonic()
        self.connection: Connection | None = None
        self.error: CrdtsyncError | None = None
        self._has_met = False
        self.documents = DocumentReader(open_store)
        committer_admission = Admission(identity.shop)
        self.committer = Committer(
            open_store, lambda _: committer_admission, self, clock.now_ms, time.monotonic
        )

    # -- running -------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until ``stop``. Raises what trying again cannot mend (``error.retryable`` false)."""
        await self._serve(stop, until_in_step=False)

    async def sync_once(
        self,
        timeout_s: float,
        progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> bool:
        """Connect, exchange everything, and end. True when all that is local is on the relay's disk.

        ``stop`` ends it before. Raises ``RelayUnreachable``, ``AccessDenied``, ``WrongRelayKey``; nothing
        local is ever lost by that.
        """
        stop = stop or asyncio.Event()
        task = asyncio.create_task(self._serve(stop, until_in_step=True))
        watch = asyncio.create_task(self._report(progress)) if progress else None
        try:
            await asyncio.wait_for(asyncio.shield(task), timeout_s)
        except TimeoutError:
            stop.set()
            self._wake.set()
            await task
            if not self._has_met and self._relay is not None:
                raise RelayUnreachable(f"{self._relay.url} did not answer within {timeout_s:g} s") from None
        finally:
            if watch is not None:
                watch.cancel()
                with suppress(asyncio.CancelledError):
                    await watch
        if progress:
            progress(self.progress())
        return self.is_everything_acknowledged()

    def wake(self) -> None:
        """This process has written to the log. May be called from any thread; returns at once."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._look)

    def close(self) -> None:
        """Let go of the store; after ``run`` or ``sync_once`` has returned."""
        self.documents.close()
        self._store.close()

    def is_everything_acknowledged(self) -> bool:
        """Whether the relay has said, in writing, that it holds all that is in the local log."""
        relay = load_relay(self._log)
        if relay is None or relay.log_id is None:
            return False
        return next(iter(self._log.unacknowledged(relay.log_id)), None) is None

    def progress(self) -> Progress:
        """How far it is at this moment."""
        connection = self.connection
        if connection is None or not connection.session.is_live or connection.session.peer is None:
            return Progress(False, 0, 0, 0, None)
        session = connection.session
        inbound, outbound, peer = session.inbound, session.outbound, connection.session.peer
        to_receive = max(0, peer.end.seq - inbound.stored.seq) + count(inbound.wanted)
        to_send = max(0, outbound.end.seq - outbound.acked.seq)
        moved = connection.bytes_received + connection.bytes_sent
        done = inbound.stored.seq + outbound.acked.seq - self._began_seqs
        elapsed_s = time.monotonic() - self._started_s
        left = to_receive + to_send
        left_s = elapsed_s * left / done if done > 0 else None
        return Progress(True, to_receive, to_send, moved, left_s if left else 0.0)

    async def _report(self, progress: Callable[[Progress], None]) -> None:
        while True:
            await asyncio.sleep(0.1)
            progress(self.progress())

    async def _serve(self, stop: asyncio.Event, *, until_in_step: bool) -> None:
        self._loop = asyncio.get_running_loop()
        if self._relay is None:
            raise NoRegister(
                "this register belongs to no relay yet", hint="enrol it with `crdtsync join URL CODE`"
            )
        self.committer.start()
        try:
            attempt = 0
            while not stop.is_set():
                began_s = time.monotonic()
                try:
                    await self._connect_once(self._relay.url, stop, until_in_step=until_in_step)
                    self.error = None
                    if until_in_step:
                        return
                except CrdtsyncError as error:
                    self.error = error
                    again_at_once = isinstance(error, LinkClosed) and error.code == 4512
                    if not _worth_trying(error) or (until_in_step and not again_at_once):
                        raise
                    attempt = 0 if again_at_once or time.monotonic() - began_s > 30 else attempt + 1
                    if attempt:
                        await self._pause(stop, delay_ms(attempt, self._jitter.random()) / 1000)
        finally:
            await self.committer.stop()

    async def _pause(self, stop: asyncio.Event, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stop.wait()

    async def _connect_once(self, url: str, stop: asyncio.Event, *, until_in_step: bool) -> None:
        socket = await self._open(url, stop)
        if socket is None:
            return
        session = Session(
            connecting=True,
            nonce=b"",
            sign=lambda purpose, payload: sign_with_purpose(self._key, purpose, payload),
            now_ms=self.now_ms(),
            me=self.me(None),
        )
        connection = self.connection = Connection(self, socket, session)
        self._began_seqs = 0
        self._started_s = time.monotonic()
        running = asyncio.create_task(connection.run())
        watching = asyncio.create_task(self._watch(connection, until_in_step))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({running, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                connection.close(LinkClosed("this register goes offline", code=1000), 1000)
        finally:
            for task in (watching, stopping):
                task.cancel()
            await asyncio.gather(watching, stopping, return_exceptions=True)
            await running
            self.connection = None
        if connection.error is not None and not _is_ours(connection.error):
            raise _by_code(connection.error)

    _began_seqs = 0

    async def _open(self, url: str, stop: asyncio.Event) -> Socket | None:
        """A connection, or None if ``stop`` came first: nobody waits for a host that does not answer."""
        opening = asyncio.create_task(self._connect(url))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not opening.done():
                opening.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)
        return None if opening.cancelled() else opening.result()

    async def _watch(self, connection: Connection, until_in_step: bool) -> None:
        """Notice what other processes write; end when in step, if that is wanted."""
        last_presence_s = 0.0
        while True:
            # Not `wait_for`: in Python 3.11 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            self._look()
            if not connection.session.is_live:
                continue
            if time.monotonic() - last_presence_s > PRESENCE_EVERY_S:
                last_presence_s = time.monotonic()
                connection.session.send_presence(self._presence(self._log))
                connection.pump()
            if until_in_step and connection.session.is_in_step and self.is_everything_acknowledged():
                return

    def _look(self) -> None:
        version = self._store.data_version()
        if version == self._data_version or self.connection is None:
            return
        self._data_version = version
        if self.connection.session.is_live:
            self.connection.log_grew(self._log.end)

    # -- what a connection needs (runtime.connection.Home) ----------------------------------------------

    def me(self, peer: Hello | None) -> Me:
        """This register, and how far it has the relay's log."""
        relay = self._relay
        log_id = relay.log_id if relay is not None and relay.log_id is not None else b""
        if peer is not None:
            log_id = peer.log_id
        cursor = self._log.cursor(log_id) if log_id else None
        return Me(
            shop=self._identity.shop,
            device=self._identity.device,
            log_id=self._log.log_id,
            end=self._log.end,
            cursor_log=log_id,
            cursor=cursor.position if cursor else START,
            wanted=cursor.wanted if cursor else (),
            nonce=self._random(16),
            certificate=b"",
            is_relay=False,
            time_ms=self._clock.now_ms(),
            digest=root_digest(self._log.runs()),
            software=SOFTWARE,
        )

    def shop_log(self, shop: bytes) -> ShopLog:
        """Raises ``AccessDenied`` for another shop than ours."""
        if shop != self._identity.shop:
            raise AccessDenied("the peer speaks of another shop")
        return self._log

    def admission(self, shop: bytes) -> Admission:
        """For hellos."""
        return self._admission

    def tail(self, shop: bytes) -> Tail | None:
        """The newest rows."""
        return self._tail

    def pinned_relay_key(self) -> bytes | None:
        """The relay must prove the key that the pairing code named."""
        return self._relay.public_key if self._relay else None

    def went_live(self, connection: Connection) -> None:
        """The relay has proved who it is: remember its log, and how far our clock is from its own."""
        self.error = None
        self._has_met = True
        peer, relay = connection.session.peer, self._relay
        if peer is None or relay is None:
            return
        now_ms = self._clock.now_ms()
        offset = ClockOffset(now_ms - peer.time_ms, now_ms)
        known = load_clock_offset(self._log)
        moved = known is None or abs(known.offset_ms - offset.offset_ms) > CLOCK_TOLERANCE_MS
        met = Relay(relay.url, relay.public_key, peer.log_id)
        if not moved and met == relay and now_ms - (known.measured_at_ms if known else 0) < 3_600_000:
            return
        self._relay = met

        def remember(log: ShopLog) -> None:
            save_relay(log, met)
            save_clock_offset(log, offset)

        self.committer.submit(Work(peer.shop, peer.log_id, "relay", self._remembered, also=remember))

    def _remembered(self, outcome: Outcome) -> None:
        if outcome.error is not None and self.connection is not None:
            self.connection.close(outcome.error, 4503)

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """Write down what the relay has on its disk."""
        peer = connection.session.peer
        if peer is None:
            return None
        log_id, now_ms = peer.log_id, self._clock.now_ms()
        return lambda log: log.set_acknowledged(log_id, position, now_ms)

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:
        """The relay tells nothing that is acted upon."""

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """A commit of ours is on disk, or failed."""
        for growth in growths:
            if growth.rows:
                self._tail.extend(growth.start, growth.rows)
                if self.connection is not None:
                    self._tell_admitted(self.connection, growth)
                    self.connection.log_grew(self._tail.end)
                self._changed()
        self._wake.set()

    def _tell_admitted(self, connection: Connection, growth: Growth) -> None:
        """If something was held and is held no more, the relay must not think that it still is."""
        peer = connection.session.peer
        if peer is not None and peer.log_id in growth.admitted_anew:
            refusals = [refused(refusal) for refusal in self._log.refusals_given(peer.log_id)]
            connection.session.refusals_changed(refusals)

    def now_ms(self) -> int:
        """The time of connections, in milliseconds: never set, never stepped, unlike the wall clock. A till
        whose clock is put right by an hour must not think that its relay was silent for that hour.
        """
        return time.monotonic_ns() // 1_000_000

    def rotated_log_id(self) -> bytes:
        """A fresh log id."""
        return self._random(ID_BYTES)


def sync_role(folder: Path) -> AbstractContextManager[None]:
    """Hold the role of syncing this data folder. Raises ``RoleTaken``, naming the process that has it."""
    return hold_role(
        folder / SYNC_LOCK,
        "another process synchronises this register already",
        hint="that one does the work; `crdtsync status` shows how far it is",
    )


def _worth_trying(error: CrdtsyncError) -> bool:
    if isinstance(error, LinkClosed):
        return may_retry(error.code)
    return error.retryable or isinstance(error, RelayUnreachable)


def _by_code(error: CrdtsyncError) -> CrdtsyncError:
    """What the relay's close code means."""
    if isinstance(error, LinkClosed) and error.code in (4401, 4403):
        return AccessDenied(f"the relay refuses this register: {error}")
    if isinstance(error, LinkClosed) and error.code == UnsupportedVersion.close_code:
        return UnsupportedVersion(f"the relay and this register do not understand one another: {error}")
    return error


def _is_ours(error: CrdtsyncError) -> bool:
    return isinstance(error, LinkClosed) and error.code == 1000
