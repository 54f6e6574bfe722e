"""The half of a session that sends my log.

``sent`` is how far my log was read for the peer, ``told`` the position that the peer has been told of (the
``to`` of my last frame), ``acked`` what it has on disk. Rows that the peer holds are skipped, so ``told`` may
lag behind ``sent``; the next frame covers both, or after a second one without records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from crdtsync.errors import UnexpectedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.intervals import Interval, joined, overlaps
from crdtsync.protocol.messages import Ack, Cut, Excerpt, Message, Pack, Records, Want
from crdtsync.protocol.slab import Portion
from crdtsync.protocol.work import Covered, ReadRequest


class Purpose(Enum):
    """What a read is for. Kept with the request: what is asked of us may change before the rows are here."""

    GO_ON = "go on"
    FILL = "fill"
    REPAIR = "repair"
    AGAIN = "again"


class Outbound:
    """What has been read, sent and acknowledged of my log towards one peer."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self.end = START
        self.sent = self.told = self.acked = START
        self.held_back = True
        self.in_flight_bytes = 0
        self.advance_since_ms: int | None = None
        self.catch_up_to = 0
        """Where my log ended at hello: the peer is told at once when it has all up to here."""
        self._in_flight: list[tuple[Position, int]] = []  # An empty deque would take 0.75 KB.
        self._reading: tuple[Purpose, ReadRequest] | None = None
        self._covered: Covered | None = None
        self._cover_until = 0
        self._repair_after: int | None = None
        self._repair_until = 0
        self._fills: list[list[int]] = []
        self._again: list[list[int]] = []
        self.served: list[Interval] = []
        """What was asked for and sent of late: on the next connection it shows what got lost on the way."""
        self._served_before: Sequence[Interval] = ()
        self._small_pieces = 0

    def start(self, position: Position) -> None:
        """The peer holds my log up to ``position``; go on there."""
        self.sent = self.told = self.acked = position

    def recall(self, told: int, served: Sequence[Interval]) -> None:
        """What was sent on the last connection: if not all was stored, the line broke in the midst of it."""
        self._served_before = served
        if self.acked.seq < told:
            self._small_pieces = limits.SMALL_PIECES

    @property
    def in_small_pieces(self) -> bool:
        """Whether history is better sent little by little: a line that breaks before a pack is over would
        carry the beginning of the same one for ever.
        """
        return self._small_pieces > 0

    @property
    def is_quiet(self) -> bool:
        """Everything was sent and acknowledged (skipped rows need not be); nothing is being repaired."""
        return (
            not self.held_back
            and self.sent.seq == self.end.seq
            and self.acked.seq == self.told.seq
            and self._repair_after is None
            and not self._fills
            and not self._again
        )

    @property
    def is_stalled(self) -> bool:
        """Records are under way and not acknowledged."""
        return bool(self._in_flight)

    def next_read(self) -> ReadRequest | None:
        """What to read next, if the peer can take more. One request at a time."""
        if self._reading is not None or self.held_back or self.in_flight_bytes >= limits.IN_FLIGHT_BYTES_MAX:
            return None
        self._reading = self._choose_read()
        return self._reading[1] if self._reading is not None else None

    def _choose_read(self) -> tuple[Purpose, ReadRequest] | None:
        bytes_max, covered = limits.BATCH_BYTES, self._covered
        if self._fills:
            lo, hi = self._fills[0]
            return Purpose.FILL, ReadRequest(lo - 1, bytes_max, hi, skip_origin=False, packs=True)
        if self._repair_after is not None:
            after, until = self._repair_after, self._repair_until
            return Purpose.REPAIR, ReadRequest(after, bytes_max, until, skip_origin=False, covered=covered)
        if self._again:
            lo, hi = self._again[0]
            return Purpose.AGAIN, ReadRequest(lo - 1, bytes_max, hi, skip_origin=False)
        if self.sent.seq >= self.end.seq:
            return None
        if self.sent.seq < self._cover_until:
            return Purpose.GO_ON, ReadRequest(self.sent.seq, bytes_max, self._cover_until, covered=covered)
        return Purpose.GO_ON, ReadRequest(self.sent.seq, bytes_max, packs=self.told == self.sent)

    def supply(self, to: Position, records: Sequence[tuple[int, bytes]], size: int, now_ms: int) -> None:
        """The rows of the last request, up to ``to``; those that the peer holds are left out."""
        purpose, request = self._take_reading()
        if purpose is Purpose.GO_ON:
            self._go_on(to, records, size, now_ms)
            return
        seqs, data = _columns(records)
        if purpose is Purpose.FILL:
            self._send(Records(self.told, self.told, seqs, data, self._take_fill(to.seq)))
        elif purpose is Purpose.REPAIR:
            if request.after == self._repair_after:  # Else another repair has begun meanwhile.
                self._repair_after = to.seq if to.seq < self._repair_until else None
            if records:
                self._send(Records(self.told, self.told, seqs, data))
        else:
            self._again[0][0] = to.seq + 1
            if to.seq >= self._again[0][1]:
                self._again.pop(0)
            if records:
                self._send(Records(self.told, self.told, seqs, data))

    def _go_on(self, to: Position, records: Sequence[tuple[int, bytes]], size: int, now_ms: int) -> None:
        self.sent = to
        if type(records) is Portion and records:
            self._send(Excerpt(self._advance(to, size), to, records))
        elif records:
            self._send(Records(self._advance(to, size), to, *_columns(records)))
        elif self.told.seq < self.catch_up_to <= to.seq:
            self.advance()
        elif self.advance_since_ms is None:
            self.advance_since_ms = now_ms

    def supply_pack(self, to: Position, blob: bytes, *, first: int | None = None) -> None:
        """The pack that holds the row asked for, with all rows up to ``to``; ``first``: its first row, where
        that lies before the one asked for.
        """
        purpose, _ = self._take_reading()
        self._small_pieces = max(0, self._small_pieces - 1)
        if purpose is Purpose.FILL:
            self._send(Pack(self.told, self.told, blob, self._take_fill(to.seq, first)))
        else:
            self.sent = to
            self._send(Pack(self._advance(to, len(blob)), to, blob))

    def advance(self) -> None:
        """Tell the peer of skipped rows that no record has followed."""
        self._send(Records(self._advance(self.sent, 0), self.sent, (), ()))

    def cover(self, covered: Covered, *, repair: bool) -> None:
        """Leave out what the peer's heads cover: of what is still to be sent or, to ``repair``, of all that
        was ever sent. Entries appended later are not left out: they could be branches of a fork.
        """
        self._covered = covered
        if repair:
            self._repair_after, self._repair_until = 0, self.told.seq
        else:
            self._cover_until = self.end.seq

    def send_again(self, seqs: Iterable[int]) -> None:
        """Send these rows once more, whoever they came from, as far as the peer was told of them. Neighbours
        may go with them. Nothing while the last ones are still under way.
        """
        if not self._again:
            told = joined(((seq, seq) for seq in seqs if seq <= self.told.seq), limits.FIRST_INTERVALS_MAX)
            self._again.extend([lo, hi] for lo, hi in told)

    def cut(self, cut: Cut) -> None:
        """Skip to the end; the peer asks for what lies before, by intervals."""
        self.sent = cut.to
        self._advance(cut.to, 0)
        self._send(cut)

    def on_ack(self, message: Ack) -> bool:
        """Whether the acknowledgement is news. Raises ``UnexpectedMessage`` for one that cannot be true:
        only the very positions that the peer was told of can be on its disk.
        """
        if message.position.seq <= self.acked.seq:
            return False
        reached = None
        while self._in_flight and self._in_flight[0][0].seq <= message.position.seq:
            reached, size = self._in_flight.pop(0)
            self.in_flight_bytes -= size
        if reached != message.position:
            raise UnexpectedMessage("an acknowledgement of something that was never sent")
        self.acked = message.position
        return True

    def on_want(self, message: Want) -> None:
        """The peer asks for an interval of old rows. Raises ``UnexpectedMessage``."""
        if message.hi > self.told.seq or len(self._fills) >= 2 * limits.WANTS_UNDER_WAY_MAX:
            raise UnexpectedMessage("an interval was asked for that was not offered")
        self._fills.append([message.lo, message.hi])
        if overlaps(self._served_before, (message.lo, message.hi)):
            self._small_pieces = limits.SMALL_PIECES
            self._served_before = ()

    def _advance(self, to: Position, size: int) -> Position:
        start, self.told = self.told, to
        self.advance_since_ms = None
        self._in_flight.append((to, size))
        self.in_flight_bytes += size
        return start

    def _take_reading(self) -> tuple[Purpose, ReadRequest]:
        if self._reading is None:
            raise AssertionError("rows were supplied that nobody asked for")
        reading, self._reading = self._reading, None
        return reading

    def _take_fill(self, to_seq: int, first: int | None = None) -> Interval:
        lo = min(self._fills[0][0], first or to_seq)
        self.served = [*self.served[1 - limits.WANTS_UNDER_WAY_MAX :], (lo, to_seq)]
        for fill in list(self._fills):
            # A pack may reach into other intervals that were asked for. One that it divides is left whole.
            if lo <= fill[0] and fill[1] <= to_seq:
                self._fills.remove(fill)
            elif lo <= fill[0] <= to_seq:
                fill[0] = to_seq + 1
            elif lo <= fill[1] <= to_seq:
                fill[1] = lo - 1
        if to_seq > self.told.seq:
            raise AssertionError("an interval was answered beyond what the peer was told of")
        return lo, to_seq


def _columns(records: Sequence[tuple[int, bytes]]) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """The numbers and the bytes of rows."""
    return tuple([seq for seq, _ in records]), tuple([record for _, record in records])
