"""Pairing codes: what a person types to let a device into a shop.

A code is eight groups of five characters, ``4Q7RK-…``, in Crockford's base32 (no I, L, O, U; small letters
and the look-alikes ``i l o`` are read as what they look like). The first four characters of a group carry
20 bits, the fifth checks them and the group's place, so that a typing error is told from a wrong code
without asking anybody, and names the group.

======  ====  ====================================================================================
groups  bits  meaning
======  ====  ====================================================================================
1         20  selector: which code this is; no secret
2–4       60  verifier: the one-time secret
5–8       80  fingerprint of the relay's public key, which pins the key before anything is sent
======  ====  ====================================================================================

Only selector and verifier (``secret``) ever travel, and only to a relay that has proved the pinned key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from crdtsync.errors import InvalidName

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
GROUPS = 8
GROUP_DATA = 4
"""Characters of a group that carry bits; one more checks them."""

SECRET_BYTES = 10
"""Selector and verifier: 80 bits, of which 60 are secret."""

FINGERPRINT_BYTES = 10
SELECTOR_CHARACTERS = 4
SECRET_CHARACTERS = 16

_READ = {character: value for value, character in enumerate(ALPHABET)}
_READ |= {"O": 0, "I": 1, "L": 1}
_FINGERPRINT_PREFIX = b"crdtsync/relay-key/v1\x00"
_POLYNOMIAL = 0b100101
"""x^5 + x^2 + 1, primitive over GF(2): 2 generates all of GF(32) but zero."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """A code that was read without a typing error. Whether it is a *right* code only its relay knows.

    ``selector`` (4 characters) and ``verifier`` (12 characters) are base32 text in capitals;
    ``fingerprint`` is 10 bytes.
    """

    selector: str
    verifier: str
    fingerprint: bytes

    @classmethod
    def make(cls, random: bytes, relay_public_key: bytes) -> PairingCode:
        """A new code from 10 fresh random bytes, for the relay with that public key."""
        if len(random) != SECRET_BYTES:
            raise AssertionError(f"a pairing code is made of {SECRET_BYTES} random bytes")
        secret = _encode(random)
        return cls(
            secret[:SELECTOR_CHARACTERS], secret[SELECTOR_CHARACTERS:], key_fingerprint(relay_public_key)
        )

    @classmethod
    def parse(cls, text: str) -> PairingCode:
        """Read what a person typed or pasted. Raises ``InvalidName``, which names the mistyped group.

        Spaces, hyphens and the case of letters do not matter.
        """
        typed = [character for character in text.upper() if not (character.isspace() or character in "-–—")]
        for character in typed:
            if character not in _READ:
                raise InvalidName(f"{character!r} does not occur in a pairing code")
        size = GROUP_DATA + 1
        if len(typed) != GROUPS * size:
            raise InvalidName(
                f"a pairing code has {GROUPS} groups of {size} characters, {GROUPS * size} in all; "
                f"this has {len(typed)}"
            )
        values = [_READ[character] for character in typed]
        data: list[int] = []
        for group in range(GROUPS):
            *digits, check = values[group * size : (group + 1) * size]
            if _check(digits, group) != check:
                raise InvalidName(f"group {group + 1} of the pairing code is mistyped")
            data += digits
        secret = "".join(ALPHABET[value] for value in data[:SECRET_CHARACTERS])
        return cls(
            secret[:SELECTOR_CHARACTERS], secret[SELECTOR_CHARACTERS:], _decode(data[SECRET_CHARACTERS:])
        )

    @property
    def secret(self) -> str:
        """What is sent to the relay: selector and verifier, 16 characters. Never logged."""
        return self.selector + self.verifier

    def format(self) -> str:
        """The code as it is shown to a person: ``XXXXX-XXXXX-…``."""
        data = [_READ[character] for character in self.secret + _encode(self.fingerprint)]
        groups = (data[start : start + GROUP_DATA] for start in range(0, len(data), GROUP_DATA))
        return "-".join(
            "".join(ALPHABET[value] for value in (*digits, _check(digits, group)))
            for group, digits in enumerate(groups)
        )

    def matches(self, relay_public_key: bytes) -> bool:
        """Whether the code was made by the relay with that public key."""
        return hmac.compare_digest(self.fingerprint, key_fingerprint(relay_public_key))

    def __repr__(self) -> str:
        """Without the verifier, so that a code never ends up in a log or a traceback."""
        return f"PairingCode(selector={self.selector!r}, fingerprint={self.fingerprint.hex()!r})"


def key_fingerprint(public_key: bytes) -> bytes:
    """80 bits that stand for a relay's public key."""
    return hashlib.sha256(_FINGERPRINT_PREFIX + public_key).digest()[:FINGERPRINT_BYTES]


def split_secret(secret: str) -> tuple[str, str]:
    """Selector and verifier of a secret that a device sent. Raises ``InvalidName``."""
    if len(secret) != SECRET_CHARACTERS or any(character not in ALPHABET for character in secret):
        raise InvalidName("this is no secret of a pairing code")
    return secret[:SELECTOR_CHARACTERS], secret[SELECTOR_CHARACTERS:]


def _check(digits: list[int], group: int) -> int:
    """A weighted sum over GF(32). The weights differ and are not zero, so that every single wrong
    character and every two swapped neighbours change it; the group's place does too.
    """
    total, weight = group + 1, 2
    for digit in digits:
        total ^= _multiply(weight, digit)
        weight = _multiply(weight, 2)
    return total


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0b100000:
            a ^= _POLYNOMIAL
        b >>= 1
    return product


def _encode(data: bytes) -> str:
    number, count = int.from_bytes(data, "big"), len(data) * 8 // 5
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(count)))


def _decode(values: list[int]) -> bytes:
    number = 0
    for value in values:
        number = number << 5 | value
    return number.to_bytes(len(values) * 5 // 8, "big")
