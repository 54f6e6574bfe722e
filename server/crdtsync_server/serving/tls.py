"""The relay's certificate: read early, refused clearly, read again when it was renewed."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

from cryptography import x509

from crdtsync.errors import UsageError

_PEM_HINT = (
    "both are PEM files; the relay's own certificate comes first, then those that lead to its authority"
)


class TlsFiles:
    """A certificate chain and its private key. ``context`` is what connections are accepted with."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ``UsageError`` for files that cannot be used."""
        self.certificate, self.key = certificate, key
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.expires: datetime
        """When the certificate expires."""
        self.load()

    def load(self) -> None:
        """Read the files (again); new connections use them from now on.

        Raises ``UsageError``; then what was read before is still used.
        """
        for path in (self.certificate, self.key):
            try:
                path.read_bytes()
            except OSError as error:
                raise UsageError(f"the TLS file {path} cannot be read: {error.strerror}") from error
        # Tried on another context first: one that failed half-way would refuse every connection.
        for context in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self.context):
            self._load_into(context)
        self.expires = x509.load_pem_x509_certificates(self.certificate.read_bytes())[0].not_valid_after_utc

    def _load_into(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.certificate, self.key, password=self._no_password)
        except ssl.SSLError as error:
            what = f"the TLS certificate {self.certificate} with key {self.key} cannot be used"
            if error.reason == "KEY_VALUES_MISMATCH":
                raise UsageError(f"{what}: the key belongs to another certificate", hint=_PEM_HINT) from error
            raise UsageError(f"{what}: {error.reason or error}", hint=_PEM_HINT) from error

    def _no_password(self) -> str:
        # Without this, OpenSSL would ask on a terminal that a service does not have.
        raise UsageError(
            f"the TLS key {self.key} is protected by a password",
            hint="take it off (`openssl pkey -in KEY -out NEW`) and let the file's rights protect the key",
        )
