"""The sync protocol of Yjs as a client speaks it, and updates made by hand: one sale each, or many.

A message is ``[address] kind [step] payload``. The address, a document's name, is in hocuspocus' messages
only; elsewhere the document is in the path. Whole numbers are of variable length, seven bits a byte, the
lowest first; bytes and strings have their length before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

SYNC: Final = 0
AUTH: Final = 2
QUERY_AWARENESS: Final = 3
SYNC_REPLY: Final = 4
STEP_1, STEP_2, UPDATE = 0, 1, 2

TOKEN, DENIED = 0, 1

NOTHING: Final = b"\0\0"
"""An update without changes: no structs, no deletions."""

EMPTY_STATE: Final = b"\0"
"""The state vector of a document that holds nothing."""

_ANY: Final = 8
_HAS_LEFT: Final = 0x80
_STRING: Final = 119
_ROOT: Final = 1

Kind = Literal["state", "changes", "denied", "other"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server wants to be spoken to.

    ``path``: of its address. ``address``: what comes first in each message. ``greeting``: the messages before
    the first step. ``keep_alive``: what a client that says nothing else sends now and then.
    """

    path: str
    address: bytes = b""
    greeting: tuple[bytes, ...] = ()
    keep_alive: bytes = b""

    def ask(self) -> bytes:
        """The first step of somebody who has nothing."""
        return self.address + bytes((SYNC, STEP_1)) + sized(EMPTY_STATE)

    def answer(self) -> bytes:
        """The second step of somebody who has nothing."""
        return self.address + bytes((SYNC, STEP_2)) + sized(NOTHING)

    def tell(self, update: bytes) -> bytes:
        """A change."""
        return self.address + bytes((SYNC, UPDATE)) + sized(update)

    def read(self, frame: bytes) -> tuple[Kind, bytes]:
        """What the server says: its state vector, changes, a refusal, or what a register need not know."""
        at = len(self.address)
        if frame[:at] != self.address or len(frame) < at + 2:
            return "other", b""
        kind, step = frame[at], frame[at + 1]
        if kind == AUTH and step == DENIED:
            return "denied", frame[at + 2 :]
        if kind not in (SYNC, SYNC_REPLY) or step > UPDATE:
            return "other", b""
        length, begin = read_number(frame, at + 2)
        return ("state" if step == STEP_1 else "changes"), frame[begin : begin + length]


def in_the_path(document: str) -> Dialect:
    """y-websocket's: the document is named by the path."""
    return Dialect(f"/{document}")


def in_each_message(document: str) -> Dialect:
    """hocuspocus': the document is named in each message, and a token has to come before all else. Who says
    nothing for a minute is cut off.
    """
    address = sized(document.encode())
    greeting = address + bytes((AUTH, TOKEN)) + sized(b"token")
    return Dialect("/", address, (greeting,), address + bytes((QUERY_AWARENESS,)))


def number(value: int) -> bytes:
    """A whole number, not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """A whole number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def sized(data: bytes) -> bytes:
    """Bytes with their length before them."""
    return number(len(data)) + data


def update_of(client: int, array: str, clock: int, values: Sequence[bytes]) -> bytes:
    """An update that appends strings (in UTF-8) to an array of the document's root: each an item of its own,
    as if they had been appended one by one. ``clock``: how many the client has appended before.
    """
    id_of_client = number(client)
    parts = [number(1), number(len(values)), id_of_client, number(clock)]
    for place, value in enumerate(values, clock):
        if place:
            parts += (bytes((_ANY | _HAS_LEFT,)), id_of_client, number(place - 1))
        else:
            parts += (bytes((_ANY, _ROOT)), sized(array.encode()))
        parts += (number(1), bytes((_STRING,)), sized(value))
    parts.append(number(0))
    return b"".join(parts)
