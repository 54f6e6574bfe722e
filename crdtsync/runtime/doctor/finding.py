"""What the doctor says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from crdtsync.errors import CrdtsyncError

State = Literal["well", "notice", "wrong", "unknown"]

CHECKS: Final[dict[str, str]] = {
    "folder": "the data folder is there and can be written",
    "drive": "it lies on a disk of this machine, not on a network drive",
    "space": "the disk has room",
    "key": "the device's private key is there, and for its owner's eyes only",
    "store": "the store opens, and this version of the program can read it",
    "clock": "the clock agrees with the relay's, and with what is recorded already",
    "syncing": "a process synchronises this register, and no other is in its way",
    "name": "the relay's host name is known",
    "address": "something answers at the relay's address",
    "tls": "its TLS certificate is trusted",
    "relay": "what answers is the relay that this register was enrolled with, and it is well",
    "version": "relay and register speak the same version of the protocol",
    "certificate": "the relay's shop has not revoked this register, nor refused it",
    "copies": "no register's data was put back from an old copy, or copied; nor the relay's",
    "quarantine": "nothing was refused, held or set apart",
    "pending": "the relay has everything on its disk",
}
"""What is looked at, in this order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``check`` is a key of ``CHECKS``. ``wrong`` is what keeps sales from being safe, or soon will; a
    ``notice`` is worth knowing; ``unknown`` could not be looked at. ``advice`` is one line, empty where there
    is nothing to do; ``exit_code`` that of the error that it would be, 0 unless something is wrong.
    """

    check: str
    state: State
    says: str
    advice: str = ""
    exit_code: int = 0


def well(check: str, says: str) -> Finding:
    """Nothing has to be done."""
    return Finding(check, "well", says)


def notice(check: str, says: str, advice: str) -> Finding:
    """Nothing is in danger, but somebody may want to know."""
    return Finding(check, "notice", says, advice)


def unknown(check: str, says: str, advice: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(check, "unknown", says, advice)


def wrong(check: str, error: CrdtsyncError) -> Finding:
    """Something is wrong, as this error says."""
    return Finding(check, "wrong", str(error), error.hint, error.exit_code)
