"""One replica of a shop that is stepped by hand: its disk, its process, its committer."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from crdtsync.errors import CrdtsyncError, DiskFull
from crdtsync.ids import OWNER_DOCUMENT, START, Item, Position, record_digest, update_record
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.work import Me
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import Work
from crdtsync.runtime.syncing.answer import refused
from crdtsync.runtime.syncing.comparison import DocumentDigests
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.tail import Growth, Tail
from crdtsync.storage.log import ShopLog
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.slips import SlipAdmission, permit, slip
from crdtsync.testing.stepped_documents import change, compacted

if TYPE_CHECKING:
    from crdtsync.testing.stepped import SteppedShop

T = TypeVar("T")

SHOP = b"the corner shop."
TAIL_BYTES_MAX = 1500


class SteppedCommitter(Committer):
    """The product's committer without its thread: ``commit`` writes, ``hand_back`` tells."""

    def __init__(self, process: Process) -> None:
        self.store = MemoryStore(process.replica.disk)
        admission = SlipAdmission(SHOP, process.replica.shop.certificates)
        super().__init__(lambda: self.store, lambda _: admission, process, process.now_ms, lambda: 0.0)
        self.committed: deque[Callable[[], None]] = deque()
        self.finds_no_room = False
        """Whether the next commit fails because the disk is full."""

    @property
    def has_work(self) -> bool:
        """Whether something was submitted and not committed."""
        return bool(self._queue)

    def submit(self, work: Work) -> None:
        """Hand over work."""
        self._queue.append(work)

    def commit(self) -> None:
        """Write what was submitted, in one transaction. The outcomes are not told yet."""
        batch, self._queue = self._queue, []
        if not batch:
            return
        if self.finds_no_room:
            self.store.disk.before_commit = _refuse
        self._commit(self.store, batch)
        self.store.disk.before_commit, self.finds_no_room = None, False

    def hand_back(self) -> None:
        """Tell the outcomes of everything that was written."""
        while self.committed:
            self.committed.popleft()()

    def _call(self, tell: Callable[[], None]) -> None:
        self.committed.append(tell)


def _refuse() -> None:
    raise DiskFull("no room on the disk")


class SteppedReader:
    """Answers questions about documents, as the product's thread does: later, with the next outcomes."""

    def __init__(self, process: Process) -> None:
        self._steps = process.steps
        self._digests = DocumentDigests(MemoryStore(process.replica.disk).shop(SHOP))

    def ask(self, shop: bytes, question: Callable[[DocumentDigests], T], done: Callable[[T], None]) -> None:
        """See ``Reader.ask``."""
        self._steps.committed.append(lambda: done(question(self._digests)))

    def close(self) -> None:
        """See ``Reader.close``."""


class Process:
    """One life of a replica, from its start to its crash: what a connection needs (``Home``)."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.steps = SteppedCommitter(self)
        self.committer: Committer = self.steps
        self.documents = SteppedReader(self)
        self.connections: list[Connection] = []
        self.life_met: dict[Connection, int] = {}
        self._log = MemoryStore(replica.disk).shop(SHOP)
        self._admission = SlipAdmission(SHOP, replica.shop.certificates)
        self._tail = Tail(self._log.end, TAIL_BYTES_MAX)

    @property
    def log(self) -> ShopLog:
        """The log, as the event loop reads it."""
        return self._log

    def look(self) -> None:
        """Notice what other processes wrote."""
        for connection in self.connections:
            if connection.session.is_live:
                connection.log_grew(self._log.end)

    def me_towards(self, other: bytes) -> Me:
        """Who says hello to that device: by the log that it had last time."""
        return self._me(self._log.state(f"log of {other.hex()}") or b"")

    def me(self, peer: Hello | None) -> Me:
        """See ``Home.me``."""
        return self._me(peer.log_id if peer is not None else b"")

    def _me(self, peer_log: bytes) -> Me:
        log, replica = self._log, self.replica
        cursor = log.cursor(peer_log) if peer_log else None
        return Me(
            shop=SHOP,
            device=replica.device,
            log_id=log.log_id,
            end=log.end,
            cursor_log=peer_log,
            cursor=cursor.position if cursor else START,
            wanted=cursor.wanted if cursor else (),
            nonce=replica.shop.chance.randbytes(16),
            certificate=b"",
            is_relay=replica.is_relay,
            time_ms=self.now_ms(),
            digest=root_digest(log.runs()),
            software="stepped",
        )

    def shop_log(self, shop: bytes) -> ShopLog:
        """See ``Home.shop_log``."""
        return self._log

    def admission(self, shop: bytes) -> Admission:
        """See ``Home.admission``."""
        return self._admission

    def who_refuses(self, peer: Hello) -> Me | None:
        """See ``Home``."""
        return None

    def tail(self, shop: bytes) -> Tail | None:
        """See ``Home.tail``."""
        return self._tail

    def pinned_relay_key(self) -> bytes | None:
        """See ``Home.pinned_relay_key``."""
        return None

    def went_live(self, connection: Connection) -> None:
        """See ``Home.went_live``: a register remembers the log that it met."""
        peer = connection.session.peer
        if peer is None:
            raise AssertionError("a connection goes live after its peer's hello")
        key, log_id = f"log of {peer.device.hex()}", peer.log_id
        if self._log.state(key) != log_id:
            also: Callable[[ShopLog], None] = lambda log: log.set_state(key, log_id)  # noqa: E731
            self.committer.submit(Work(SHOP, log_id, "relay", lambda outcome: None, also=also))

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """See ``Home.acknowledged``."""
        peer = connection.session.peer
        if self.replica.is_relay or peer is None:
            return None
        log_id, relay = peer.log_id, self.replica.shop.relay
        life = self.life_met.get(connection) if peer.device == relay.device else None

        def remember(log: ShopLog) -> None:
            log.set_acknowledged(log_id, position, 0)
            if life is not None:
                log.set_state("life of the relay", str(life).encode())

        return remember

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:
        """See ``Home.presence``."""

    def sync_wanted(self) -> None:
        """See ``Home.sync_wanted``. Nothing is unnoticed here."""

    def now_ms(self) -> int:
        """See ``Home.now_ms``."""
        return self.replica.shop.now_ms

    def was_copied(self, log: ShopLog) -> None:
        """See ``Home.was_copied``. Here a chain may have two writers: forks are met again and again."""
        log.rotate_log_id(self.replica.shop.chance.randbytes(16))

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """See ``CommitObserver.committed``."""
        for growth in growths:
            self._tail.extend(growth.start, growth.rows)
            self._pass_on(growth)

    def _pass_on(self, growth: Growth) -> None:
        for connection in self.connections:
            peer = connection.session.peer
            if peer is not None and peer.log_id in growth.admitted_anew:
                given = [refused(refusal) for refusal in self._log.refusals_given(peer.log_id)]
                connection.session.refusals_changed(given)
                connection.pump()
            if growth.rows:
                connection.log_grew(Position(growth.rows[-1].seq, growth.rows[-1].h))


@dataclass(eq=False, repr=False)
class Replica:
    """A register or the relay: an identity, a disk, and the process that runs on it. Clones have the identity
    of the one that they were made of, and a name with a stroke more.
    """

    shop: SteppedShop
    name: str
    is_relay: bool = False
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    life: int = 0
    """Counts up whenever this disk loses something: it is put back, or damaged, or another one."""

    def __post_init__(self) -> None:
        identity = self.name.rstrip("'").encode()
        self.device = record_digest(b"U device " + identity)[:16]
        self.key = PrivateKey.from_seed(identity)
        if not self.disk.shops:
            self.format()
        self.process = Process(self)

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In the histories that Hypothesis prints a replica is its name."""
        printer.text(repr(self))

    def format(self) -> None:
        """Begin an empty log under a new id."""
        store = MemoryStore(self.disk)
        with store.transaction():
            store.create_shop(SHOP, self.shop.chance.randbytes(16))

    @property
    def log(self) -> ShopLog:
        """What is on the disk at this moment."""
        return MemoryStore(self.disk).shop(SHOP)

    @property
    def knows_life_of_relay(self) -> int | None:
        """Which life of the relay the acknowledgement on this disk is about."""
        life = self.log.state("life of the relay")
        return None if life is None else int(life)

    def rows(self) -> list[bytes]:
        """The records in the log, in its order."""
        rows = self.disk.shops[SHOP].rows.committed.values()
        return [row.record for row in rows if row.record is not None]

    def records(self) -> set[bytes]:
        """All records in the log."""
        return set(self.rows())

    def kept(self) -> set[bytes]:
        """All records on the disk, those set apart included."""
        return self.records() | {apart.record for apart in self.log.apart()}

    # -- what other processes of this machine do -----------------------------------------------------------

    def sell(self, *, text: str = "", needs: str = "", bad: bool = False) -> bytes:
        """Record a sale of this register, as a process beside the syncing one. The record."""
        head = self.log.state("head") or b""
        chain, n, prev = head[:32], int.from_bytes(head[32:40], "big"), head[40:] or bytes(32)
        item = slip(self.device, chain, n + 1, prev, text or self.shop.text(), needs=needs, bad=bad)
        facts = item.entry
        if facts is None:
            raise AssertionError("a slip is an entry")
        return self._append(item, facts.chain + facts.n.to_bytes(8, "big") + facts.link)

    def refund(self, sale: bytes) -> bytes:
        """Record the refund of a sale, of whichever register. The record."""
        words = re.findall(rb"#\d+", sale)[0].decode()
        return self.sell(text=f"{self.shop.text()} refunds {words}")

    def write(self, document: str = "catalogue") -> bytes:
        """Record a change of a document as this replica sees it. The record."""
        seen = [record for _, record in self.log.document_records(document)]
        client_id = self.shop.chance.getrandbits(53)
        record = update_record(document, change(seen, client_id, self.shop.text()))
        return self._append(Item(record, document, record_digest(record)))

    def permit(self, name: str) -> bytes:
        """Let in what needs ``name``: an entry of the owner's chain. The record."""
        runs = [run for run in self.log.runs() if self._is_owners(run.chain)]
        if not runs:
            return self._append(permit(1, b"", bytes(32), name))
        last = max(runs, key=lambda run: (run.hi, run.hi_link))
        return self._append(permit(last.hi + 1, last.chain, last.hi_link, name))

    def _is_owners(self, chain: bytes) -> bool:
        owners = self.log.document_records(OWNER_DOCUMENT)
        return chain in {record_digest(record) for _, record in owners}

    def _append(self, item: Item, head: bytes | None = None) -> bytes:
        store = MemoryStore(self.disk)
        with store.transaction():
            log = store.shop(SHOP)
            log.append(item)
            if head is not None:
                log.set_state("head", head)
        return item.record

    def pack(self, rows: int) -> bool:
        """Pack the oldest rows."""
        store = MemoryStore(self.disk)
        with store.transaction():
            log = store.shop(SHOP)
            return log.pack(rows, log.end.seq)

    def compact(self, document: str, rows_max: int) -> bool:
        """Let one state take the place of the oldest acknowledged updates of a document, if it can hold them.
        A relay, which nobody acknowledges, takes any.
        """
        log = self.log
        records = list(log.document_records(document))
        if not self.is_relay:
            pending = {seq for seq, _ in log.unacknowledged(self.shop.relay.log.log_id)}
            records = [(seq, record) for seq, record in records if seq not in pending]
        records = records[:rows_max]
        state = compacted(record for _, record in records)
        if state is None or len(records) < 2:
            return False
        record = update_record(document, state, state=True)
        store = MemoryStore(self.disk)
        with store.transaction():
            item = Item(record, document, record_digest(record))
            store.shop(SHOP).compact(item, [seq for seq, old in records if old != record])
        return True

    # -- what happens to machines ----------------------------------------------------------------------------

    def crash(self) -> None:
        """Lose what is in memory and start again."""
        self.shop.hang_up(self)
        self.disk.cut_power()
        self.process = Process(self)

    def damage(self, seq: int, *, at_start: bool = True) -> None:
        """The bytes of one record go bad. That is found, at the next start or while everything runs, and the
        record is set apart.
        """
        if at_start:
            self.shop.hang_up(self)
            self.disk.cut_power()
        self.disk.damage(SHOP, seq)
        store = MemoryStore(self.disk)
        with store.transaction():
            store.shop(SHOP).set_damaged_apart(seq, self.shop.now_ms)
        self.life += 1
        if at_start:
            self.process = Process(self)

    def put_back(self, disk: MemoryDisk) -> None:
        """An older copy of the disk takes its place."""
        self.shop.hang_up(self)
        self.disk.cut_power()
        self.disk = disk.copy()
        self.life += 1
        self.process = Process(self)

    def wipe(self) -> None:
        """A new, empty disk, with a new log id."""
        self.shop.hang_up(self)
        self.disk = MemoryDisk()
        self.format()
        self.life += 1
        self.process = Process(self)


class NoSocket:
    """In place of a socket: frames are taken from the outbox by hand."""

    async def send(self, frame: bytes) -> None:
        raise AssertionError("a stepped connection has no socket")

    async def receive(self) -> bytes:
        raise AssertionError("a stepped connection has no socket")

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError("a stepped connection has no socket")


def signer(replica: Replica) -> Callable[[str, bytes], bytes]:
    """What makes a replica's signatures in hellos."""
    return lambda purpose, payload: sign_with_purpose(replica.key, purpose, payload)
