"""What goes wrong in a simulated shop: one method for each kind of fault that a plan names."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from crdtsync.testing.simulation import checks, replacing
from crdtsync.testing.simulation.between import TRICKS, Between
from crdtsync.testing.simulation.machine import Machine
from crdtsync.testing.simulation.network import End, Wire
from crdtsync.testing.simulation.plan import IN_BETWEEN, TROUBLES, Action
from crdtsync.testing.simulation.plates import Plate
from crdtsync.testing.simulation.register import RegisterMachine

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

REGISTERS_MAX = 6
HOUR_MS = 3_600_000


class Faults:
    """Lets faults happen. Each names itself in the story, and is counted when it has done something."""

    def __init__(self, shop: Shop, happened: Callable[[str], None]) -> None:
        self.shop = shop
        self._happened = happened
        self._copies: dict[str, list[Plate]] = {}

    def back_up(self) -> None:
        """Last night's copies of all disks."""
        for machine in self.shop.machines:
            if machine.is_on:
                self._copies.setdefault(machine.name, []).append(machine.plate.copy())

    def do(self, action: Action) -> None:
        """Let it happen, if it can. What waits for a write to strike counts when it does."""
        name = action.what.replace("'s", "").replace(" ", "_").replace("-", "_")
        what: Callable[[int, Random], bool] = getattr(self, f"_{name}")
        if what(action.who, Random(action.pick)):
            self._happened(action.what)

    def _register(self, who: int) -> RegisterMachine | None:
        registers = self.shop.registers
        return registers[who % len(registers)] if registers else None

    def _machine(self, who: int) -> Machine:
        machines = self.shop.machines
        return machines[who % len(machines)]

    def _wire(self, who: int) -> Wire | None:
        wires = [wire for wire in self.shop.network.wires if all(end.is_open for end in wire.ends)]
        return wires[who % len(wires)] if wires else None

    def _end(self, who: int) -> End | None:
        wire = self._wire(who // 2)
        return None if wire is None else wire.ends[who % 2]

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        self.shop.timeline.after_us(int(seconds * 1_000_000), what)

    # -- processes -----------------------------------------------------------------------------------------

    def _crash(self, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        is_on = machine.is_on
        if is_on:
            self.shop.crash(machine)
        return is_on

    def _crash_unheard(self, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        is_on = machine.is_on
        if is_on:
            self.shop.crash(machine, is_told=False)
        return is_on

    def _blackout(self, who: int, chance: Random) -> bool:
        is_any_on = any(machine.is_on for machine in self.shop.machines)
        for machine in self.shop.machines:
            self.shop.crash(machine)
        return is_any_on

    def _power_goes_in_a_write(self, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        if machine.is_on:
            machine.plate.lose_power_soon(
                chance.randint(1, 12), lambda: self._happened("power goes in a write")
            )
        return False

    def _sync_is_killed(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        if register is None or not register.is_on or register.syncer is None:
            return False
        self.shop.story.tell(register.name, "synchronising is killed; the till goes on")
        register.stop_sync()
        self._later(chance.uniform(1, 60), register.start_sync)
        return True

    # -- the network ---------------------------------------------------------------------------------------

    def _cut(self, who: int, chance: Random) -> bool:
        wire = self._wire(who)
        if wire is not None:
            self.shop.story.tell("network", f"cuts {wire.near.machine} from {wire.far.machine}")
            self.shop.network.cut(wire)
        return wire is not None

    def _half_open(self, who: int, chance: Random) -> bool:
        end = self._end(who)
        if end is not None:
            self.shop.story.tell("network", f"only {end.machine} notices that {end.other.machine} is cut off")
            self.shop.network.half_open(end.wire, end)
        return end is not None

    def _stall_one_way(self, who: int, chance: Random) -> bool:
        end = self._end(who)
        if end is not None:
            seconds = chance.choice((0.2, 3.0, 20.0, 90.0))
            self.shop.story.tell("network", f"brings nothing to {end.machine} for {seconds} s")
            end.stall(self.shop.timeline.now_us + int(seconds * 1_000_000))
        return end is not None

    def _burst(self, who: int, chance: Random) -> bool:
        until_us = self.shop.timeline.now_us + int(chance.uniform(0.5, 30) * 1_000_000)
        self.shop.story.tell("network", "holds everything up, and then lets it all arrive")
        for wire in self.shop.network.wires:
            for end in wire.ends:
                end.stall(until_us)
        return True

    def _slow_network(self, who: int, chance: Random) -> bool:
        conditions = self.shop.network.conditions
        conditions.bytes_per_s = chance.choice((1_000, 8_000, 60_000))
        conditions.delay_us = (20_000, 400_000)
        self.shop.story.tell("network", f"takes {conditions.bytes_per_s} bytes per second")

        def recover() -> None:
            conditions.bytes_per_s, conditions.delay_us = 0, (500, 3_000)

        self._later(chance.uniform(5, 120), recover)
        return True

    def _late_frames(self, who: int, chance: Random) -> bool:
        self.shop.network.conditions.late = chance.choice((0.02, 0.2, 0.6))
        self._later(chance.uniform(5, 120), lambda: setattr(self.shop.network.conditions, "late", 0.0))
        return True

    def _split_frames(self, who: int, chance: Random) -> bool:
        self.shop.network.conditions.split = chance.choice((0.05, 0.5))
        self._later(chance.uniform(5, 120), lambda: setattr(self.shop.network.conditions, "split", 0.0))
        return True

    def _partition(self, who: int, chance: Random) -> bool:
        groups = {machine.name: chance.randrange(2) for machine in self.shop.machines}
        self.shop.story.tell("network", f"falls into parts: {groups}")
        self.shop.network.partition(groups)
        self._later(chance.choice((2, 20, 200)), lambda: self.shop.network.partition({}))
        return len(set(groups.values())) > 1

    def _somebody_in_between(self, who: int, chance: Random) -> bool:
        wires = [wire for wire in self.shop.network.wires if wire.is_bound]
        if wires:
            end, trick = wires[who // 2 % len(wires)].ends[who % 2], chance.choice(TRICKS)
            tell = self.shop.story.tell
            tell("network", f"has somebody on the way from {end.other.machine} to {end.machine}")

            def acted() -> None:
                tell("network", f"has somebody who {trick}")
                self._happened(IN_BETWEEN)

            end.between = Between(end, trick, chance, acted)
        return False  # It counts when he does something.

    # -- disks ---------------------------------------------------------------------------------------------

    def _disk_full(self, who: int, chance: Random) -> bool:
        return self._trouble("disk full", who, chance)

    def _disk_read_only(self, who: int, chance: Random) -> bool:
        return self._trouble("disk read-only", who, chance)

    def _trouble(self, kind: str, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        self.shop.story.tell(machine.name, f"{kind.replace('disk', 'the disk is')}")
        machine.plate.set_trouble(TROUBLES[kind], lambda: self._happened(kind))

        def mend() -> None:
            machine.plate.set_trouble("")
            self.shop.story.tell(machine.name, "the disk can be written again")

        self._later(chance.choice((0.5, 10, 60)), mend)
        return False

    def _slow_disk(self, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        machine.disk_us = (20_000, 300_000)
        self._later(chance.uniform(1, 60), lambda: setattr(machine, "disk_us", (80, 400)))
        return True

    def _commit_fails(self, who: int, chance: Random) -> bool:
        self._machine(who).plate.fail_next_commit(lambda: self._happened("commit fails"), is_written=False)
        return False

    def _commit_fails_but_is_written(self, who: int, chance: Random) -> bool:
        kind = "commit fails but is written"
        self._machine(who).plate.fail_next_commit(lambda: self._happened(kind), is_written=True)
        return False

    def _record_rots(self, who: int, chance: Random) -> bool:
        machine = self._machine(who)
        count = len(machine.records())
        return count > 0 and self.shop.damage(machine, chance.randint(max(1, count - 30), count))

    def _old_copy_put_back(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        copies = self._copies.get(register.name) if register is not None else None
        if register is None or not copies:
            return False
        self.shop.put_back(register, chance.choice(copies))
        return True

    def _cloned(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        if register is None or not register.is_on or len(self.shop.registers) >= REGISTERS_MAX:
            return False
        self.shop.clone(register)
        return True

    def _relay_old_copy_put_back(self, who: int, chance: Random) -> bool:
        copies = self._copies.get("relay")
        if not copies:
            return False
        self.shop.put_back(self.shop.relay, chance.choice(copies))
        return True

    def _relay_disk_lost(self, who: int, chance: Random) -> bool:
        self.shop.wipe_relay()
        return True

    # -- clocks --------------------------------------------------------------------------------------------

    def _clock_jumps(self, who: int, chance: Random) -> bool:
        return self._set_clock(who, ahead_ms=chance.choice((5_000, 2 * HOUR_MS, 26 * HOUR_MS, 400 * HOUR_MS)))

    def _clock_set_back(self, who: int, chance: Random) -> bool:
        return self._set_clock(who, ahead_ms=-chance.choice((2_000, 90_000, 3 * HOUR_MS, 30 * HOUR_MS)))

    def _clock_drifts(self, who: int, chance: Random) -> bool:
        return self._set_clock(who, drift_ppm=chance.choice((-20_000, 300, 50_000)))

    def _set_clock(self, who: int, *, ahead_ms: int | None = None, drift_ppm: int | None = None) -> bool:
        machine = self._machine(who)
        machine.clock.set(ahead_ms=ahead_ms, drift_ppm=drift_ppm)
        self.shop.story.tell(machine.name, f"the clock is {machine.clock.ahead_ms / 1000} s ahead")
        return True

    # -- devices -------------------------------------------------------------------------------------------

    def _enrol(self, who: int, chance: Random) -> bool:
        if len(self.shop.registers) < REGISTERS_MAX:
            self.shop.enrol(is_told_at_once=self.shop.relay.is_on and chance.random() < 0.8)
            return True
        return False

    def _replace(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        if register is None or len(self.shop.registers) < 2:
            return False
        self.shop.lose(register)
        self.shop.enrol(is_told_at_once=self.shop.relay.is_on)
        return True

    def _revoke(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        present = [one for one in self.shop.registers if not checks.is_revoked(self.shop, one)]
        if register is None or register not in present or len(present) < 2 or not self.shop.relay.is_on:
            return False
        self.shop.revoke(register)
        return True

    def _lost_and_restored(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        present = [one for one in self.shop.registers if not checks.is_revoked(self.shop, one)]
        if register is None or register not in present or not self.shop.relay.is_on:
            return False
        replacing.restore(self.shop, register, found_after_s=chance.choice((None, 5, 60, 900)))
        return True

    def _owner_key_rotated(self, who: int, chance: Random) -> bool:
        if self.shop.relay.is_on:
            self.shop.rotate_owner_key()
        return self.shop.relay.is_on

    def _other_version(self, who: int, chance: Random) -> bool:
        register = self._register(who)
        if register is None:
            return False
        version = chance.choice((2, 99))
        register.speaks_version(version, lambda: self._happened("other version"))
        self.shop.story.tell(register.name, "speaks another version of the protocol")
        self._later(chance.uniform(20, 200), lambda: register.speaks_version(None))
        return False  # It counts when somebody hears it.
