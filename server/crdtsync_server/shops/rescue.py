"""Taking a rescue file: what a register wrote down of what no relay had acknowledged.

It is the same as if the register had connected: the same judgement of every entry, the same scanner, the
same bounds, the same hold. Entries bear the signatures of their devices. Changes of documents do not; they
are taken if the file is signed by a device of the shop that may write them, and is not revoked. Taking a file
again, or meeting its register later, finds the same records here, and stores nothing twice.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from crdtsync.errors import InvalidRescue, LinkClosed, UnknownShop
from crdtsync.ids import ID_BYTES, record_digest
from crdtsync.model.admission import CUT_OFF_ROLE
from crdtsync.model.signature import verify_with_purpose
from crdtsync.protocol.messages import RefusedRecord
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.bounds import Bounds
from crdtsync.runtime.committing.quota import Quota
from crdtsync.runtime.committing.taking import take_records
from crdtsync.runtime.damage.rescue import PURPOSE, body_of
from crdtsync.runtime.register.status import Pending
from crdtsync.storage.log import Store
from crdtsync.storage.rescue_file import CERTIFICATES, RescueFile, rescued_records
from crdtsync_server.config import environment_variable
from crdtsync_server.shops.access import Access, ShopRow

ROWS_PER_TRANSACTION: Final = 512
"""So that no sale at the relay waits for a whole file."""

Rows = Sequence[tuple[int, bytes]]


@dataclass(slots=True)
class TakenIn:
    """What became of a file's records: tickets with their money, and all records. ``why``: how many were held
    or refused, by (held, code, reason). ``stopped``: why not all of the file was looked at.
    """

    shop: ShopRow
    device: bytes
    name: str
    is_signed: bool = False
    new: Pending = field(default_factory=Pending)
    known: Pending = field(default_factory=Pending)
    held: Pending = field(default_factory=Pending)
    refused: Pending = field(default_factory=Pending)
    certificates: int = 0
    why: Counter[tuple[bool, str, str]] = field(default_factory=Counter)
    stopped: str = ""


def take_rescue(access: Access, store: Store, file: RescueFile, quota: Quota, now_ms: int) -> TakenIn:
    """Take a whole file into the shop that it names; durable on return, a few hundred records at a time.

    Raises ``UnknownShop``, ``InvalidRescue``, ``StorageError``; what was taken before stays, and taking it
    again goes on from there.
    """
    shop, device = _shop(access, store, file), _id(file, "device")
    taken = TakenIn(shop, device, str(file.footer.get("name", ""))[:64])
    admission = Admission(shop.id, Bounds(quota))
    # Not the log that the records came from: nobody vouches for that, and what is said of a log counts.
    source = hashlib.sha256(b"crdtsync/rescued/v1\0" + file.digest).digest()[:ID_BYTES]
    for kind, rows in rescued_records(file):
        role = _role(admission, store, file, taken)
        for first in range(0, len(rows), ROWS_PER_TRANSACTION):
            part = rows[first : first + ROWS_PER_TRANSACTION]
            try:
                found = take_records(store, admission, source, role, part, now_ms)
            except LinkClosed as error:
                taken.stopped = str(error)
                return taken
            if kind == CERTIFICATES:
                taken.certificates += len(found.new)
                continue
            _count(taken, part, found.new, {one.digest: one for one in found.refused})
    return taken


def quota_of_environment() -> Quota:
    """What a shop may fill, as `serve` is told by the environment. Raises ``ValueError``."""
    usual = Quota()
    records = os.environ.get(environment_variable("shop_records_max"))
    mb = os.environ.get(environment_variable("shop_mb_max"))
    documents = os.environ.get(environment_variable("shop_documents_max"))
    return Quota(
        records_max=int(records) if records else usual.records_max,
        bytes_max=int(mb) << 20 if mb else usual.bytes_max,
        documents_max=int(documents) if documents else usual.documents_max,
    )


def _count(taken: TakenIn, rows: Rows, new: frozenset[bytes], refused: dict[bytes, RefusedRecord]) -> None:
    counted: set[bytes] = set()
    for _, record in rows:
        digest, body = record_digest(record), body_of(record)
        one = refused.get(digest)
        if one is not None:
            (taken.held if one.held else taken.refused).add(body)
            taken.why[one.held, one.code, one.reason] += 1
        elif digest in new and digest not in counted:
            taken.new.add(body)
        else:
            taken.known.add(body)
        counted.add(digest)


def _role(admission: Admission, store: Store, file: RescueFile, taken: TakenIn) -> str:
    """What the device that signed the file may write."""
    admission.is_stale = True
    admission.refresh(store.shop(taken.shop.id))
    directory = admission.directory
    signers = [
        certificate
        for certificate in directory.certificates(taken.device)
        if verify_with_purpose(certificate.public, PURPOSE, file.digest, file.signature)
    ]
    taken.is_signed = bool(signers)
    if not signers or directory.is_revoked(taken.device) or signers[-1].role == "relay":
        return CUT_OFF_ROLE
    return signers[-1].role


def _shop(access: Access, store: Store, file: RescueFile) -> ShopRow:
    shop = _id(file, "shop")
    found = next((row for row in access.shops_here(store) if row.id == shop), None)
    if found is None:
        name = str(file.footer.get("shop_name", ""))[:64]
        raise UnknownShop(
            f"{file.path} is of the shop {name!r} ({shop.hex()[:8]}), which is not on this relay"
        )
    return found


def _id(file: RescueFile, name: str) -> bytes:
    text = file.footer.get(name)
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else b"?"
    except ValueError:
        value = b"?"
    if len(value) not in ((0, ID_BYTES) if name == "device" else (ID_BYTES,)):
        raise InvalidRescue(f"{file.path} does not say of which {name} it is")
    return value
