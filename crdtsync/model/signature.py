"""Signatures: ES256 in one spelling.

ECDSA over P-256 with SHA-256, deterministic (RFC 6979), low-s, as 64 bytes r ‖ s, in text as base64url
without padding. Each of these closes a way to make a second valid signature for the same bytes: a second
signature is a second link, and would look like a fork of a till's chain.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from crdtsync.errors import DamagedStore
from crdtsync.model.sealed import SIGNATURE_CHARACTERS, is_signature_text

SIGNATURE_BYTES: Final = 64
PUBLIC_BYTES: Final = 33
"""Length of a compressed point."""

_CURVE: Final = ec.SECP256R1()
_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_DETERMINISTIC: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


class PrivateKey:
    """The signing key of a device or of a shop's owner. Immutable; usable from any thread."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public: Final = _public_bytes(key.public_key())
        """The public key: a compressed point, 33 bytes."""

    @classmethod
    def from_seed(cls, seed: bytes) -> PrivateKey:
        """The key of a seed: scalar = SHA-256(seed) mod (n - 1) + 1. Give 32 random bytes for a real key."""
        scalar = int.from_bytes(hashlib.sha256(seed).digest(), "big") % (_ORDER - 1) + 1
        return cls(ec.derive_private_key(scalar, _CURVE))

    @classmethod
    def from_bytes(cls, data: bytes) -> PrivateKey:
        """Read a key file. Raises ``DamagedStore`` when it holds no P-256 key."""
        hint = "put a copy of the key file back, or enrol this device again"
        try:
            key = serialization.load_pem_private_key(data, password=None)
        except (ValueError, TypeError) as error:
            raise DamagedStore("the key file holds no private key", hint=hint) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise DamagedStore("the key in the key file is not a P-256 key", hint=hint)
        return cls(key)

    def to_bytes(self) -> bytes:
        """The contents of a key file (PKCS #8, PEM, not encrypted). The file's rights are its protection."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """Sign; 64 bytes, the same for the same data."""
        r, s = decode_dss_signature(self._key.sign(data, _DETERMINISTIC))
        return r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")

    def sign_text(self, body: bytes) -> str:
        """Sign the body of an entry; 86 characters."""
        return signature_text(self.sign(body))


def verify(public: bytes, body: bytes, signature_text: str) -> bool:
    """Whether ``signature_text`` is the signature of an entry's ``body`` by the key ``public``.

    False also for a second spelling, a high s and a ``public`` that is no point. Releases the GIL while it
    computes.
    """
    return is_signature_text(signature_text) and verify_raw(public, body, signature_bytes(signature_text))


def verify_raw(public: bytes, data: bytes, signature: bytes) -> bool:
    """As ``verify``, for a signature of 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not (0 < r < _ORDER and 0 < s <= _ORDER // 2):
        return False
    key = _load(public)
    if key is None:
        return False
    try:
        key.verify(encode_dss_signature(r, s), data, _ECDSA)
    except InvalidSignature:
        return False
    return True


def sign_with_purpose(key: PrivateKey, purpose: str, payload: bytes) -> bytes:
    """Sign something that is not an entry; 64 bytes over ``crdtsync/<purpose>/v1`` 0x00 payload.

    An entry's body begins with ``{``, so that neither signature can be taken for the other.
    """
    return key.sign(_with_purpose(purpose, payload))


def verify_with_purpose(public: bytes, purpose: str, payload: bytes, signature: bytes) -> bool:
    """Whether ``sign_with_purpose`` made that signature with the key of ``public``."""
    return verify_raw(public, _with_purpose(purpose, payload), signature)


def is_public_key(public: bytes) -> bool:
    """Whether these bytes are a compressed point of the curve."""
    return _load(public) is not None


def signature_text(signature: bytes) -> str:
    """The spelling of 64 bytes of signature."""
    return urlsafe_b64encode(signature)[:SIGNATURE_CHARACTERS].decode("ascii")


def signature_bytes(text: str) -> bytes:
    """The 64 bytes of a text for which ``is_signature_text`` holds."""
    return urlsafe_b64decode(text + "==")


@lru_cache(maxsize=4096)
def _load(public: bytes) -> ec.EllipticCurvePublicKey | None:
    if len(public) != PUBLIC_BYTES:
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, public)
    except ValueError:
        return None


def _public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


def _with_purpose(purpose: str, payload: bytes) -> bytes:
    return f"crdtsync/{purpose}/v1".encode() + b"\0" + payload
