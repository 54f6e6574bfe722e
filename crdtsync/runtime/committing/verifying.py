"""The verifier: a process that says which signatures hold, and does nothing else.

It has no file, no key and no store; what it is asked comes through the socket that is its standard input, and
so do its answers go. It ends when the other end is gone, however that ended. See ``committing.ahead``.
"""

from __future__ import annotations

import signal
import socket
from typing import Final

import msgpack

from crdtsync.ids import ENTRY
from crdtsync.model.sealed import SIGNATURE_CHARACTERS, TAIL_BYTES
from crdtsync.model.signature import verify

MESSAGE_BYTES_MAX: Final = 256 << 10
READY: Final = msgpack.packb([0, b""])
"""What it says first, when it can be asked."""


def answer(question: bytes) -> bytes:
    """The answer to a packed (number, [(public key, records), …]): packed, the same number and a byte for
    each record, 1 where it is a sealed entry whose signature that key made.
    """
    number, groups = msgpack.unpackb(question)
    return bytes(
        msgpack.packb([number, bytes(_holds(key, record) for key, records in groups for record in records)])
    )


def _holds(key: bytes, record: bytes) -> bool:
    if record[:1] != ENTRY or record[-TAIL_BYTES : 1 - TAIL_BYTES] != b"\0":
        return False
    text = record[-SIGNATURE_CHARACTERS:].decode("ascii", "replace")
    return verify(key, record[1:-TAIL_BYTES], text)


def serve(end: socket.socket) -> None:
    """Answer until the other end is gone."""
    end.send(READY)
    while question := end.recv(MESSAGE_BYTES_MAX):
        end.send(answer(question))


def main() -> None:
    """Serve on standard input. Ctrl-C is meant for the relay, which ends this by hanging up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        serve(socket.socket(fileno=0))
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
