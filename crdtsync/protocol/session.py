"""One connection between two replicas, as a state machine without I/O.

Both ends run this same machine; only who speaks first differs. It has no socket, no file, no clock and no
randomness: a driver feeds it frames and facts, takes one ``Ready`` after each, and does what that says, in
its order. ``docs/reference/wire-protocol.md`` specifies what is on the wire.

Theory of operation
-------------------
Each replica has one log per shop. Towards a peer there are two halves that know nothing of each other:
``Outbound`` sends my log, ``Inbound`` takes the peer's. At hello each end judges the other's cursor by the
running hash. One that fits is where sending goes on: cold start, catch-up and live are one mechanism. One
that does not fit means that a disk was restored, wiped or cloned. Then

* a register whose own log is not what the peer holds of it gives its log a new id (``Ready.rotate``) and
  connects again: its old numbers name records that it no longer has. Until then it takes nothing: the peer
  leaves out what came from the old id, so that to store its cursor would be to lose that for good;
* a relay says so in its hello (``fits`` false). The register forgets that records came from that relay, on
  disk, before it sends anything, so that they are offered again (``Delivery.restart``).

What the other side holds from elsewhere is told by heads, so that only the difference travels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from crdtsync.errors import LinkClosed, MalformedMessage, UnexpectedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.asking import Asking
from crdtsync.protocol.binding import Line
from crdtsync.protocol.codec import decode, encode_hello_body, frames
from crdtsync.protocol.comparing import Comparing, HeadsFor
from crdtsync.protocol.fields import check_version
from crdtsync.protocol.hearing import HEARD_BY_PARTS, Handler
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.intervals import Interval, joined
from crdtsync.protocol.messages import (
    DOCUMENTS,
    TAKES_ONLY,
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    HeldRun,
    Hello,
    Message,
    Part,
    Presence,
    Refused,
    RefusedRecord,
    SyncWanted,
)
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.parts import Parts
from crdtsync.protocol.refusals import RefusedList, refused_messages
from crdtsync.protocol.silence import Silence
from crdtsync.protocol.state import State
from crdtsync.protocol.work import Covered, Delivery, Me, ReadRequest, Ready, Standing

__all__ = ["Session", "State"]


class Session:
    """One end of one connection.

    Methods raise ``RemoteProtocolError`` when the peer broke the rules; the driver then closes with the
    error's ``close_code``. ``sign(purpose, payload)`` makes this device's signature; it must be pure.
    """

    def __init__(
        self,
        *,
        connecting: bool,
        nonce: bytes,
        sign: Callable[[str, bytes], bytes],
        now_ms: int,
        me: Me | None = None,
        exchange_seed: bytes = b"",
    ) -> None:
        self.connecting = connecting
        self.state = State.AWAIT_CHALLENGE if connecting else State.AWAIT_HELLO
        self.peer: Hello | None = None
        self.outbound = Outbound(self._send)
        self.inbound = Inbound(self._send, self._deliver)
        self._me = me
        self._sign = sign
        self._challenge, self._my_hello = nonce, b""
        self.line = Line(exchange_seed, connecting=connecting)
        self._ready, self._parts = Ready(), Parts()
        self._refused = RefusedList()
        self._queued_bytes = self._largest_bytes = 0
        self._queued_bytes_max = limits.QUEUED_BYTES_MAX
        self._was_asked_for_certificates = self.has_told_refusals = False
        self._opened_ms = self._now_ms = now_ms
        self.silence = Silence(now_ms)
        self.comparing = Comparing(self._send, self.outbound, self.inbound, lambda: self.is_in_step, now_ms)
        self.asking = Asking(self._send, self.comparing, lambda: self.is_in_step, lambda: self.peer)
        if not connecting:
            self._send(Challenge(limits.VERSION, nonce))

    # -- what a driver may ask -----------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Both ends have proved who they are."""
        return self.state is State.LIVE

    @property
    def is_in_step(self) -> bool:
        """Everything of mine is on the peer's disk, and the peer's log as announced at hello on mine."""
        peer = self.peer
        return (
            self.is_live
            and peer is not None
            and TAKES_ONLY not in peer.capabilities
            and self._refused.is_known
            and self.outbound.is_quiet
            and self.inbound.is_quiet
            and self.inbound.stored.seq >= peer.end.seq
        )

    @property
    def may_go_on(self) -> bool:
        """Whether the next frame can be taken before what this one brought is done."""
        return self.is_live and not self._ready.asks and not self.comparing.is_asked

    # -- input ---------------------------------------------------------------------------------------------

    def receive(self, frame: bytes, now_ms: int) -> None:
        """Take one frame from the peer. Raises ``RemoteProtocolError``, and ``LinkClosed`` for a peer that
        does not read what it causes.
        """
        self._now_ms = self.comparing.now_ms = now_ms
        self.silence.message(now_ms)
        if self.state is State.PARTING:
            return
        self._check_queue()
        message = decode(self.line.opened(frame))
        if type(message) is Part:
            if not self.is_live:
                raise UnexpectedMessage("a message in parts has no place before hello")
            whole = self._parts.add(message)
            if whole is None:
                return
            message = decode(whole)
            if type(message) is Part:
                raise MalformedMessage("parts do not nest")
        handler = _HANDLERS.get((self.state, type(message)))
        if handler is None:
            name = type(message).__name__.lower()
            raise UnexpectedMessage(f"a {name} has no place while a session is in state '{self.state.value}'")
        handler(self, message)

    def tick(self, now_ms: int) -> None:
        """Time has passed. Raises ``LinkClosed`` when the peer is too slow to be alive."""
        self._now_ms = self.comparing.now_ms = now_ms
        if self.state is State.PARTING:
            return
        if not self.is_live:
            if now_ms - self._opened_ms > limits.HELLO_TIMEOUT_MS:
                raise LinkClosed("the peer did not say who it is in time", code=4508)
            return
        self._check_queue()
        self.silence.check(now_ms, is_owed=self.outbound.is_stalled or self.comparing.waits_for_heads)
        since_ms = self.outbound.advance_since_ms
        if since_ms is not None and now_ms - since_ms >= limits.ADVANCE_AFTER_MS:
            self.outbound.advance()
        self.inbound.acknowledge(now=True)
        self.comparing.tick()
        self.asking.tick()

    def _check_queue(self) -> None:
        # One message of any size may wait: a compacted catalogue takes a slow peer its time.
        if self._queued_bytes > self._queued_bytes_max + self._largest_bytes:
            raise LinkClosed("the peer does not read what it asks for", code=4508)

    def log_grew(self, end: Position) -> None:
        """My log has new rows, from whomever."""
        if end.seq > self.outbound.end.seq:
            self.outbound.end = end

    def admit(self, standing: Standing) -> None:
        """The hello in ``Ready.judge`` is genuine, and this is how the two logs stand to each other.

        Raises ``LinkClosed`` (to connect again at once) if our log has changed its id since our hello.
        """
        peer, said, me = self._judged(), self._me, standing.me
        if said is not None and said.log_id != me.log_id:
            raise LinkClosed("this register's log goes on under a new id since it said hello", code=4512)
        self._me = me
        known = peer.cursor_log == me.log_id
        if self.connecting:
            self.line.bind(peer.exchange_key, self._challenge + self._my_hello + peer.body)
        else:
            # An empty cursor fits every log; `fits` is about one that does not.
            self._say_hello(fits=standing.cursor_fits or not known)
        self.outbound.end = me.end
        self.outbound.catch_up_to = me.end.seq
        if known and not standing.cursor_fits and not me.is_relay:
            self.state = State.PARTING
            self._ready.rotate = True
            return
        self.state = State.LIVE
        self.inbound.acknowledge_at_once = me.is_relay
        # Also when there are none: what was held may have been admitted while the peer was away.
        self._tell_refused(standing.refusals, complete=True)
        self._queued_bytes_max += sum(map(len, self._ready.to_send))
        if known and standing.cursor_fits:
            self.outbound.start(peer.cursor)
        if not self._restart_inbound(peer, said or me, me):
            self._start_outbound(peer)
        self.peer, self._challenge, self._my_hello = peer.believed(), b"", b""

    def refuse(self, me: Me) -> None:
        """Prove to a peer whose hello is judged, and that is refused, that it is we who refuse it."""
        self._me = me
        self._say_hello()
        self.state = State.PARTING

    def want_certificates(self) -> None:
        """The certificate that the hello names is not known here: ask for the owner's chain."""
        self._judged()
        self._send(CertificatesWanted())

    def send_certificates(self, sealed: Sequence[bytes]) -> None:
        """Answer to ``Ready.certificates_wanted``."""
        self._send(Certificates(tuple(sealed)))

    def stored(self, number: int, refused: Sequence[RefusedRecord] = ()) -> None:
        """A delivery is on disk, except ``refused``, which are set apart, durably too."""
        if refused:
            self._tell_refused(refused, complete=False)
        restart = self.inbound.under_way[0].restart
        self.inbound.on_stored(number)
        if restart and self.peer is not None:
            self._start_outbound(self.peer)

    def refusals_changed(self, refusals: Sequence[RefusedRecord]) -> None:
        """What was held is judged anew: tell the peer all that is still not admitted."""
        if self.is_live:
            self._tell_refused(refusals, complete=True)

    def supply(self, to: Position, records: Sequence[tuple[int, bytes]], size: int) -> None:
        """The answer to a ``ReadRequest``: my rows up to ``to``; those that the peer holds are left out."""
        self.outbound.supply(to, records, size, self._now_ms)

    def supply_pack(self, to: Position, blob: bytes, *, first: int | None = None) -> None:
        """As ``supply``: the pack with the first row asked for, its last position, and its ``first`` row."""
        self.outbound.supply_pack(to, blob, first=first)

    def supply_heads(self, runs: Iterable[HeldRun]) -> None:
        """The answer to ``Ready.heads_wanted``. They are taken from ``runs`` as there is room for them."""
        self.comparing.supply_heads(runs)

    def cover(self, covered: Covered) -> None:
        """What the peer's heads (``Ready.heads``) spare us from sending."""
        self.comparing.cover(covered)

    def supply_cut(
        self, to: Position, first: Sequence[Interval], certificates: Sequence[tuple[int, bytes]]
    ) -> None:
        """The answer to ``Ready.cut_due``: what goes first, the certificates ahead of everything."""
        self.outbound.held_back = False
        seqs, records = tuple(s for s, _ in certificates), tuple(r for _, r in certificates)
        self.outbound.cut(Cut(to, tuple(joined(first, limits.FIRST_INTERVALS_MAX)), seqs, records))

    def send_digest(self, digest: bytes) -> None:
        """The answer to ``Ready.digest_due``: what my ledgers amount to."""
        self.comparing.send_digest(digest)

    @property
    def compares_documents(self) -> bool:
        """Whether the peer understands lists of documents."""
        return self.peer is not None and DOCUMENTS in self.peer.capabilities

    def repair(self) -> None:
        """Compare heads with the peer and send it again whatever it lacks (``resync``)."""
        if self.is_live:
            self.comparing.repair()

    def send_presence(self, facts: dict[str, Any]) -> None:
        """Show the peer a few facts about this device."""
        if self.is_live:
            self._send(Presence(facts))

    def take_ready(self, queued_bytes: int = 0) -> Ready:
        """The work that has come up since the last call. ``queued_bytes``: what the driver was given to send
        and the peer's socket has not taken yet.
        """
        self._queued_bytes = queued_bytes
        is_live = self.is_live
        if is_live:
            self.inbound.acknowledge_stored()
        ready, self._ready = self._ready, Ready()
        if is_live:
            self.comparing.collect(ready, has_room=queued_bytes < limits.ROOM_BYTES)
            to_send, ready.to_read = self.take_answer()
            ready.to_send += to_send
        return ready

    def go_on(self) -> tuple[list[bytes], ReadRequest | None] | None:
        """As ``take_ready``, where nothing waits for the peer's socket and there is no more to do than after
        most commits: to say what is stored, and to send the rows that have come. None where there is more.
        """
        if self.state is not State.LIVE or not self._ready.is_bare or not self.comparing.is_idle:
            return None
        self._queued_bytes = 0
        self.inbound.acknowledge_stored()
        return self.take_answer()

    def take_answer(self) -> tuple[list[bytes], ReadRequest | None]:
        """What came of ``supply``, and nothing else does: frames to send, and what is to be read next."""
        to_send, self._ready.to_send = self._ready.to_send, []
        return to_send, self.outbound.next_read()

    def signed_by_peer(self) -> tuple[str, bytes, bytes]:
        """(purpose, payload, signature) that must verify under the key that the peer's certificate names."""
        peer = self._judged()
        if self.connecting:
            return "hello-accept", self._challenge + self._my_hello + peer.body, peer.signature
        return "hello-connect", self._challenge + peer.body, peer.signature

    # -- hello ---------------------------------------------------------------------------------------------

    def _restart_inbound(self, peer: Hello, said: Me, me: Me) -> bool:
        """Whether the peer's log has to be restarted: that goes to disk before anything is sent.

        The peer goes on from the cursor that we said in our hello, so that is what counts here, also if
        something that was under way then has reached the disk since.
        """
        if said.cursor_log == peer.log_id:
            if self.connecting and not peer.fits:
                self.inbound.restart()
                return True
            self.inbound.start(said.cursor, said.wanted)
            self.inbound.want_more()
        elif me.cursor != START or me.wanted:
            # We have met this log, but not last time: the peer cannot know that, and begins at the beginning.
            self.inbound.restart()
            return True
        return False

    def _start_outbound(self, peer: Hello) -> None:
        outbound = self.outbound
        if self._refused.is_known:
            self._ready.acknowledged = outbound.acked
        if outbound.acked.seq > 0 or outbound.end.seq == 0:
            outbound.held_back = False
        elif peer.end.seq > limits.HEADS_ROWS_MIN and outbound.end.seq > limits.HEADS_ROWS_MIN:
            self.comparing.ask_heads(HeadsFor.START)
        elif not peer.is_relay and outbound.end.seq > limits.CUT_ROWS_MIN:
            self._ready.cut_due = True
        else:
            outbound.held_back = False

    def _say_hello(self, *, fits: bool = True) -> None:
        me = self._me
        if me is None:
            raise AssertionError("a hello needs to know who we are")
        asked = self.peer.exchange_key if self.peer is not None else b""
        hello = replace(me.hello(fits=fits), exchange_key=self.line.exchange_key(asked))
        self._my_hello = encode_hello_body(hello)
        if self.connecting:
            signature = self._sign("hello-connect", self._challenge + self._my_hello)
        else:
            signature = self._sign("hello-accept", self._challenge + self._judged().body + self._my_hello)
        self._send(replace(hello, body=self._my_hello, signature=signature))
        if not self.connecting:
            self.line.bind(asked, self._challenge + self._judged().body + self._my_hello)

    # -- plumbing ------------------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        self._ready.to_send += (made := self.line.tagged(list(frames(message))))
        size = sum(map(len, made))
        self._largest_bytes = max(self._largest_bytes, size)
        self.silence.sent(size, self._now_ms)

    def _deliver(self, delivery: Delivery) -> None:
        self._ready.to_persist.append(delivery)

    def _judged(self) -> Hello:
        if self.state is not State.JUDGING or self.peer is None:
            raise AssertionError(f"there is no hello to judge in state '{self.state.value}'")
        return self.peer

    def _tell_refused(self, refused: Sequence[RefusedRecord], *, complete: bool) -> None:
        self.has_told_refusals = bool(refused)  # A list with nothing in it is always the whole list.
        for message in refused_messages(refused, complete=complete):
            self._send(message)

    # -- handlers ------------------------------------------------------------------------------------------

    def _on_challenge(self, message: Challenge) -> None:
        check_version(message.version)
        self._challenge = message.nonce
        self._say_hello()
        self.state = State.AWAIT_HELLO

    def _on_hello(self, message: Hello) -> None:
        check_version(message.version)
        self.peer = self._ready.judge = message
        self.state = State.JUDGING

    def _on_certificates_wanted(self, _: CertificatesWanted) -> None:
        if self._was_asked_for_certificates:
            raise UnexpectedMessage("certificates were asked for again")
        self._was_asked_for_certificates = True
        self._ready.certificates_wanted = True

    def _on_certificates(self, message: Certificates) -> None:
        self._ready.judge, self._ready.certificates = self.peer, message.sealed

    def _on_ack(self, message: Ack) -> None:
        if not self._refused.is_known:
            raise UnexpectedMessage("an acknowledgement of what may have been refused")
        if self.outbound.on_ack(message):
            self._ready.acknowledged = message.position

    def _on_sync_wanted(self, message: SyncWanted) -> None:
        self.asking.on_sync_wanted(message)
        self._ready.sync_wanted = True

    def _on_refused(self, message: Refused) -> None:
        was_known, whole = self._refused.is_known, self._refused.add(message)
        if whole is not None:
            told = self.outbound.told.seq
            if not whole.complete and any(not 1 <= refusal.seq <= told for refusal in whole.refusals):
                raise UnexpectedMessage("a refusal of something that was never sent")
            self._ready.refused.append(whole)
        if self._refused.is_known and not was_known and not self.inbound.is_restarting:
            # Only now does the cursor of the peer's hello count: it may lie behind something refused.
            self._ready.acknowledged = self.outbound.acked


_HANDLERS: dict[tuple[State, type], Handler] = {
    (State.AWAIT_CHALLENGE, Challenge): Session._on_challenge,
    (State.AWAIT_HELLO, Hello): Session._on_hello,
    (State.AWAIT_HELLO, CertificatesWanted): Session._on_certificates_wanted,
    (State.JUDGING, Certificates): Session._on_certificates,
    (State.LIVE, Ack): Session._on_ack,
    (State.LIVE, Refused): Session._on_refused,
    (State.LIVE, SyncWanted): Session._on_sync_wanted,
    (State.LIVE, Presence): lambda session, message: setattr(session._ready, "presence", message.facts),
    **HEARD_BY_PARTS,
}
