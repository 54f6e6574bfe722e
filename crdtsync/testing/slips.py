"""Slips: entries of a few bytes, with right links and no signatures, and an admission that can read them.

For tests of logs and of the protocol, which look at links and never at content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from crdtsync.ids import (
    ENTRY,
    LINK_BYTES,
    OWNER_DOCUMENT,
    EntryFacts,
    Item,
    Origin,
    entry_record,
    ledger_document,
    record_digest,
    split_update_record,
)
from crdtsync.model.admission import NOTHING_KNOWN, Known
from crdtsync.model.certificate import Certificate
from crdtsync.runtime.committing.admission import Admission, Rejection
from crdtsync.storage.log import ShopLog

DAY = "2026-11-24"


def slip(
    device: bytes, chain: bytes, n: int, prev: bytes, text: str, *, needs: str = "", bad: bool = False
) -> Item:
    """An entry of a device's chain (``chain`` is empty for its first). It is held until the owner has signed
    a permit for what it ``needs``; a ``bad`` one is refused for good.
    """
    fields = {
        "chain": chain.hex(),
        "n": n,
        "prev": prev.hex(),
        "till": device.hex(),
        "text": text,
        "needs": needs,
        "bad": bad,
    }
    return _read(_sealed(fields))


def permit(n: int, chain: bytes, prev: bytes, name: str) -> Item:
    """An entry of the owner's chain that lets in what needs ``name``."""
    fields = {"chain": chain.hex(), "n": n, "prev": prev.hex(), "permit": name}
    return _read(_sealed(fields))


def need_of(record: bytes) -> str:
    """What a record has to be permitted to be admitted; empty for one that needs nothing, or is no slip."""
    return str(_fields(record[1:]).get("needs", "")) if record[:1] == ENTRY else ""


def permit_of(record: bytes) -> str:
    """What a record permits; empty for one that is no permit."""
    return str(_fields(record[1:]).get("permit", "")) if record[:1] == ENTRY else ""


class SlipAdmission(Admission):
    """Admits slips and any update. ``devices`` are those that may say hello."""

    def __init__(self, shop: bytes, devices: dict[bytes, Certificate]) -> None:
        super().__init__(shop)
        self._devices = devices
        self._permits: set[str] = set()

    def refresh(self, log: ShopLog) -> None:
        """Read the permits that were stored by others."""
        if not self.is_stale:
            return
        for seq, record in log.document_records(OWNER_DOCUMENT):
            if seq > self._seen_seq:
                self._seen_seq = seq
                self._permit(record)
        self.is_stale = False

    def judge(
        self,
        records: Sequence[bytes],
        role: str,
        unchecked: set[bytes] | None = None,
        origins: Sequence[Origin | None] | None = None,
        links: Sequence[bytes | None] | None = None,
        known: Known = NOTHING_KNOWN,
    ) -> list[Item | Rejection]:
        """One judgement for each record."""
        judged = [self._judge(record) for record in records]
        if origins is None:
            return judged
        return [
            replace(one, origin=origin) if isinstance(one, Item) else one
            for one, origin in zip(judged, origins, strict=True)
        ]

    def appended(self, item: Item) -> None:
        """A permit counts from now on."""
        if item.document == OWNER_DOCUMENT:
            self._permit(item.record)

    def item_of(self, record: bytes) -> Item:
        """See ``Admission.item_of``."""
        return _read(record[1:]) if record[:1] == ENTRY else super().item_of(record)

    def certificate(self, device: bytes, shown: Sequence[bytes] = ()) -> Certificate | None:
        """The certificate of a device."""
        return self._devices.get(device)

    def _permit(self, record: bytes) -> None:
        name = _fields(record[1:]).get("permit")
        if isinstance(name, str) and name not in self._permits:
            self._permits.add(name)
            self._has_new_certificates = True

    def _judge(self, record: bytes) -> Item | Rejection:
        digest = record_digest(record)
        if record[:1] != ENTRY:
            return Item(record, split_update_record(record)[0], digest)
        fields = _fields(record[1:])
        if fields.get("bad"):
            return Rejection(digest, "bad-signature", "the signature is not its author's", held=False)
        needs = str(fields.get("needs", ""))
        if needs and needs not in self._permits:
            return Rejection(digest, "no-certificate", f"{needs} is not permitted yet", held=True)
        return _read(record[1:])


def _sealed(fields: dict[str, object]) -> bytes:
    # A signature that a pack takes for one, so that packs have their usual form.
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode() + b"\0" + b"A" * 86


def _fields(sealed: bytes) -> dict[str, object]:
    fields: dict[str, object] = json.loads(sealed[: sealed.index(b"\0")])
    return fields


def _read(sealed: bytes) -> Item:
    fields = _fields(sealed)
    link = hashlib.sha256(sealed).digest()
    chain = bytes.fromhex(str(fields["chain"])) or link
    prev = bytes.fromhex(str(fields["prev"]))
    n = int(str(fields["n"]))
    if len(prev) != LINK_BYTES:
        raise AssertionError("a slip names the one before it")
    kind = "certify" if "permit" in fields else "sale"
    document = OWNER_DOCUMENT
    if kind == "sale":
        document = ledger_document(bytes.fromhex(str(fields["till"])), DAY)
    return Item(entry_record(sealed), document, link, EntryFacts(chain, n, prev, link, document, kind))
