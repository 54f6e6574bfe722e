"""A lost register and the one that takes its place, as the relay's owner key says it.

Who uses the code of ``crdtsync-relay restore`` gets a certificate that names the lost device, the heads of
its chains that are here, and what it is known to have sold besides. The lost device is revoked in the
transaction that certifies its successor: not when the code is made, which may lie in a drawer while the
register sells on.
"""

from __future__ import annotations

from crdtsync.errors import InvalidName, PairingRefused
from crdtsync.model.certificate import Certificate, Directory, NeverArrived, Replaced
from crdtsync.model.entry import read_entry
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.storage.log import ShopLog
from crdtsync_server.shops.contacts import Contact, read_contact
from crdtsync_server.shops.owner import heads_of

TOLD_MAX = (1 << 53) - 1
"""Minor units: the largest whole number of an entry."""

REASON = "replaced by a new register"
"""Why the lost one was revoked."""


def lost_device(directory: Directory, device: bytes, request: EnrolRequest) -> Certificate:
    """The certificate of the device that is to be replaced by who asks. Raises ``PairingRefused`` where it
    cannot be.
    """
    lost = directory.certificate(device)
    if lost is None:
        raise PairingRefused("the register to be replaced is not known here any more")
    if request.device == device or request.chain:
        raise PairingRefused(
            f"a new register takes the place of {lost.name!r}, and this one has sold before",
            hint="use the code in an empty folder, on whatever machine",
        )
    for other in directory.certificates():
        if other.replaces is not None and other.replaces.device == device and other.device != request.device:
            raise PairingRefused(
                f"{lost.name!r} was replaced already, by the device {other.device.hex()[:8]}",
                hint=f"if that one is lost too: `crdtsync-relay restore SHOP {other.device.hex()}`",
            )
    return lost


def replaced(log: ShopLog, device: bytes) -> Replaced:
    """What a certificate says of the device that it replaces: the heads here, and what never arrived."""
    return Replaced(device, heads_of(log, device), never_arrived(log, device))


def never_arrived(log: ShopLog, device: bytes) -> NeverArrived | None:
    """What a register said when it was last here that it had recorded, and that is not here now, whoever may
    have brought it since. None where nothing is missing, or where it never said anything.
    """
    contact = read_contact(log, device)
    if contact is None:
        return None
    if contact.own_chain is None or contact.own_from is None or contact.own_to is None:
        return _by_its_log(log, contact)
    sales, amount_minor = contact.own_sales or 0, contact.own_amount_minor or 0
    for _, sealed in log.chain_entries(bytes.fromhex(contact.own_chain), contact.own_from, contact.own_to):
        body = read_entry(sealed).body
        if body["kind"] in ("sale", "refund") and body["mode"] == "live" and body["till"] == device.hex():
            sales -= 1
            amount_minor -= sum(part for part in (body.get("ttc"), body.get("oos")) if type(part) is int)
    # A certificate holds no more; what a stolen register told must not keep it from being replaced.
    amount_minor = min(max(amount_minor, -TOLD_MAX), TOLD_MAX)
    return NeverArrived(sales, amount_minor, contact.at_ms) if sales > 0 else None


def _by_its_log(log: ShopLog, contact: Contact) -> NeverArrived | None:
    """Of a register that does not say which entries it has pending, or had none."""
    cursor = log.cursor(contact.log)
    if not contact.pending_sales or contact.log_end is None:
        return None
    if cursor is not None and cursor.position.seq >= contact.log_end:
        return None
    return NeverArrived(contact.pending_sales, contact.pending_amount_minor or 0, contact.at_ms)


def name_for(request: EnrolRequest, lost: Certificate | None) -> str:
    """What the new device is called: as it wishes, or as the one that it replaces."""
    if request.name.strip():
        return request.name.strip()
    if lost is None:
        raise InvalidName("a new register needs a name", hint="say what it is called, with --name")
    return lost.name
