"""Somebody in between: on a wire without TLS he does to the frames of one direction what he likes.

He waits for the next frames that travel to one end and does one trick, or, where he acknowledges in the
relay's name, goes on with it for as long as the wire holds. All of it is to be found out at the next frame
that arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.limits import TAG_BYTES
from crdtsync.protocol.messages import Ack, Pack, Records

if TYPE_CHECKING:
    from crdtsync.testing.simulation.network import End

TRICKS: Final = (
    "changes a bit",
    "cuts a frame short",
    "swallows frames",
    "sends a frame twice",
    "exchanges two frames",
    "sends what he overheard",
    "makes an acknowledgement up",
    "acknowledges in the place of the relay",
)
"""What he does."""


class Between:
    """Who sits on the way to ``end``. ``acted`` is called the first time that he does something."""

    def __init__(self, end: End, trick: str, chance: Random, acted: Callable[[], object]) -> None:
        self._end = end
        self._chance = chance
        self._acted = acted
        self._passes = getattr(self, f"_{trick.replace(' ', '_')}")
        self._kept: list[bytes] = []
        self._left = chance.randint(1, 3)
        """How many frames he swallows."""

    def passes_on(self, frame: bytes) -> list[bytes]:
        """What travels on in the place of a frame."""
        passed: list[bytes] = self._passes(frame)
        return passed

    def _acts(self, *, is_over: bool = True) -> None:
        if not self._end.wire.is_meddled_with:
            self._end.wire.is_meddled_with = True
            self._acted()
        if is_over:
            self._end.between = None

    def _changes_a_bit(self, frame: bytes) -> list[bytes]:
        self._acts()
        changed, place = bytearray(frame), self._chance.randrange(len(frame))
        changed[place] ^= 1 << self._chance.randrange(8)
        return [bytes(changed)]

    def _cuts_a_frame_short(self, frame: bytes) -> list[bytes]:
        self._acts()
        return [frame[: self._chance.choice((0, 1, len(frame) - TAG_BYTES, len(frame) - 1))]]

    def _swallows_frames(self, frame: bytes) -> list[bytes]:
        self._left -= 1
        self._acts(is_over=not self._left)
        return []

    def _sends_a_frame_twice(self, frame: bytes) -> list[bytes]:
        self._acts()
        return [frame, frame]

    def _exchanges_two_frames(self, frame: bytes) -> list[bytes]:
        if not self._kept:
            self._acts(is_over=False)
            self._kept.append(frame)
            return []
        self._acts()
        return [frame, self._kept.pop()]

    def _sends_what_he_overheard(self, frame: bytes) -> list[bytes]:
        """A frame of any wire, from before."""
        overheard = self._end.wire.network.overheard
        if not overheard:
            overheard.append(frame)
            return [frame]
        self._acts()
        said, place = self._chance.choice(overheard), self._chance.randrange(2)
        overheard[:] = [*overheard, frame][-8:]
        return [said, frame] if place else [frame, said]

    def _makes_an_acknowledgement_up(self, frame: bytes) -> list[bytes]:
        """Of all that the end has."""
        self._acts()
        ack = encode(Ack(self._end.connection.session.outbound.end))
        return [ack + self._chance.choice((b"", bytes(TAG_BYTES), frame[-TAG_BYTES:])), frame]

    def _acknowledges_in_the_place_of_the_relay(self, frame: bytes) -> list[bytes]:
        """What is on its way to this end is swallowed, and said to be stored."""
        message = decode(frame[: len(frame) - self._end.tag_bytes])
        if not isinstance(message, Records | Pack):
            return [frame]
        self._acts(is_over=False)
        self._end.other.travel_on(encode(Ack(message.to)) + bytes(self._end.tag_bytes))
        return []
