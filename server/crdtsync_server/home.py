"""What connections need of a relay (``runtime.syncing.home.Home``): shops, their logs, and everybody who is
connected to them. What a commit brought goes on to all others from here.

No socket, no event loop and no thread: whoever serves it brings these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from crdtsync.errors import AccessDenied, CrdtsyncError, DamagedStore, LinkClosed
from crdtsync.ids import ENTRY, ID_BYTES, START, Position
from crdtsync.model.entry import SOFTWARE
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import REFUSES, Hello
from crdtsync.protocol.work import Me
from crdtsync.runtime.belonging.revoked import HAND_OVER
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.bounds import Bounds
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.quota import Quota
from crdtsync.runtime.committing.work import OUT_OF_STEP
from crdtsync.runtime.syncing.answer import refused
from crdtsync.runtime.syncing.comparison import Reader
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.reconnecting import AT_ONCE
from crdtsync.runtime.syncing.refusal import SHOP_UNKNOWN
from crdtsync.runtime.syncing.tail import Growth, Tail
from crdtsync.storage.log import Interval, ShopLog, Store

LOOK_EVERY_S = 0.25
"""How often the relay looks for what other processes wrote: a new pairing, a restored shop, a revocation.
That takes effect on a live connection at the next look.
"""

TAIL_BYTES_MAX = 4 << 20
"""Newest rows of one shop kept in memory: what 50 registers sell in a busy minute."""

CONNECTIONS_PER_DEVICE_MAX = 4
"""A device has one connection, and for a while those that broke without a word. Its oldest goes first."""

TOO_MANY = 1013


class RelayHome(ABC):
    """The shops of a relay, and the connections that have proved who they are. ``committer`` and
    ``documents`` are set by whoever serves it.
    """

    committer: Committer
    documents: Reader

    def __init__(
        self, store: Store, device: bytes, clock: Clock, random: RandomBytes, *, quota: Quota | None = None
    ) -> None:
        self.store = store
        self._quota = quota or Quota()
        self.device = device
        self.clock = clock
        self.random = random
        self.connections: dict[bytes, list[Connection]] = defaultdict(list)
        self.restored: set[bytes] = set()
        self._sent: dict[tuple[bytes, bytes], tuple[int, tuple[Interval, ...]]] = {}
        self._tails: dict[bytes, Tail] = {}
        self._others_wrote_to: dict[bytes, int] = defaultdict(int)
        self._admissions: dict[bytes, Admission] = {}
        self._committer_admissions: dict[bytes, Admission] = {}

    # -- what a relay of its own kind does otherwise -------------------------------------------------------

    def find_lost_shop(self, shop: bytes) -> bool:
        """Whether a shop that the store does not know could be made again, for its registers to fill."""
        return False

    def unknown_shop(self, shop: bytes) -> AccessDenied:
        """What the devices of a shop are told that is not here."""
        return AccessDenied(SHOP_UNKNOWN)

    def was_restored(self, shop: bytes) -> None:
        """A device holds more of this shop's log than there is, or another one under the same id."""
        self.restored.add(shop)

    @abstractmethod
    def now_ms(self) -> int:
        """The time of connections, in milliseconds: never set, never stepped, unlike the wall clock."""

    # -- what connections need -----------------------------------------------------------------------------

    def me(self, peer: Hello | None) -> Me:
        """The relay in the shop of that peer."""
        if peer is None:
            raise AssertionError("a relay does not connect")
        log = self.shop_log(peer.shop)
        cursor = log.cursor(peer.log_id)
        is_ours = peer.cursor_log == log.log_id
        if is_ours and log.hash_at(peer.cursor.seq) != peer.cursor.h and peer.shop not in self.restored:
            self.was_restored(peer.shop)
        return Me(
            shop=peer.shop,
            device=self.device,
            log_id=log.log_id,
            end=log.end,
            cursor_log=peer.log_id,
            cursor=cursor.position if cursor else START,
            wanted=(),
            nonce=self.random(16),
            certificate=b"",
            is_relay=True,
            time_ms=self.clock.now_ms(),
            digest=root_digest(log.runs()),
            software=SOFTWARE,
        )

    def who_refuses(self, peer: Hello) -> Me | None:
        """The relay, without a word of what it has: whoever is refused may be anybody."""
        return Me(
            shop=peer.shop,
            device=self.device,
            log_id=self.random(ID_BYTES),
            end=START,
            cursor_log=peer.log_id,
            cursor=START,
            wanted=(),
            nonce=self.random(16),
            certificate=b"",
            is_relay=True,
            time_ms=self.clock.now_ms(),
            digest=root_digest([]),
            software="",
            capabilities=(REFUSES,),
        )

    def shop_log(self, shop: bytes) -> ShopLog:
        """Raises ``AccessDenied`` for a shop that is not on this relay."""
        try:
            return self.store.shop(shop)
        except KeyError:
            if not self.find_lost_shop(shop):
                raise self.unknown_shop(shop) from None
        self.restored.add(shop)
        return self.store.shop(shop)

    def admission(self, shop: bytes) -> Admission:
        """For hellos."""
        return self._admissions.setdefault(shop, Admission(shop))

    def committer_admission(self, shop: bytes) -> Admission:
        """For what is to be stored."""
        if shop not in self._committer_admissions:
            self._committer_admissions[shop] = Admission(shop, Bounds(self._quota))
        return self._committer_admissions[shop]

    def tail(self, shop: bytes) -> Tail:
        """The newest rows of a shop."""
        if shop not in self._tails:
            self._tails[shop] = Tail(self.shop_log(shop).end, TAIL_BYTES_MAX)
        return self._tails[shop]

    def pinned_relay_key(self) -> bytes | None:
        """Any certified device of the shop may come."""
        return None

    def went_live(self, connection: Connection) -> None:
        """A device has proved who it is."""
        peer = connection.session.peer
        if peer is None:
            return
        live = self.connections[peer.shop]
        live.append(connection)
        connection.session.outbound.recall(*self._sent.pop((peer.shop, peer.device), (0, ())))
        same = [
            one for one in live if one.session.peer is not None and one.session.peer.device == peer.device
        ]
        for older in same[:-CONNECTIONS_PER_DEVICE_MAX]:
            older.close(LinkClosed("this device has connected anew too often", code=TOO_MANY), TOO_MANY)

    def gone(self, connection: Connection) -> None:
        """A connection has ended."""
        peer = connection.session.peer
        if peer is not None and connection in self.connections[peer.shop]:
            self.connections[peer.shop].remove(connection)
            outbound = connection.session.outbound
            if outbound.served or outbound.is_stalled:
                self._sent[peer.shop, peer.device] = (outbound.told.seq, tuple(outbound.served))

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """What a device holds of the relay's log is its own business."""
        return None

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:  # noqa: B027  # Not abstract.
        """Kept with the connection."""

    def sync_wanted(self) -> None:  # noqa: B027  # As above.
        """A relay is not asked; the session does not ask for it."""

    def was_copied(self, log: ShopLog) -> None:
        """A relay never changes its log id on one device's claim; the session does not ask for it."""
        log.rotate_log_id(self.random(ID_BYTES))

    # -- commits -------------------------------------------------------------------------------------------

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """A commit is on disk, or failed: pass on what it brought."""
        if error is not None:
            self.store_failed(error)
            return
        for growth in growths:
            self._pass_on(growth)

    def _pass_on(self, growth: Growth) -> None:
        if not growth.rows:
            self._tell_admitted(growth)
            return
        tail = self.tail(growth.shop)
        others_wrote = tail.end.seq != growth.start.seq
        tail.extend(growth.start, growth.rows)
        end = Position(growth.rows[-1].seq, growth.rows[-1].h)
        if others_wrote or any(
            row.record[:1] == ENTRY and b'"kind":"revoke"' in row.record for row in growth.rows
        ):
            self._drop_revoked(growth.shop)
        self._tell_admitted(growth)
        for connection in list(self.connections[growth.shop]):
            connection.log_grew(end)

    def _tell_admitted(self, growth: Growth) -> None:
        """Whose held records came in must not think that they are still held."""
        if not growth.admitted_anew:
            return
        for connection in list(self.connections[growth.shop]):
            peer = connection.session.peer
            if peer is not None and peer.log_id in growth.admitted_anew:
                self._tell_refusals(connection)

    def _tell_refusals(self, connection: Connection) -> None:
        """What is still not admitted of what a device brought."""
        peer = connection.session.peer
        if peer is not None:
            log = self.shop_log(peer.shop)
            connection.session.refusals_changed(
                [refused(refusal) for refusal in log.refusals_given(peer.log_id)]
            )
            connection.pump()

    def look_for_others(self, newest: dict[bytes, int], is_at_work: Callable[[bytes], bool]) -> bool:
        """Notice what other processes wrote; ``newest`` is the number of the newest row by shop. False if it
        is to be looked at again: the committer is at work in a shop, and its outcome comes first.
        """
        is_done = True
        for shop, tail in self._tails.items():
            if tail.let_go():
                self._let_go(shop)
        for shop in [shop for shop, live in self.connections.items() if live]:
            if newest[shop] <= max(self.tail(shop).end.seq, self._others_wrote_to[shop]):
                continue
            if is_at_work(shop):
                is_done = False
            else:
                self._others_wrote(shop)
        return is_done

    def _let_go(self, shop: bytes) -> None:
        """Nothing has come to a shop for a while: what is in memory of its log can be read again."""
        with suppress(KeyError):
            self.store.shop(shop).let_go()

    def _others_wrote(self, shop: bytes) -> None:
        end = self.shop_log(shop).end
        self._others_wrote_to[shop] = end.seq
        self._drop_revoked(shop)
        for connection in list(self.connections[shop]):
            if connection.session.has_told_refusals:  # A person may have let in what was held.
                self._tell_refusals(connection)
            connection.log_grew(end)

    def _drop_revoked(self, shop: bytes) -> None:
        admission = self.admission(shop)
        admission.is_stale = True
        admission.refresh(self.shop_log(shop))
        for connection in list(self.connections[shop]):
            peer = connection.session.peer
            if peer is not None and admission.is_revoked(peer.device) and not connection.takes_only:
                connection.close(LinkClosed(HAND_OVER, code=AT_ONCE), AT_ONCE)

    # -- damage --------------------------------------------------------------------------------------------

    def store_failed(self, error: CrdtsyncError) -> None:
        """Something could not be read or stored. A damaged record is set apart, if ``mend_later`` does it."""
        if isinstance(error, DamagedStore):
            self.mend_later(error)

    @abstractmethod
    def mend_later(self, damage: DamagedStore) -> None:
        """Have ``mend`` called with a store of one's own, soon, and ``was_mended`` after it."""

    def was_mended(self, damage: DamagedStore) -> None:
        """A damaged record was set apart, and the log goes on under a new id: everybody says hello again."""
        if damage.shop is None:
            return
        self._tails.pop(damage.shop, None)
        for connection in list(self.connections[damage.shop]):
            connection.close(LinkClosed("a damaged record was set apart", code=OUT_OF_STEP), OUT_OF_STEP)


def mend(store: Store, damage: DamagedStore, now_ms: int) -> bool:
    """Set a damaged record apart; its log goes on under a new id, and the registers bring it back. Durable on
    return. False where that cannot help. Raises ``StorageError``.
    """
    if damage.shop is None or damage.seq is None:
        return False
    with store.transaction():
        return store.shop(damage.shop).set_damaged_apart(damage.seq, now_ms)
