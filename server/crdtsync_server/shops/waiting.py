"""Small state of a shop's log about pairing codes: who was let in by which, and who waits for the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from crdtsync.storage.log import ShopLog

WAITING: Final = "waiting"
"""State of a shop's log: see ``waiting``."""


def used_key(code_id: str) -> str:
    """State of a shop's log: who was let in by that pairing code."""
    return f"pairing/{code_id}"


def note_used(log: ShopLog, code_id: str, device: bytes, public: bytes, link: bytes) -> None:
    """A pairing code let that device in, by the certificate of that link. Inside a transaction."""
    log.set_state(used_key(code_id), device + public + link)


def waiting(log: ShopLog) -> list[dict[str, Any]]:
    """The certificates that wait for the owner: ``code``, ``device``, ``public`` and ``payload`` of each."""
    found: list[dict[str, Any]] = orjson.loads(log.state(WAITING) or b"[]")
    return found


def write_waiting(log: ShopLog, rows: list[dict[str, Any]]) -> None:
    """Inside a transaction."""
    log.set_state(WAITING, orjson.dumps(rows) if rows else None)


def promised_series(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The series of those that wait for the owner's signature: nobody else may get them."""
    return frozenset(one["payload"]["series"] for one in rows if "series" in one["payload"])
