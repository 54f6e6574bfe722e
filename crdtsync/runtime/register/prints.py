"""Tickets that are printed or sent after their sale: each copy stands in the ledger, with its number."""

from __future__ import annotations

from dataclasses import dataclass

from crdtsync.ids import ENTRY, ledger_document
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.ticket import build_print
from crdtsync.runtime.committing.writer import Payload, Session
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.tickets import Tickets


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a ticket. ``is_duplicate``: the customer was given one before."""

    rank: int
    is_duplicate: bool


def record_print(replica: Replica, number: str, *, delivered: str = "print") -> Copy:
    """Record that a ticket is printed or sent after its sale. Durable on return: print it then.

    ``number``: as ``Register.refund``. The rank counts the copies that this register made. Raises
    ``UnknownTicket``, ``InvalidSale``, ``StorageError``.
    """
    replica.views.catch_up()
    tickets = Tickets(replica)
    original = tickets.entry_of(tickets.row(number))

    def payload(_: Session) -> Payload:
        return build_print(original, _printed(replica, original) + 1, delivered=delivered)

    rank = replica.writer.write("print", payload).entry.body["rank"]
    return Copy(rank, rank > 1 or original.body.get("deliv", "none") != "none")


def _printed(replica: Replica, original: Entry) -> int:
    """How many copies of a ticket this register has made: it looks through its own days from that of the
    sale on.
    """
    log, device, link = replica.log, replica.identity.device, original.link.hex()
    days = sorted(
        name
        for row in log.documents()
        if (name := row.name) >= ledger_document(device, original.body["bd"])
        and name.startswith(f"ledger/{device.hex()}/")
    )
    named = link.encode()
    entries = (
        read_entry(record[1:])
        for name in days
        for _, record in log.document_records(name)
        if record[:1] == ENTRY and named in record
    )
    return sum(entry.kind == "print" and entry.body["ref"]["link"] == link for entry in entries)
