"""The half of a session that receives the peer's log.

``got`` is the ``to`` of the last frame received, ``stored`` what the driver has put on disk. An
acknowledgement is only ever made of ``stored``: to acknowledge before the commit cannot be expressed.
"""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.errors import UnexpectedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.intervals import (
    Interval,
    common,
    count,
    difference,
    joined,
    overlaps,
    subtract,
)
from crdtsync.protocol.messages import Ack, Cut, Message, Pack, Records, Want
from crdtsync.protocol.work import Delivery


class Inbound:
    """What has been received, stored and acknowledged of one peer's log."""

    def __init__(self, send: Callable[[Message], None], deliver: Callable[[Delivery], None]) -> None:
        self._send = send
        self._deliver = deliver
        self.got = self.stored = START
        self.wanted: list[Interval] = []
        self._urgent: list[Interval] = []
        self.acknowledge_at_once = False
        self._acked_seq = 0
        self._unacked_bytes = 0
        self._may_acknowledge = False
        self._bytes_under_way = 0
        self._asked: list[Interval] = []
        self._deliveries = 0
        self.under_way: list[Delivery] = []

    def start(self, position: Position, wanted: tuple[Interval, ...]) -> None:
        """The peer's log is held up to ``position`` here, except ``wanted``."""
        self.got = self.stored = position
        self._acked_seq = position.seq
        self.wanted, self._urgent = list(wanted), []

    def restart(self) -> None:
        """The peer's log is not the one that we knew: begin again, once that is on disk."""
        self.wanted, self._urgent = [], []
        self._acked_seq = 0
        self._take(START, restart=True)

    @property
    def has_begun(self) -> bool:
        """Whether anything of the peer's log has come on this connection."""
        return self._deliveries > 0

    @property
    def is_quiet(self) -> bool:
        """Everything received is stored, and nothing is wanted."""
        return not self.under_way and not self.wanted

    def first_left(self, end: Position) -> int:
        """How many rows of what matters at once, as a cut on this connection said, are still to come of a log
        up to ``end``: all of them, as long as nothing of it is here.
        """
        return count(self._urgent) if self.stored.seq else end.seq

    @property
    def is_restarting(self) -> bool:
        """The peer's log is to be begun again, and that is not on disk yet."""
        return any(delivery.restart for delivery in self.under_way)

    @property
    def is_flooded(self) -> bool:
        """More was received than is being stored: the driver reads no further until something is on disk, so
        that a peer which ignores its own bound fills nobody's memory.
        """
        return (
            self._bytes_under_way >= limits.UNSTORED_BYTES_MAX
            or len(self.under_way) >= limits.UNSTORED_FRAMES_MAX
        )

    def on_records(self, message: Records) -> None:
        """Raises ``UnexpectedMessage``. How large a record may be is for admission to judge: one that is too
        large is refused, and the others go on.
        """
        self._check_continues(message.start, message.to, message.fills)
        if message.seqs:
            lo, hi = message.fills or (message.start.seq + 1, message.to.seq)
            if (
                message.fills is None and message.start == message.to
            ):  # A repair: any of the rows told before.
                lo = 1
            if not lo <= message.seqs[0] <= message.seqs[-1] <= hi:
                raise UnexpectedMessage("records do not lie where their frame says")
        self._take(
            message.to,
            records=tuple(zip(message.seqs, message.records, strict=True)),
            fills=self._answered(message.fills, message.to),
            size=sum(map(len, message.records)),
        )

    def on_pack(self, message: Pack) -> None:
        """Raises ``UnexpectedMessage``."""
        self._check_continues(message.start, message.to, message.fills)
        fills = self._answered(message.fills, message.to)
        self._take(message.to, blob=message.blob, fills=fills, size=len(message.blob))

    def on_cut(self, message: Cut) -> None:
        """Raises ``UnexpectedMessage``."""
        if self.got != START or self.acknowledge_at_once or message.to.seq == 0:
            raise UnexpectedMessage("a cut is only for a register that starts")
        if message.seqs and message.seqs[-1] > message.to.seq:
            raise UnexpectedMessage("records do not lie where their frame says")
        missing = difference([(1, message.to.seq)], [(seq, seq) for seq in message.seqs])
        urgent = joined(message.first, limits.FIRST_INTERVALS_MAX)
        self._urgent = common(missing, urgent)
        self.wanted = self._urgent + difference(missing, urgent)[::-1]
        records = tuple(zip(message.seqs, message.records, strict=True))
        self._take(
            message.to,
            records=records,
            cut=tuple(self.wanted),
            size=sum(map(len, message.records)),
            first=tuple(self._urgent),
        )
        self.want_more()

    def on_stored(self, number: int) -> None:
        """The oldest delivery under way is on disk."""
        delivery = self.under_way.pop(0)
        if delivery.number != number:
            raise AssertionError(f"delivery {number} was stored before {delivery.number}")
        self.stored = delivery.cursor
        self._bytes_under_way -= _cost(delivery)
        self._unacked_bytes += delivery.size
        if delivery.fills is not None:
            self.wanted = subtract(self.wanted, delivery.fills)
            self._urgent = subtract(self._urgent, delivery.fills)
            self._asked = [asked for asked in self._asked if overlaps(self.wanted, asked)]
            self.want_more()
        self._may_acknowledge = True

    def acknowledge_stored(self) -> None:
        """Acknowledge what has been stored since the last time, all of it at once, if that is due."""
        if self._may_acknowledge:
            self.acknowledge(now=self.acknowledge_at_once)

    def acknowledge(self, *, now: bool) -> None:
        """Acknowledge what is stored, if that is news and due."""
        self._may_acknowledge = False
        if self.stored.seq > self._acked_seq and (now or self._unacked_bytes >= limits.ACK_EVERY_BYTES):
            self._acked_seq = self.stored.seq
            self._unacked_bytes = 0
            self._send(Ack(self.stored))

    def want_more(self) -> None:
        """Ask for the next intervals that are wanted, a bounded number of them and of rows at a time. As long
        as urgent ones are not stored, for nothing else: history would take the time that they need, and part
        of it comes with them, in the same packs.
        """
        for lo, hi in self._urgent or self.wanted:
            start = lo
            while start <= hi:
                if self._asks_enough():
                    return
                piece = (start, min(hi, start + limits.WANT_SEQS - 1))
                if not overlaps(self._asked, piece):
                    self._asked.append(piece)
                    self._send(Want(*piece))
                start = piece[1] + 1

    def _asks_enough(self) -> bool:
        seqs = count(self._asked)
        return len(self._asked) >= limits.WANTS_UNDER_WAY_MAX or seqs >= limits.WANT_SEQS_UNDER_WAY

    def _take(
        self,
        cursor: Position,
        *,
        records: tuple[tuple[int, bytes], ...] = (),
        blob: bytes = b"",
        restart: bool = False,
        cut: tuple[Interval, ...] | None = None,
        fills: Interval | None = None,
        size: int = 0,
        first: tuple[Interval, ...] = (),
    ) -> None:
        self._deliveries += 1
        start, self.got = self.got, cursor
        delivery = Delivery(self._deliveries, start, cursor, records, blob, restart, cut, fills, size, first)
        self.under_way.append(delivery)
        self._bytes_under_way += _cost(delivery)
        self._deliver(delivery)

    def _answered(self, fills: Interval | None, to: Position) -> Interval | None:
        """What is wanted no more after an answer. One to what was not asked for counts as a repair: a pack
        may have answered it already, and nobody may cut what is wanted into ever more pieces.
        """
        if fills is None:
            return None
        if fills[1] > to.seq:
            raise UnexpectedMessage("an answered interval lies beyond what was told")
        return fills if overlaps(self._asked, fills) else None

    def _check_continues(self, start: Position, to: Position, fills: Interval | None) -> None:
        if start != self.got or to.seq < start.seq or (to.seq == start.seq and to != start):
            raise UnexpectedMessage("records do not continue where the last ones ended")
        if fills is not None and start != to:
            raise UnexpectedMessage("an answered interval does not move a cursor")


def _cost(delivery: Delivery) -> int:
    return delivery.size + limits.UNSTORED_RECORD_BYTES * len(delivery.records)
