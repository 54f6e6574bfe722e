"""When a peer that owes an answer counts as gone."""

from __future__ import annotations

from typing import Final

from crdtsync.errors import LinkClosed
from crdtsync.protocol import limits


class Silence:
    """How long nothing has come, and how long nothing whole has. Times are milliseconds of a clock that is
    never set.

    A part of a message is a sign of life: over a slow line a large one takes minutes. But whoever sends only
    signs of life, and never an answer, is given up too, some time after all that was sent to it would have
    come over the slowest line.
    """

    def __init__(self, now_ms: int) -> None:
        self._heard_ms = self._answered_ms = now_ms
        self._arrives_ms = now_ms

    def sent(self, size: int, now_ms: int) -> None:
        """So many bytes were given out to be sent: before they are there, nobody can answer."""
        self._arrives_ms = min(
            max(self._arrives_ms, now_ms) + _takes_ms(size), now_ms + _takes_ms(_UNDER_WAY_BYTES_MAX)
        )

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
        elif now_ms - max(self._answered_ms, self._arrives_ms) > limits.ANSWER_WITHIN_MS:
            raise LinkClosed("the peer does not answer", code=4508)


_UNDER_WAY_BYTES_MAX: Final = limits.MESSAGE_BYTES_MAX + limits.IN_FLIGHT_BYTES_MAX


def _takes_ms(size: int) -> int:
    return size * 1000 // limits.SLOWEST_BYTES_PER_S
