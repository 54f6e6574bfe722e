"""Looking into documents as they lie on disk, one record or one key at a time."""

from __future__ import annotations

from typing import Any

from crdtsync.errors import InvalidName
from crdtsync.ids import CATALOGUE_DOCUMENT, OWNER_DOCUMENT, ledger_document, parse_document_name
from crdtsync.model.entry import Entry, read_entry
from crdtsync.runtime.folder.replica import Replica

_LISTS = "`crdtsync inspect {}` lists what it has"

Fact = dict[str, Any]


def inspect(replica: Replica, document: str | None, key: str | None) -> list[Fact]:
    """What there is, as plain facts.

    Without a document: the documents. Of a ledger or ``owner``: its entries; ``key`` picks some by ticket
    number, by number along the chain, or by the beginning of a link, and shows all of them. Of another
    document: its content by key, each with the record that brought it. Raises ``InvalidName``,
    ``StorageError``.
    """
    replica.mend_head()
    if document is None:
        return [
            {
                "document": row.name,
                "records": row.records,
                "bytes": row.records_bytes,
                "last_seq": row.last_seq,
            }
            for row in replica.log.documents()
        ]
    try:
        parse_document_name(document)
    except InvalidName as error:
        raise InvalidName(str(error), hint=_where(replica, document)) from error
    if document not in (CATALOGUE_DOCUMENT, OWNER_DOCUMENT) and replica.log.document(document) is None:
        raise InvalidName(f"there is no document {document} here", hint="`crdtsync inspect` lists them")
    if document == OWNER_DOCUMENT or document.startswith("ledger/"):
        return _entries(replica, document, key)
    return _content(replica, document, key)


def _where(replica: Replica, text: str) -> str:
    """Where to look for what is no document: tickets have numbers, and lie in their register's day."""
    replica.views.catch_up_a_little(lag_rows_max=replica.lag_rows_max)
    rows = replica.queries.tickets_numbered(text)
    if rows:
        return f"the ticket: `crdtsync inspect {ledger_document(rows[0].device, rows[0].day)} {text}`"
    return "`crdtsync inspect` lists them; a ticket is found by `crdtsync inspect ledger/DEVICE/DAY NUMBER`"


def _entries(replica: Replica, document: str, key: str | None) -> list[Fact]:
    facts = []
    for seq, record in replica.log.document_records(document):
        entry = read_entry(record[1:])
        if key is None:
            facts.append(_summary(seq, entry))
        elif _matches(entry, key):
            facts.append({**_summary(seq, entry), "chain": entry.facts.chain.hex(), "body": entry.body})
    if key is not None and not facts:
        raise InvalidName(f"no entry {key!r} in {document}", hint=_LISTS.format(document))
    return facts


def _summary(seq: int, entry: Entry) -> Fact:
    return {
        "seq": seq,
        "n": entry.facts.n,
        "kind": entry.kind,
        "number": entry.body.get("num"),
        "at_ms": entry.body["ts"],
        "amount_minor": entry.body.get("ttc", entry.body.get("amt")),
        "link": entry.link.hex(),
        "bytes": len(entry.sealed),
    }


def _matches(entry: Entry, key: str) -> bool:
    return key in (str(entry.facts.n), entry.body.get("num")) or (
        len(key) >= 6 and entry.link.hex().startswith(key)
    )


def _content(replica: Replica, document: str, key: str | None) -> list[Fact]:
    # pycrdt is slow to import, and most commands do without it.
    from crdtsync.runtime.register.documents import Document, content_of, records_of

    loaded = Document(replica, document)
    roots = content_of(loaded.doc.get_update())
    brought = records_of(loaded, roots)
    facts: list[Fact] = []
    for root, content in roots.items():
        entries = content.items() if isinstance(content, dict) else enumerate([content])
        for name, value in entries:
            seq, digest = brought.get((root, str(name)), (None, None))
            fact = {"root": root, "key": str(name), "value": value, "seq": seq, "record": digest}
            facts.append(fact)
    if document == CATALOGUE_DOCUMENT and key is not None:
        # Keys are `<sku>/<field>`: a SKU stands for all its fields.
        facts = [fact for fact in facts if fact["key"] == key or fact["key"].startswith(f"{key}/")]
    elif key is not None:
        facts = [fact for fact in facts if fact["key"] == key]
    if key is not None and not facts:
        raise InvalidName(f"no key {key!r} in {document}", hint=_LISTS.format(document))
    return facts
