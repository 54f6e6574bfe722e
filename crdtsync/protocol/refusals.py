"""Telling a peer what was not admitted, and being told: lists that count as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crdtsync.errors import MessageTooBig, UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Refused, RefusedRecord


def refused_messages(refused: Sequence[RefusedRecord], *, complete: bool) -> Iterator[Refused]:
    """The messages that tell one list; one also for an empty list."""
    step = limits.REFUSALS_PER_MESSAGE_MAX
    for start in range(0, len(refused) or 1, step):
        part = tuple(refused[start : start + step])
        yield Refused(part, complete=complete and start == 0, last=start + step >= len(refused))


class RefusedList:
    """The refusals that a peer tells, until its list is whole.

    ``is_known`` is true once there was a complete list. Before, an acknowledgement would say that something
    is safe which the peer may have refused.
    """

    def __init__(self) -> None:
        self.is_known = False
        self._told: list[RefusedRecord] = []
        self._complete = False
        self._is_open = False

    def add(self, message: Refused) -> Refused | None:
        """The whole list after its last message, None before.

        Raises ``UnexpectedMessage``, ``MessageTooBig``.
        """
        if self._is_open and message.complete:
            raise UnexpectedMessage("a list of refusals that begins within another")
        if not self._is_open:
            self._complete = message.complete
        self._is_open = not message.last
        self._told.extend(message.refusals)
        if len(self._told) > limits.REFUSALS_MAX:
            raise MessageTooBig("more refusals than a list can have")
        if not message.last:
            return None
        whole, self._told = Refused(tuple(self._told), complete=self._complete), []
        self.is_known |= self._complete
        return whole
