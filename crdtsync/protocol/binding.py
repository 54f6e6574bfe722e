"""Frames that nobody in between can forge, where the line has no TLS.

The hellos of a connection prove who is at either end. On a line that anybody can write to, that says nothing
of the frames that follow: who sits in between lets the hellos pass, and then tells a register that its sales
are stored. So both hellos carry a fresh X25519 key each, inside what they sign. From the secret that the two
keys make follows one key for each direction, and each frame after the hellos ends with a tag: the first 16
bytes of HMAC-SHA256 over its number on the connection and its bytes. A frame that was changed, made up, sent
twice, left out or put in another place has not the tag that is due, and the connection ends.

It keeps nothing secret: what is on such a line can be read.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from crdtsync.errors import MalformedMessage
from crdtsync.protocol.limits import TAG_BYTES

_INFO: Final = b"crdtsync/frames/v1"


class Line:
    """How frames go over one connection, seen from one end: as they are, or bound to the hellos.

    ``seed``: 32 random bytes. With them a connecting end asks for bound frames, and an accepting one gives
    that to whoever asks; empty, it does neither.
    """

    __slots__ = ("_came", "_connecting", "_mine", "_seed", "_theirs", "_went")

    def __init__(self, seed: bytes, *, connecting: bool) -> None:
        self._seed, self._connecting = seed, connecting
        self._mine = self._theirs = b""
        self._went = self._came = 0

    @property
    def is_bound(self) -> bool:
        """Whether nobody in between can forge a frame."""
        return bool(self._mine)

    def exchange_key(self, asked: bytes) -> bytes:
        """What my hello carries; empty for none. ``asked``: the key of the peer's hello, if that has come."""
        if not self._seed or (not self._connecting and not asked):
            return b""
        return public_key(self._seed)

    def bind(self, peer: bytes, hellos: bytes) -> None:
        """Both hellos are said: from here on frames are bound to them, if both have a key. ``hellos``: the
        challenge, the body of the connecting end's and that of the accepting end's. Raises
        ``MalformedMessage`` for what is no key.
        """
        if self._seed and peer:
            there, back = frame_keys(self._seed, peer, hellos)
            self._mine, self._theirs = (there, back) if self._connecting else (back, there)

    def tagged(self, frames: list[bytes]) -> list[bytes]:
        """The next frames that go out, as they go over the line."""
        if not self._mine:
            return frames
        first = self._went + 1
        self._went += len(frames)
        return [frame + tag(self._mine, number, frame) for number, frame in enumerate(frames, start=first)]

    def opened(self, data: bytes) -> bytes:
        """The frame in what has come. Raises ``MalformedMessage`` where it is not the peer's next one."""
        if not self._theirs:
            return data
        self._came += 1
        frame = data[:-TAG_BYTES]
        if not hmac.compare_digest(data[-TAG_BYTES:], tag(self._theirs, self._came, frame)):
            raise MalformedMessage("a frame is not what the peer sent: somebody may be in between")
        return frame


def public_key(seed: bytes) -> bytes:
    """The X25519 key of these 32 random bytes."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # Late: slow to import.

    return X25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def frame_keys(seed: bytes, peer: bytes, hellos: bytes) -> tuple[bytes, bytes]:
    """The keys of the frames to the accepting end, and of those back. Raises ``MalformedMessage``."""
    from cryptography.hazmat.primitives import hashes  # Late, as above.
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    try:
        secret = X25519PrivateKey.from_private_bytes(seed).exchange(X25519PublicKey.from_public_bytes(peer))
    except ValueError as error:  # A point of small order.
        raise MalformedMessage("this is no key to exchange") from error
    salt = hashlib.sha256(hellos).digest()
    keys = HKDF(hashes.SHA256(), 64, salt=salt, info=_INFO).derive(secret)
    return keys[:32], keys[32:]


def tag(key: bytes, number: int, frame: bytes) -> bytes:
    """What ends frame ``number`` (from 1) of a direction."""
    return hmac.digest(key, number.to_bytes(8, "big") + frame, "sha256")[:TAG_BYTES]
