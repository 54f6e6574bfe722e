"""What a log needs besides commits: signatures that are still to be checked, states of documents, packs.

Admission verifies the last signature of an unbroken run, which covers the entries before it; their own are
verified here, within about a second, and how far that has come is kept in the log (*checked up to*). In quiet
moments Yjs documents of many updates are compacted, and old rows are packed, so that a new device gets the
past as it lies on disk.

Everything is done in small steps beside the commits, with a store of its own for reading. What is found goes
to disk as work of the committer, like everything else: a sale never waits for more than a short transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from crdtsync.errors import CrdtsyncError
from crdtsync.ids import ENTRY
from crdtsync.model.admission import signature_holds
from crdtsync.model.entry import read_admitted
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.compacting import RECORDS_MIN, is_compactable, plan_compaction
from crdtsync.runtime.committing.signature_checks import checked_up_to, save_checks
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.storage.log import ShopLog, Store

CHECKS_PER_STEP: Final = 64
"""About 5 ms of verifying."""

SAVE_CHECKED_EVERY: Final = 4096
"""Rows. After a crash, so many are checked again."""

FAR_BEHIND_ROWS: Final = 1024
PAUSE_S: Final = 0.005
"""After each step while it is far behind: as long again as the step took, for whoever sells or is served."""

PAUSE_AFTER_BULK_S: Final = 1.0
"""While history comes in, pack by pack, nothing else is done: first it is to be on disk. Less than a pack has
rows is no history: of live sales the signatures are checked within a second, however many there are.
"""
BULK_ROWS: Final = 1024

RESTS_MAX: Final = 60
"""How many such pauses there are before signatures are checked although ever more comes in: nobody who goes
on sending a past keeps those of others unchecked.
"""

PACK_ROWS: Final = 4096
LOOSE_ROWS: Final = 4096

QUIET_BEFORE_PACKING_S: Final = 0.5
PACKS_BEHIND_MAX: Final = 8
"""Beyond it, packing waits no longer for a quiet moment."""

Change = Callable[[ShopLog], object]
Submit = Callable[[bytes, Change, Callable[[bool], None]], None]
"""Have a change of a shop's log made in the next transaction; the last argument is called afterwards, from
any thread, and told whether it is on disk.
"""


@dataclass(frozen=True, slots=True)
class UpkeepLimits:
    """From when on it is worth it. A log keeps its newest ``loose_rows`` rows as they are: they are what is
    read, sent and filed most.
    """

    pack_rows: int = PACK_ROWS
    loose_rows: int = LOOSE_ROWS
    compact_records: int = RECORDS_MIN


class Upkeep:
    """The steps, shop by shop. ``submit`` has a change made on disk. ``store`` is for reading, on the thread
    that calls ``step``.
    """

    def __init__(self, store: Store, submit: Submit, *, limits: UpkeepLimits | None = None) -> None:
        self._store = store
        self._submit = submit
        self._limits = limits or UpkeepLimits()
        self._shops: dict[bytes, _ShopUpkeep] = {}
        for shop in store.shops():
            self._of(shop)

    def grew(self, growth: Growth) -> None:
        """A commit added rows."""
        self._of(growth.shop).grew(growth)

    def step(self, *, is_quiet: bool) -> bool:
        """Do one small piece of work; whether there was any. ``is_quiet``: no commits for a while."""
        shops = list(self._shops.values())
        checked = [shop.check() for shop in shops]  # Every shop gets its turn.
        if any(checked):
            return True
        if is_quiet and any(shop.compact() for shop in shops):
            return True
        return any(shop.pack(is_quiet=is_quiet) for shop in shops)

    @property
    def waits_for_quiet(self) -> bool:
        """Whether there is work that is left for a quiet moment."""
        return any(shop.may_pack or shop.may_compact for shop in self._shops.values())

    @property
    def is_far_behind(self) -> bool:
        """Whether so many signatures are still to be checked that it takes a while: others come first."""
        return any(shop.unchecked > FAR_BEHIND_ROWS for shop in self._shops.values())

    def save(self) -> None:
        """Write down how far the signatures are checked: at the end."""
        for shop in self._shops.values():
            shop.save()

    def _of(self, shop: bytes) -> _ShopUpkeep:
        if shop not in self._shops:
            log = self._store.shop(shop)
            self._shops[shop] = _ShopUpkeep(log, self._submit, self._limits)
        return self._shops[shop]


class _ShopUpkeep:
    """The upkeep of one shop's log."""

    def __init__(self, log: ShopLog, submit: Submit, limits: UpkeepLimits) -> None:
        self._log = log
        self._submit = submit
        self._limits = limits
        self._admission = Admission(log.shop)
        self._saved = checked_up_to(log)
        self._began = self._to = log.end.seq
        # What a crash left, and what other processes wrote: nobody knows which of these were checked.
        self._unchecked = [(self._saved + 1, self._to)] if self._saved < self._to else []
        self._bad: list[int] = []
        self._is_saving = False
        self._is_damaged = False
        self._is_packing = False
        self._packed_to = 0
        self._pack_at = limits.loose_rows + limits.pack_rows
        self._grown = {row.name for row in log.documents() if is_compactable(row.name)}
        self._is_compacting = False
        self._look_again_at: dict[str, int] = {}
        log.let_go()

    @property
    def unchecked(self) -> int:
        """How many rows are to be looked at."""
        return 0 if self._is_damaged else sum(hi - lo + 1 for lo, hi in self._unchecked)

    @property
    def may_pack(self) -> bool:
        """Whether there may be rows to pack."""
        return not self._is_packing and self._to >= self._pack_at

    @property
    def may_compact(self) -> bool:
        """Whether there may be a document to compact."""
        return bool(self._grown) and not self._is_compacting

    def grew(self, growth: Growth) -> None:
        """See ``Upkeep.grew``."""
        if growth.start.seq > self._to:  # Another process wrote in between.
            self._add(self._to + 1, growth.start.seq)
        for seq in growth.unchecked:
            if seq > self._began:
                self._add(seq, seq)
        self._to = max(self._to, growth.rows[-1].seq)
        self._grown |= growth.documents

    def check(self) -> bool:
        """Verify some signatures; whether there were any to verify."""
        if not self._unchecked or self._is_damaged:
            return False
        # Where many devices sell at once every second row is to be checked: they are read together.
        first, to = self._unchecked[:CHECKS_PER_STEP], self._unchecked[0][0] + CHECKS_PER_STEP - 1
        due = {seq for lo, hi in first for seq in range(lo, min(hi, to) + 1)}
        try:
            bad = self._bad_among(due)
        except CrdtsyncError:
            # The record cannot be read: `verify` and `status` say so; the others are checked after a start.
            self._is_damaged = True
            return False
        self._unchecked[: len(first)] = [(max(lo, to + 1), hi) for lo, hi in first if hi > to]
        self._bad += bad
        if self._bad or self._checked - self._saved >= SAVE_CHECKED_EVERY:
            self.save()
        if not self._unchecked:
            self._log.let_go()
        return True

    def compact(self) -> bool:
        """Compact a document that has grown, if it is worth it; whether there was anything to do."""
        if not self.may_compact:
            return False
        document = self._grown.pop()
        try:
            totals = self._log.document(document)
            records = totals.records if totals is not None else 0
            if records < self._look_again_at.get(document, 0):
                return True
            self._look_again_at[document] = records + self._limits.compact_records // 4
            plan = plan_compaction(self._log, document, records_min=self._limits.compact_records)
        except CrdtsyncError:
            return True  # A damaged record: `verify` and `status` tell of it.
        if plan is not None:
            del self._look_again_at[document]
            self._is_compacting = True
            state, replaces = plan.state, plan.replaces
            self._submit(self._log.shop, lambda log: log.compact(state, replaces), self._has_compacted)
        return True

    def _has_compacted(self, is_on_disk: bool) -> None:
        self._is_compacting = False

    def pack(self, *, is_quiet: bool) -> bool:
        """Prepare a pack of the oldest rows, if there are many; whether there was anything to do."""
        keep_after = self._to - self._limits.loose_rows
        behind = keep_after - self._packed_to
        if not self.may_pack or not (is_quiet or behind >= PACKS_BEHIND_MAX * self._limits.pack_rows):
            return False
        try:
            prepared = self._log.prepare_pack(self._limits.pack_rows, keep_after)
        except CrdtsyncError:
            prepared = None  # A damaged row is not packed; `verify` and `status` tell of it.
        if prepared is None:
            self._pack_at = self._to + self._limits.pack_rows // 4
            return False
        self._packed_to = prepared.last
        self._is_packing = True
        self._submit(self._log.shop, lambda log: log.store_pack(prepared), self._has_packed)
        return True

    def save(self) -> None:
        """Write down how far all signatures are checked and what was found, if there is anything new."""
        checked, bad, before = self._checked, self._bad, self._saved
        if self._is_saving or (checked <= before and not bad):
            return
        self._is_saving, self._saved, self._bad = True, checked, []

        def told(is_on_disk: bool) -> None:
            if not is_on_disk:  # Both again with the next: how far it is never stands without what was found.
                self._saved, self._bad = before, bad + self._bad
            self._is_saving = False

        self._submit(self._log.shop, lambda log: save_checks(log, checked, bad), told)

    @property
    def _checked(self) -> int:
        return self._unchecked[0][0] - 1 if self._unchecked else self._to

    def _has_packed(self, is_on_disk: bool) -> None:
        if not is_on_disk:  # A full disk, say: again when more has come, not at once and for ever.
            self._pack_at = self._to + self._limits.pack_rows // 4
        self._is_packing = False

    def _add(self, lo: int, hi: int) -> None:
        if self._unchecked and self._unchecked[-1][1] + 1 == lo:
            self._unchecked[-1] = (self._unchecked[-1][0], hi)
        else:
            self._unchecked.append((lo, hi))

    def _bad_among(self, due: set[int]) -> list[int]:
        bad = []
        after, last = min(due) - 1, max(due)
        while after < last:
            batch = self._log.read(after, bytes_max=1 << 16)
            bad += [s for s, record in batch.records if s in due and not self._holds(record)]
            after = batch.to.seq
        return bad

    def _holds(self, record: bytes) -> bool:
        if record[:1] != ENTRY:
            return True
        entry = read_admitted(record[1:])  # Its form was judged before it was stored.
        if signature_holds(entry, self._admission.directory):
            return True
        self._admission.is_stale = True
        self._admission.refresh(self._log)
        return signature_holds(entry, self._admission.directory)


class UpkeepThread:
    """Runs the steps beside a committer, as long as that lives."""

    def __init__(self, open_store: Callable[[], Store], submit: Submit) -> None:
        self._open_store = open_store
        self._submit = submit
        self._signal = threading.Condition()
        self._grown: list[Growth] = []
        self._stopping = self._was_woken = False
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def grew(self, growth: Growth) -> None:
        """See ``Upkeep.grew``; from any thread, returns at once."""
        with self._signal:
            self._grown.append(growth)
            self._signal.notify()

    def stop(self) -> None:
        """End after the step under way; blocks for it. What is left is gone on with after the next start."""
        with self._signal:
            self._stopping = True
            self._signal.notify()
        self._thread.join()

    def _submit_and_wake(self, shop: bytes, change: Change, done: Callable[[bool], None]) -> None:
        def tell(is_on_disk: bool) -> None:
            done(is_on_disk)
            with self._signal:
                self._was_woken = True
                self._signal.notify()

        self._submit(shop, change, tell)

    def _run(self) -> None:
        try:
            store = self._open_store()
        except CrdtsyncError:
            return  # As below.
        try:
            self._work(Upkeep(store, self._submit_and_wake))
        except CrdtsyncError:
            # The disk does not even answer: commits fail too, and say so. Checking goes on after a start.
            return
        finally:
            store.close()

    def _work(self, upkeep: Upkeep) -> None:
        is_quiet, worked, rests = False, True, 0
        if upkeep.is_far_behind:  # Whoever starts with a backlog first sends it, or is served.
            self._pause(PAUSE_AFTER_BULK_S)
        while True:
            with self._signal:
                if not (worked or self._grown or self._was_woken or self._stopping):
                    pause_s = None if is_quiet or not upkeep.waits_for_quiet else QUIET_BEFORE_PACKING_S
                    is_quiet = not self._signal.wait(pause_s)
                if self._stopping:
                    break
                grown, self._grown, self._was_woken = self._grown, [], False
            is_quiet = is_quiet and not grown
            for growth in grown:
                upkeep.grew(growth)
            if not upkeep.is_far_behind:
                rests = 0
            elif rests < RESTS_MAX and any(len(growth.rows) >= BULK_ROWS for growth in grown):
                self._pause(PAUSE_AFTER_BULK_S)
                worked, rests = True, rests + 1
                continue
            worked = upkeep.step(is_quiet=is_quiet)
            if worked and upkeep.is_far_behind:
                self._pause(PAUSE_S)
        upkeep.save()

    def _pause(self, seconds: float) -> None:
        with self._signal:
            self._signal.wait_for(lambda: self._stopping, seconds)
