"""How each device of a shop stands, as the relay knows it: for its status, its doctor and its back office."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.naming import names_apart
from crdtsync.runtime.damage.rescue import body_of
from crdtsync.runtime.filing.completeness import CompleteTo, Known, complete_to
from crdtsync.runtime.register.status import Pending
from crdtsync.storage.log import Refusal, ShopLog
from crdtsync_server.keys import office_device_id
from crdtsync_server.shops.contacts import Contact, read_contact
from crdtsync_server.shops.owner import OwnerChain


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device. What is None was never heard of it. ``stored``: how much of its own log is here;
    ``behind``: how much of the shop it lacks; ``held`` and ``refused``: records of it that were not admitted.
    """

    certificate: Certificate
    revoked: bool
    connected: bool
    slowed: bool
    contact: Contact | None
    complete: CompleteTo | None
    stored: int
    behind: int
    pending_sales: int | None
    pending_amount_minor: int | None
    held: int
    refused: int

    @property
    def acknowledged(self) -> int:
        """The number in the relay's log up to which it has everything on its own disk."""
        return self.contact.acknowledged if self.contact else 0


@dataclass(slots=True)
class Seen:
    """What earlier looks at one log found, for whoever looks again and again. Each is kept by what it was
    found of (``apart``: by the log it came from), and looked for anew when that is another.
    """

    complete: Known = field(default_factory=dict)
    apart: dict[bytes, tuple[object, Pending]] = field(default_factory=dict)


def device_states(log: ShopLog, *, is_served: bool, seen: Seen | None = None) -> list[DeviceState]:
    """The devices of a shop, but the relay itself and its back office, by when they came. ``is_served``: a
    relay runs, and knows who is connected. O(devices, chains, what is set apart), and with ``seen`` only of
    what has changed. Raises ``StorageError``.
    """
    seen = seen if seen is not None else Seen()
    directory, complete = OwnerChain.read(log).directory, complete_to(log, seen.complete)
    return [
        _state(
            log,
            certificate,
            complete.get(certificate.device),
            is_revoked=directory.is_revoked(certificate.device),
            is_served=is_served,
            seen=seen,
        )
        for certificate in machines_of(directory)
    ]


def devices_of(log: ShopLog, *, is_served: bool) -> list[dict[str, Any]]:
    """The same as `crdtsync-relay status --json` tells it. Raises ``StorageError``."""
    return [_device_facts(state) for state in device_states(log, is_served=is_served)]


def told(device: dict[str, Any]) -> str:
    """The same in one line for a person, without its name."""
    from crdtsync.cli.output import money
    from crdtsync.said import many

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


def _device_facts(state: DeviceState) -> dict[str, Any]:
    certificate, contact, complete = state.certificate, state.contact, state.complete
    return {
        "device": certificate.device,
        "name": certificate.name,
        "role": certificate.role,
        "series": certificate.series,
        "revoked": state.revoked,
        "connected": state.connected,
        "slowed": state.slowed,
        "last_contact_at": utc(contact.at_ms) if contact else None,
        "complete_to": complete.number if complete else None,
        "complete_to_at": utc(complete.at_ms) if complete else None,
        "software": contact.software if contact else None,
        "stored": state.stored,
        "acknowledged": state.acknowledged,
        "behind": state.behind,
        "pending_sales": state.pending_sales,
        "pending_amount_minor": state.pending_amount_minor,
        "clock_offset_ms": contact.clock_offset_ms if contact else None,
        "held": state.held,
        "refused": state.refused,
    }


def is_of_relay(certificate: Certificate) -> bool:
    """Whether that is the relay, or the device as which its back office writes: no machine of the shop."""
    return certificate.role == "relay" or certificate.device == office_device_id(certificate.public)


def machines_of(directory: Directory) -> list[Certificate]:
    """The newest certificate of each machine of a shop, revoked ones too, by when they came."""
    newest = {certificate.device: certificate for certificate in directory.certificates()}
    return [certificate for certificate in newest.values() if not is_of_relay(certificate)]


def device_names(directory: Directory) -> dict[bytes, str]:
    """What to call each device of a shop, the relay and its back office too: see ``names_apart``."""
    newest = {one.device: one for one in directory.certificates()}
    return names_apart((one.device, one.name, one.series) for one in newest.values())


def device_of_log(log: ShopLog, log_id: bytes) -> bytes | None:
    """The device whose log has that id, as far as it was here."""
    for certificate in OwnerChain.read(log).directory.certificates():
        contact = read_contact(log, certificate.device)
        if contact is not None and contact.log == log_id:
            return certificate.device
    return None


def _state(
    log: ShopLog,
    certificate: Certificate,
    complete: CompleteTo | None,
    *,
    is_revoked: bool,
    is_served: bool,
    seen: Seen,
) -> DeviceState:
    contact = read_contact(log, certificate.device)
    cursor = log.cursor(contact.log) if contact else None
    given = log.refusals_given(contact.log) if contact else []
    stored = cursor.position.seq if cursor else 0
    pending = _pending(log, contact, stored, given, seen)
    connected = is_served and contact is not None and contact.connected
    return DeviceState(
        certificate,
        is_revoked,
        connected,
        connected and contact is not None and contact.slowed,
        contact,
        complete,
        stored,
        log.end.seq - min(contact.acknowledged if contact else 0, log.end.seq),
        pending[0],
        pending[1],
        sum(refusal.held for refusal in given),
        sum(not refusal.held for refusal in given),
    )


def _pending(
    log: ShopLog, contact: Contact | None, stored: int, given: list[Refusal], seen: Seen
) -> tuple[int | None, int | None]:
    """Tickets of a device that are not in the log, and what they come to; None where it never said. What it
    said last was said before the rest of its log came, and it may have left since: then pending is what of
    it is kept apart, and nothing else.
    """
    if contact is None:
        return None, None
    if contact.log_end is None or stored < contact.log_end:
        return contact.pending_sales, contact.pending_amount_minor
    if not given:
        return 0, 0
    # Tens of megabytes may be kept apart: their bytes are read when there are others than at the last look.
    kept_of = tuple(given), log.apart_bytes(contact.log)
    if contact.log not in seen.apart or seen.apart[contact.log][0] != kept_of:
        kept = Pending()
        for apart in log.apart():
            if apart.origin is not None and apart.origin.log_id == contact.log:
                kept.add(body_of(apart.record))
        seen.apart[contact.log] = kept_of, kept
    found = seen.apart[contact.log][1]
    return found.sales, found.amount_minor
