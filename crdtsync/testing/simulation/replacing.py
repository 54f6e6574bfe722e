"""A register is lost, and another takes its place by a code; the lost one is found again, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdtsync.model.certificate import Replaced
from crdtsync.model.entry import Head
from crdtsync.testing.simulation import reading
from crdtsync.testing.simulation.broken import require

if TYPE_CHECKING:
    from crdtsync.testing.simulation.machine import Machine
    from crdtsync.testing.simulation.register import RegisterMachine
    from crdtsync.testing.simulation.shop import Shop


def heads_at(machine: Machine, device: bytes) -> tuple[Head, ...]:
    """The newest entry of every unbroken run of a device's entries, as a machine has them."""
    chains = reading.by_chain(reading.entries_of(machine.records()))
    return tuple(
        Head(bytes.fromhex(chain), bytes.fromhex(one.link), n)
        for chain, numbers in sorted(chains.items())
        for n in sorted(numbers)
        for one in numbers[n]
        if n + 1 not in numbers and one.body.get("till") == device.hex()
    )


def restore(shop: Shop, register: RegisterMachine, *, found_after_s: float | None) -> RegisterMachine:
    """Lose a register with its disk, cut it off, and put another in its place. ``found_after_s``: it is found
    again after so long, if the shop is not closed by then.
    """
    device = register.identity.device
    shop.story.tell(register.name, "is lost, with its disk")
    register.crash()
    shop.registers.remove(register)
    shop.disk_gone()
    shop.revoke(register)
    new = shop.enrol(replaces=Replaced(device, heads_at(shop.relay, device)))
    shop.story.tell(new.name, f"takes the place of {register.name}")
    if found_after_s is not None:
        shop.away.append(register)
        shop.timeline.after_us(int(found_after_s * 1_000_000), lambda: _found(shop, register))
    return new


def _found(shop: Shop, register: RegisterMachine) -> None:
    if register not in shop.away:
        return
    shop.away.remove(register)
    shop.story.tell(register.name, "is found again, and switched on")
    shop.registers.append(register)
    links = {entry.link for entry in reading.entries_of(register.records())}
    shop.notebook.lost -= links
    register.start()


def says_what_came_back(shop: Shop, register: RegisterMachine) -> None:
    """Who took the place of a lost register says how much of that one is here: all that the relay had of it,
    or not, and tickets and money as they lie on the disk.
    """
    replaced = register.replaces
    if replaced is None:
        return
    said = register.register.status().came_back
    require(said is not None, "who replaces another says so", register.name)
    if said is None:
        return
    entries = reading.entries_of(register.records())
    chains = reading.by_chain(entries)
    is_complete = all(
        set(range(1, head.n + 1)) <= chains.get(head.chain.hex(), {}).keys() for head in replaced.heads
    )
    require(said.is_complete == is_complete, "what came back is all, or is not", register.name, is_complete)
    tickets = [one for one in entries if one.is_ticket and one.body["till"] == replaced.device.hex()]
    there = len(tickets), sum(one.amount_minor for one in tickets)
    require((said.tickets, said.amount_minor) == there, "what came back is counted", register.name, there)
