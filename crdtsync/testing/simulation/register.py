"""A simulated register: the product's ``Register`` for people, and beside it what synchronises it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from crdtsync.config import RegisterConfig
from crdtsync.errors import CrdtsyncError, DamagedStore, LinkClosed, RelayUnreachable
from crdtsync.ids import Position
from crdtsync.model.certificate import Replaced
from crdtsync.model.signature import PrivateKey, sign_with_purpose
from crdtsync.protocol.messages import Hello
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import NEW_LOG
from crdtsync.runtime.folder.identity import Identity
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.home import RegisterHome, is_closing
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.comparison import Reader
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.reconnecting import HURRY_S, Reconnecting, meaning, needs_person
from crdtsync.storage.log import ShopLog, Store
from crdtsync.testing.simulation.machine import Machine, SimulatedCommitter, SimulatedReader, read_all
from crdtsync.testing.simulation.network import SimulatedConnection, was_meddled_with
from crdtsync.testing.simulation.plates import Plate
from crdtsync.testing.simulation.timeline import Event

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

LOSSES_OF_RELAY = "simulation/losses"
"""State of a log: how often the relay's disk had lost something when it acknowledged last."""

CONNECT_TIMEOUT_US = 10_000_000
NOTICED_US = (200, 3_000)


class RegisterMachine(Machine):
    """A machine with a register on its disk. ``register`` is what its till program holds, while it runs."""

    def __init__(self, shop: Shop, name: str, plate: Plate, key: PrivateKey, identity: Identity) -> None:
        super().__init__(shop, name, plate)
        self.key = key
        self.identity = identity
        self.replaces: Replaced | None = None
        """The lost register whose place it took."""
        self.software_version: int | None = None
        self.version_was_said: Callable[[], None] = lambda: None
        """What version of the protocol it speaks, if not the present one."""
        self._register: Register | None = None
        self.syncer: SimulatedSyncer | None = None

    @property
    def register(self) -> Register:
        """The register as its till program has it open. Raises ``StorageError`` if it cannot be opened."""
        if self._register is None:
            replica = Replica(
                RegisterConfig(self.shop.no_folder),
                self.clock,
                self.random_bytes,
                open_store=lambda _: self.plate.open(),
                read_key=lambda _: self.key,
            )
            self._register = Register(replica)
            replica.on_write = self.notice
        return self._register

    def start(self) -> None:
        """See ``Machine``: the process that synchronises starts with it."""
        super().start()
        self.start_sync()

    def start_sync(self) -> None:
        """Begin to synchronise, if nothing does."""
        if self.syncer is None and self.is_on:
            self.later(self.chance.randrange(20_000), self._start_sync)

    def _start_sync(self) -> None:
        if self.syncer is not None:
            return
        try:
            self.syncer = SimulatedSyncer(self)
        except CrdtsyncError as error:
            self.shop.story.tell(self.name, f"cannot synchronise: {error}")
            self.later(5_000_000, self.start_sync)
            return
        self.syncer.attempt()

    def stop_sync(self) -> None:
        """Kill the process that synchronises; the till goes on."""
        self.shop.network.lose(self, is_told=True)
        self.syncer = None

    def stop_processes(self) -> None:
        """See ``Machine``."""
        self._register = self.syncer = None

    def speaks_version(self, version: int | None, said: Callable[[], None] = lambda: None) -> None:
        """From now on it speaks that version of the protocol (None: the present one): another version of the
        software was put on it, and its process that synchronises starts again. ``said`` is called the first
        time that it tells somebody.
        """

        def once() -> None:
            self.version_was_said = lambda: None
            said()

        self.software_version, self.version_was_said = version, once
        if self.syncer is not None and self.is_on:
            self.stop_sync()
            self.later(0, self.start_sync)

    def mend_beside(self, damage: DamagedStore) -> bool:
        """What the process that synchronises does about a damaged record."""
        try:
            return self.register.replica.mend_beside(damage)
        except CrdtsyncError:
            return False

    def scrub(self) -> None:
        """See ``Machine``: what is damaged is set apart as the register does it."""
        replica = self.register.replica
        read_all(replica.log, replica.mend)
        if self.syncer is not None:
            self.syncer.look()

    def ended(self, connection: Connection) -> None:
        """See ``Machine``."""
        if self.syncer is not None and self.syncer.connection is connection:
            self.syncer.ended(connection)

    def notice(self) -> None:
        """Something was written, or may have been: who synchronises sees that the file has changed."""
        syncer = self.syncer
        if syncer is not None:
            # It notices as another process does: a moment later.
            self.later(self.chance.randint(*NOTICED_US), syncer.look)


@dataclass(frozen=True)
class _MeOfAnotherVersion(Me):
    version: int = 0
    said: Callable[[], None] = lambda: None

    def hello(self, *, fits: bool) -> Hello:
        self.said()
        return replace(super().hello(fits=fits), version=self.version)


class SimulatedSyncer(RegisterHome):
    """The product's side of a register's connection; time and chance are the simulation's."""

    def __init__(self, machine: RegisterMachine) -> None:
        self._machine = machine
        super().__init__(
            open_store=machine.plate.open,
            identity=machine.identity,
            key=machine.key,
            clock=machine.clock,
            random=machine.random_bytes,
            changed=lambda: None,
            mend=machine.mend_beside,
        )
        self._reconnecting = Reconnecting(machine.chance.random)
        self._seen_seq = self._log.end.seq
        self._losses_met: dict[Connection, int] = {}
        self._began_us = 0
        self._next: Event | None = None
        self._attempted_us = -(10**9)
        self.is_over = False
        """A person has to act before it tries again."""

    def make_committer(self, open_store: Callable[[], Store], admission: Admission) -> Committer:
        """See ``RegisterHome``."""
        return SimulatedCommitter(self._machine, open_store, lambda _: admission, self)

    def make_reader(self, open_store: Callable[[], Store]) -> Reader:
        """See ``RegisterHome``."""
        return SimulatedReader(self._machine, open_store)

    def now_ms(self) -> int:
        """See ``RegisterHome``."""
        return self._machine.timeline.now_ms

    # -- connecting ----------------------------------------------------------------------------------------

    def attempt(self) -> None:
        """Try to reach the relay."""
        machine, relay = self._machine, self._machine.shop.relay
        self._next = None
        if self.connection is not None or self.is_over:
            return
        self._began_us = self._attempted_us = machine.timeline.now_us
        if not machine.shop.network.reaches(machine.name, relay.name):
            self._fail_later(CONNECT_TIMEOUT_US)
        elif not relay.is_on:
            self._fail_later(1_000)
        else:
            machine.later(machine.chance.randint(1_000, 5_000), self._connect)

    def _fail_later(self, delay_us: int) -> None:
        self._machine.later(delay_us, lambda: self._failed(RelayUnreachable("nobody answers")))

    def _connect(self) -> None:
        machine, relay = self._machine, self._machine.shop.relay
        if self.connection is not None:
            return
        far = relay.accept() if machine.shop.network.reaches(machine.name, relay.name) else None
        if far is None:
            self._failed(RelayUnreachable("nobody answers"))
            return
        try:
            session = Session(
                connecting=True,
                nonce=b"",
                sign=lambda purpose, payload: sign_with_purpose(machine.key, purpose, payload),
                now_ms=self.now_ms(),
                me=self._me_as_i_speak(),
                exchange_seed=machine.exchange_seed(),
            )
        except CrdtsyncError as error:
            self._failed(error)
            return
        self.connection = connection = SimulatedConnection(self, session)
        self._losses_met[connection] = relay.losses
        machine.shop.network.connect((machine, connection), (relay, far))

    def _me_as_i_speak(self) -> Me:
        me, version = self.me(None), self._machine.software_version
        if version is None:
            return me
        facts = {one.name: getattr(me, one.name) for one in fields(me)}
        return _MeOfAnotherVersion(**facts, version=version, said=self._machine.version_was_said)

    def ended(self, connection: Connection) -> None:
        """The connection is gone."""
        self.connection = None
        self._losses_met.pop(connection, None)
        error = connection.error or LinkClosed("the connection ended")
        self._failed(error, is_meddled_with=was_meddled_with(connection))

    def _failed(self, error: CrdtsyncError, *, is_meddled_with: bool = False) -> None:
        machine = self._machine
        self.error = error = error if self.has_more(error) else meaning(error)
        machine.shop.saw_error(machine, error, is_meddled_with=is_meddled_with)
        if self.mended(error):
            machine.shop.story.tell(machine.name, f"sets a record apart: {error}")
            self._try_again(0.0)
            return
        if needs_person(error):
            self.is_over = True
            machine.shop.story.tell(machine.name, f"stops synchronising: {error}")
            return
        lasted_s = (machine.timeline.now_us - self._began_us) / 1_000_000
        self._try_again(self._reconnecting.pause_s(error, lasted_s))

    def _try_again(self, pause_s: float) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._machine.later(int(pause_s * 1_000_000), self.attempt)

    def try_now(self) -> None:
        """A person asks, or the network changed."""
        self.is_over = False
        self._reconnecting.try_now()
        if self.connection is None:
            self._try_again(0.0)

    # -- what a connection needs ---------------------------------------------------------------------------

    def look(self) -> None:
        """Notice what other processes wrote."""
        if self._machine.syncer is not self:
            return
        connection = self.connection
        before, self._seen_seq = self._seen_seq, self._log.end.seq
        if connection is not None and connection.session.is_live:
            if connection.our_log not in (None, self._log.log_id):
                connection.close(LinkClosed("this log goes on under a new id", code=NEW_LOG), NEW_LOG)
            else:
                connection.log_grew(self._log.end)
        if self._seen_seq > before:
            if connection is None and not self.is_over and self._next is not None:
                waited_s = (self._machine.timeline.now_us - self._attempted_us) / 1_000_000
                self._try_again(max(0.0, HURRY_S - waited_s))
            news = self._log.read(before, bytes_max=1 << 18)
            if connection is not None and any(is_closing(record) for _, record in news.records):
                connection.session.comparing.compare_soon()

    def acknowledged(self, connection: Connection, position: Position) -> Callable[[ShopLog], None] | None:
        """See ``RegisterHome``. Beside it stands which losses of the relay it knows of."""
        write, losses = super().acknowledged(connection, position), self._losses_met.get(connection)
        if write is None or losses is None:
            return write
        written = write

        def remember(log: ShopLog) -> None:
            written(log)
            log.set_state(LOSSES_OF_RELAY, str(losses).encode())

        return remember

    def committed(self, *what: Any) -> None:
        """See ``RegisterHome``."""
        super().committed(*what)
        self._seen_seq = max(self._seen_seq, self._log.end.seq)
