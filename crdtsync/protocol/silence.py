"""When a peer that owes an answer counts as gone."""

from __future__ import annotations

from crdtsync.errors import LinkClosed
from crdtsync.protocol import limits


class Silence:
    """How long nothing has come, and how long nothing whole has. Times are milliseconds of a clock that is
    never set.

    A part of a message is a sign of life: over a slow line a large one takes minutes. But whoever sends only
    signs of life, and never an answer, is given up too.
    """

    def __init__(self, now_ms: int) -> None:
        self._heard_ms = self._answered_ms = now_ms

    def message(self, now_ms: int) -> None:
        """A whole message came."""
        self._heard_ms = self._answered_ms = now_ms

    def sign_of_life(self, at_ms: int) -> None:
        """Something came, if only a part of a message, or a ping."""
        self._heard_ms = max(self._heard_ms, at_ms)

    def check(self, now_ms: int, *, is_owed: bool) -> None:
        """Raises ``LinkClosed`` if the peer owes us something and does not live."""
        if not is_owed:
            self._heard_ms = self._answered_ms = now_ms  # A peer that owes nothing may be quiet.
        elif now_ms - self._heard_ms > limits.STALLED_AFTER_MS:
            raise LinkClosed("the peer has been silent for too long", code=4508)
        elif now_ms - self._answered_ms > limits.ANSWER_WITHIN_MS:
            raise LinkClosed("the peer does not answer", code=4508)
