"""The driver of one session: a thin loop between a socket, a session, the committer and the log.

It has nothing to decide. ``pump`` takes the session's ``Ready`` and does what it says: authenticate, hand
deliveries to the committer, answer reads, queue frames. A socket is anything with ``send``, ``receive`` and
``close`` (see ``Socket``); the relay and the registers drive the same class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from crdtsync.errors import AccessDenied, CrdtsyncError, LinkClosed
from crdtsync.ids import OWNER_DOCUMENT, Position
from crdtsync.model.certificate import Certificate
from crdtsync.protocol import heads as protocol_heads
from crdtsync.protocol.messages import REFUSES, Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import ReadRequest, Ready, Standing
from crdtsync.runtime.belonging.revoked import HANDED_OVER, has_handed_over, who_only_takes
from crdtsync.runtime.committing.batches import history_apart
from crdtsync.runtime.committing.work import Outcome, Work
from crdtsync.runtime.syncing.answer import answer, refused, supply_cut
from crdtsync.runtime.syncing.comparison import DocumentComparison
from crdtsync.runtime.syncing.ending import come_to_end, ending, say_who_refuses
from crdtsync.runtime.syncing.home import Home
from crdtsync.runtime.syncing.proof import by_its_key, check_proof
from crdtsync.runtime.syncing.refusal import CUT_OFF, NOT_OF_THE_SHOP
from crdtsync.runtime.syncing.sockets import PromptSocket, Socket
from crdtsync.runtime.syncing.tail import Tail
from crdtsync.storage.log import ShopLog

OUTBOX_BYTES_MAX = 512 << 10
"""Frames waiting for the socket; beyond it nothing more is read for this peer."""

TICK_S = 0.25
IDLE_TICK_S, IDLE_TICKS = 2.0, 8
"""After so many ticks in which nothing came and nothing went, time is looked at less often."""

LAST_WRITES_S = 2.0
"""What was to be written when a connection ends has so long, if the peer still reads."""


class Connection:
    """One connection, from the accepted socket to its end. ``takes_only``: the device was revoked; what it
    brings is taken, nothing is read for it, and then it is cut off.
    """

    def __init__(self, home: Home, socket: Socket | PromptSocket, session: Session) -> None:
        # Thirty attributes: with one more Python keeps them in a dictionary of 1.6 KB for each connection.
        self.home = home
        self.session = session
        self.certificate: Certificate | None = None
        self.takes_only = False
        self.error: CrdtsyncError | None = None
        self.presence: dict[str, Any] = {}
        self.frames_sent = self.bytes_sent = self.bytes_received = 0
        self._socket = socket
        self._send_now: Callable[[list[bytes]], bool] | None = getattr(socket, "send_now", None)
        self._receive_now: Callable[[], bytes | None] = getattr(socket, "receive_now", _nothing)
        self._is_listening = False
        self._silent_s: Callable[[], float] | None = getattr(socket, "silent_s", None)
        self._outbox: list[bytes] = []  # An empty deque would take 0.75 KB.
        self._outbox_bytes = 0
        self._pending_read: ReadRequest | None = None
        self._log: ShopLog | None = None
        self.our_log: bytes | None = None
        self._documents: DocumentComparison | None = None
        self._tail: Tail | None = None
        self._close_code = 1000
        self._reading: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._was_stored: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle_ticks = 0
        self._is_pump_due = False

    # -- running -------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until the connection ends. What a peer or a network can do is never raised; see ``error``.

        An idle connection has no task but this one, unless its socket has to be waited for: there is a task
        that writes only while there is something to write, and time is a timer of the loop.
        """
        try:
            await self.begin()
        finally:
            await self.finish()

    def begin(self) -> asyncio.Future[None]:
        """As ``run``, for who does not wait: ``finish`` is to follow what is given back."""
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        self._timer = loop.call_later(TICK_S, self._tick)
        listen: Callable[[Callable[[], None]], bool] | None = getattr(self._socket, "listen", None)
        self._is_listening = listen is not None and listen(self._came)
        self._reading = None if self._is_listening else loop.create_task(self._receive())
        self.pump()
        return self._ended

    async def finish(self) -> None:
        """Stop what is under way, and close the socket."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_listening = False
        tasks = [task for task in (self._reading, self._writing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._socket.close(self._close_code, str(self.error or "")[:120])

    def close(self, error: CrdtsyncError, code: int) -> None:
        """End the connection for that reason, when what is to be written is written or has had its time."""
        if self.error is None:
            self.error, self._close_code = error, code
        self._flush()
        if self._writing is None:
            self._end()
        elif self._ended is not None:
            self._ended.get_loop().call_later(LAST_WRITES_S, come_to_end, self._ended)

    def _flush(self) -> None:
        if not self._outbox or self._writing is not None or self._ended is None or self._ended.done():
            return
        # What there is more of comes from the task: it lets others have their turn after each frame.
        has_more = self._pending_read is not None or self.session.comparing.has_more_to_tell
        if self._send_now is not None and not has_more and self._send_now(self._outbox):
            self.frames_sent += len(self._outbox)
            self.bytes_sent += self._outbox_bytes
            self._outbox.clear()
            self._outbox_bytes = 0
        else:
            self._writing = self._ended.get_loop().create_task(self._write())

    def _end(self) -> None:
        if self._ended is not None:
            come_to_end(self._ended)

    def _fail(self, error: Exception) -> None:
        self.close(*ending(error, self.session, is_proved=self.certificate is not None))

    async def _receive(self) -> None:
        try:
            while True:
                while self.session.inbound.is_flooded:
                    self._was_stored = asyncio.get_running_loop().create_future()
                    await self._was_stored
                self._take(await self._socket.receive())
                self._is_busy()
                self.pump()
        except Exception as error:  # The boundary of a connection, see `_fail`.
            self._has_failed(error)

    def _came(self) -> None:
        """As ``_receive``, for a socket that tells when something has come."""
        try:
            while self._is_listening and not self.session.inbound.is_flooded:
                frame = self._receive_now()
                if frame is None:
                    return
                self._take(frame)
                self._is_busy()
                self.pump()
        except Exception as error:  # As there.
            self._is_listening = False
            self._has_failed(error)

    def _has_failed(self, error: Exception) -> None:
        """What the other end said just before still counts, of its disk and itself; records are not taken."""
        if isinstance(error, LinkClosed) and self.error is None:
            try:
                said = self.session.take_ready(self._outbox_bytes)
                self._do(Ready(acknowledged=said.acknowledged, refused=said.refused, presence=said.presence))
            except Exception as another:  # The boundary of a connection, see `_fail`.
                self._fail(another)
        (self._is_lost if isinstance(error, LinkClosed) else self._fail)(error)

    def _take(self, frame: bytes | None) -> None:
        """A frame, and those behind it that are here already: what they bring is one piece of work."""
        now_ms = self.home.now_ms()
        while frame is not None:
            self.bytes_received += len(frame)
            self.session.receive(frame, now_ms)
            has_room = self.session.may_go_on and not self.session.inbound.is_flooded
            frame = self._receive_now() if has_room else None

    def _tick(self) -> None:
        try:
            now_ms = self.home.now_ms()
            if self._silent_s is not None:
                self.session.silence.sign_of_life(now_ms - int(self._silent_s() * 1000))
            self.session.tick(now_ms)
        except Exception as error:  # As above.
            self._fail(error)
        self.pump()
        self._idle_ticks += 1
        if self._ended is not None and not self._ended.done():
            pause_s = IDLE_TICK_S if self._idle_ticks > IDLE_TICKS else TICK_S
            self._timer = self._ended.get_loop().call_later(pause_s, self._tick)

    def _is_busy(self) -> None:
        """Something happened: time is looked at often again."""
        if self._idle_ticks > IDLE_TICKS and self._timer is not None and not self._timer.cancelled():
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self._idle_ticks = 0

    async def _write(self) -> None:
        try:
            while self._outbox:
                frame = self._outbox.pop(0)
                self._outbox_bytes -= len(frame)
                self.frames_sent += 1
                self.bytes_sent += len(frame)
                await self._socket.send(frame)
                if self._pending_read is not None or self.session.comparing.has_more_to_tell:
                    self.pump()
        except LinkClosed as error:
            # What it said before may not have been read yet: reading finds the end. Nothing is written again.
            # (A socket that tells when something came has told: its device may be back on another one.)
            if self.error is None and self._reading is not None:
                await asyncio.sleep(LAST_WRITES_S)
            self._is_lost(error)
        except Exception as error:  # As above.
            self._is_lost(error)
        self._writing = None
        if self.error is not None:
            self._end()

    def _is_lost(self, error: Exception) -> None:
        self._outbox.clear()  # Nobody is there any more to write to.
        self._fail(error)
        self._end()

    # -- doing what the session says -----------------------------------------------------------------------

    def log_grew(self, end: Position) -> None:
        """Our log has new rows, from whomever."""
        if self.takes_only:
            return
        self.session.log_grew(end)
        self._is_busy()
        if self._outbox or self.error is not None or not self._go_on():
            self.pump()

    def _go_on(self) -> bool:
        """As ``pump``, where there is no more to do than after most commits; whether that is so. With two
        hundred devices, this is what a commit costs.
        """
        try:
            todo = self.session.go_on()
            if todo is None:
                return False
            self._is_pump_due = False
            self._queue(todo[0])
            self._serve_reads(todo[1])
        except Exception as error:  # The boundary of a connection, see `_fail`.
            self._fail(error)
        self._flush()
        return True

    def pump(self) -> None:
        """Do all work that has come up. Errors end this connection only."""
        self._is_pump_due = False
        self._do_all()
        self._flush()

    def _pump_if_due(self) -> None:
        if self._is_pump_due:
            self.pump()

    def _do_all(self) -> None:
        try:
            while self.error is None:
                ready = self.session.take_ready(self._outbox_bytes)
                self._do(ready)
                self._serve_reads(ready.to_read)
                if not ready.asks:
                    break
            if self.error is None and self.takes_only and has_handed_over(self.session):
                self.close(AccessDenied(CUT_OFF), HANDED_OVER)
        except Exception as error:  # The boundary of a connection, see `_fail`.
            self._fail(error)

    def _do(self, ready: Ready) -> None:
        if ready.judge is not None:
            self._judge(ready.judge, ready.certificates)
        if ready.certificates_wanted:
            self.session.send_certificates(self._owner_chain())
        if ready.rotate:
            self._rotate()
        if ready.sync_wanted:
            self.home.sync_wanted()
        if ready.to_persist or ready.acknowledged is not None or ready.refused:
            self._persist(ready)
        if not self.takes_only:
            self._tell(ready)
        if ready.presence is not None:
            self.presence = ready.presence
            self.home.presence(self, ready.presence)
        self._queue(ready.to_send)

    def _tell(self, ready: Ready) -> None:
        """Tell the peer of what is here."""
        if ready.heads_wanted:
            log = self._the_log()
            self.session.supply_heads(protocol_heads.describe(log.runs(), self._links_at))
        if ready.heads is not None:
            self.session.cover(protocol_heads.covered(self._the_log().runs(), ready.heads, self._links_at))
        if ready.digest_due or ready.digest is not None:
            digest = protocol_heads.root_digest(self._the_log().runs())
            if ready.digest_due:
                self.session.send_digest(digest)
            if ready.digest is not None and ready.digest.digest != digest:
                self.session.comparing.repair(is_wanted_by_peer=True)
        if self._documents is not None:
            self._documents.do(ready)
        if ready.cut_due:
            supply_cut(self.session, self._the_log())

    def _persist(self, ready: Ready) -> None:
        peer = self.session.peer
        assert peer is not None, "nothing is stored before the peer is known"
        assert self.certificate is not None
        also = None
        if ready.acknowledged is not None:
            also = self.home.acknowledged(self, ready.acknowledged)
            if also is None and not (ready.to_persist or ready.refused):
                return
        work = Work(
            peer.shop,
            peer.log_id,
            self.certificate.role,
            self._stored,
            ready.to_persist,
            refused=ready.refused,
            also=also,
            our_log=self.our_log,
            sender=self,
            device=peer.device,
            key=self.certificate.public,
        )
        for part in history_apart(work):
            self.home.committer.submit(part)

    def _stored(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._fail(outcome.error)
        if self.error is not None:  # Also what came after a delivery that failed: nobody is told of it.
            return
        if self._tail is not None and any(delivery.restart for delivery in self.session.inbound.under_way):
            # Its rows still say that they came from the log that has just been forgotten.
            self._tail.clear()
        if self._is_listening and self._ended is not None and self.session.inbound.is_flooded:
            self._ended.get_loop().call_soon(self._came)
        for number, told in outcome.stored:
            self.session.stored(number, told)
        if self._was_stored is not None and not self._was_stored.done():
            self._was_stored.set_result(None)
        self._is_busy()
        if self._ended is None:
            self._do_all()
        elif not self._is_pump_due:
            # The rows of the same commit follow at once, most often: the acknowledgement goes out with them.
            self._is_pump_due = True
            self._ended.get_loop().call_soon(self._pump_if_due)

    def _serve_reads(self, request: ReadRequest | None) -> None:
        """Serve what is asked for and what is asked for next, as long as there is room for it."""
        request = request or self._pending_read
        while request is not None and not self.takes_only:
            if self._outbox_bytes >= OUTBOX_BYTES_MAX:
                break
            answer(self.session, request, self._the_log(), self._tail)
            frames, request = self.session.take_answer()
            self._queue(frames)
        self._pending_read = request

    def _queue(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._outbox.append(frame)
            self._outbox_bytes += len(frame)

    def _links_at(self, chain: bytes, n: int) -> list[bytes]:
        return self._the_log().links_at(chain, n)

    def _rotate(self) -> None:
        peer = self.session.peer
        if peer is None:
            raise AssertionError("a log id is rotated for a peer")
        again = LinkClosed(
            "this register's log goes on under a new id: its disk was restored or copied", code=4512
        )
        done: Callable[[Outcome], None] = lambda outcome: self._fail(outcome.error or again)  # noqa: E731
        role = self.certificate.role if self.certificate else ""
        self.home.committer.submit(Work(peer.shop, peer.log_id, role, done, also=self.home.was_copied))

    # -- hello ---------------------------------------------------------------------------------------------

    def _judge(self, hello: Hello, certificates: tuple[bytes, ...]) -> None:
        try:
            log = self.home.shop_log(hello.shop)
        except AccessDenied:  # Of the refusals below somebody in between can bring each about.
            self._queue(say_who_refuses(self.session, hello, self.home.who_refuses(hello)))
            raise
        admission = self.home.admission(hello.shop)
        admission.is_stale = True
        admission.refresh(log)
        certificate = admission.certificate(hello.device, certificates)
        pinned = self.home.pinned_relay_key()
        certificate = certificate or (pinned and by_its_key(hello, pinned)) or None
        if certificate is None:
            if certificates or self.session.connecting:
                raise AccessDenied(NOT_OF_THE_SHOP)
            self.session.want_certificates()
            return
        check_proof(self.session, hello, certificate, pinned)
        self.certificate = certificate
        if REFUSES in hello.capabilities:  # It closes now, and says why.
            return
        self._log, self._tail = log, self.home.tail(hello.shop)
        me = self.home.me(hello)
        self.our_log = me.log_id
        self.takes_only = admission.is_revoked(hello.device)
        if self.takes_only:
            self.certificate, me = who_only_takes(certificate, me)
        if self._tail is not None:
            self._tail.belong_to(me.log_id)
        fits = hello.cursor_log == me.log_id and log.hash_at(hello.cursor.seq) == hello.cursor.h
        refusals = tuple(refused(refusal) for refusal in log.refusals_given(hello.log_id))
        self.session.admit(Standing(me, fits, refusals))
        self._documents = DocumentComparison(self.session, self.home.documents, hello.shop, self.pump)
        self.home.went_live(self)

    def _owner_chain(self) -> list[bytes]:
        log = self._log or self.home.shop_log(self.home.me(None).shop)
        return [record[1:] for _, record in log.document_records(OWNER_DOCUMENT)]

    def _the_log(self) -> ShopLog:
        if self._log is None:
            raise AssertionError("no log is read before the peer is known")
        return self._log


def _nothing() -> bytes | None:
    return None
