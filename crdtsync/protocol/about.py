"""What a relay says of itself to whoever asks: enough to know it by, and whether it is well.

It is asked over HTTP with 16 bytes that nobody can guess, and answers with JSON that proves its key::

    GET /v1/about?nonce=<32 hexadecimal digits>

    {"key": hex, "now_ms": int, "protocol": int, "version": text, "problem": text, "signature": hex}

The signature covers ``about_payload``, with the purpose ``about``. Nothing else of the answer is signed: who
sits in between may change it, and gains nothing by that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

ABOUT_PURPOSE: Final = "about"
NONCE_BYTES: Final = 16


def about_payload(nonce: bytes, now_ms: int) -> bytes:
    """What the relay signs: the asker's nonce, and its own clock in Unix milliseconds."""
    return nonce + now_ms.to_bytes(8, "big")


@dataclass(frozen=True, slots=True)
class About:
    """The answer. ``problem`` is a sentence for a person, empty where the relay is well."""

    key: bytes
    now_ms: int
    protocol: int
    version: str
    problem: str
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """As it is sent."""
        return {
            "key": self.key.hex(),
            "now_ms": self.now_ms,
            "protocol": self.protocol,
            "version": self.version,
            "problem": self.problem,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Parse an answer. Raises ``ValueError`` for what is none."""
        try:
            key, signature = bytes.fromhex(said["key"]), bytes.fromhex(said["signature"])
            now_ms, protocol = said["now_ms"], said["protocol"]
            version, problem = said["version"], said["problem"]
        except (KeyError, TypeError) as error:
            raise ValueError("this is no answer of a relay") from error
        is_well_formed = (
            (type(now_ms), type(protocol), type(version), type(problem)) == (int, int, str, str)
            and 0 <= now_ms < 1 << 53
            and 0 <= protocol < 1 << 31
        )
        if not is_well_formed:
            raise ValueError("this is no answer of a relay")
        return cls(key, now_ms, protocol, version[:100], problem[:500], signature)
