"""One ticket with all that is known of it, read from the entry itself, and verified while it is looked at.

Nothing that a page says of it is taken from a table: the sealed bytes are read, hashed and their signature
verified under the certificates of the shop, each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from crdtsync.errors import CrdtsyncError, DamagedStore
from crdtsync.model import sealed
from crdtsync.model.admission import signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.flags import ticket_flags
from crdtsync.model.form import payload_problem
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.storage.log import ShopLog
from crdtsync.storage.view_queries import TicketRow, ViewQueries
from crdtsync.storage.view_sales import PrintRow, prints_of
from crdtsync_server.shops.owner import OwnerChain

Subject = Literal["link", "signature", "before", "after", "alone", "totals", "payment", "sign", "clock"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and whether it holds; None where what it takes is not here."""

    subject: Subject
    holds: bool | None


@dataclass(frozen=True, slots=True)
class ShownTicket:
    """A ticket of the shop. ``row`` is None where the views have not filed it. ``sale``: what a refund gives
    back; ``refunds``: those of this sale that are known here. ``others``: further entries of this number;
    ``prints``: its copies that are known here.
    """

    entry: Entry
    ticket: Ticket
    register: str
    series: str | None
    shop_name: str
    mode: str
    software: str
    checks: tuple[Check, ...]
    sale: TicketRow | None
    refunds: tuple[TicketRow, ...]
    others: tuple[TicketRow, ...]
    prints: tuple[PrintRow, ...]

    @property
    def is_verified(self) -> bool:
        """Whether all that could be looked at holds."""
        return all(check.holds is not False for check in self.checks)

    @property
    def is_overpaid(self) -> bool:
        """Whether more was given back than was sold: two registers that did not know of one another."""
        return self.left_minor < 0 <= self.ticket.total_minor

    @property
    def left_minor(self) -> int:
        """What of a sale was not given back, as far as it is known here."""
        return self.ticket.total_minor + sum(row.total for row in self.refunds)


def show_ticket(
    log: ShopLog, queries: ViewQueries, number: str, link: bytes | None = None
) -> ShownTicket | None:
    """The ticket with that number, and with that link where several have it; None if there is none.

    Raises ``StorageError``.
    """
    rows = queries.tickets_numbered(number)
    row = next((row for row in rows if link is None or row.link == link), None)
    if row is None:
        return None
    entry = entry_named(log, row.chain, row.n, row.link)
    ticket = Ticket.read(entry) if entry is not None else None
    if entry is None or ticket is None:
        return None
    directory = OwnerChain.read(log).directory
    certificate = directory.certificate(entry.author)
    referred = entry.body.get("ref")
    referred_number = referred.get("num") if isinstance(referred, dict) else None
    sale = None
    if isinstance(referred_number, str):
        sales = queries.tickets_numbered(referred_number)
        sale = next((one for one in sales if one.link == row.ref_link), None)
    return ShownTicket(
        entry=entry,
        ticket=ticket,
        register=certificate.name if certificate is not None else entry.author.hex()[:8],
        series=certificate.series if certificate is not None else None,
        shop_name=directory.shop_name,
        mode=row.mode,
        software=entry.body["sw"],
        checks=tuple(checks_of(log, entry, row.link, directory)),
        sale=sale,
        refunds=tuple(queries.refunds_of(row.link)),
        others=tuple(one for one in rows if one.link != row.link),
        prints=tuple(prints_of(queries, row.link)),
    )


def checks_of(log: ShopLog, entry: Entry, link: bytes, directory: Directory) -> Sequence[Check]:
    """Look at an entry and its place now. ``link`` is the name under which it is known."""
    facts = entry.facts
    before, after = _versions(log, facts.chain, facts.n - 1), _versions(log, facts.chain, facts.n + 1)
    flags = {"totals"}
    if entry.kind in ("sale", "refund", "abandon") and payload_problem(entry.body) is None:
        flags = {code for code, _ in ticket_flags(entry.body)}
    return [
        Check("link", sealed.link(entry.sealed) == link),
        Check("signature", signature_holds(entry, directory)),
        Check("before", any(one.link == facts.prev for one in before) if before else None),
        Check("after", any(one.facts.prev == link for one in after) if after else None),
        Check("alone", len(log.links_at(facts.chain, facts.n)) == 1),
        Check("totals", "totals" not in flags),
        Check("payment", "payment" not in flags),
        Check("sign", "sign" not in flags),
        Check("clock", "clock" not in flags),
    ]


def entry_named(log: ShopLog, chain: bytes, n: int, link: bytes) -> Entry | None:
    """The entry with that place and name; None where it is not here, or damaged. Raises ``StorageError``."""
    return next((one for one in _versions(log, chain, n) if one.link == link), None)


def verified(log: ShopLog, entry: Entry, link: bytes) -> Sequence[Check]:
    """What of ``checks_of`` any entry can be asked, under the certificates that are known now."""
    subjects = ("link", "signature", "before", "after", "alone")
    checks = checks_of(log, entry, link, OwnerChain.read(log).directory)
    return [check for check in checks if check.subject in subjects]


def _versions(log: ShopLog, chain: bytes, n: int) -> list[Entry]:
    """The entries that are held of that number; what is damaged is not among them."""
    try:
        found = log.entry(chain, n) if n > 0 else ()
    except DamagedStore:
        return []
    entries = []
    for data in found:
        try:
            entries.append(read_entry(data))
        except CrdtsyncError:
            continue
    return entries
