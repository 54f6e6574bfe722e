"""Putting together what did not fit in one frame."""

from __future__ import annotations

from crdtsync.errors import MalformedMessage, MessageTooBig
from crdtsync.protocol import limits
from crdtsync.protocol.messages import Part


class Parts:
    """The pieces of one message, as they arrive. Never holds more than ``MESSAGE_BYTES_MAX``."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._bytes = 0

    def add(self, part: Part) -> bytes | None:
        """The whole message after its last piece, None before.

        Raises ``MalformedMessage``, ``MessageTooBig``. Pieces but the last have their full size, so that
        their number is bounded too.
        """
        if not part.last and len(part.data) != limits.PART_BYTES:
            raise MalformedMessage(f"a part that is not the last has {limits.PART_BYTES} bytes")
        self._bytes += len(part.data)
        if self._bytes > limits.MESSAGE_BYTES_MAX:
            raise MessageTooBig(f"a message of more than {limits.MESSAGE_BYTES_MAX} bytes")
        self._pieces.append(part.data)
        if not part.last:
            return None
        whole, self._pieces, self._bytes = b"".join(self._pieces), [], 0
        return whole
