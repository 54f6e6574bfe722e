"""Resync: compare everything with the relay, and fetch or send what differs.

Nothing local is dropped. The log goes on under a new id and forgets how far it has the relay's, so that both
ends compare what they hold from the beginning: what the relay lacks is sent, what it has is fetched, and what
both hold is told by the heads of the chains alone. Until the relay has confirmed it, all is pending again.
"""

from __future__ import annotations

from dataclasses import dataclass

from crdtsync.errors import NoRegister
from crdtsync.ids import ID_BYTES, OWNER_DOCUMENT, parse_document_name
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.register.document_status import links_fingerprint
from crdtsync.runtime.register.status import pending_at


@dataclass(frozen=True, slots=True)
class Hole:
    """Entries ``lo`` to ``hi`` of a chain that are not here although later ones are."""

    chain: bytes
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What is here of one document. ``fingerprint`` names what it holds; None where nothing of it is here."""

    name: str
    records: int
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class ResyncPlan:
    """What is known here, without asking anybody, of what a resync would mend."""

    records: int
    pending_records: int
    holes: tuple[Hole, ...]
    wanted: int
    apart: int
    documents: tuple[DocumentState, ...]


def plan_resync(replica: Replica, document: str | None = None) -> ResyncPlan:
    """Look only; of one document, or of all. Raises ``NoRegister`` without a relay, ``InvalidName``."""
    log, relay = replica.log, replica.relay
    if relay is None:
        raise NoRegister("this register belongs to no relay", hint="enrol it with `crdtsync join URL CODE`")
    names = [row.name for row in log.documents()]
    if document is not None:
        names = [parse_document_name(document)]
    cursor = log.cursor(relay.log_id) if relay.log_id else None
    own, others = pending_at(log, relay.log_id, replica.identity.device)
    return ResyncPlan(
        records=log.end.seq,
        pending_records=own.records + others.records,
        holes=tuple(holes_of(replica)),
        wanted=sum(hi - lo + 1 for lo, hi in cursor.wanted) if cursor else 0,
        apart=len(log.apart()),
        documents=tuple(_document(replica, name) for name in names),
    )


def begin_resync(replica: Replica) -> None:
    """Make both ends compare everything at their next contact. Durable on return; drops nothing.

    Raises ``RoleTaken`` while another process synchronises: it would go on under the old id.
    """
    relay = replica.relay
    with sync_role(replica.folder), replica.store.transaction():
        if relay is not None and relay.log_id is not None:
            replica.log.void_origin(relay.log_id)
        replica.log.rotate_log_id(replica.random_bytes(ID_BYTES))


def holes_of(replica: Replica) -> list[Hole]:
    """The entries that are missing between held ones, or before them."""
    reached: dict[bytes, int] = {}
    holes = []
    for run in replica.log.runs():
        known = reached.get(run.chain, 0)
        if run.lo > known + 1:
            holes.append(Hole(run.chain, known + 1, run.lo - 1))
        reached[run.chain] = max(known, run.hi)
    return holes


def _document(replica: Replica, name: str) -> DocumentState:
    row = replica.log.document(name)
    if name != OWNER_DOCUMENT and not name.startswith("ledger/"):
        from crdtsync.runtime.register.documents import fingerprint_of

        return DocumentState(name, row.records if row else 0, fingerprint_of(replica, name) if row else None)
    from crdtsync.model.entry import read_entry

    links = {read_entry(record[1:]).link for _, record in replica.log.document_records(name)}
    return DocumentState(name, len(links), links_fingerprint(links))
