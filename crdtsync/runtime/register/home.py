"""What a connection needs of a register (``runtime.syncing.connection.Home``): its log, its certificates, its
relay.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from crdtsync.errors import AccessDenied, CrdtsyncError, DamagedStore, LinkClosed
from crdtsync.ids import ENTRY, ID_BYTES, START, Origin, Position
from crdtsync.model.entry import SOFTWARE
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.work import Me
from crdtsync.runtime.belonging.copies import begin_own_chain, has_other_writer
from crdtsync.runtime.belonging.revoked import HANDED_OVER
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.work import Outcome, Work
from crdtsync.runtime.damage.not_back import not_back
from crdtsync.runtime.folder.identity import (
    ClockOffset,
    Identity,
    Relay,
    load_clock_offset,
    load_relay,
    save_clock_offset,
    save_relay,
)
from crdtsync.runtime.syncing.answer import refused
from crdtsync.runtime.syncing.comparison import DocumentReader, Reader
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.link_trouble import (
    SLOWED,
    load_slowed,
    load_unmended,
    save_relay_put_back,
    save_slowed,
    save_unmended,
)
from crdtsync.runtime.syncing.progress import save_pace
from crdtsync.runtime.syncing.relay_clock import RelayClock, is_news
from crdtsync.runtime.syncing.tail import Growth, Row, Tail
from crdtsync.storage.log import ShopLog, Store
from crdtsync.storage.schema import SEQ_MAX

TAIL_BYTES_MAX: Final = 1 << 20
NEWS_BYTES_MAX: Final = 256 << 10


class RegisterHome:
    """One register, as its connection sees it. Lives on one event loop. ``open_store`` opens the register's
    store, ``key`` is the device's; ``changed`` is told of every commit that brought records from elsewhere,
    on the committer's thread; ``mend`` sets a damaged record apart, whoever has the store open.
    """

    def __init__(
        self,
        *,
        open_store: Callable[[], Store],
        identity: Identity,
        clock: Clock,
        random: RandomBytes,
        changed: Callable[[], None],
        key: PrivateKey,
        mend: Callable[[DamagedStore], bool] = lambda _: False,
    ) -> None:
        self.key = key
        self.connection: Connection | None = None
        self.error: CrdtsyncError | None = None
        self._identity = identity
        self._own = f'"till":"{identity.device.hex()}"'.encode()
        self._clock = clock
        self._random = random
        self._changed = changed
        self._mend = mend
        self._store = open_store()
        self._log = self._store.shop(identity.shop)
        self._relay = load_relay(self._log)
        self._admission = Admission(identity.shop)
        self._tail = Tail(self._log.end, TAIL_BYTES_MAX)
        self._closings_seq = self._log.end.seq
        self._has_met = False
        self._said_seq = 0
        self._sent_by: Outbound | None = None
        self._relay_clock = RelayClock(clock)
        self._unmended = frozenset(load_unmended(self._log))
        self._is_slowed = load_slowed(self._log) is not None
        self.documents = self.make_reader(open_store)
        self.committer = self.make_committer(open_store, Admission(identity.shop))
        self.committer.on_disk = self._on_disk

    def mended(self, error: CrdtsyncError | None) -> bool:
        """Whether a connection ended because a record on this disk is damaged, and it was set apart now: the
        rest goes on its way at once, and the relay is asked for it.
        """
        return isinstance(error, DamagedStore) and self._mend(error)

    def has_more(self, error: CrdtsyncError) -> bool:
        """Whether this register was cut off, and something was recorded here since its hello: what it has is
        still taken, so it comes once more.
        """
        is_cut_off = isinstance(error, LinkClosed) and error.code == HANDED_OVER
        return is_cut_off and self._log.end.seq > self._said_seq

    def make_reader(self, open_store: Callable[[], Store]) -> Reader:
        """What answers questions about documents: a thread, unless a simulation has something of its own."""
        return DocumentReader(open_store)

    def make_committer(self, open_store: Callable[[], Store], admission: Admission) -> Committer:
        """What writes: a thread, unless a simulation has something of its own."""
        return Committer(open_store, lambda _: admission, self, self._clock.now_ms, time.monotonic)

    def close(self) -> None:
        """Let go of the store."""
        self.documents.close()
        self._store.close()

    def save(self, change: Callable[[ShopLog], None]) -> None:
        """Have some small state written down, soon. If it cannot be, the next one will be."""
        self.committer.submit(Work(self._identity.shop, b"", "", lambda outcome: None, also=change))

    def note_pace(self, left_s: float | None) -> None:
        """Leave for `status` how long the rest of the history will take."""
        at_ms = self._clock.now_ms()
        self.save(lambda log: save_pace(log, at_ms, left_s))

    def damaged_own(self) -> int:
        """How many entries of this register were damaged here, and the relay did not bring them back."""
        return len(not_back(self._log))

    def note_while_live(self, unmended: frozenset[str]) -> None:
        """Leave for `status`, and for who sells, what has changed while the relay is there: whether this
        machine's clock was set or jumped, and what a repair did not mend.
        """
        self.note_unmended(unmended)
        offset = self._relay_clock.compared_with(self._clock.now_ms())
        if offset is not None and is_news(offset, load_clock_offset(self._log)):
            self.save(lambda log: save_clock_offset(log, offset))

    def note_unmended(self, documents: frozenset[str]) -> None:
        """Leave for `status` which documents a repair did not mend, if that is news."""
        if documents != self._unmended:
            self._unmended = documents
            self.save(lambda log: save_unmended(log, documents))

    def who_refuses(self, peer: Hello) -> Me | None:
        """A register says why it turns away from its relay to nobody but the person before it."""
        return None

    def me(self, peer: Hello | None) -> Me:
        """This register, and how far it has the relay's log."""
        relay = self._relay
        log_id = relay.log_id if relay is not None and relay.log_id is not None else b""
        if peer is not None:
            log_id = peer.log_id
        cursor = self._log.cursor(log_id) if log_id else None
        if peer is None:  # What our hello says; later it is asked for again.
            self._said_seq = self._log.end.seq
        return Me(
            shop=self._identity.shop,
            device=self._identity.device,
            log_id=self._log.log_id,
            end=self._log.end,
            cursor_log=log_id,
            cursor=cursor.position if cursor else START,
            wanted=cursor.wanted if cursor else (),
            nonce=self._random(16),
            certificate=b"",
            is_relay=False,
            time_ms=self._clock.now_ms(),
            digest=root_digest(self._log.runs()),
            software=SOFTWARE,
        )

    def shop_log(self, shop: bytes) -> ShopLog:
        """Raises ``AccessDenied`` for another shop than ours."""
        if shop != self._identity.shop:
            raise AccessDenied("the peer speaks of another shop")
        return self._log

    def admission(self, shop: bytes) -> Admission:
        """For hellos."""
        return self._admission

    def tail(self, shop: bytes) -> Tail | None:
        """The newest rows."""
        return self._tail

    def pinned_relay_key(self) -> bytes | None:
        """The relay must prove the key that the pairing code named."""
        return self._relay.public_key if self._relay else None

    def went_live(self, connection: Connection) -> None:
        """The relay has proved who it is: remember its log, and how far our clock is from its own."""
        self.error = None
        self._has_met = True
        self._note_slowed(False)
        peer, relay = connection.session.peer, self._relay
        if peer is None or relay is None:
            return
        if self._has_relay_lost(peer, relay):
            at_ms = self._clock.now_ms()
            self.save(lambda log: save_relay_put_back(log, at_ms))
        outbound = connection.session.outbound
        if self._sent_by is not None:
            outbound.recall(self._sent_by.told.seq, self._sent_by.served)
        self._sent_by = outbound
        now_ms = self._clock.now_ms()
        offset = ClockOffset(now_ms - peer.time_ms, now_ms)
        self._relay_clock.met(peer.time_ms)
        met = Relay(relay.url, relay.public_key, peer.log_id)
        # What is on the disk counts, by which `status` goes: it may not have been written last time.
        if met == load_relay(self._log) and not is_news(offset, load_clock_offset(self._log)):
            return
        self._relay = met

        def remember(log: ShopLog) -> None:
            save_relay(log, met)
            save_clock_offset(log, offset)

        self.committer.submit(Work(peer.shop, peer.log_id, "relay", self._remembered, also=remember))

    def _has_relay_lost(self, peer: Hello, relay: Relay) -> bool:
        """Whether the relay was put back from an older copy, or has begun anew, since it was last met."""
        if relay.log_id is None:
            return False
        known = self._log.acknowledged(peer.log_id)
        # Of a log that took a new id, as one does that lost a record, the relay has nothing at first.
        has_less = (
            known is not None
            and peer.cursor_log == self._log.log_id
            and 0 < peer.cursor.seq < known.position.seq
        )
        return relay.log_id != peer.log_id or not peer.fits or has_less

    def _remembered(self, outcome: Outcome) -> None:
        if outcome.error is not None and self.connection is not None:
            self.connection.close(outcome.error, 4503)

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """Write down what the relay has on its disk."""
        peer = connection.session.peer
        if peer is None:
            return None
        log_id, now_ms = peer.log_id, self._clock.now_ms()
        return lambda log: log.set_acknowledged(log_id, position, now_ms)

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:
        """What the relay tells is shown by `status`, and nothing is done about it."""
        self._note_slowed(facts.get(SLOWED) is True)

    def sync_wanted(self) -> None:
        """See ``Home``. Whoever notices what other processes write looks for it now."""

    def _note_slowed(self, is_slowed: bool) -> None:
        if is_slowed == self._is_slowed:
            return
        self._is_slowed = is_slowed
        since_ms = self._clock.now_ms() if is_slowed else None
        self.save(lambda log: save_slowed(log, since_ms))

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """A commit of ours is on disk, or failed."""
        for growth in growths:
            self._tail.extend(growth.start, growth.rows)
            if self.connection is not None:
                self._tell_admitted(self.connection, growth)
            if growth.rows:
                if self._identity.role != "display" and any(map(self._is_own_from_elsewhere, growth.rows)):
                    self.save(self._leave_to_other_writer)
                if self.connection is not None:
                    self.connection.log_grew(self._tail.end)
                    if any(is_closing(row.record) for row in growth.rows):
                        self.connection.session.comparing.compare_soon()

    def _on_disk(self, growths: list[Growth]) -> None:
        if any(growth.rows for growth in growths):
            self._changed()

    def _is_own_from_elsewhere(self, row: Row) -> bool:
        return row.origin is not None and self._own in row.record and row.record[:1] == ENTRY

    def _tell_admitted(self, connection: Connection, growth: Growth) -> None:
        """If something was held and is held no more, the relay must not think that it still is."""
        peer = connection.session.peer
        if peer is not None and peer.log_id in growth.admitted_anew:
            refusals = [refused(refusal) for refusal in self._log.refusals_given(peer.log_id)]
            connection.session.refusals_changed(refusals)
            connection.pump()

    def now_ms(self) -> int:
        """The time of connections, in milliseconds: never set, never stepped, unlike the wall clock. A till
        whose clock is put right by an hour must not think that its relay was silent for that hour.
        """
        return time.monotonic_ns() // 1_000_000

    def was_copied(self, log: ShopLog) -> None:
        """See ``Home``: the log goes on under a new id, and the register in a chain of its own."""
        log.rotate_log_id(self._random(ID_BYTES))
        self._leave_chain(log)

    def _leave_chain(self, log: ShopLog) -> None:
        begin_own_chain(log, self._identity, self.key, self._clock, self._random)

    def _leave_to_other_writer(self, log: ShopLog) -> None:
        if has_other_writer(log, read_head(log)):
            self._leave_chain(log)

    def has_new_closing(self) -> bool:
        """As ``has_closing``, of what is new since the last call. Not yet while what the relay brought comes
        to disk: all of it would be read for this, and in a moment it is known where it came from.
        """
        connection = self.connection
        if connection is not None and connection.session.inbound.under_way:
            return False
        after, self._closings_seq = self._closings_seq, self._log.end.seq
        return after < self._closings_seq and self.has_closing(after)

    def has_closing(self, after: int) -> bool:
        """Whether there is a closing among the rows after that number that others wrote: of what came from
        the relay ``committed`` has told, and packs of the past are not unpacked for this.
        """
        relay_log = self._relay.log_id if self._relay is not None else None
        from_relay = Origin(relay_log, SEQ_MAX) if relay_log is not None else None
        if (passed := self._tail.passed(after, from_relay)) is not None:
            after = passed.seq
        news = self._log.read(after, bytes_max=NEWS_BYTES_MAX, skip_origin=from_relay)
        return any(is_closing(record) for _, record in news.records)


def is_closing(record: bytes) -> bool:
    """Whether a record closes a day or a period; what it adds up must not be wrong for long."""
    return record[:1] == ENTRY and b'"kind":"close"' in record
