"""CRDT documents as they live in the log: the catalogue, and any Yjs document of the user's own.

A document in memory is made from its records and has a client id of its own, never used before or again
(Yjs diverges for ever, in silence, where one is used twice). What is changed in it becomes one update
record per transaction; what others changed is applied from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from pycrdt import Array, Doc, Map, Text, TransactionEvent

from crdtsync.errors import InvalidName, RecordError, StorageError, UnsafeUpdate
from crdtsync.ids import (
    ENTRY,
    STATE,
    Item,
    parse_document_name,
    record_digest,
    split_update_record,
    update_record,
)
from crdtsync.model.engine import follow
from crdtsync.protocol.causal import CausalOrder
from crdtsync.protocol.fingerprint import content_fingerprint, records_fingerprint
from crdtsync.protocol.scanner import scan_document
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.committing.scans import scan_record
from crdtsync.runtime.folder.identity import refuse_left
from crdtsync.storage.log import ShopLog, Store

CLIENT_ID_BITS = 53
BATCH_BYTES_MAX = 1 << 20

T = TypeVar("T")


class DocumentHome(Protocol):
    """What a document needs of the replica that has it: a register, or a relay's back office."""

    @property
    def store(self) -> Store: ...
    @property
    def log(self) -> ShopLog: ...
    @property
    def random_bytes(self) -> RandomBytes: ...
    def mend_head(self) -> None:
        """Set damaged records apart that keep the end of the log from being read."""
        ...

    def mending(self, read: Callable[[], T]) -> T:
        """Read something; damaged records that are met on the way are set apart, where that is done here."""
        ...

    def wrote(self) -> None:
        """Something was committed."""
        ...


class Document:
    """One CRDT document of this register. Not for more than one thread.

    ``with document.transaction() as doc:`` is how it is changed: when the block has ended, the change is on
    disk, and syncing carries it on. Reading is free: ``document.doc`` is a plain ``pycrdt.Doc``.
    """

    def __init__(self, replica: DocumentHome, name: str) -> None:
        """Load the document. Raises ``InvalidName``, ``StorageError``; O(document)."""
        parse_document_name(name)
        if name.startswith(("ledger/", "owner")):
            raise InvalidName(f"{name} is made of signed entries; it is not written as a document")
        self.name = name
        self.refused: list[bytes] = []
        self._replica = replica
        self._seq = 0
        self._unfollow: Callable[[], object] = lambda: None
        self._is_whole = False
        replica.mending(self._load)

    @property
    def doc(self) -> Doc[Any]:
        """The document. Take it anew after an error: what could not be stored is not in it any more,
        and what is written to the one before is not stored. Raises ``StorageError`` if it cannot be read.
        """
        if not self._is_whole:
            self._replica.mending(self._load)
        return self._doc

    @property
    def seq(self) -> int:
        """The log's seq up to which the document is applied."""
        return self._seq

    @property
    def waiting(self) -> int:
        """How many updates are in the log, but build on others that are not, and are not shown yet."""
        return self._order.waiting

    @contextmanager
    def transaction(self) -> Iterator[Doc[Any]]:
        """Change the document; durable when the block has ended.

        If the block raises, or its change is refused or cannot be stored, the document is as before, and
        ``doc`` is another object. Raises ``UnsafeUpdate`` or ``RecordTooBig`` for a change that no replica
        would admit (too big for one transaction, say), ``StorageError``.
        """
        self.refresh()
        try:
            with self._doc.transaction():
                yield self._doc
            self.save()
        except BaseException:
            # pycrdt commits what was done before the exception; only the log knows what is true. Where that
            # cannot be read just now, it is read before the document is used again.
            with suppress(StorageError):
                self._replica.mending(self._load)
            raise

    def save(self) -> int:
        """Store what was changed outside ``transaction``; the number of records. Durable on return."""
        items = [self._item(update) for update in self._unsaved]
        if items:
            with self._replica.store.transaction():
                refuse_left(self._replica.log)
                for item in items:
                    self._replica.log.append(item)
            self._replica.wrote()
        self._unsaved.clear()
        return len(items)

    def refresh(self) -> bool:
        """Apply what came into the log since, from other processes or devices; whether anything did.

        O(records that came). An update that the CRDT engine refuses is passed over; ``refused`` has its
        digest, and `crdtsync verify` shows it. One that came before others that it builds on waits for them
        (the engine would lose a part of it).
        """
        self._replica.mend_head()
        if not self._is_whole:
            self._replica.mending(self._load)
            return True
        log, changed = self._replica.log, False
        end_seq, row = log.end.seq, log.document(self.name)
        if row is None or row.last_seq <= self._seq:
            self._seq = max(self._seq, end_seq)  # Nothing of it among them: the sales of a year, say.
            return False
        while True:
            batch = self._replica.mending(partial(log.read, self._seq, bytes_max=BATCH_BYTES_MAX))
            for _, record in batch.records:
                changed |= self._apply(record)
            if batch.to.seq == self._seq:
                return changed
            self._seq = batch.to.seq

    def _load(self) -> None:
        """Raises ``StorageError``: the document is not whole then, and nobody sees or changes it."""
        self._is_whole = False
        self._unfollow()
        client_id = int.from_bytes(self._replica.random_bytes(8), "big") >> (64 - CLIENT_ID_BITS)
        self._doc: Doc[Any] = Doc(client_id=client_id)
        self._unsaved: list[bytes] = []
        self._applying = False
        self._order = CausalOrder()
        # The end is read first: a record that arrives meanwhile is applied twice, which changes nothing.
        self._seq = self._replica.log.end.seq
        self._load_records()
        self._unfollow()  # An update that the engine refused had it loaded anew on the way.
        self._unfollow = follow(self._doc, self._changed)
        self._is_whole = True

    def _load_records(self) -> None:
        for _, record in self._replica.log.document_records(self.name):
            self._apply(record)

    def _apply(self, record: bytes) -> bool:
        """Take a record; whether anything was applied. What comes before others that it builds on waits."""
        if record[:1] == ENTRY:
            return False
        (name, update), digest = split_update_record(record), record_digest(record)
        if name != self.name or digest in self.refused:
            return False
        try:
            scan = scan_record(record, digest)
        except RecordError:
            self.refused.append(digest)
            return False
        ready = self._order.take(update, scan)
        self._applying = True
        try:
            for passed in ready:
                self._doc.apply_update(passed)
        except (ValueError, RuntimeError):
            # The engine may have applied a part of it: begin again, without it.
            self.refused += [
                record_digest(update_record(name, passed, state=state)) for state in (False, True)
            ]
            self._load()
        finally:
            self._applying = False
        return bool(ready)

    def _changed(self, event: TransactionEvent) -> None:
        # An observer only takes notes: raising here would look like a failed write to whoever wrote.
        if not self._applying:
            self._unsaved.append(event.update)

    def _item(self, update: bytes) -> Item:
        scan_document(self.name, update)
        record = update_record(self.name, update)
        return Item(record, self.name, record_digest(record))


def open_document(replica: DocumentHome, name: str) -> Document:
    """A document of the user's own. Raises ``InvalidName`` for the others, which have rules of their own."""
    if not name.startswith("x/"):
        raise InvalidName(f"{name!r} is not a document of your own: x/<name> is expected")
    replica.mend_head()
    return Document(replica, name)


def fingerprint_of(replica: DocumentHome, name: str) -> str:
    """The name of what a document holds, equal on two replicas exactly when their contents are. O(document).

    Raises ``StorageError``.
    """
    try:
        return content_fingerprint(Document(replica, name).doc.get_update()).hex()
    except UnsafeUpdate:
        records = replica.log.document_records(name)
        return records_fingerprint(record_digest(record) for _, record in records).hex()


def records_of(document: Document, content: Mapping[str, Any]) -> dict[tuple[str, str], tuple[int, str]]:
    """The record that brought each key of a document: (root, key) -> (seq, digest). Raises ``StorageError``.

    ``content`` is what ``content_of`` says; a root that is no map has the one key ``0``. What lies inside a
    key's value counts for the key. O(records).
    """
    doc: Doc[Any] = Doc()
    brought: dict[tuple[str, str], tuple[int, str]] = {}
    changed: set[tuple[str, str]] = set()

    def note(root: str, events: Sequence[Any]) -> None:
        for event in events:
            keys = event.path[:1] or getattr(event, "keys", None) or ("0",)
            changed.update((root, str(key) if isinstance(content[root], dict) else "0") for key in keys)

    kinds: dict[type, Any] = {dict: Map, str: Text, list: Array}
    roots = {root: doc.get(root, type=kinds[type(held)]) for root, held in content.items() if held}
    for root, shared in roots.items():
        shared.observe_deep(partial(note, root))
    order = CausalOrder()
    waiting: dict[bytes, tuple[int, str]] = {}
    for seq, record in document._replica.log.document_records(document.name):
        digest = record_digest(record)
        if digest in document.refused:
            continue
        _, update = split_update_record(record)
        waiting[update] = (seq, digest.hex())
        for ready in order.take(update, scan_document(document.name, update, state=record[:1] == STATE)):
            doc.apply_update(ready)
            brought.update(dict.fromkeys(changed, waiting[ready]))
            changed.clear()
    return brought


def content_of(update: bytes) -> dict[str, Any]:
    """What a document holds, as plain values by root. The bytes do not tell the type of a root: it is taken
    for a map, a text or a list, whichever shows something.
    """
    whole: Doc[Any] = Doc()
    whole.apply_update(update)
    return {root: _root_content(update, root) for root in sorted(whole.keys())}


def _root_content(update: bytes, root: str) -> Any:
    for kind in (Map, Text, Array):
        # A root keeps the first type that it was asked as: each question needs a document of its own.
        doc: Doc[Any] = Doc()
        doc.apply_update(update)
        content = doc.get(root, type=kind).to_py()
        if content:
            return content
    return None
