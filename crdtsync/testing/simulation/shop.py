"""A shop in a box: registers, a relay, a network and disks in one thread, in virtual time, from one seed.

The product's own code runs on every machine; only time, chance, network and disk are simulated. Nothing
happens unless time passes (``run``, ``settle``); the same seed and the same calls give the same history.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

from crdtsync.errors import (
    AccessDenied,
    CrdtsyncError,
    LinkClosed,
    MalformedMessage,
    RelayUnreachable,
    StorageError,
    UnsupportedVersion,
    UsageError,
)
from crdtsync.model.certificate import Certificate, Replaced
from crdtsync.model.chain import Moment
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.belonging.join import device_id_of, enter_shop, identity_of
from crdtsync.runtime.belonging.replacing import heads_to_name, lost_of, save_lost
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.runtime.committing.writer import local_date
from crdtsync.runtime.folder.identity import Relay
from crdtsync.storage.memory import MemoryDisk
from crdtsync.testing.simulation import checks, reading, replacing
from crdtsync.testing.simulation.machine import Machine
from crdtsync.testing.simulation.network import Network, SimulatedConnection, Wire
from crdtsync.testing.simulation.notebook import Notebook
from crdtsync.testing.simulation.plates import MemoryPlate, Plate, SqlitePlate
from crdtsync.testing.simulation.register import RegisterMachine
from crdtsync.testing.simulation.relay import Owner, RelayMachine
from crdtsync.testing.simulation.story import Story
from crdtsync.testing.simulation.timeline import Timeline

RESTART_US: Final = (500_000, 20_000_000)
SETTLE_S: Final = 240
"""When nothing goes wrong any more, everything is where it belongs within so many seconds."""

DisksOf = Literal["memory", "sqlite"]


class Shop:
    """Registers and a relay. ``disks``: in memory, or the real store on a disk that fails as disks do.
    ``is_open_line``: wires have no TLS, so that frames are bound to the hellos.

    Use it in a ``with`` block where the disks are real. ``check`` may be called at any time, ``settle`` and
    then ``check_at_rest`` when nothing is broken any more; both raise ``AssertionError``.
    """

    def __init__(
        self,
        registers: int = 2,
        seed: int = 1,
        *,
        disks: DisksOf = "memory",
        upkeep_limits: UpkeepLimits | None = None,
        is_open_line: bool = False,
    ) -> None:
        if disks not in ("memory", "sqlite"):
            raise UsageError(f"disks are 'memory' or 'sqlite', not {disks!r}")
        if type(registers) is not int or registers < 0:
            raise UsageError(f"a shop has a number of registers, not {registers!r}")
        self.seed = seed
        self.is_open_line = is_open_line
        self.timeline = Timeline()
        self.story = Story(self.timeline)
        self.notebook = Notebook()
        self.network = Network(self.timeline, Random(f"{seed}/network"), self.story.trace)
        self.upkeep_limits = upkeep_limits or UpkeepLimits()
        self.no_folder = Path("simulated")
        self.errors: list[tuple[str, CrdtsyncError]] = []
        self.unexpected_errors: list[tuple[str, CrdtsyncError]] = []
        """Why connections ended that honest peers would not have ended."""
        self._chance = Random(f"{seed}/shop")
        self._disks = disks
        self._folder = tempfile.TemporaryDirectory(prefix="simulated-shop-") if disks == "sqlite" else None
        self.story.folder = self._folder.name if self._folder is not None else ""
        self._disk_numbers = count(1)
        self._enrolled = 0
        self.owner = Owner(Random(f"{seed}/owner"), "Cave du Port")
        self.shop_id = self.owner.author
        key = PrivateKey.from_seed(self._chance.randbytes(32))
        self.relay = RelayMachine(self, "relay", self.new_plate(), key, device_id_of(key.public))
        certificate = Certificate(self.relay.device, "relay", "relay", key.public, self.shop_id)
        self.owner.certify(certificate)
        self.relay.append(self.owner.entries)
        self.relay.start()
        self.registers: list[RegisterMachine] = []
        """Those that are in the shop. Who was stolen is not."""
        self.everybody: list[RegisterMachine] = []
        """Every register that ever was."""
        self.away: list[RegisterMachine] = []
        """Those that were lost, and may be found again."""
        for _ in range(registers):
            self.enrol()

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder of the disks back."""
        self.close()

    def close(self) -> None:
        """Give the folder of the disks back. Idempotent."""
        for machine in self.machines:
            machine.is_on = False
            machine.stop_processes()
            if isinstance(machine.plate, SqlitePlate):
                machine.plate.cut_power()
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def machines(self) -> list[Machine]:
        """The relay and all registers."""
        return [self.relay, *self.registers]

    def new_plate(self) -> Plate:
        """An empty disk."""
        if self._folder is None:
            return MemoryPlate(MemoryDisk())
        return SqlitePlate(Path(self._folder.name), self._chance, self._disk_numbers)

    # -- devices -------------------------------------------------------------------------------------------

    def enrol(self, *, is_told_at_once: bool = True, replaces: Replaced | None = None) -> RegisterMachine:
        """A new register on an empty disk, certified by the owner and switched on; or one that takes the
        place of a lost one.

        Unless ``is_told_at_once``, nobody but the register has the certificate: the relay hears of it from
        the register, as one that was put back from a backup would.
        """
        self._enrolled += 1
        name, chance = f"till {self._enrolled}", Random(f"{self.seed}/enrol/{self._enrolled}")
        key = PrivateKey.from_seed(chance.randbytes(32))
        certificate = Certificate(
            device_id_of(key.public),
            name,
            "register",
            key.public,
            self.shop_id,
            f"{self._enrolled:02}",
            replaces=replaces,
        )
        self.owner.certify(certificate)
        identity = identity_of(certificate, self.owner.directory)
        register = RegisterMachine(self, name, self.new_plate(), key, identity)
        register.replaces = replaces
        self._set_up(register, certificate, chance)
        if is_told_at_once:
            self.relay.append(self.owner.entries)
        self.registers.append(register)
        self.everybody.append(register)
        self.story.tell(name, "is enrolled")
        register.start()
        return register

    def _set_up(self, register: RegisterMachine, certificate: Certificate, chance: Random) -> None:
        store = register.plate.open()
        now_ms = register.clock.now_ms()
        offset_min = register.clock.utc_offset_min(now_ms)
        moment = Moment(now_ms, offset_min, local_date(now_ms, offset_min))
        devices = [register.identity.device, self.relay.device]
        if certificate.replaces is not None:
            devices.append(certificate.replaces.device)
        with store.transaction():
            log = store.create_shop(self.shop_id, chance.randbytes(16))
            enter_shop(
                log,
                register.identity,
                self.owner.proofs_of(*devices),
                register.key,
                Relay("ws://relay", self.relay.key.public),
                moment,
                chance.randbytes,
                heads=heads_to_name(certificate),
            )
            if (lost := lost_of(certificate, self.owner.directory)) is not None:
                save_lost(log, lost)
        store.close()

    def rotate_owner_key(self) -> None:
        """The owner hands over to another key."""
        self.relay.append(self.owner.rotate(self._chance.randbytes(32)))
        self.story.tell("owner", "hands over to another key")

    def revoke(self, register: RegisterMachine) -> None:
        """The owner cuts a device off, with what the relay has of it by now."""
        device = register.identity.device
        self.owner.revoke(device, replacing.heads_at(self.relay, device))
        entries = reading.entries_of(self.relay.records())
        self.notebook.vouched |= {one.link for one in entries if one.body["till"] == device.hex()}
        self.relay.append(self.owner.entries[-1:])
        self.story.tell("owner", f"revokes {register.name}")

    def approve(self, register: RegisterMachine) -> int:
        """A person lets in all that the relay has on hold of a revoked device; how many entries."""
        links = self.relay.on_hold(register.identity.device)
        if links:
            self.relay.approve(self.owner.approve(register.identity.device, links))
            self.story.tell("owner", f"lets in {len(links)} entries of {register.name}")
        return len(links)

    def lose(self, register: RegisterMachine) -> None:
        """A register is gone for ever, with its disk and what only that held."""
        self.story.tell(register.name, "is stolen, with its disk")
        register.crash()
        self.registers.remove(register)
        self.disk_gone()

    def clone(self, register: RegisterMachine) -> RegisterMachine:
        """A second machine with a copy of the disk, its key included."""
        twin = RegisterMachine(
            self, register.name + "'", register.plate.copy(), register.key, register.identity
        )
        self.notebook.forked |= {register.name, twin.name}
        twin.losses = register.losses
        self.registers.append(twin)
        self.everybody.append(twin)
        self.story.tell(register.name, "is cloned, disk and key")
        twin.start()
        return twin

    # -- machines ------------------------------------------------------------------------------------------

    def crash(self, machine: Machine, *, is_told: bool = True, is_restarted: bool = True) -> None:
        """What is in memory and not synced is gone; after a while it is switched on again."""
        if machine.is_on:
            self.story.tell(machine.name, "crashes" if is_told else "crashes without a word")
            machine.crash(is_told=is_told)
        if is_restarted:
            self.restart_later(machine)

    def restart_later(self, machine: Machine) -> None:
        """Switch it on again after a while."""
        life = machine.life

        def start() -> None:
            if machine.life == life and not machine.is_on and machine in self.machines:
                self.story.tell(machine.name, "starts again")
                machine.start()

        self.timeline.after_us(machine.chance.randint(*RESTART_US), start)

    def put_back(self, machine: Machine, plate: Plate) -> None:
        """An older copy of the disk takes its place."""
        self.story.tell(machine.name, "gets an old copy of its disk put back")
        before = reading.entries_of(machine.records())
        if machine.is_on:
            machine.crash()
        machine.have(plate.copy())
        machine.losses += 1
        if machine is not self.relay:
            self.notebook.forked.add(machine.name)
        self.disk_gone()
        # It may have had the only copy of what rotted elsewhere.
        self._note_holes(reading.that_left_holes(before, self._entries_held()))
        self.restart_later(machine)

    def damage(self, machine: Machine, seq: int) -> bool:
        """The bytes of a record rot, unnoticed; False if there is none with that number."""
        before = {entry.link: entry for entry in reading.entries_of(machine.records())}
        if not machine.plate.damage(self.shop_id, seq):
            return False
        self.story.tell(machine.name, f"record {seq} of the log rots")
        machine.losses += 1
        self.disk_gone()
        self._note_holes(before[link] for link in before.keys() - self.links_held())
        return True

    def _note_holes(self, gone: Iterable[reading.Entry]) -> None:
        """Entries in the midst of chains are on no disk any more."""
        authors = {entry.body["till"] for entry in gone}
        self.notebook.holed |= {one.name for one in self.everybody if one.identity.device.hex() in authors}

    def _entries_held(self) -> list[reading.Entry]:
        return [entry for machine in self.machines for entry in reading.entries_of(machine.records())]

    def scrub(self) -> None:
        """Every machine reads all of its log, as an operator has it done who wants to know."""
        for machine in self.machines:
            machine.work(machine.scrub)

    def wipe_relay(self) -> None:
        """The relay's disk is replaced by an empty one, on which it knows its shop and nothing else."""
        self.story.tell("relay", "loses its disk")
        if self.relay.is_on:
            self.relay.crash()
        self.relay.have(self.new_plate())
        self.relay.losses += 1
        self.disk_gone()
        self.relay.append(self.owner.entries[:2])
        self.restart_later(self.relay)

    def disk_gone(self) -> None:
        """Note what is on no disk any more."""
        held = self.links_held()
        self.notebook.disk_gone(held)
        if not {entry.link.hex() for entry in self.owner.entries} <= held:
            self.notebook.holed_authors.add(self.owner.author.hex())

    def links_held(self) -> set[str]:
        """Entries that lie on some disk."""
        held: set[str] = set()
        for machine in self.machines:
            held |= checks.links_on(machine)
        return held

    # -- time ----------------------------------------------------------------------------------------------

    def run(self, seconds: float, *, each: Callable[[], None] = lambda: None) -> None:
        """Let time pass. ``each`` is called after every event."""
        until_us = self.timeline.now_us + int(seconds * 1_000_000)
        while self.timeline.step(until_us):
            each()

    def settle(self, timeout_s: float = SETTLE_S, *, each: Callable[[], None] = lambda: None) -> float:
        """End all faults and let everything come to rest; how many seconds that took.

        Raises ``AssertionError`` when something still waits after ``timeout_s``.
        """
        self.calm()
        began_us = self.timeline.now_us
        until_us = began_us + int(timeout_s * 1_000_000)
        looked = 0
        while True:
            moved = self.timeline.step(min(until_us, self.timeline.now_us + 1_000_000))
            each()
            looked += 1
            if (not moved or looked % 64 == 0) and self.is_at_rest():
                return (self.timeline.now_us - began_us) / 1_000_000
            assert self.timeline.now_us < until_us, ("not at rest", timeout_s, self.why_not_at_rest())
            if looked % 64 == 0:
                self._ask_who_was_cut_off()

    def _ask_who_was_cut_off(self) -> None:
        """Have revoked registers try again that have something which the relay lost to damage since: they
        stopped when all was handed over, and say that it waits; a person has them synchronise.
        """
        for register in self.registers:
            if checks.is_revoked(self, register) and not checks.has_handed_over(self, register):
                register.start_sync()
                if register.syncer is not None:
                    register.later(0, register.syncer.try_now)

    def calm(self) -> None:
        """End all faults: everything is on, connected, and has room."""
        self.story.tell("shop", "nothing goes wrong any more")
        self.network.heal()
        self.away.clear()
        for machine in self.machines:
            machine.plate.calm()
            machine.disk_us = (80, 400)
            if not machine.is_on:
                machine.start()
        for register in self.registers:
            register.software_version = None
            register.start_sync()
            syncer = register.syncer
            if syncer is not None:
                register.later(0, syncer.try_now)

    def is_at_rest(self) -> bool:
        """Whether everybody is connected and in step with the relay."""
        return not self.why_not_at_rest()

    def why_not_at_rest(self) -> list[str]:
        """What is still under way."""
        home = self.relay.home
        if home is None:
            return ["the relay is off"]
        reasons = ["the relay is at work"] if home.steps.is_at_work else []
        for register in self.registers:
            if checks.is_revoked(self, register):
                if not checks.has_handed_over(self, register):
                    reasons.append(f"{register.name} has not handed over what it has")
                continue
            connection = register.syncer.connection if register.syncer is not None else None
            if connection is None or not connection.session.is_live:
                error = register.syncer.error if register.syncer is not None else None
                reasons.append(f"{register.name} is not connected: {error}")
            elif not (isinstance(connection, SimulatedConnection) and connection.end.other.is_open):
                reasons.append(f"{register.name} has not noticed that its connection is gone")
            elif not connection.session.is_in_step:
                reasons.append(f"{register.name} is not in step")
            elif connection.session.outbound.end != connection._the_log().end:
                reasons.append(f"{register.name} has not noticed what was sold")
        for connections in home.connections.values():
            reasons += [
                "the relay is not in step with somebody"
                for connection in connections
                if not connection.session.is_in_step
            ]
        return reasons

    # -- what must hold ------------------------------------------------------------------------------------

    def check(self) -> None:
        """What must hold at every moment. Raises ``AssertionError``."""
        checks.at_every_moment(self)

    def check_in_step(self) -> None:
        """What must hold when nothing has gone wrong for a while, on the connections that there are."""
        checks.in_step(self)

    def check_at_rest(self) -> None:
        """What must hold when everything has come to rest. Raises ``AssertionError``."""
        checks.at_rest(self)

    def saw_error(self, machine: Machine, error: CrdtsyncError, *, is_meddled_with: bool = False) -> None:
        """A connection ended, for this reason."""
        self.errors.append((machine.name, error))
        if not _is_expected(error) and not (is_meddled_with and _is_found_out(error)):
            self.unexpected_errors.append((machine.name, error))
        self.story.trace(machine.name, type(error).__name__, str(error))

    def wires(self) -> list[Wire]:
        """All wires that are not gone."""
        return list(self.network.wires)


def _is_found_out(error: CrdtsyncError) -> bool:
    """Whether an end has found out that somebody is in between, or was told so by the other one."""
    if isinstance(error, LinkClosed):
        return error.code == MalformedMessage.close_code
    return isinstance(error, MalformedMessage) and "in between" in str(error)


def _is_expected(error: CrdtsyncError) -> bool:
    """Whether honest peers may end a connection so."""
    if isinstance(error, LinkClosed):
        return error.code == 4401 or not 4400 <= error.code < 4500
    is_of_the_disk = isinstance(error, StorageError)
    return is_of_the_disk or isinstance(error, RelayUnreachable | AccessDenied | UnsupportedVersion)
