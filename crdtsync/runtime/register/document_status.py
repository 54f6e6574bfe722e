"""What a status says of a document, for whoever asks for documents: others do without this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdtsync.ids import record_digest
from crdtsync.runtime.register.status import FINGERPRINTED_MAX, has_entries

if TYPE_CHECKING:
    from crdtsync.runtime.folder.replica import Replica


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """One document: records and bytes in the log. ``fingerprint`` names what it holds: the set of its
    entries, or the content of a Yjs document. Unless all documents were asked for it is None for the latter,
    and for a very busy day.
    """

    name: str
    entries: int
    bytes: int
    fingerprint: str | None


def document_status(replica: Replica, name: str, *, all_documents: bool) -> DocumentStatus | None:
    """What there is to say of a document; None while it has no records. ``all_documents``: with a fingerprint
    also where that takes a while. Raises ``DamagedStore``.
    """
    log = replica.log
    row = log.document(name)
    if row is None:
        return None
    fingerprint = None
    if has_entries(name) and (all_documents or row.records <= FINGERPRINTED_MAX):
        fingerprint = links_fingerprint({record_digest(record) for _, record in log.document_records(name)})
    elif all_documents and not has_entries(name):
        # pycrdt is slow to import, and a status that nobody asks for documents does without it.
        from crdtsync.runtime.register.documents import fingerprint_of

        fingerprint = fingerprint_of(replica, name)
    return DocumentStatus(name, row.records, row.records_bytes, fingerprint)


def links_fingerprint(links: set[bytes]) -> str:
    """The name of a set of links, as ``model.ledger.fingerprint``, which needs pycrdt."""
    return hashlib.sha256(b"".join(sorted(links))).hexdigest()
