"""A signature for simulations that costs two hashes: who knows the code can forge it, who errs cannot.

Keys, lengths and spelling are the genuine ones; only the curve's arithmetic is left out. What is signed by
one key does not verify under another, nor for other bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from crdtsync.model import signature
from crdtsync.model.signature import PrivateKey


@contextmanager
def fast_signatures() -> Iterator[None]:
    """While the block runs, ``PrivateKey.from_seed`` gives keys that sign so, and their signatures verify; no
    genuine one does. For one thread; blocks may be nested.
    """
    before = signature._load, PrivateKey.__dict__["from_seed"]
    signature._load = _load  # type: ignore[assignment]
    PrivateKey.from_seed = classmethod(_key_of)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        signature._load, PrivateKey.from_seed = before  # type: ignore[method-assign]


def _key_of(_: type[PrivateKey], seed: bytes) -> PrivateKey:
    return PrivateKey(_FastPrivateKey(seed))  # type: ignore[arg-type]


_GENUINE = PrivateKey.from_seed


def _signature(public: bytes, data: bytes) -> bytes:
    r = hashlib.sha256(b"r" + public + data).digest()
    s = hashlib.sha256(b"s" + public + data).digest()
    # Both between 1 and half the order of the curve, as the spelling of a signature asks for.
    return encode_dss_signature(*(int.from_bytes(part, "big") >> 2 | 1 for part in (r, s)))


class _FastPrivateKey:
    def __init__(self, seed: bytes) -> None:
        self._public = _public_key(seed)
        self._name = signature._public_bytes(self._public)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(self, data: bytes, algorithm: Any) -> bytes:
        return _signature(self._name, data)


class _FastPublicKey:
    def __init__(self, name: bytes) -> None:
        self._name = name

    def verify(self, found: bytes, data: bytes, algorithm: Any) -> None:
        if found != _signature(self._name, data):
            raise InvalidSignature


@lru_cache(maxsize=4096)
def _public_key(seed: bytes) -> ec.EllipticCurvePublicKey:
    return _GENUINE(seed)._key.public_key()


@lru_cache(maxsize=4096)
def _load(public: bytes) -> _FastPublicKey | None:
    return _FastPublicKey(public) if len(public) == signature.PUBLIC_BYTES else None
