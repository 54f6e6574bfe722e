"""One session, spoken to by hand: for tests that say what a peer says, message by message."""

from __future__ import annotations

from typing import Any

from crdtsync.ids import START, ZERO_HASH, Position
from crdtsync.protocol.codec import decode, frames
from crdtsync.protocol.messages import Challenge, Hello, Message, Refused
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Delivery, Me, Ready, Standing
from crdtsync.testing.messages import with_body

NOW_MS = 1_795_507_200_000
SHOP, MINE, THEIRS = b"the corner shop.", b"the log of ours.", b"the peer's log.."
TILL, RELAY = b"till number one.", b"relay in a rack."


def at(seq: int) -> Position:
    """A position of some log, the same each time."""
    return Position(seq, seq.to_bytes(32, "big")) if seq else START


def me(**facts: Any) -> Me:
    """A register with an empty log, which has never met the peer."""
    known: dict[str, Any] = {
        "shop": SHOP,
        "device": TILL,
        "log_id": MINE,
        "end": START,
        "cursor_log": THEIRS,
        "cursor": START,
        "wanted": (),
        "nonce": bytes(16),
        "certificate": b"",
        "is_relay": False,
        "time_ms": NOW_MS,
        "digest": ZERO_HASH,
        "software": "crdtsync test",
    }
    return Me(**{**known, **facts})


def hello(**facts: Any) -> Hello:
    """The hello of a relay with an empty log, which has never met us."""
    known: dict[str, Any] = {
        "version": 1,
        "shop": SHOP,
        "device": RELAY,
        "log_id": THEIRS,
        "end": START,
        "cursor_log": MINE,
        "cursor": START,
        "nonce": bytes(16),
        "certificate": b"",
        "is_relay": True,
        "fits": True,
        "time_ms": NOW_MS,
        "digest": ZERO_HASH,
        "software": "crdtsync test",
        "signature": bytes(64),
    }
    return with_body(Hello(**{**known, **facts}))


class Talk:
    """A session and what it is told. Signatures are the purpose and the payload, cut to 64 bytes."""

    def __init__(self, *, connecting: bool = True, me: Me | None = None) -> None:
        self.now_ms = NOW_MS
        self.signed: list[tuple[str, bytes]] = []
        self.session = Session(
            connecting=connecting, nonce=b"n" * 16, sign=self._sign, now_ms=self.now_ms, me=me
        )

    def _sign(self, purpose: str, payload: bytes) -> bytes:
        self.signed.append((purpose, payload))
        return b"s" * 64

    def hear(self, *messages: Message) -> None:
        """The peer says something."""
        for message in messages:
            for frame in frames(message):
                self.session.receive(frame, self.now_ms)

    def ready(self) -> Ready:
        """What there is to do."""
        return self.session.take_ready()

    def said(self) -> list[Message]:
        """What the session has to say since last time; other work is dropped."""
        return [decode(frame) for frame in self.session.take_ready().to_send]

    def store_all(self, ready: Ready) -> list[Delivery]:
        """Put what is to be persisted on the disk."""
        for delivery in ready.to_persist:
            self.session.stored(delivery.number)
        return ready.to_persist

    def pass_time(self, ms: int) -> None:
        """Let the clock go on."""
        self.now_ms += ms
        self.session.tick(self.now_ms)


def live(
    *,
    connecting: bool = True,
    me: Me,
    peer: Hello,
    fits: bool = True,
    refused: tuple[Any, ...] | None = (),
    drained: bool = True,
) -> Talk:
    """A session after both hellos and, unless ``refused`` is None, after the peer's list of refusals."""
    talk = Talk(connecting=connecting, me=me if connecting else None)
    if connecting:
        talk.hear(Challenge(1, b"c" * 16))
    talk.hear(peer)
    talk.ready()
    talk.session.admit(Standing(me, cursor_fits=fits))
    if refused is not None and talk.session.is_live:
        talk.hear(Refused(refused, complete=True))
    if drained:
        talk.ready()
    return talk
