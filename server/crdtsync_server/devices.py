"""What a relay knows of each device of a shop: for its status, and for its doctor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crdtsync.model.certificate import Certificate
from crdtsync.runtime.completeness import CompleteTo, complete_to
from crdtsync.storage.log import ShopLog
from crdtsync_server.contacts import read_contact
from crdtsync_server.owner import OwnerChain


def devices_of(log: ShopLog, *, is_served: bool) -> list[dict[str, Any]]:
    """Each device of the shop but the relay, as `crdtsync-relay status --json` tells it. O(chains and
    devices). ``is_served``: whether a process serves the folder, so that somebody may be connected. Raises
    ``StorageError``.
    """
    directory, complete = OwnerChain.read(log).directory, complete_to(log)
    newest = {certificate.device: certificate for certificate in directory.certificates()}
    return [
        _device_facts(
            log,
            certificate,
            complete.get(certificate.device),
            is_revoked=directory.is_revoked(certificate.device),
            is_served=is_served,
        )
        for certificate in newest.values()
        if certificate.role != "relay"
    ]


def told(device: dict[str, Any]) -> str:
    """The same in one line for a person, without its name."""
    from crdtsync.cli.output import many, money

    if device["last_contact_at"] is None:
        return "never here"
    here = "connected" if device["connected"] else f"last here {device['last_contact_at']}"
    sales, amount = device["pending_sales"], device["pending_amount_minor"]
    pending = "what it has pending it never said"
    if sales is not None:
        pending = f"{many(sales, 'ticket')} pending, {money(amount)}"
    complete = " ".join(filter(None, (device["complete_to"], device["complete_to_at"]))) or "nothing"
    offset_ms = device["clock_offset_ms"]
    clock = "not known" if offset_ms is None else f"{offset_ms / 1000:+.0f} s"
    slowed = ", slowed" if device["slowed"] else ""
    return f"{here}{slowed}; {pending}; complete up to {complete}; {device['software']}; clock {clock}"


def utc(at_ms: int) -> str:
    """A moment for machines and people alike: ``2026-11-24T14:32:05Z``."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _device_facts(
    log: ShopLog, certificate: Certificate, complete: CompleteTo | None, *, is_revoked: bool, is_served: bool
) -> dict[str, Any]:
    contact = read_contact(log, certificate.device)
    cursor = log.cursor(contact.log) if contact else None
    given = log.refusals_given(contact.log) if contact else []
    stored = cursor.position.seq if cursor else 0
    # What it said last was said before the rest of its log came, and it may have left since.
    is_stored = (
        contact is not None and contact.log_end is not None and stored >= contact.log_end and not given
    )
    return {
        "device": certificate.device,
        "name": certificate.name,
        "role": certificate.role,
        "series": certificate.series,
        "revoked": is_revoked,
        "connected": is_served and contact is not None and contact.connected,
        "slowed": is_served and contact is not None and contact.connected and contact.slowed,
        "last_contact_at": utc(contact.at_ms) if contact else None,
        "complete_to": complete.number if complete else None,
        "complete_to_at": utc(complete.at_ms) if complete else None,
        "software": contact.software if contact else None,
        "stored": stored,
        "acknowledged": contact.acknowledged if contact else 0,
        "behind": log.end.seq - min(contact.acknowledged if contact else 0, log.end.seq),
        "pending_sales": 0 if is_stored else contact.pending_sales if contact else None,
        "pending_amount_minor": 0 if is_stored else contact.pending_amount_minor if contact else None,
        "clock_offset_ms": contact.clock_offset_ms if contact else None,
        "held": sum(refusal.held for refusal in given),
        "refused": sum(not refusal.held for refusal in given),
    }
