"""A shop whose every step is taken by hand: commits, frames, crashes, disks put back.

Everything but the wire, the disk and the event loop is the product's own: sessions, connections, committers,
tails. Nothing runs by itself, so that a test decides what happens before what, and finds what is on each disk
in between. No threads, no clock, no chance.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from crdtsync.errors import CrdtsyncError, LinkClosed, StorageError
from crdtsync.ids import OWNER_DOCUMENT, START, Item, Position, record_digest, update_record
from crdtsync.model.certificate import Certificate
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me
from crdtsync.runtime.admission import Admission
from crdtsync.runtime.committer import Committer, Growth, Outcome, Work
from crdtsync.runtime.connection import Connection, refused
from crdtsync.runtime.tail import Tail
from crdtsync.storage.log import ShopLog
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.slips import SlipAdmission, permit, slip

SHOP = b"the corner shop."
TAIL_BYTES_MAX = 1500


class SteppedCommitter(Committer):
    """The product's committer without its thread: ``commit`` writes, ``hand_back`` tells."""

    def __init__(self, process: Process) -> None:
        self.store = MemoryStore(process.replica.disk)
        admission = SlipAdmission(SHOP, process.replica.shop.certificates)
        super().__init__(lambda: self.store, lambda _: admission, process, process.now_ms, lambda: 0.0)
        self.committed: deque[Callable[[], None]] = deque()

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
        if batch:
            self._commit(self.store, batch)

    def hand_back(self) -> None:
        """Tell the outcomes of everything that was written."""
        while self.committed:
            self.committed.popleft()()

    def _hand_back(
        self,
        batch: list[Work],
        outcomes: list[Outcome],
        growths: list[Growth],
        seconds: float,
        error: CrdtsyncError | None,
    ) -> None:
        def tell() -> None:
            self._observer.committed(growths, seconds, error)
            for work, outcome in zip(batch, outcomes, strict=True):
                work.done(outcome)

        self.committed.append(tell)


class Process:
    """One life of a replica, from its start to its crash: what a connection needs (``Home``)."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.steps = SteppedCommitter(self)
        self.committer: Committer = self.steps
        self.connections: list[Connection] = []
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
        log_id, replica, relay = peer.log_id, self.replica, self.replica.shop.relay
        life = relay.life if peer.device == relay.device else None

        def remember(log: ShopLog) -> None:
            log.set_acknowledged(log_id, position, 0)
            if life is not None:
                replica.knows_life_of_relay = life

        return remember

    def presence(self, connection: Connection, facts: dict[str, Any]) -> None:
        """See ``Home.presence``."""

    def now_ms(self) -> int:
        """See ``Home.now_ms``."""
        return self.replica.shop.now_ms

    def rotated_log_id(self) -> bytes:
        """See ``Home.rotated_log_id``."""
        return self.replica.shop.chance.randbytes(16)

    def committed(self, growths: list[Growth], seconds: float, error: CrdtsyncError | None) -> None:
        """See ``CommitObserver.committed``."""
        for growth in growths:
            if growth.rows:
                self._tail.extend(growth.start, growth.rows)
                self._pass_on(growth)

    def _pass_on(self, growth: Growth) -> None:
        for connection in self.connections:
            peer = connection.session.peer
            if peer is not None and peer.log_id in growth.admitted_anew:
                given = [refused(refusal) for refusal in self._log.refusals_given(peer.log_id)]
                connection.session.refusals_changed(given)
            connection.log_grew(Position(growth.rows[-1].seq, growth.rows[-1].h))


@dataclass(eq=False)
class Replica:
    """A register or the relay: an identity, a disk, and the process that runs on it."""

    shop: SteppedShop
    name: str
    is_relay: bool = False
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    life: int = 0
    """Counts up whenever this disk is put back or lost."""
    knows_life_of_relay: int = 0
    """Which life of the relay the acknowledgement on this disk is about."""

    def __post_init__(self) -> None:
        self.device = record_digest(b"U device " + self.name.encode())[:16]
        self.key = PrivateKey.from_seed(self.name.encode())
        if not self.disk.shops:
            self.format()
        self.process = Process(self)

    def format(self) -> None:
        """Begin an empty log under a new id."""
        store = MemoryStore(self.disk)
        with store.transaction():
            store.create_shop(SHOP, self.shop.chance.randbytes(16))

    @property
    def log(self) -> ShopLog:
        """What is on the disk at this moment."""
        return MemoryStore(self.disk).shop(SHOP)

    def records(self) -> set[bytes]:
        """All records in the log."""
        rows = self.disk.shops[SHOP].rows.committed.values()
        return {row.record for row in rows if row.record is not None}

    def kept(self) -> set[bytes]:
        """All records on the disk, those set apart included."""
        return self.records() | {apart.record for apart in self.log.apart()}

    # -- what other processes of this machine do -----------------------------------------------------------

    def sell(self, *, needs: str = "", bad: bool = False) -> bytes:
        """Record a sale of this register, as a process beside the syncing one. The record."""
        head = self.log.state("head") or b""
        chain, n, prev = head[:32], int.from_bytes(head[32:40], "big"), head[40:] or bytes(32)
        item = slip(self.device, chain, n + 1, prev, self.shop.text(), needs=needs, bad=bad)
        facts = item.entry
        if facts is None:
            raise AssertionError("a slip is an entry")
        return self._append(item, facts.chain + facts.n.to_bytes(8, "big") + facts.link)

    def write(self, document: str = "catalogue") -> bytes:
        """Record an update of a document. The record."""
        record = update_record(document, self.shop.text().encode())
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

    # -- what happens to machines ----------------------------------------------------------------------------

    def crash(self) -> None:
        """Lose what is in memory and start again."""
        self.shop.hang_up(self)
        self.disk.cut_power()
        self.process = Process(self)

    def put_back(self, disk: MemoryDisk, knows_life_of_relay: int = 0) -> None:
        """An older copy of the disk takes its place."""
        self.shop.hang_up(self)
        self.disk.cut_power()
        self.disk = disk.copy()
        self.life += 1
        self.knows_life_of_relay = knows_life_of_relay
        self.process = Process(self)

    def wipe(self) -> None:
        """A new, empty disk, with a new log id."""
        self.shop.hang_up(self)
        self.disk = MemoryDisk()
        self.format()
        self.life += 1
        self.process = Process(self)


class End:
    """One end of a wire: a connection of a process, and the frames on their way to it."""

    def __init__(self, process: Process, session: Session) -> None:
        self.process = process
        self.connection = Connection(process, _NoSocket(), session)
        self.arriving: deque[bytes | int] = deque()
        self.is_open = True
        process.connections.append(self.connection)

    def drop(self) -> None:
        """This end is gone; frames towards it are lost."""
        if self.is_open:
            self.is_open = False
            self.process.connections.remove(self.connection)
        self.arriving.clear()


class Wire:
    """A connection between two replicas, frame by frame."""

    def __init__(self, shop: SteppedShop, near: Replica, far: Replica) -> None:
        self.shop = shop
        self.near_replica, self.far_replica = near, far
        self.far = End(
            far.process,
            Session(
                connecting=False,
                nonce=shop.chance.randbytes(16),
                sign=_signer(far),
                now_ms=shop.now_ms,
            ),
        )
        self.near = End(
            near.process,
            Session(
                connecting=True,
                nonce=b"",
                sign=_signer(near),
                now_ms=shop.now_ms,
                me=near.process.me_towards(far.device),
            ),
        )
        for end in self.ends:
            end.connection.pump()
        self.settle_errors()

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends."""
        return self.near, self.far

    @property
    def is_open(self) -> bool:
        """Whether either end is still there."""
        return self.near.is_open or self.far.is_open

    def deliver(self, end: End) -> bool:
        """One frame reaches ``end``. False if none was on its way."""
        other = self.far if end is self.near else self.near
        if not end.is_open:
            return False
        if not end.arriving:
            self._send(other, end)
        if not end.arriving:
            return False
        frame = end.arriving.popleft()
        connection = end.connection
        if isinstance(frame, int):
            connection._fail(LinkClosed("the other end closed", code=frame))
        else:
            try:
                connection.session.receive(frame, self.shop.now_ms)
                connection.pump()
            except CrdtsyncError as error:
                connection._fail(error)
        self.settle_errors()
        return True

    def send_all(self) -> None:
        """Put on the wire what both ends have to say (it is lost if the other end drops)."""
        while self._send(self.near, self.far) or self._send(self.far, self.near):
            pass

    def tick(self) -> None:
        """Let both ends look at the clock."""
        for end in self.ends:
            if end.is_open:
                try:
                    end.connection.session.tick(self.shop.now_ms)
                    end.connection.pump()
                except CrdtsyncError as error:
                    end.connection._fail(error)
        self.settle_errors()

    def settle_errors(self) -> None:
        """Close the ends that have failed, and let the others know."""
        for end, other in ((self.near, self.far), (self.far, self.near)):
            error = end.connection.error
            if end.is_open and error is not None:
                self.shop.errors.append((end.process.replica.name, error))
                while self._send(end, other):
                    pass
                end.drop()
                other.arriving.append(end.connection._close_code)

    def _send(self, end: End, other: End) -> bool:
        connection = end.connection
        if not end.is_open or not connection._outbox:
            return False
        frame = connection._outbox.popleft()
        connection._outbox_bytes -= len(frame)
        connection.frames_sent += 1
        if other.is_open:
            other.arriving.append(frame)
        if connection._pending_read is not None:
            connection.pump()
        return True


class SteppedShop:
    """Registers, a relay, wires, a clock that stands still until it is told otherwise."""

    def __init__(self, registers: int = 2, seed: int = 1) -> None:
        self.chance = random.Random(seed)
        self.now_ms = 1_795_507_200_000
        self.certificates: dict[bytes, Certificate] = {}
        self.errors: list[tuple[str, CrdtsyncError]] = []
        self.wires: list[Wire] = []
        self._texts = 0
        self.relay = Replica(self, "relay", is_relay=True)
        self.registers = [Replica(self, f"till {number + 1}") for number in range(registers)]
        for replica in self.replicas:
            role = "relay" if replica.is_relay else "register"
            certificate = Certificate(replica.device, replica.name, role, replica.key.public, SHOP)
            self.certificates[replica.device] = certificate

    @property
    def replicas(self) -> list[Replica]:
        """The relay and all registers."""
        return [self.relay, *self.registers]

    def text(self) -> str:
        """Words that nobody has used before."""
        self._texts += 1
        return f"#{self._texts}"

    def connect(self, near: Replica, far: Replica | None = None) -> Wire:
        """``near`` connects to ``far`` (to the relay), and hangs up what it had with it before. The far end
        of that stays open until it notices.
        """
        far = far or self.relay
        for wire in self.wires:
            if wire.near_replica is near and wire.far_replica is far and wire.near.is_open:
                wire.send_all()
                wire.near.drop()
        wire = Wire(self, near, far)
        self.wires.append(wire)
        return wire

    def clone(self, register: Replica) -> Replica:
        """A second machine with a copy of the register's disk, its key included."""
        twin = Replica(self, register.name, disk=register.disk.copy())
        twin.knows_life_of_relay = register.knows_life_of_relay
        self.registers.append(twin)
        return twin

    def hang_up(self, replica: Replica) -> None:
        """All ends of a replica are gone at once; what it had sent may still arrive."""
        for wire in self.wires:
            for end, other in ((wire.near, wire.far), (wire.far, wire.near)):
                if end.is_open and end.process is replica.process:
                    wire.send_all()
                    end.drop()
                    if other.is_open:
                        other.arriving.append(1006)
        self.wires = [wire for wire in self.wires if wire.is_open]

    def cut(self, wire: Wire, *, lost: bool) -> None:
        """The wire breaks. With ``lost`` also the frames that are on it."""
        for end in wire.ends:
            if lost:
                end.arriving.clear()
            end.arriving.append(1006)

    def pass_time(self, ms: int) -> None:
        """Let the clock go on, and everybody look at it."""
        self.now_ms += ms
        for wire in list(self.wires):
            wire.tick()

    def step(self) -> bool:
        """Everything that can happen without time passing happens once. False if nothing did."""
        moved = False
        for wire in list(self.wires):
            for end in wire.ends:
                while wire.deliver(end):
                    moved = True
        for replica in self.replicas:
            committer = replica.process.steps
            moved |= committer.has_work or bool(committer.committed)
            committer.commit()
            committer.hand_back()
            replica.process.look()
        for wire in list(self.wires):
            wire.settle_errors()
        self.wires = [wire for wire in self.wires if wire.is_open]
        return moved

    def live_wires(self) -> Iterator[Wire]:
        """Wires both of whose ends are open."""
        return (wire for wire in self.wires if wire.near.is_open and wire.far.is_open)

    def settle(self, rounds_max: int = 400) -> int:
        """Let everything come to rest, connecting again who was cut off; how many rounds it took."""
        for rounds in range(rounds_max):
            while self.step():
                pass
            connected = {wire.near_replica for wire in self.live_wires() if wire.far_replica is self.relay}
            for register in self.registers:
                if register not in connected:
                    self.connect(register)
            if all(wire.near.connection.session.is_in_step for wire in self.live_wires()) and all(
                wire.far.connection.session.is_in_step for wire in self.live_wires()
            ):
                return rounds
            self.pass_time(250)
        raise AssertionError("the shop does not come to rest")

    def faults(self) -> list[tuple[str, CrdtsyncError]]:
        """Connections that ended for a reason that honest peers do not give."""
        return [
            (name, error)
            for name, error in self.errors
            if not isinstance(error, LinkClosed | StorageError)
            or (isinstance(error, LinkClosed) and 4400 <= error.code < 4500)
        ]


class _NoSocket:
    async def send(self, frame: bytes) -> None:
        raise AssertionError("a stepped connection has no socket")

    async def receive(self) -> bytes:
        raise AssertionError("a stepped connection has no socket")

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError("a stepped connection has no socket")


def _signer(replica: Replica) -> Callable[[str, bytes], bytes]:
    return lambda purpose, payload: sign_with_purpose(replica.key, purpose, payload)
