"""How a device with a pairing code gets its certificate, without showing the code to anybody in between.

The relay speaks first (``Offer``): its key, whose fingerprint the pairing code holds, and a fresh X25519 key,
signed. The device checks both, and sends what it has to say in a box that only this relay can open; the
answer comes back the same way. Whoever sits between the two and has not the relay's key learns nothing, and
cannot put another device's key in place: a box is bound to the offer that it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from crdtsync.errors import MalformedMessage, UnsupportedVersion
from crdtsync.ids import ID_BYTES, LINK_BYTES
from crdtsync.protocol import limits
from crdtsync.protocol.codec import KEY_BYTES, SIGNATURE_BYTES
from crdtsync.protocol.messages import Enrol, Enrolled, Offer

Sign = Callable[[str, bytes], bytes]
"""sign(purpose, payload) with this end's key."""

OFFER_PURPOSE, REQUEST_PURPOSE = "enrol-offer", "enrol-request"
_TO_RELAY, _TO_DEVICE = bytes(12), bytes(11) + b"\x01"
"""Each key is used for one box in each direction, so that fixed nonces never meet again."""


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """What a device says of itself. ``chain``, ``shop``, ``series``: only of a register that sold before."""

    secret: str
    device: bytes
    name: str
    public_key: bytes
    chain: bytes = b""
    shop: bytes = b""
    series: str = ""


@dataclass(frozen=True, slots=True)
class EnrolAnswer:
    """What the relay answers: the shop, its owner's chain up to the new certificate; or why not.

    ``retry_after_s`` is 0 where trying again does not help.
    """

    shop: bytes = b""
    sealed: tuple[bytes, ...] = ()
    refusal: str = ""
    hint: str = ""
    retry_after_s: int = 0


class RelayEnd:
    """The relay's end of one enrolment. ``seed`` and ``nonce`` are fresh random bytes (32 and 16)."""

    def __init__(self, *, seed: bytes, nonce: bytes, device: bytes, public_key: bytes, sign: Sign) -> None:
        self._private = X25519PrivateKey.from_private_bytes(seed)
        exchange_key = self._private.public_key().public_bytes_raw()
        signature = sign(OFFER_PURPOSE, nonce + device + exchange_key)
        self.offer = Offer(limits.VERSION, nonce, device, public_key, exchange_key, signature)
        self._key = b""

    def open(self, message: Enrol) -> tuple[EnrolRequest, bytes, bytes]:
        """(request, signed payload, signature): the caller checks the signature under the request's key.

        Raises ``MalformedMessage``.
        """
        self._key = _shared_key(self._private, message.exchange_key, self.offer)
        fields = _open(self._key, _TO_RELAY, message.box, _context(self.offer))
        lengths = ((0, 80), None, (0, 80), None, None, None, (0, 20), None)
        _check_fields(fields, (str, bytes, str, bytes, bytes, bytes, str, bytes), lengths)
        secret, device, name, public_key, chain, shop, series, signature = fields
        if (
            len(device) != ID_BYTES
            or len(public_key) != KEY_BYTES
            or len(chain) not in (0, LINK_BYTES)
            or len(shop) not in (0, ID_BYTES)
            or len(signature) != SIGNATURE_BYTES
        ):
            raise MalformedMessage("a request to enrol is not as the protocol says")
        request = EnrolRequest(secret, device, name, public_key, chain, shop, series)
        return request, _proved(self.offer, message.exchange_key, request), signature

    def answer(self, answer: EnrolAnswer) -> Enrolled:
        """The answer in its box; after ``open``."""
        fields = [answer.shop, answer.sealed, answer.refusal, answer.hint, answer.retry_after_s]
        return Enrolled(_close(self._key, _TO_DEVICE, fields, _context(self.offer)))


class DeviceEnd:
    """The device's end of one enrolment. ``seed`` is 32 fresh random bytes."""

    def __init__(self, *, seed: bytes, offer: Offer) -> None:
        if offer.version != limits.VERSION:
            raise UnsupportedVersion(f"the relay speaks version {offer.version} of the protocol")
        self._private = X25519PrivateKey.from_private_bytes(seed)
        self._offer = offer
        self._key = _shared_key(self._private, offer.exchange_key, offer)

    def offer_payload(self) -> bytes:
        """What the offer's signature must hold for, under the key that the pairing code names."""
        return self._offer.nonce + self._offer.relay_device + self._offer.exchange_key

    def request(self, request: EnrolRequest, sign: Sign) -> Enrol:
        """The request in its box."""
        exchange_key = self._private.public_key().public_bytes_raw()
        signature = sign(REQUEST_PURPOSE, _proved(self._offer, exchange_key, request))
        fields = [
            request.secret,
            request.device,
            request.name,
            request.public_key,
            request.chain,
            request.shop,
            request.series,
            signature,
        ]
        return Enrol(exchange_key, _close(self._key, _TO_RELAY, fields, _context(self._offer)))

    def open(self, message: Enrolled) -> EnrolAnswer:
        """The relay's answer. Raises ``MalformedMessage``."""
        fields = _open(self._key, _TO_DEVICE, message.box, _context(self._offer))
        _check_fields(fields, (bytes, list, str, str, int), (None,) * 5)
        shop, sealed, refusal, hint, retry_after_s = fields
        if (
            not all(type(entry) is bytes for entry in sealed)
            or len(shop) not in (0, ID_BYTES)
            or retry_after_s < 0
        ):
            raise MalformedMessage("an answer to a request to enrol is not as the protocol says")
        return EnrolAnswer(shop, tuple(sealed), refusal, hint, retry_after_s)


def _context(offer: Offer) -> bytes:
    return offer.nonce + offer.relay_device + offer.relay_key + offer.exchange_key


def _proved(offer: Offer, exchange_key: bytes, request: EnrolRequest) -> bytes:
    return _context(offer) + exchange_key + request.device + request.public_key + request.chain + request.shop


def _shared_key(private: X25519PrivateKey, public: bytes, offer: Offer) -> bytes:
    try:
        secret = private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # A point of small order.
        raise MalformedMessage("this is no key to exchange") from error
    return HKDF(hashes.SHA256(), 32, salt=offer.nonce, info=b"crdtsync/enrol/v1").derive(secret)


def _close(key: bytes, nonce: bytes, fields: list[Any], context: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, msgpack.packb(fields, use_bin_type=True), context)


def _open(key: bytes, nonce: bytes, box: bytes, context: bytes) -> list[Any]:
    try:
        plain = ChaCha20Poly1305(key).decrypt(nonce, box, context)
        fields = msgpack.unpackb(plain, raw=False, max_map_len=0, max_ext_len=0)
    except (InvalidTag, ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedMessage("a box of the enrolment cannot be opened") from error
    if type(fields) is not list:
        raise MalformedMessage("a box of the enrolment holds something else")
    return fields


def _check_fields(
    fields: list[Any], types: tuple[type, ...], bounds: tuple[tuple[int, int] | None, ...]
) -> None:
    if len(fields) != len(types) or any(type(f) is not t for f, t in zip(fields, types, strict=True)):
        raise MalformedMessage("a box of the enrolment holds something else")
    for value, bound in zip(fields, bounds, strict=True):
        if bound is not None and isinstance(value, str) and not bound[0] <= len(value) <= bound[1]:
            raise MalformedMessage("a text of the enrolment is too long")
