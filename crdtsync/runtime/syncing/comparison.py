"""Comparing the Yjs documents of two replicas: by their records, then by their content, then mending.

Records are compared by a sum of their digests, which costs next to nothing to keep up. Only where that
differs (something is missing, or one end has compacted the document and the other has not yet) is the
document made and its content read. All of it happens on a thread with a store of its own: the event loop
never waits for a document.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from crdtsync.errors import CrdtsyncError, UnsafeUpdate
from crdtsync.ids import ENTRY, STATE, record_digest, split_update_record
from crdtsync.protocol.causal import in_causal_order
from crdtsync.protocol.fingerprint import content_fingerprint, records_fingerprint
from crdtsync.protocol.limits import DOCUMENTS_MAX
from crdtsync.protocol.messages import About, Documents, DocumentsDigest
from crdtsync.protocol.scanner import scan_document
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Ready
from crdtsync.runtime.committing.compacting import is_compactable
from crdtsync.storage.log import DocumentRow, ShopLog, Store

NOTHING = bytes(32)
"""The digest of a document of which nothing is held."""

ROWS_READ_ON_MAX = 4096
"""Up to so many new rows of the log are looked through for news of a document; beyond, it is read anew."""

Digests = Mapping[str, bytes]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Held:
    """What is held of all Yjs documents at the moment when the log ended at ``end_seq``."""

    end_seq: int
    digests: Digests

    @property
    def root(self) -> bytes:
        """One digest over all of them."""
        digest = hashlib.sha256(b"crdtsync/documents/v1\0")
        for name, of_document in sorted(self.digests.items()):
            digest.update(len(name).to_bytes(2, "big") + name.encode() + of_document)
        return digest.digest()


class DocumentDigests:
    """Digests of the documents of one shop, kept while a document does not change. For one thread."""

    def __init__(self, log: ShopLog) -> None:
        self.log = log
        self._sums: dict[str, tuple[DocumentRow, int]] = {}
        self._contents: dict[str, tuple[DocumentRow, bytes]] = {}
        self._seq = 0

    def held(self) -> Held:
        """Documents by the sum of their records' digests. O(what has changed), but for the first time."""
        end_seq = self.log.end.seq
        rows = {row.name: row for row in self.log.documents() if is_compactable(row.name)}
        changed = [name for name, row in rows.items() if self._row_of(name) != row]
        added = self._read_on(changed, end_seq)
        for name in changed:
            row, known = rows[name], self._sums.get(name)
            news = added.get(name, [])
            if known is None or known[0].records + len(news) != row.records:
                self._sums[name] = row, sum(self._digests_of(name))
            else:
                self._sums[name] = row, known[1] + sum(news)
        self._seq = end_seq
        names = sorted(rows)[:DOCUMENTS_MAX]
        return Held(end_seq, {name: (self._sums[name][1] % (1 << 256)).to_bytes(32, "big") for name in names})

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Documents by what they hold, whatever records they are made of. O(each document) that changed."""
        found = {}
        for name in names:
            row = self.log.document(name)
            if row is None or not is_compactable(name):
                found[name] = NOTHING
                continue
            known = self._contents.get(name)
            if known is None or known[0] != row:
                records = (record for _, record in self.log.document_records(name))
                known = self._contents[name] = row, content_digest(records)
            found[name] = known[1]
        return found

    def seqs(self, names: Iterable[str]) -> list[int]:
        """The rows that these documents are made of."""
        return [seq for name in names if is_compactable(name) for seq, _ in self.log.document_records(name)]

    def _row_of(self, name: str) -> DocumentRow | None:
        return self._sums[name][0] if name in self._sums else None

    def _digests_of(self, name: str) -> Iterator[int]:
        return (_number(record) for _, record in self.log.document_records(name))

    def _read_on(self, changed: list[str], end_seq: int) -> dict[str, list[int]]:
        """Digests of the records that came to documents whose sum is known, from the new rows of the log."""
        added: dict[str, list[int]] = {}
        if end_seq - self._seq > ROWS_READ_ON_MAX or not any(name in self._sums for name in changed):
            return added
        after = self._seq
        while after < end_seq:
            batch = self.log.read(after, bytes_max=1 << 20)
            for seq, record in batch.records:
                if seq <= end_seq and record[:1] != ENTRY:
                    added.setdefault(split_update_record(record)[0], []).append(_number(record))
            after = batch.to.seq
        return added


def _number(record: bytes) -> int:
    return int.from_bytes(record_digest(record), "big")


def content_digest(records: Iterable[bytes]) -> bytes:
    """What the document of these records holds. O(document). Raises ``RecordError`` for what no replica would
    have admitted.
    """
    from pycrdt import Doc  # Who never finds a difference never needs it.

    from crdtsync.model.engine import apply_update

    updates, digests = [], []
    for record in records:
        digests.append(record_digest(record))
        name, update = split_update_record(record)
        updates.append((update, scan_document(name, update, state=record[:1] == STATE)))
    ready, waiting = in_causal_order(updates)
    doc: Doc[Any] = Doc(client_id=0)
    for update in ready:
        # An update that the engine refuses is passed over everywhere, as `runtime.register.documents` does.
        with suppress(UnsafeUpdate):
            apply_update(doc, update)
    try:
        content = content_fingerprint(doc.get_update())
    except UnsafeUpdate:  # One such document must not keep the others from being compared.
        content = records_fingerprint(digests)
    return hashlib.sha256(b"crdtsync/content/v1\0" + content + waiting.to_bytes(4, "big")).digest()


class Reader(Protocol):
    """Answers questions about the documents of a shop, some time later."""

    def ask(
        self, shop: bytes, question: Callable[[DocumentDigests], T], done: Callable[[T], None]
    ) -> None: ...
    def close(self) -> None: ...


class DocumentReader:
    """A ``Reader`` with a thread and a store of its own, both made when first asked. ``done`` is called on
    the event loop; not at all where the disk could not answer: the next comparison asks again.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._shops: dict[bytes, DocumentDigests] = {}
        self._thread: ThreadPoolExecutor | None = None

    def ask(self, shop: bytes, question: Callable[[DocumentDigests], T], done: Callable[[T], None]) -> None:
        """See ``Reader``; returns at once."""
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "documents")
        self._thread.submit(self._answer, loop, shop, question, done)

    def close(self) -> None:
        """Let go of thread and store; blocks for the question under way."""
        if self._thread is not None:
            self._thread.submit(self._close_store)
            self._thread.shutdown()
            self._thread = None

    def _answer(
        self,
        loop: asyncio.AbstractEventLoop,
        shop: bytes,
        question: Callable[[DocumentDigests], T],
        done: Callable[[T], None],
    ) -> None:
        try:
            answer = question(self._digests(shop))
        except (CrdtsyncError, KeyError):
            return
        with suppress(RuntimeError):  # The loop has ended meanwhile.
            loop.call_soon_threadsafe(done, answer)

    def _digests(self, shop: bytes) -> DocumentDigests:
        if self._store is None:
            self._store = self._open_store()
        if shop not in self._shops:
            self._shops[shop] = DocumentDigests(self._store.shop(shop))
        return self._shops[shop]

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


class DocumentComparison:
    """What one connection does about documents. ``pump`` sends what the session has to say afterwards."""

    def __init__(self, session: Session, reader: Reader, shop: bytes, pump: Callable[[], None]) -> None:
        self._session = session
        self._reader = reader
        self._shop = shop
        self._pump = pump
        self._equal: dict[str, tuple[bytes, bytes]] = {}
        self._mended: dict[str, tuple[bytes, bytes]] = {}
        self._told: dict[str, tuple[bytes, bytes]] = {}

    def do(self, ready: Ready) -> None:
        """Do what there is to do about documents; the answers come later."""
        if ready.digest_due and self._session.compares_documents:
            self._ask(DocumentDigests.held, self._send_digest)
        if ready.documents_digest is not None:
            self._on_digest(ready.documents_digest)
        for documents in ready.documents:
            self._on_documents(documents)

    def _on_digest(self, message: DocumentsDigest) -> None:
        def answer(held: Held) -> None:
            if held.root == message.digest:
                self._session.comparing.unmended = frozenset()
            elif self._is_now(held):
                self._session.comparing.send_documents(About.RECORDS, list(held.digests.items()))

        self._ask(DocumentDigests.held, answer)

    def _on_documents(self, message: Documents) -> None:
        theirs = dict(message.documents)
        if message.about is About.RECORDS:
            self._ask(DocumentDigests.held, lambda held: self._compare_records(held, theirs))
        else:
            is_last = message.about is About.CONTENTS_TOO
            self._ask(
                lambda digests: digests.contents(theirs),
                lambda mine: self._compare_contents(mine, theirs, is_last=is_last),
            )

    def _ask(self, question: Callable[[DocumentDigests], T], done: Callable[[T], None]) -> None:
        def answered(answer: T) -> None:
            if self._session.is_in_step:
                done(answer)
                self._pump()

        self._reader.ask(self._shop, question, answered)

    def _is_now(self, held: Held) -> bool:
        return held.end_seq == self._session.outbound.end.seq

    def _send_digest(self, held: Held) -> None:
        if self._is_now(held):
            self._session.comparing.send_documents_digest(held.root)

    def _compare_records(self, held: Held, theirs: Digests) -> None:
        if not self._is_now(held):
            return
        mine = held.digests
        pairs = {
            name: (mine.get(name, NOTHING), theirs.get(name, NOTHING)) for name in mine.keys() | theirs.keys()
        }
        differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
        # A compacted document differs for good from one that is not; its content was found equal before.
        self._told = {name: pair for name, pair in differing.items() if self._equal.get(name) != pair}
        if self._told:
            names = sorted(self._told)[:DOCUMENTS_MAX]
            self._ask(lambda digests: digests.contents(names), self._send_contents)

    def _send_contents(self, mine: Digests) -> None:
        self._session.comparing.send_documents(About.CONTENTS, list(mine.items()))

    def _compare_contents(self, mine: Digests, theirs: Digests, *, is_last: bool) -> None:
        differing = {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
        if is_last:
            self._equal |= {name: pair for name, pair in self._told.items() if name not in differing}
            self._told = {}
        else:
            answer = [(name, mine[name]) for name in differing]
            self._session.comparing.send_documents(About.CONTENTS_TOO, answer)
        self._session.comparing.unmended = frozenset(
            name for name, pair in differing.items() if self._mended.get(name) == pair
        )
        mended = {name: pair for name, pair in differing.items() if self._mended.get(name) != pair}
        if mended:
            # Not again for the same two contents: something else is wrong, and sending does not mend it.
            self._mended |= mended
            self._ask(lambda digests: digests.seqs(mended), self._session.comparing.send_again)
