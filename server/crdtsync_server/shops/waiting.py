"""Small state of a shop's log about pairing codes: who was let in by which, and who waits for the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from crdtsync.errors import PairingRefused
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


def refuse_second_successor(rows: Sequence[Mapping[str, Any]], lost: bytes | None, device: bytes) -> None:
    """Raise ``PairingRefused`` where another device waits to take the place of the same lost register: the
    owner would sign both.
    """
    for one in rows:
        replaced = one["payload"].get("replaces")
        if (
            lost is not None
            and replaced
            and replaced["device"] == lost.hex()
            and one["device"] != device.hex()
        ):
            name, other = one["payload"]["name"], one["device"]
            raise PairingRefused(
                f"{name!r} ({other[:8]}) waits already to take the place of that register",
                hint="sign that first (`crdtsync-relay owner request`); if that machine is gone too, take "
                f"its place then: `crdtsync-relay restore SHOP {other}`",
            )


def promised_series(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The series of those that wait for the owner's signature: nobody else may get them."""
    return frozenset(one["payload"]["series"] for one in rows if "series" in one["payload"])
