"""One ES256 signature made, and one verified, with the `cryptography` package alone."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = ec.ECDSA(hashes.SHA256())


class BareSignatures:
    """One key and one text of so many bytes."""

    def __init__(self, text_bytes: int) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()
        self._text = os.urandom(text_bytes)
        self._signature = self._key.sign(self._text, ALGORITHM)

    def sign(self) -> None:
        """Sign it once more."""
        self._key.sign(self._text, ALGORITHM)

    def verify(self) -> None:
        """Verify it once more."""
        self._public.verify(self._signature, self._text, ALGORITHM)
