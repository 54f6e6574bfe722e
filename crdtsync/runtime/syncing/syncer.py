"""A register's side of synchronising: one connection to its relay, kept up for as long as it is wanted.

The syncer has stores of its own and meets the rest of the register only through the log, exactly as another
process would: a sale never waits for it. It holds the *role* of syncing (a file lock), so that two processes
do not push the same log at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

from crdtsync.errors import CrdtsyncError, DamagedStore, LinkClosed, NoRegister, RelayUnreachable
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.comparing import Comparing
from crdtsync.protocol.intervals import count
from crdtsync.protocol.session import Session
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.watch import CommitWatch
from crdtsync.runtime.committing.work import NEW_LOG
from crdtsync.runtime.folder.identity import Identity, load_relay
from crdtsync.runtime.register.home import RegisterHome
from crdtsync.runtime.syncing.address import leaves_this_machine
from crdtsync.runtime.syncing.comparison import DocumentDigests
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.link import open_link
from crdtsync.runtime.syncing.link_trouble import (
    LinkTrouble,
    load_link_trouble,
    save_link_trouble,
)
from crdtsync.runtime.syncing.occasions import NetworkWatch, SleepWatch
from crdtsync.runtime.syncing.progress import PendingCount, Progress, Speedometer
from crdtsync.runtime.syncing.reconnecting import AT_ONCE, Reconnecting, meaning, needs_person
from crdtsync.runtime.syncing.sockets import RelaySocket
from crdtsync.storage.log import ShopLog, Store

__all__ = ["Progress", "Syncer"]

PRESENCE_EVERY_S: Final = 2.0
PRESENCE_SHARE: Final = 0.02  # Of the time, at most, for counting it.
REPORT_EVERY_S: Final = 0.1
ONCE_LOOK_S: Final = 0.02
"""How often one who synchronises once looks whether that is done: not everything that ends it is a commit."""

COMPARE_WAIT_S: Final = 2.0
"""After a closing, how long one who synchronises once waits for the relay's digest."""

PROBE_S: Final = 5.0
"""After a change of the network, how long the relay has to answer on the connection of before."""

LATELY_ROWS: Final = 16
"""A closing among so many newest rows, when syncing begins, was made just before."""

WISH: Final = "sync_wanted"
"""State of the log: another process asks the one that synchronises to do so now."""


class Syncer(RegisterHome):
    """Keeps one register in step with its relay. Lives on one event loop; ``wake`` may be called from others.

    ``presence`` makes the facts that the relay may show. ``store_file``: where the system tells of writes to
    it, other processes' sales are noticed at once.
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
        mend: Callable[[DamagedStore], bool] = lambda _: False,
        tls_ca: str | None = None,
        connect: Callable[[str], Any] | None = None,
        store_file: Path | None = None,
    ) -> None:
        super().__init__(
            open_store=open_store,
            identity=identity,
            key=key,
            clock=clock,
            random=random,
            changed=changed,
            mend=mend,
        )
        self._presence = presence
        self._connect = connect or (lambda url: open_link(url, tls_ca=tls_ca))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: RelaySocket | None = None
        self._wake = asyncio.Event()
        self._data_version = -1
        self._seen_seq = self._log.end.seq
        self._wish = self._log.state(WISH)
        self._was_closed = self.has_closing(max(0, self._seen_seq - LATELY_ROWS))
        self._compare_until_s: float | None = None
        relay = self._relay
        self._trouble = load_link_trouble(self._log, relay.public_key) if relay else None
        self._reconnecting = Reconnecting(
            Random(int.from_bytes(random(8), "big")).random  # noqa: S311
        )
        self._commits = CommitWatch(store_file, self._look)
        self._network = NetworkWatch(self._network_changed)
        self._sleep = SleepWatch()
        self._probe: asyncio.Task[None] | None = None
        self._pending = PendingCount(self._count_pending)
        self._speed = Speedometer()

    # -- running -------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Stay connected until ``stop``, trying again after whatever may be gone the next time. Raises what a
        person has to mend, and leaves it for `status` to tell (see ``reconnecting.needs_person``).
        """
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
        if self._was_closed:  # Compared with the relay before this ends.
            self._compare_until_s = 0.0
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
        self._call(self._commits.look_now)

    def try_now(self) -> None:
        """A person wants to be in step: connect now if there is no connection. As ``wake``."""
        self._call(self._reconnecting.try_now)

    def ask_other_process(self) -> None:
        """Have the process that syncs this register try now; durable on return. Raises ``StorageError``."""
        wish = self._random(8)
        with self._store.transaction():
            self._log.set_state(WISH, wish)

    def is_everything_acknowledged(self) -> bool:
        """Whether the relay has said, in writing, that it holds all that is in the local log."""
        relay = load_relay(self._log)
        log_id = relay.log_id if relay else None
        return log_id is not None and next(iter(self._log.unacknowledged(log_id)), None) is None

    def refused_for_good(self) -> set[int]:
        """Numbers of local records that the relay will not take: waiting does not help them."""
        relay = load_relay(self._log)
        log_id = relay.log_id if relay else None
        return {one.seq for one in self._log.refusals_received(log_id) if not one.held} if log_id else set()

    def _is_nothing_awaited(self) -> bool:
        relay, refused = load_relay(self._log), self.refused_for_good()
        log_id = relay.log_id if relay else None
        return bool(log_id) and all(seq in refused for seq, _ in self._log.unacknowledged(log_id))

    def progress(self) -> Progress:
        """How far it is at this moment."""
        connection = self.connection
        if connection is None or not connection.session.is_live or connection.session.peer is None:
            return Progress(False, 0, 0, 0, None)
        session = connection.session
        inbound, peer = session.inbound, connection.session.peer
        to_receive = max(0, peer.end.seq - inbound.stored.seq) + count(inbound.wanted)
        to_send = self._pending.now(is_none=session.outbound.is_quiet)
        moved = connection.bytes_received + connection.bytes_sent
        left_s = self._speed.left_s(time.monotonic(), to_receive, to_send)
        return Progress(True, to_receive, to_send, moved, left_s, inbound.first_left(peer.end))

    async def _report(self, progress: Callable[[Progress], None]) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            progress(self.progress())

    def _count_pending(self, done: Callable[[int], None]) -> None:
        relay = self._relay
        log_id = relay.log_id if relay else None

        def count_all(digests: DocumentDigests) -> int:
            return sum(1 for _ in digests.log.unacknowledged(log_id))

        # Whoever asks how far it is may be on another thread; answers come on the event loop.
        self._call(lambda: self.documents.ask(self._identity.shop, count_all, done))

    async def _serve(self, stop: asyncio.Event, *, until_in_step: bool) -> None:
        self._loop = asyncio.get_running_loop()
        if self._relay is None:
            raise NoRegister(
                "this register belongs to no relay yet", hint="enrol it with `crdtsync join URL CODE`"
            )
        self.committer.start()
        self._commits.start()
        self._network.start()
        try:
            while not stop.is_set():
                began_s = time.monotonic()
                error = await self._attempt(self._relay.url, stop, until_in_step=until_in_step)
                if error is None and until_in_step:
                    return
                if error is not None:
                    pause_s = self._after(error, time.monotonic() - began_s, until_in_step=until_in_step)
                    await self._reconnecting.wait(stop, pause_s, self._sleep.has_slept)
        finally:
            self._network.stop()
            self._commits.stop()
            if self._probe is not None:
                self._probe.cancel()
            await self.committer.stop()

    def _after(self, error: CrdtsyncError, lasted_s: float, *, until_in_step: bool) -> float:
        """The pause after a failure. Raises it if that is the end."""
        self.error = error
        if self.mended(error):
            return 0.0
        is_over = needs_person(error)
        is_at_once = isinstance(error, LinkClosed) and error.code == AT_ONCE
        if not is_at_once:
            self._note(error, is_over=is_over)
        pause_s = self._reconnecting.pause_s(error, lasted_s)
        if is_over or (until_in_step and not is_at_once):
            raise meaning(error)
        return pause_s

    async def _attempt(self, url: str, stop: asyncio.Event, *, until_in_step: bool) -> CrdtsyncError | None:
        """One connection; why it ended, None if we wanted it to."""
        try:
            await self._connect_once(url, stop, until_in_step=until_in_step)
        except CrdtsyncError as error:
            return error if self.has_more(error) else meaning(error)
        except Exception as error:  # The boundary of an attempt: no fault of ours may stop a till for ever.
            return CrdtsyncError(f"an internal error: {error!r}")
        self.error = None
        return None

    def _note(self, error: CrdtsyncError | None, *, is_over: bool = False) -> None:
        """Leave for `status` why there is no connection, if that is news."""
        relay, before = self._relay, self._trouble
        if relay is None or (error is None and before is None):
            return
        trouble = None
        if error is not None:
            now_ms = self._clock.now_ms() if before is None else before.since_ms
            trouble = LinkTrouble.of(error, now_ms=now_ms, is_over=is_over, relay_key=relay.public_key)
            if trouble.is_same(before):
                return
        self._trouble = trouble
        self.save(lambda log: save_link_trouble(log, trouble))

    async def _connect_once(self, url: str, stop: asyncio.Event, *, until_in_step: bool) -> None:
        socket = await self._open(url, stop)
        if socket is None:
            return
        session = Session(
            connecting=True,
            nonce=b"",
            sign=lambda purpose, payload: sign_with_purpose(self.key, purpose, payload),
            now_ms=self.now_ms(),
            me=self.me(None),
            exchange_seed=self._random(32) if leaves_this_machine(url) else b"",
        )
        connection = self.connection = Connection(self, socket, session)
        self._socket = socket
        self._speed = Speedometer()
        running = asyncio.create_task(connection.run())
        watching = asyncio.create_task(self._watch(connection, until_in_step))
        stopping = asyncio.create_task(stop.wait())
        is_wanted = True
        try:
            await asyncio.wait({running, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                is_wanted = False
                connection.close(LinkClosed("this register goes offline", code=1000), 1000)
        finally:
            for task in (watching, stopping):
                task.cancel()
            await asyncio.gather(watching, stopping, return_exceptions=True)
            await running
            self.connection = self._socket = None
        if watching.done() and not watching.cancelled():
            watching.result()
        if connection.error is not None and is_wanted:
            raise connection.error

    async def _open(self, url: str, stop: asyncio.Event) -> RelaySocket | None:
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

    # -- while connected -----------------------------------------------------------------------------------

    async def _watch(self, connection: Connection, until_in_step: bool) -> None:
        """Show what this register has pending; end when in step, if that is wanted."""
        live_s, shown_s, cost_s, shown = 0.0, 0.0, 0.0, {"": None}
        while True:
            # Not `wait_for`: in Python 3.11 it swallows a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(ONCE_LOOK_S if until_in_step else PRESENCE_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            if self._sleep.has_slept():
                self._reconnecting.try_now()
                self._abandon()
            session = connection.session
            if not session.is_live:
                continue
            now_s = time.monotonic()
            live_s = live_s or now_s
            is_done = until_in_step and session.is_in_step and self._is_nothing_awaited()
            is_done = is_done and not session.asking.is_owed
            # Counting what is pending takes as long as that is: what is being sent goes first, for a moment.
            may_tell = shown_s or is_done or session.outbound.is_quiet or now_s - live_s >= PRESENCE_EVERY_S
            if may_tell and (is_done or now_s - shown_s >= max(PRESENCE_EVERY_S, cost_s / PRESENCE_SHARE)):
                facts, shown_s = self._presence(self._log), time.monotonic()
                cost_s = shown_s - now_s
                if facts != shown:
                    shown = facts
                    session.send_presence(facts)
                    connection.pump()
                    is_done = False  # At the next look it has gone out.
                if session.inbound.wanted:
                    self.note_pace(self.progress().left_s)
                self.note_while_live(session.comparing.unmended)
            if is_done and self._is_compared(session.comparing):
                return

    def _is_compared(self, comparing: Comparing) -> bool:
        """Whether a day that was just closed was compared with the relay, or the relay does not answer."""
        if self._compare_until_s is None:
            return True
        if self._compare_until_s == 0.0:
            self._compare_until_s = time.monotonic() + COMPARE_WAIT_S
        is_answered = comparing.digests_heard > 0 and not comparing.waits_for_heads
        return is_answered or time.monotonic() >= self._compare_until_s

    def committed(self, *what: Any) -> None:
        """See ``RegisterHome``."""
        super().committed(*what)
        self._look_for_closing()  # It may have waited for this.
        if (connection := self.connection) is not None and connection.session.is_live:
            self._tell_growth(connection)
        self._wake.set()

    def went_live(self, connection: Connection) -> None:
        """See ``RegisterHome``."""
        super().went_live(connection)
        self._note(None)
        if self.has_new_closing() or self._was_closed:
            connection.session.comparing.compare_soon()
        self._wake.set()

    def _look(self) -> bool:
        """Notice what was written to the store; whether there was anything."""
        version = self._store.data_version()
        if version == self._data_version:
            return False
        self._data_version = version
        connection = self.connection
        with self._store.snapshot():
            before, self._seen_seq = self._seen_seq, self._log.end.seq
            if connection is not None and connection.session.is_live:
                if connection.our_log not in (None, self._log.log_id):
                    # A damaged record was set apart: the relay leaves out what may be lost.
                    connection.close(LinkClosed("this log goes on under a new id", code=NEW_LOG), NEW_LOG)
                else:
                    self._tell_growth(connection)
            self._look_for_closing()
            wished, self._wish = self._wish, self._log.state(WISH)
        if self._seen_seq > before:
            self._reconnecting.sold()
        if wished != self._wish:
            self._reconnecting.try_now()
        self._wake.set()
        return True

    def _look_for_closing(self) -> None:
        if self.has_new_closing():
            self._was_closed = True
            if self.connection is not None:
                self.connection.session.comparing.compare_soon()

    def sync_wanted(self) -> None:
        """See ``Home``: what other processes wrote, and what is pending now, is told."""
        self._look()
        self._wake.set()

    def _tell_growth(self, connection: Connection) -> None:
        """But not while what the relay brought comes to disk: it would be news to it, and go back."""
        if not connection.session.inbound.under_way:
            connection.log_grew(self._log.end)

    def _network_changed(self) -> None:
        self._reconnecting.try_now()
        socket = self._socket
        if socket is not None and (self._probe is None or self._probe.done()):
            self._probe = asyncio.get_running_loop().create_task(self._check(socket))

    async def _check(self, socket: RelaySocket) -> None:
        """Whether the connection still leads anywhere: an address that is gone is not told of by anybody."""
        if not await socket.answers(PROBE_S) and socket is self._socket:
            self._abandon()

    def _abandon(self) -> None:
        if self._socket is not None:
            self._socket.abandon()

    def _call(self, what: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(what)
