"""Registers and owners in memory: genuine chains without a store, a clock or chance.

Ids and keys follow from names, so that the same calls give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from crdtsync.model import owner_key
from crdtsync.model.approval import KIND as APPROVE
from crdtsync.model.approval import build_approve
from crdtsync.model.certificate import Certificate, Directory, build_certify, build_revoke, start_owner
from crdtsync.model.chain import ChainHead, Moment, Shop, advance, next_body, start
from crdtsync.model.closing import build_close
from crdtsync.model.entry import Entry, Head, read_entry, shop_id_of
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.model.ticket import (
    Line,
    Payment,
    amount_due,
    build_refund,
    build_sale,
    due_of,
    refund_lines,
    totals_of,
)

FIRST_MS = 1_795_507_200_000
"""2026-11-24, 08:00 UTC."""

WINE = Line("cm-2019-75", "Crozes-Hermitage 2019 75 cl", 1850, 2000, "N", unit="btl")
TERRINE = Line("ter-01", "Terrine de campagne 180 g", 695, 550, "R1")
DEPOSIT = Line("consigne", "Consigne fût", 3000, 0, "O")


class MemoryChain:
    """A chain of one author: what was sealed so far, and its head. Each entry comes one second later."""

    def __init__(self, key: PrivateKey, author: bytes) -> None:
        self.key = key
        self.author = author
        self.entries: list[Entry] = []
        self.head: ChainHead | None = None
        self.moment = Moment(FIRST_MS, 60, "2026-11-24", "u-lea")

    @property
    def sealed(self) -> list[bytes]:
        """The sealed bytes of all entries, in order."""
        return [entry.sealed for entry in self.entries]

    @property
    def end(self) -> ChainHead:
        """The head, once there is an entry."""
        assert self.head is not None
        return self.head

    def append(self, kind: str, payload: Mapping[str, Any], **moment: Any) -> Entry:
        """Seal the next entry; keywords replace parts of its moment (``ts_ms``, ``bd``, …)."""
        self.moment = replace(self.moment, **{"ts_ms": self.moment.ts_ms + 1000, **moment})
        return self.seal(next_body(self.end, kind, payload, self.moment))

    def seal(self, body: Mapping[str, Any]) -> Entry:
        """Seal a body as it is and go on from it."""
        entry = read_entry(seal(body, self.key))
        self.head = advance(self.head, entry)
        self.entries.append(entry)
        return entry


class MemoryTill(MemoryChain):
    """A register that sells. ``name`` fixes its device id, key and nonce."""

    def __init__(
        self,
        name: str = "till 1",
        *,
        shop: Shop | None = None,
        series: str = "01",
        heads: Sequence[Head] = (),
    ) -> None:
        super().__init__(PrivateKey.from_seed(name.encode()), bytes_of("device", name))
        self.name = name
        body = start(
            self.author,
            self.key.public,
            shop or Shop(bytes_of("shop", "cave"), "Cave du Test"),
            series=series,
            nonce=bytes_of("nonce", name),
            moment=self.moment,
            heads=heads,
        )
        self.seal(body)

    def sell(
        self,
        *lines: Line,
        paid: Sequence[Payment] | None = None,
        ticket_discount_minor: int = 0,
        **moment: Any,
    ) -> Entry:
        """Sell the lines (one bottle of wine by default), paid in cash unless said otherwise."""
        lines = lines or (WINE,)
        due = due_of(lines) - ticket_discount_minor
        payments = in_cash(due) if paid is None else paid
        payload = build_sale(lines, payments, ticket_discount_minor=ticket_discount_minor)
        return self.append("sale", payload, **moment)

    def refund(
        self,
        sale: Entry,
        quantities: Mapping[int, int] | None = None,
        *,
        paid: Sequence[Payment] | None = None,
        **moment: Any,
    ) -> Entry:
        """Refund a sale, or some of it, in cash unless said otherwise."""
        due = amount_due(totals_of(refund_lines(sale, self.entries, quantities)))
        payments = in_cash(due) if paid is None else paid
        payload = build_refund(sale, self.entries, payments, reason="retour", quantities=quantities)
        return self.append("refund", payload, **moment)

    def close(self, **closing: Any) -> Entry:
        """Close the day; keywords as of ``build_close``."""
        return self.append("close", build_close(self.end, **closing))


class MemoryOwner(MemoryChain):
    """The owner of a shop, and the directory that follows from the owner's chain."""

    def __init__(self, name: str = "cave") -> None:
        key = PrivateKey.from_seed(f"owner of {name}".encode())
        nonce = bytes_of("nonce", name)
        super().__init__(key, shop_id_of(key.public, nonce))
        self.shop = Shop(self.author, "Cave du Test")
        self.by: dict[str, str] = {}
        self.seal(start_owner(key.public, self.shop.name, nonce=nonce, moment=self.moment))

    @property
    def directory(self) -> Directory:
        """Who belongs to the shop by now."""
        directory = Directory(self.author)
        for entry in self.entries:
            directory = directory.with_entry(entry)
        return directory

    def rotate(self, name: str = "next", heads: Sequence[Head] = ()) -> Entry:
        """Hand over to the next key."""
        key = PrivateKey.from_seed(f"{name} owner".encode())
        payload = owner_key.build_owner_key(key, self.author, heads, reason="volée")
        entry = self.append(owner_key.KIND, payload | self.by)
        self.key, self.by = key, {"by": key.public.hex()}
        return entry

    def enrol(self, name: str, *, role: str = "register", series: str = "01") -> MemoryTill:
        """Certify a new register and start its chain."""
        till = MemoryTill(name, shop=self.shop, series=series)
        self.certify(till, role=role, series=series)
        return till

    def certify(self, till: MemoryTill, *, role: str = "register", **fields: Any) -> Entry:
        """Certify a register; keywords as of ``Certificate``."""
        certificate = Certificate(till.author, till.name, role, till.key.public, self.author, **fields)
        return self.append("certify", build_certify(certificate) | self.by)

    def revoke(self, till: MemoryTill, heads: Sequence[Head] = ()) -> Entry:
        """Cut a device off; ``heads`` are those of its chains that are known."""
        return self.append("revoke", build_revoke(till.author, heads, reason="volée") | self.by)

    def approve(self, till: MemoryTill, *entries: Entry) -> Entry:
        """Let in entries that a revoked device made."""
        payload = build_approve(till.author, [entry.link for entry in entries], reason="retrouvée")
        return self.append(APPROVE, payload | self.by)


def in_cash(due_minor: int) -> tuple[Payment, ...]:
    """Exactly that, in cash; no payment where nothing is due."""
    return (Payment("cash", due_minor),) if due_minor else ()


def bytes_of(what: str, name: str) -> bytes:
    """16 bytes that follow from a name."""
    return hashlib.sha256(f"{what} {name}".encode()).digest()[:16]
