"""The network between simulated machines: frames take time, come in order or not at all, and nobody is told.

A ``Wire`` is one WebSocket. What travels on it can be slow, held up in one direction, arrive in a burst or
in two parts, and be lost when the wire breaks; an end can be gone without the other one hearing of it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from crdtsync.errors import LinkClosed
from crdtsync.protocol.limits import TAG_BYTES
from crdtsync.protocol.session import Session
from crdtsync.runtime.committing.work import Outcome
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.home import Home
from crdtsync.testing.simulation.between import Between
from crdtsync.testing.simulation.timeline import Event, Timeline

if TYPE_CHECKING:
    from crdtsync.testing.simulation.machine import Machine

SOCKET_BYTES: Final = 64 << 10
"""What the sockets of both ends hold of frames under way; beyond it, frames wait in the connection."""

TICK_US: Final = 250_000
IDLE_TICK_US: Final = 10_000_000
"""How far apart an idle connection looks at the time, at most (the product: 2 s)."""

PING_TIMEOUT_US: Final = 40_000_000
"""How long either end takes to notice that nobody is there any more."""

GONE: Final = 1006
"""What an end sees of a wire that broke."""


@dataclass(slots=True)
class Conditions:
    """What the network is like. ``split`` and ``late`` are probabilities for each frame."""

    delay_us: tuple[int, int] = (500, 3_000)
    bytes_per_s: int = 0
    """0: as much as one likes."""
    split: float = 0.0
    late: float = 0.0
    late_us: int = 200_000


class SimulatedConnection(Connection):
    """The product's connection, without a socket, a task or a timer of its own."""

    end: End

    def __init__(self, home: Home, session: Session) -> None:
        super().__init__(home, _NoSocket(), session)

    def _flush(self) -> None:
        self.end.send()

    def _end(self) -> None:
        self.end.close()

    def _stored(self, outcome: Outcome) -> None:
        super()._stored(outcome)
        self._flush()

    def _is_busy(self) -> None:
        self.end.is_busy()

    def tell(self, frame: bytes) -> None:
        """A frame has arrived."""
        self.bytes_received += len(frame)
        try:
            self.session.receive(frame, self.home.now_ms())
            self._is_busy()
            self.pump()
        except Exception as error:  # The boundary of a connection, as in `Connection._receive`.
            self._fail(error)

    def tell_closed(self, code: int) -> None:
        """The other end is gone."""
        self._fail(LinkClosed("the other end is gone", code=code))

    def take_frame(self) -> bytes | None:
        """The next frame that is to be sent."""
        if not self._outbox:
            return None
        frame = self._outbox.pop(0)
        self._outbox_bytes -= len(frame)
        self.frames_sent += 1
        self.bytes_sent += len(frame)
        if self._pending_read is not None or self.session.comparing.has_more_to_tell:
            self._do_all()
        return frame

    @property
    def outbox_bytes(self) -> int:
        """What waits for the socket."""
        return self._outbox_bytes


class End:
    """One end of a wire, at one machine."""

    def __init__(self, wire: Wire, machine: Machine, connection: SimulatedConnection) -> None:
        self.wire = wire
        self.machine = machine
        self.connection = connection
        connection.end = self
        self.is_open = True
        self.other: End
        self.stalled_until_us = 0
        self.between: Between | None = None
        """Who does something to what travels here."""
        self._arriving: deque[tuple[int, bytes | int]] = deque()
        self._arriving_bytes = 0
        self._delivery: Event | None = None
        self._last_us = 0
        self._is_sending = False
        self._tick: Event | None = None
        self._tick_us = TICK_US

    # -- sending -------------------------------------------------------------------------------------------

    def send(self) -> None:
        """Put frames on the wire, as many as the sockets take."""
        if self._is_sending or not self.is_open:
            return
        self._is_sending = True
        try:
            while self.other._arriving_bytes < SOCKET_BYTES:
                frame = self.connection.take_frame()
                if frame is None:
                    break
                self.other.travel(frame)
        finally:
            self._is_sending = False

    def close(self) -> None:
        """This end has closed: what it had to say goes out, then its reason."""
        if not self.is_open:
            return
        self.send()
        self.other.travel(self.connection._close_code)
        self.vanish()
        self.machine.ended(self.connection)

    def vanish(self) -> None:
        """This end is gone without a word; frames towards it are lost."""
        self.is_open = False
        self._arriving.clear()
        for event in (self._tick, self._delivery):
            if event is not None:
                event.cancel()
        self.wire.network.forget(self.wire)

    def break_off(self, after_us: int) -> None:
        """The wire is broken, and this end notices some time later; what was on its way to it is lost."""
        if self.is_open:
            self._arriving.clear()
            self._arriving_bytes = 0
            if self._delivery is not None:
                self._delivery.cancel()
                self._delivery = None
            self._arriving.append((self.wire.timeline.now_us + after_us, GONE))
            self._schedule()

    # -- receiving -----------------------------------------------------------------------------------------

    def travel(self, what: bytes | int) -> None:
        """Something was sent to this end: a frame, or the code with which the other end closed."""
        if self.between is not None and isinstance(what, bytes):
            for frame in self.between.passes_on(what):
                self.travel_on(frame)
        else:
            self.travel_on(what)

    def travel_on(self, what: bytes | int) -> None:
        """The same, past whoever is in between."""
        if not self.is_open:
            return
        network = self.wire.network
        conditions, chance, now_us = network.conditions, network.chance, self.wire.timeline.now_us
        low, high = conditions.delay_us
        delay_us = chance.randint(low, high)
        if isinstance(what, bytes):
            self._arriving_bytes += len(what)
            if conditions.bytes_per_s:
                delay_us += len(what) * 1_000_000 // conditions.bytes_per_s
            if conditions.late and chance.random() < conditions.late:
                delay_us += chance.randrange(conditions.late_us)
            if conditions.split and chance.random() < conditions.split:
                delay_us += chance.randrange(conditions.late_us)
        start_us = self._last_us if conditions.bytes_per_s else now_us
        arrival_us = max(self._last_us, max(start_us, now_us) + delay_us)
        self._last_us = arrival_us
        self._arriving.append((arrival_us, what))
        self._schedule()

    def stall(self, until_us: int) -> None:
        """Nothing arrives here before then; afterwards all of it does."""
        self.stalled_until_us = max(until_us, self.stalled_until_us)

    def arrive_now(self) -> None:
        """What was slow or held up is here, in its order."""
        now_us = self.wire.timeline.now_us
        self.stalled_until_us, self._last_us = 0, now_us
        self._arriving = deque((min(at_us, now_us), what) for at_us, what in self._arriving)
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None
        self._schedule()

    def _schedule(self) -> None:
        if self._delivery is not None or not self._arriving or not self.is_open:
            return
        at_us = max(self._arriving[0][0], self.stalled_until_us)
        timeline = self.wire.timeline
        self._delivery = timeline.after_us(at_us - timeline.now_us, self._deliver)

    def _deliver(self) -> None:
        self._delivery = None
        if not self.is_open or not self._arriving:
            return
        network, now_us = self.wire.network, self.wire.timeline.now_us
        if now_us < self.stalled_until_us:
            self._schedule()
            return
        if not network.reaches(self.machine.name, self.other.machine.name):
            # As TCP does it: sent again and again, and it arrives when the way is free.
            self.stalled_until_us = now_us + 500_000
            self._schedule()
            return
        if self.connection.session.inbound.is_flooded:
            self.stalled_until_us = now_us + 2_000
            self._schedule()
            return
        _, what = self._arriving.popleft()
        if isinstance(what, int):
            self.connection.tell_closed(what)
            return
        self._arriving_bytes -= len(what)
        network.frames += 1
        network.trace(self.machine.name, what)
        if not self.wire.is_meddled_with:
            network.kinds[what[1]] += 1
            network.examples.setdefault(what[1], what[: len(what) - self.tag_bytes])
        self.machine.work(lambda: self.connection.tell(what))
        self.other.send()
        self._schedule()

    @property
    def tag_bytes(self) -> int:
        """What ends each frame on this line, from the hellos on."""
        return TAG_BYTES if self.connection.session.line.is_bound else 0

    # -- time ----------------------------------------------------------------------------------------------

    def is_busy(self) -> None:
        """Something happens here: time is looked at often."""
        if self._tick_us > TICK_US or self._tick is None:
            self._tick_us = TICK_US
            self._set_tick()

    def _set_tick(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self.is_open:
            self._tick = self.wire.timeline.after_us(self._tick_us, self._look_at_time)

    def _look_at_time(self) -> None:
        if not self.is_open:
            return
        self.machine.work(self._tick_session)
        self._tick_us = min(self._tick_us * 2, IDLE_TICK_US)
        self._set_tick()

    def _tick_session(self) -> None:
        connection = self.connection
        try:
            connection.session.tick(connection.home.now_ms())
        except Exception as error:  # The boundary of a connection, as in `Connection._tick`.
            connection._fail(error)
        connection.pump()


class Wire:
    """One connection between two machines."""

    def __init__(
        self,
        network: Network,
        near: tuple[Machine, SimulatedConnection],
        far: tuple[Machine, SimulatedConnection],
    ) -> None:
        self.network = network
        self.timeline = network.timeline
        self.is_meddled_with = False
        """Somebody in between has done something to a frame."""
        self.near, self.far = End(self, *near), End(self, *far)
        self.near.other, self.far.other = self.far, self.near

    @property
    def ends(self) -> tuple[End, End]:
        """Both ends."""
        return self.near, self.far

    @property
    def is_bound(self) -> bool:
        """Whether both ends have said hello, and frames are bound to that."""
        sessions = [end.connection.session for end in self.ends]
        return all(session.is_live and session.line.is_bound for session in sessions)

    def begin(self) -> None:
        """Let both ends say what they have to say."""
        for end in self.ends:
            end.machine.work(end.connection.pump)
            end.is_busy()


class Network:
    """All wires, and who can reach whom."""

    def __init__(
        self,
        timeline: Timeline,
        chance: Random,
        trace: Callable[..., None],
    ) -> None:
        self.timeline = timeline
        self.chance = chance
        self.trace = trace
        self.conditions = Conditions()
        self.wires: list[Wire] = []
        self.frames = 0
        self.kinds: Counter[int] = Counter()
        """Frames that arrived, by the number of their type: the second byte of each."""
        self.examples: dict[int, bytes] = {}
        """The first one of each type."""
        self.overheard: list[bytes] = []
        """Frames that somebody in between has kept."""
        self._groups: dict[str, int] = {}

    def connect(
        self, near: tuple[Machine, SimulatedConnection], far: tuple[Machine, SimulatedConnection]
    ) -> Wire:
        """A new wire between two connections."""
        wire = Wire(self, near, far)
        self.wires.append(wire)
        wire.begin()
        return wire

    def reaches(self, one: str, other: str) -> bool:
        """Whether these two machines can reach one another."""
        return self._groups.get(one, 0) == self._groups.get(other, 0)

    def partition(self, groups: dict[str, int]) -> None:
        """From now on only machines of one group reach one another; who is not named is in group 0."""
        self._groups = dict(groups)

    def wires_of(self, machine: Machine) -> list[Wire]:
        """The wires of which one end is at that machine and open."""
        return [
            wire for wire in self.wires if any(end.machine is machine and end.is_open for end in wire.ends)
        ]

    def cut(self, wire: Wire) -> None:
        """The wire breaks; both ends notice, one after the other. What is on it is lost."""
        for end in wire.ends:
            end.break_off(self.chance.randrange(50_000))

    def half_open(self, wire: Wire, end: End) -> None:
        """``end`` notices that the wire is broken, the other one only when its pings are not answered."""
        end.other.break_off(PING_TIMEOUT_US)
        end.break_off(0)

    def lose(self, machine: Machine, *, is_told: bool) -> None:
        """All ends at a machine are gone at once; the others are told, or notice by their pings."""
        for wire in self.wires_of(machine):
            for end in wire.ends:
                if end.machine is machine and end.is_open:
                    end.vanish()
                    end.other.break_off(self.chance.randrange(20_000) if is_told else PING_TIMEOUT_US)

    def forget(self, wire: Wire) -> None:
        """Both ends are gone."""
        if not any(end.is_open for end in wire.ends) and wire in self.wires:
            self.wires.remove(wire)

    def heal(self) -> None:
        """A network as one would wish it."""
        self.conditions = Conditions()
        self._groups = {}
        for wire in list(self.wires):
            for end in wire.ends:
                end.between = None
                end.arrive_now()


def was_meddled_with(connection: Connection) -> bool:
    """Whether somebody in between has done something to a frame of this connection."""
    return isinstance(connection, SimulatedConnection) and connection.end.wire.is_meddled_with


class _NoSocket:
    """Frames are taken from the outbox by the wire."""

    async def send(self, frame: bytes) -> None:
        raise AssertionError("a simulated connection has no socket")

    async def receive(self) -> bytes:
        raise AssertionError("a simulated connection has no socket")

    async def close(self, code: int, reason: str) -> None:
        raise AssertionError("a simulated connection has no socket")
