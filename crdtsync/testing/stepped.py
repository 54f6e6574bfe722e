"""A shop whose every step is taken by hand: commits, frames, crashes, disks put back.

Everything but the wire, the disk and the event loop is the product's own: sessions, connections, committers,
tails. Nothing runs by itself, so that a test decides what happens before what, and finds what is on each disk
in between. No threads, no clock, no chance.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator

from crdtsync.errors import CrdtsyncError, LinkClosed, StorageError
from crdtsync.model.certificate import Certificate
from crdtsync.protocol.session import Session
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.testing.stepped_replica import SHOP, NoSocket, Process, Replica, signer

__all__ = ["SHOP", "End", "Replica", "SteppedShop", "Wire"]


class End:
    """One end of a wire: a connection of a process, and the frames on their way to it."""

    def __init__(self, process: Process, session: Session) -> None:
        self.process = process
        self.connection = Connection(process, NoSocket(), session)
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

    def __repr__(self) -> str:
        return f"<{self.near_replica.name} to {self.far_replica.name}>"

    def __init__(self, shop: SteppedShop, near: Replica, far: Replica) -> None:
        self.shop = shop
        self.near_replica, self.far_replica = near, far
        self.far = End(
            far.process,
            Session(
                connecting=False,
                nonce=shop.chance.randbytes(16),
                sign=signer(far),
                now_ms=shop.now_ms,
            ),
        )
        self.near = End(
            near.process,
            Session(
                connecting=True,
                nonce=b"",
                sign=signer(near),
                now_ms=shop.now_ms,
                me=near.process.me_towards(far.device),
            ),
        )
        near.process.life_met[self.near.connection] = far.life
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
        frame = connection._outbox.pop(0)
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
        self._texts = self._enrolled = 0
        self.relay = Replica(self, "relay", is_relay=True)
        self._certify(self.relay, "relay")
        self.registers: list[Replica] = []
        for _ in range(registers):
            self.enrol()

    @property
    def replicas(self) -> list[Replica]:
        """The relay and all registers."""
        return [self.relay, *self.registers]

    def text(self) -> str:
        """Words that nobody has used before."""
        self._texts += 1
        return f"#{self._texts}"

    def enrol(self) -> Replica:
        """A new register with an empty disk."""
        self._enrolled += 1
        register = Replica(self, f"till {self._enrolled}")
        self.registers.append(register)
        self._certify(register, "register")
        return register

    def _certify(self, replica: Replica, role: str) -> None:
        certificate = Certificate(replica.device, replica.name, role, replica.key.public, SHOP)
        self.certificates[replica.device] = certificate

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
        twin = Replica(self, register.name + "'", disk=register.disk.copy())
        self.registers.append(twin)
        return twin

    def lose(self, register: Replica) -> None:
        """A register is gone for ever, with its disk and what only that held."""
        self.hang_up(register)
        register.disk.cut_power()
        self.registers.remove(register)

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

    def settle(self, rounds_max: int = 100) -> int:
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
