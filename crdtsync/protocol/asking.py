"""The part of a session by which a relay asks a register to synchronise, because a person wishes it.

A register that is connected sends by itself whatever it has. What a person gains by asking is to be told: the
register says at once that it heard, looks for what it has not noticed yet, compares what it holds with the
relay, and says when nothing is left to exchange in either direction.
"""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.errors import UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.comparing import Comparing
from crdtsync.protocol.messages import SYNC_WANTED, Hello, Message, SyncTold, SyncWanted


class Asking:
    """What was asked on one connection. The relay asks; the register answers. Handlers raise
    ``UnexpectedMessage``.
    """

    __slots__ = ("_answers", "_asked", "_comparing", "_digests_due", "_is_in_step", "_peer", "_send", "_wish")

    def __init__(
        self,
        send: Callable[[Message], None],
        comparing: Comparing,
        is_in_step: Callable[[], bool],
        peer: Callable[[], Hello | None],
    ) -> None:
        self._send, self._comparing, self._is_in_step, self._peer = send, comparing, is_in_step, peer
        self._wish: bytes | None = None
        self._digests_due = 0
        self._asked: dict[bytes, bool] = {}
        self._answers: list[SyncTold] = []

    # -- of a register ---------------------------------------------------------------------------------------

    @property
    def is_owed(self) -> bool:
        """Whether the relay asked, and was not told yet that it is done."""
        return self._wish is not None

    def on_sync_wanted(self, message: SyncWanted) -> None:
        """The relay asks. Of two wishes only the later one is told when it is done."""
        peer = self._peer()
        if peer is None or not peer.is_relay:
            raise UnexpectedMessage("only a relay asks to synchronise")
        self._wish = message.wish
        self._digests_due = self._comparing.digests_told + 1
        self._comparing.compare_soon()
        self._send(SyncTold(message.wish, is_done=False))

    def tick(self) -> None:
        """Time has passed: say that it is done, if it is."""
        is_compared = self._comparing.digests_told >= self._digests_due
        if self._wish is not None and is_compared and self._is_in_step():
            self._send(SyncTold(self._wish, is_done=True))
            self._wish = None

    # -- of a relay ------------------------------------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Whether the peer understands that."""
        peer = self._peer()
        return peer is not None and SYNC_WANTED in peer.capabilities

    def ask(self, wish: bytes) -> bool:
        """Ask the peer, if it understands that; whether it was asked now. Not twice at a time for one wish,
        and nothing while too many are not answered: whoever keeps the wish asks again.
        """
        if not self.can_ask or wish in self._asked or len(self._asked) >= limits.WISHES_ASKED_MAX:
            return False
        self._asked[wish] = False
        self._send(SyncWanted(wish))
        return True

    def on_sync_told(self, message: SyncTold) -> None:
        """The peer answers: that it heard, and later that it is done. It does not know what comparing found
        here: where that was a difference, it has heard, and may be asked again.
        """
        was_heard = self._asked.get(message.wish)
        if was_heard is None or was_heard is not message.is_done:
            raise UnexpectedMessage("an answer to what nobody asked")
        self._asked[message.wish] = True
        if message.is_done:
            # Of what was asked before nothing more is said.
            wishes = list(self._asked)
            for wish in wishes[: wishes.index(message.wish) + 1]:
                del self._asked[wish]
        is_done = message.is_done and not self._comparing.differs
        self._answers.append(SyncTold(message.wish, is_done=is_done))

    def take_answers(self) -> list[SyncTold]:
        """What the peer said since this was last called."""
        answers, self._answers = self._answers, []
        return answers
