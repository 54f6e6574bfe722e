"""Sealed bytes: ``body 0x00 signature``, and the link that names them.

The body is canonical JSON, the signature 86 characters. Nothing else of an entry has a meaning: these bytes
are stored, sent, hashed and exported as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from crdtsync.errors import MalformedRecord
from crdtsync.model import canonical

if TYPE_CHECKING:
    # Reading needs no cryptography, whose import would double the start of a command.
    from crdtsync.model.signature import PrivateKey

SIGNATURE_CHARACTERS: Final = 86

# 86 characters carry 516 bits: the last four must be zero, or another spelling reads as the same bytes.
_SPELLING: Final = r"[A-Za-z0-9_-]{85}[AQgw]"
_TEXT: Final = re.compile(_SPELLING)
_TAIL: Final = re.compile(b"\0" + _SPELLING.encode())
TAIL_BYTES: Final = SIGNATURE_CHARACTERS + 1
"""What follows the body: a zero byte and the signature."""


def seal(body: Mapping[str, Any], key: PrivateKey) -> bytes:
    """Sign a body. The same body and key give the same bytes. Raises ``MalformedRecord``."""
    data = canonical.encode(body)
    return data + b"\0" + key.sign_text(data).encode("ascii")


def split(sealed: bytes) -> tuple[bytes, str]:
    """Body bytes and signature text. Raises ``MalformedRecord``; neither part is judged beyond its form."""
    try:
        text = sealed[1 - TAIL_BYTES :].decode("ascii")
    except UnicodeDecodeError:
        text = ""
    if sealed[-TAIL_BYTES : 1 - TAIL_BYTES] != b"\0" or not is_signature_text(text):
        raise MalformedRecord("the bytes do not end with a signature")
    return sealed[:-TAIL_BYTES], text


def has_tail(sealed: bytes) -> bool:
    """Whether bytes end as sealed ones do: a zero byte, and a text for which ``is_signature_text`` holds."""
    return _TAIL.fullmatch(sealed, max(0, len(sealed) - TAIL_BYTES)) is not None


def join(body: bytes, signature_text: str) -> bytes:
    """The reverse of ``split``."""
    return body + b"\0" + signature_text.encode("ascii")


def link(sealed: bytes) -> bytes:
    """The name of sealed bytes: their SHA-256."""
    return hashlib.sha256(sealed).digest()


def is_signature_text(text: str) -> bool:
    """Whether a text is the one spelling of 64 bytes (which need not be a good signature)."""
    return _TEXT.fullmatch(text) is not None
