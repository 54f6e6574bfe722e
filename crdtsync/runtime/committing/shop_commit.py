"""What one transaction does to one shop's log."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from crdtsync.errors import DamagedStore, LinkClosed
from crdtsync.ids import CATALOGUE_DOCUMENT, OWNER_DOCUMENT, START, Item, Origin, update_record
from crdtsync.model.admission import NOTHING_KNOWN, Known
from crdtsync.model.certificate import Directory
from crdtsync.protocol.intervals import subtract
from crdtsync.protocol.messages import RefusedRecord
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.belonging.revoked import in_log, other_version
from crdtsync.runtime.committing.admission import Admission, Rejection
from crdtsync.runtime.committing.batches import is_kept_as_pack, rows_of, unpacked
from crdtsync.runtime.committing.upkeep import PACK_ROWS
from crdtsync.runtime.committing.work import NEW_LOG, OUT_OF_STEP, Outcome, Work
from crdtsync.runtime.syncing.progress import save_first
from crdtsync.runtime.syncing.tail import Growth, Row, read_on
from crdtsync.storage.log import LOOSE_BEFORE_PACK_MAX, Cursor, Refusal, ShopLog, Store

if TYPE_CHECKING:
    from crdtsync.runtime.committing.ahead import Verifier

Judged = list[tuple[int, bytes, Item | Rejection]]
NO_CURSOR = Cursor(START)
_OF_CATALOGUE = tuple(update_record(CATALOGUE_DOCUMENT, b"", state=state) for state in (False, True))
ROWS_PER_TRANSACTION = 512  # Of history: they are judged in some 20 ms and stored in 10.


class ShopCommit:
    """What one transaction does to one shop's log. ``verifier``: it has verified some signatures ahead."""

    def __init__(
        self, log: ShopLog, admission: Admission, now_ms: int, verifier: Verifier | None = None
    ) -> None:
        self._log = log
        self._verifier = verifier
        self._admission = admission
        self._bounds = admission.bounds
        self._now_ms = now_ms
        self._judged: dict[int, list[Judged]] = {}
        self._judged_by: dict[int, Directory] = {}
        self._verifies_each = False
        self._awaiting: set[bytes] = set()
        self._unchecked: list[int] = []
        self._documents: set[str] = set()
        self._tops: dict[bytes, int] = {}
        self._cursors: dict[bytes, Cursor] = {}
        self._moved: set[bytes] = set()
        self._rows: list[Row] = []
        self._anew: set[bytes] = set()
        self._admitted: set[Origin] = set()
        self._start, self._log_id = START, b""

    def judge(self, works: list[Work], *, each: bool = False) -> None:
        """Judge what one peer sent, before the transaction: signatures take longer than the commit. ``each``:
        verify all of them now, for nobody does so later.
        """
        self._verifies_each = each
        self._admission.refresh(self._log)
        rows = [[rows_of(delivery) for delivery in work.deliveries] for work in works]
        peer_log = works[0].peer_log
        came = [row for deliveries in rows for delivery in deliveries for row in delivery]
        verifier = self._verifier
        known = {pair for work in works for pair in verifier.known(work)} if verifier is not None else set()
        awaiting = None if each else self._awaiting
        verdicts = iter(self._judge_all(came, peer_log, works[0].role, awaiting, known=known))
        for work, deliveries in zip(works, rows, strict=True):
            self._judged_by[id(work)] = self._admission.directory
            self._judged[id(work)] = [
                [(seq, record, next(verdicts)) for seq, record in delivery] for delivery in deliveries
            ]

    def append_ahead(self, store: Store, work: Work) -> list[Growth]:
        """Judge a pack of the past and store it as it came, if that can be said of all its rows. Else store
        all but its last rows singly, some hundred in a transaction, so that no sale waits for thousands. That
        the interval is filled is stored with the last: after a crash the others come again, and are dropped.
        """
        self._admission.refresh(self._log)
        growths, judged_ahead, kept = list[Growth](), Judged(), Judged()
        by = self._judged_by[id(work)] = self._admission.directory
        (rows, links), self._judged[id(work)] = unpacked(work.deliveries[0]), [kept]
        # Somebody waits for products to sell: where most are products, nothing before them is packed first.
        products_bytes = sum(len(record) for _, record in rows if record.startswith(_OF_CATALOGUE))
        is_for_sale = products_bytes * 2 > sum(len(record) for _, record in rows)
        if self._bounds is None and is_kept_as_pack(work.deliveries[0].blob) and not is_for_sale:
            judged_ahead = self._judge_rows(rows, work, links)
            with suppress(DamagedStore):  # What is damaged is not packed; the past comes in all the same.
                growths += self._append_pack(store, work, judged_ahead)
            if growths:
                self._awaiting.clear()
                return growths
        for first in range(0, len(rows), ROWS_PER_TRANSACTION):
            last = first + ROWS_PER_TRANSACTION
            if not judged_ahead:
                by = self._judged_by[id(work)] = self._admission.directory
            judged = judged_ahead[first:last] or self._judge_rows(rows[first:last], work, links[first:last])
            if last >= len(rows):
                kept += judged
                break
            with store.transaction():
                self.begin(store)
                if self._misfit(work):
                    self.judge([work])
                    return growths
                if not self._admission.directory.cuts_off_as(by):
                    judged = self._judge_rows(rows[first:last], work, links[first:last])
                for seq, record, alone in judged:
                    verdict = self._within_bounds(alone, record)
                    if isinstance(verdict, Item):
                        self._append(verdict)
                    else:
                        kept.append((seq, record, verdict))
                growths.append(self.finish(is_all=False))
            if not judged_ahead:
                self._awaiting.clear()
        return growths

    def _judge_rows(self, rows: list[tuple[int, bytes]], work: Work, links: list[bytes | None]) -> Judged:
        verdicts = self._judge_all(rows, work.peer_log, work.role, self._awaiting, links)
        return [(seq, record, verdict) for (seq, record), verdict in zip(rows, verdicts, strict=True)]

    def _judge_all(
        self,
        rows: list[tuple[int, bytes]],
        peer_log: bytes,
        role: str,
        awaiting: set[bytes] | None,
        links: list[bytes | None] | None = None,
        known: Known = NOTHING_KNOWN,
    ) -> list[Item | Rejection]:
        origins = [Origin(peer_log, seq) for seq, _ in rows]
        return self._admission.judge([record for _, record in rows], role, awaiting, origins, links, known)

    def _append_pack(self, store: Store, work: Work, judged: Judged) -> list[Growth]:
        """Store a whole pack of the past; nothing where its rows have to be stored singly, or not at all."""
        items = [verdict for _, _, verdict in judged if isinstance(verdict, Item)]
        if len(items) < len(judged):
            return []
        # What lies before it is packed first, most of it while nobody waits: packs are the log's beginning.
        while prepared := self._log.prepare_pack(
            PACK_ROWS, self._log.end.seq, rows_min=LOOSE_BEFORE_PACK_MAX // 2
        ):
            with store.transaction():
                if not self._log.store_pack(prepared):
                    return []
        with store.transaction():
            self.begin(store)
            by = self._judged_by[id(work)]
            if self._misfit(work) or not self._admission.directory.cuts_off_as(by):
                return []
            positions = self._log.append_pack(work.deliveries[0].blob, items)
            if positions is None:
                return []
            for item, position in zip(items, positions, strict=True):
                self._appended(item, position.seq, position.h)
            return [self.finish(is_all=False)]

    def begin(self, store: Store) -> None:
        """Inside a transaction: where the log ends before it, and who belongs to the shop by now."""
        self._admission.notice(store)
        self._admission.refresh(self._log)
        self._start, self._log_id = self._log.end, self._log.log_id
        self._cursors.clear()
        self._rows, self._unchecked, self._anew, self._documents, self._tops = [], [], set(), set(), {}
        if self._bounds is not None:
            self._bounds.begin(self._log)

    def _misfit(self, work: Work) -> LinkClosed | None:
        """Why nothing of this work may be stored, if that is so."""
        if work.our_log not in (None, self._log_id):
            # A record was damaged here and set apart, or a disk was found restored: the peer leaves out what
            # came from the old id, so that to store how far it has come would be to lose that for good.
            return LinkClosed("this log goes on under a new id since its hello", code=NEW_LOG)
        if not self._continues(work):
            # An earlier delivery failed, or the device is connected twice, or work of its last connection was
            # stored after this one's hello: the next hello sorts that out, and must not be given up.
            return LinkClosed("records arrived that do not continue what is stored", code=OUT_OF_STEP)
        return None

    def apply(self, work: Work) -> Outcome:
        """Store one connection's work."""
        if misfit := self._misfit(work):
            return Outcome(error=misfit)
        outcome = Outcome()
        if not self._admission.directory.cuts_off_as(self._judged_by[id(work)]):
            # Somebody was cut off since: by another process, or by work before this in the same commit. What
            # he made beyond the heads that were known would be here, and on hold everywhere else, for ever.
            self.judge([work], each=self._verifies_each)
        for delivery, judged in zip(work.deliveries, self._judged[id(work)], strict=True):
            outcome.stored.append((delivery.number, self._store(work, delivery, judged)))
        if work.acknowledged is not None:
            self._log.set_acknowledged(work.peer_log, work.acknowledged, self._now_ms)
        for message in work.refused:
            refusals = [Refusal(r.seq, r.digest, r.code, r.reason, r.held) for r in message.refusals]
            self._log.set_refusals_received(work.peer_log, refusals, complete=message.complete)
        if work.also is not None:
            self._save_cursors()
            work.also(self._log)
            self._log_id = self._log.log_id  # It may go on under a new one now.
            self._cursors.clear()
            read_on(self._log, self._rows, self._start)
        return outcome

    def _continues(self, work: Work) -> bool:
        position = self.cursor(work.peer_log).position
        for delivery in work.deliveries:
            if delivery.start != position and not delivery.restart:
                return False
            position = delivery.cursor
        return True

    def finish(self, *, is_all: bool = True) -> Growth:
        """Inside the transaction: with ``is_all``, what was held is judged again if there is cause to."""
        bounds = self._bounds
        may_be_wider = bounds is not None and bounds.may_be_wider
        if is_all and (self._admission.take_new_certificates() or may_be_wider):
            self._rejudge()
            while self._admission.take_new_certificates():  # One that was held may be what others wait for.
                self._rejudge()
        self._save_cursors()
        if bounds is not None:
            bounds.finish(self._log)
        anew, unchecked, documents = frozenset(self._anew), tuple(self._unchecked), frozenset(self._documents)
        return Growth(self._log.shop, self._start, self._rows, anew, unchecked, documents)

    def leave_out_admitted(self, work: Work, outcome: Outcome) -> None:
        """A record that was held, and came in with a certificate of the same commit, was never refused."""
        if not self._admitted:
            return
        outcome.stored = [
            (number, tuple(one for one in refused if Origin(work.peer_log, one.seq) not in self._admitted))
            for number, refused in outcome.stored
        ]

    def _store(self, work: Work, delivery: Delivery, judged: Judged) -> tuple[RefusedRecord, ...]:
        peer_log = work.peer_log
        if delivery.restart:
            self._log.void_origin(peer_log)
            self._cursors[peer_log] = NO_CURSOR
            self._moved.discard(peer_log)
            return ()
        refused = []
        for seq, record, alone in judged:
            verdict = self._within_bounds(alone, record)
            if isinstance(verdict, Rejection):
                refusal = RefusedRecord(seq, verdict.digest, verdict.code, verdict.reason, verdict.held)
                kept = Refusal(seq, verdict.digest, verdict.code, verdict.reason, verdict.held)
                if self._bounds is not None:
                    self._bounds.keep_apart(self._log, peer_log, kept, record, work.device)
                self._log.refuse(peer_log, kept, record, self._now_ms)
                refused.append(refusal)
            else:
                self._append(verdict)
        wanted = list(self.cursor(peer_log).wanted)
        if delivery.cut is not None:
            wanted = list(delivery.cut)
            save_first(self._log, peer_log, delivery.first)
        if delivery.fills is not None:
            wanted = subtract(wanted, delivery.fills)
        self._cursors[peer_log] = Cursor(delivery.cursor, tuple(wanted))
        self._moved.add(peer_log)
        return tuple(refused)

    def cursor(self, peer_log: bytes) -> Cursor:
        """How far that log is held, as of this commit."""
        if peer_log not in self._cursors:
            self._cursors[peer_log] = self._log.cursor(peer_log) or NO_CURSOR
        return self._cursors[peer_log]

    def _save_cursors(self) -> None:
        for peer_log in self._moved:
            self._log.set_cursor(peer_log, self._cursors[peer_log])
        self._moved.clear()

    def _append(self, item: Item) -> bool:
        seq = self._log.append(item)
        if seq is None:
            return False
        self._appended(item, seq, self._log.hash_appended)
        if self._bounds is not None:
            self._bounds.appended(self._log, item)
        return True

    def _appended(self, item: Item, seq: int, h: bytes) -> None:
        self._rows.append(Row(seq, h, item.record, item.origin))
        if item.entry is None:
            self._documents.add(item.document)
        elif item.digest in self._awaiting:
            self._unchecked.append(seq)
        if item.document == OWNER_DOCUMENT:
            self._admission.appended(item)

    def _within_bounds(self, verdict: Item | Rejection, record: bytes) -> Item | Rejection:
        if isinstance(verdict, Rejection):
            return in_log(self._log, record, verdict, self._admission.item_of) or verdict
        held = other_version(self._log, verdict, self._admission.directory, self._tops)
        if held is None and self._bounds is not None:
            held = self._bounds.judge(self._log, verdict)
        return held or verdict

    def _rejudge(self) -> None:
        held = [apart for apart in self._log.apart() if apart.held]
        verdicts = self._admission.judge([apart.record for apart in held], "register")
        for apart, verdict in zip(held, verdicts, strict=True):
            if isinstance(verdict, Item) and self._within_bounds(verdict, apart.record) is verdict:
                # Whose log has it is told by the refusals that stand, not by who brought it: that log may
                # have been put back since, and would never be given the record that it has lost.
                origins = self._log.settle_refusals(apart.digest)
                self._append(replace(verdict, origin=origins[0] if origins else None))
                self._anew.update(origin.log_id for origin in origins)
                self._admitted.update(origins)
