"""Addresses of a relay, and why one cannot be reached: what does not need a WebSocket."""

from __future__ import annotations

import errno
import os
import re
import socket as sockets
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from crdtsync.errors import InvalidName, UsageError
from crdtsync.storage.sqlite_errors import MORE_FILES

SYNC_PATH: Final = "/v1/sync"
ENROL_PATH: Final = "/v1/enrol"
ABOUT_PATH: Final = "/v1/about"
"""Below a relay's address: where devices synchronise and enrol, and where it says who it is."""


def socket_url(url: str, path: str) -> str:
    """The WebSocket address below a relay's ``http``, ``https``, ``ws`` or ``wss`` address.

    Raises ``InvalidName``.
    """
    wrong = InvalidName(f"{url!r} is no address of a relay: ws://HOST:PORT or wss://HOST is expected")
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        is_address = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong from None
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not is_address:
        raise wrong
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + path, "", ""))


def leaves_this_machine(url: str) -> bool:
    """Whether somebody could be in between on the way to that address. TLS keeps strangers out, not whoever
    has a certificate for that very address and passes everything on.
    """
    host = urlsplit(url if "://" in url else f"ws://{url}").hostname or ""
    if host == "localhost":
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def trusting(tls_ca: str | None) -> ssl.SSLContext:
    """What to trust: the system's certificates, and those in that file. Raises ``UsageError`` for another."""
    try:
        return ssl.create_default_context(cafile=tls_ca)
    except OSError as error:
        raise UsageError(
            f"{tls_ca} is no file of certificates: {error.strerror or error}",
            hint="CRDTSYNC_TLS_CA names a PEM file, or nothing",
        ) from error


def is_without_tls(error: BaseException) -> bool:
    """Whether what answered to TLS was something else, as a relay without TLS does. What OpenSSL calls it
    depends on its version.
    """
    return isinstance(error, ssl.SSLError) and error.reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
    )


# What OpenSSL calls X509_V_ERR_CERT_…, see `man X509_STORE_CTX_get_error`.
_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME, _OTHER_IP = 62, 64


def what_mends(error: BaseException, now_ms: int) -> str:
    """What to do about a certificate that is not trusted, or about a machine that has no file left; empty
    where something else is the matter. What this machine's clock shows decides whether a certificate has
    expired: ``now_ms``.
    """
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return MORE_FILES
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ""
    if error.verify_code in (_EXPIRED, _NOT_YET):
        shown = datetime.fromtimestamp(now_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"if it is {shown}, as this machine says, renew the relay's certificate; else set the clock"
    if error.verify_code in (_OTHER_NAME, _OTHER_IP):
        return (
            "`crdtsync move wss://NAME:PORT` to a name that is in it, or give the relay one for this address"
        )
    return "CRDTSYNC_TLS_CA must name the file (PEM) of whoever signed the relay's certificate"


def why(error: BaseException) -> str:
    """In words of a person, why an address could not be reached."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message})"
    if is_without_tls(error):
        return "no TLS is spoken there; try ws:// instead of wss://"
    if isinstance(error, sockets.gaierror):
        return f"its host is not known ({error.strerror})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        # A name may stand for several addresses, each with a reason of its own.
        reasons = {os.strerror(int(number)) for number in re.findall(r"\[Errno ([0-9]+)\]", str(error))}
        return ", ".join(sorted(reasons)) or str(error) or type(error).__name__
    return str(error) or type(error).__name__
