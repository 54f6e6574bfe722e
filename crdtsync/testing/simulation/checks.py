"""What must hold of a simulated shop, seen from outside: from the bytes on the disks, from what people were
told, and from what the product itself says of its state.

Each check has a name; a failure begins with it, so that two failures can be told to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from crdtsync.errors import StorageError
from crdtsync.ids import START
from crdtsync.protocol import limits
from crdtsync.protocol.messages import TAKES_ONLY
from crdtsync.runtime.register.status import Pending
from crdtsync.storage.log import ShopLog
from crdtsync.testing.simulation import reading
from crdtsync.testing.simulation.broken import require
from crdtsync.testing.simulation.chains import chains_hold
from crdtsync.testing.simulation.contents import contents_of, is_in_a_state
from crdtsync.testing.simulation.machine import Machine, saved
from crdtsync.testing.simulation.register import LOSSES_OF_RELAY, RegisterMachine
from crdtsync.testing.simulation.replacing import says_what_came_back
from crdtsync.testing.simulation.shown import shown_equals_a_fold

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

QUEUED_MAX = limits.QUEUED_BYTES_MAX + limits.ROOM_BYTES


# -- at every moment -----------------------------------------------------------------------------------------


def at_every_moment(shop: Shop) -> None:
    """Raise ``Broken`` where a promise is broken, whoever is connected to whom."""
    require(not shop.unexpected_errors, "honest peers understand one another", shop.unexpected_errors)
    on_relay = shop.relay.record_set()
    for register in shop.registers:
        pending_is_no_less_than_the_truth(shop, register, on_relay)
    nobody_queues_without_end(shop)
    nothing_is_given_to_who_was_cut_off(shop)


def pending_is_no_less_than_the_truth(
    shop: Shop, register: RegisterMachine, on_relay: frozenset[bytes]
) -> None:
    """What is not shown as pending is on the relay's disk, unless that has lost it since they met."""
    log = _log_that_knows_the_relay(shop, register)
    if log is None:
        return
    relay_log = _log(shop, shop.relay)
    if relay_log is None:
        return
    try:
        pending = {record for _, record in log.unacknowledged(relay_log.log_id)}
    except StorageError:
        return  # A damaged record keeps it from being told: that is said, and nothing is called safe.
    missing = register.record_set() - on_relay - pending
    missing_indeed = [record for record in missing if not is_in_a_state(record, on_relay)]
    named = sorted(_names(missing_indeed))
    require(not named, "acknowledged means on the relay's disk", register.name, named)


def nobody_queues_without_end(shop: Shop) -> None:
    """What waits for a peer stays bounded."""
    for wire in shop.network.wires:
        for end in wire.ends:
            waiting = end.connection.outbox_bytes
            require(waiting <= QUEUED_MAX, "what is queued is bounded", end.machine.name, waiting)


def told_is_on_disk(machine: Machine, link: str) -> None:
    """What a person was just told is paid lies on this machine's disk."""
    require(link in links_on(machine), "told means on disk", machine.name, link)


def synced_is_true(shop: Shop, register: RegisterMachine, state: str, pending: int) -> None:
    """What a register calls in sync is on the relay's disk."""
    if state != "synced" or _log_that_knows_the_relay(shop, register) is None:
        return
    on_relay = shop.relay.record_set()
    missing = [record for record in register.records() if record not in on_relay]
    missing = [record for record in missing if not is_in_a_state(record, on_relay)]
    require(not missing and pending == 0, "in sync means in sync", register.name, _names(missing))


def shown_as_pending_is_no_less(shop: Shop, register: RegisterMachine, shown: Pending) -> None:
    """The number of tickets and the amount that a person is shown as pending are no less than the truth."""
    log = _log_that_knows_the_relay(shop, register)
    if log is None:
        return
    there = links_on(shop.relay)
    missing = [
        entry
        for entry in reading.entries_of(register.records())
        if entry.is_ticket and entry.link not in there
    ]
    require(shown.sales >= len(missing), "pending is no less than the truth", register.name, len(missing))
    if shown.sales == len(missing):
        amount_minor = sum(entry.amount_minor for entry in missing)
        require(shown.amount_minor == amount_minor, "pending is so much money", register.name, amount_minor)
    relay_log = _log(shop, shop.relay)
    if relay_log is None:
        return
    try:
        waiting = reading.entries_of(record for _, record in log.unacknowledged(relay_log.log_id))
    except StorageError:
        return
    tickets = [entry for entry in waiting if entry.is_ticket]
    oldest_ms = min((entry.body["ts"] for entry in waiting), default=None)
    is_oldest = shown.oldest_at_ms == oldest_ms
    require(is_oldest, "the oldest that is pending is told", register.name, shown.oldest_at_ms, oldest_ms)
    counted = len(tickets), sum(entry.amount_minor for entry in tickets)
    require((shown.sales, shown.amount_minor) == counted, "pending is counted right", register.name, counted)


# -- at rest -------------------------------------------------------------------------------------------------


def at_rest(shop: Shop) -> None:
    """Raise ``Broken`` where a promise is broken after everything has come to rest."""
    at_every_moment(shop)
    present = [register for register in shop.registers if not is_revoked(shop, register)]
    held = {machine.name: machine.records() for machine in (shop.relay, *present)}
    every_ticket_exists(shop, present)
    who_was_cut_off_has_handed_over(shop)
    apart = {machine.name: _apart_on(shop, machine) for machine in (shop.relay, *present)}
    every_copy_is_the_same(held, apart)
    notes_are_kept(shop, held)
    entries = [entry for records in held.values() for entry in reading.entries_of(records)]
    chains_hold(shop, list({entry.link: entry for entry in entries}.values()))
    for register in shop.registers:
        # What has rotted on a revoked register's disk nobody brings back: it may show it, or not.
        is_brought_back = register in present and not _shows_what_no_disk_has(shop, register)
        if is_brought_back or not _is_damaged(shop, register):
            shown_equals_a_fold(shop, register)
    for register in present:
        knows_what_the_relay_has(shop, register)
        status_says_so(shop, register)
        says_what_came_back(shop, register)
    logs_are_no_larger_than_need_be(shop, held)


def in_step(shop: Shop) -> None:
    """Raise ``Broken`` where it took a new connection to bring everybody what is there: nobody waits for the
    next one. Copies of one register take turns in the place of one another, and are left out.
    """
    on_disks = shop.links_held()
    for register in shop.registers:
        connection = register.syncer.connection if register.syncer is not None else None
        peer = connection.session.peer if connection is not None else None
        is_live = connection is not None and connection.session.is_live
        is_served = is_live and peer is not None and TAKES_ONLY not in peer.capabilities
        # A revocation that a relay was put back from before, and nobody else has, the owner alone knows.
        revocation = shop.owner.revocation(register.identity.device)
        is_cut_off = is_revoked(shop, register) and revocation in on_disks
        require(not (is_served and is_cut_off), "nobody serves a revoked device", register.name)
    if len({register.identity.device for register in shop.registers}) == len(shop.registers):
        present = [register for register in shop.registers if not is_revoked(shop, register)]
        held = {machine.name: machine.records() for machine in (shop.relay, *present)}
        every_copy_is_the_same(
            held, {machine.name: _apart_on(shop, machine) for machine in (shop.relay, *present)}
        )


def every_ticket_exists(shop: Shop, present: Iterable[RegisterMachine]) -> None:
    """What people were told is everywhere, but for what lay on a lost disk alone, and what the relay did not
    have of a register when that was cut off.
    """
    revoked = {register.name for register in shop.everybody if is_revoked(shop, register)}
    notebook = shop.notebook
    wanted = {
        link: told
        for link, told in notebook.wanted.items()
        if told.who not in revoked or (link in notebook.vouched and told.who not in notebook.forked)
    }
    for machine in (shop.relay, *present):
        there = links_on(machine) | _apart_on(shop, machine)
        missing = [told for link, told in wanted.items() if link not in there]
        require(not missing, "every ticket exists", machine.name, [told.number for told in missing])
    for register in shop.registers:
        own = {link for link, told in shop.notebook.wanted.items() if told.who == register.name}
        gone = own - links_on(register)
        if register.name in shop.notebook.forked or register.losses:
            gone -= shop.links_held()
        require(not gone, "a register keeps its tickets", register.name, len(gone))


def who_was_cut_off_has_handed_over(shop: Shop) -> None:
    """What a revoked register has sold is at the relay, in its log or on hold."""
    there = links_on(shop.relay) | _apart_on(shop, shop.relay)
    for register in shop.registers:
        if is_revoked(shop, register) and not _is_damaged(shop, register):
            tickets = [one for one in reading.entries_of(register.records()) if one.is_ticket]
            missing = [one.body["num"] for one in tickets if one.link not in there]
            require(not missing, "who was cut off has handed over", register.name, missing)


def has_handed_over(shop: Shop, register: RegisterMachine) -> bool:
    """Whether the relay has acknowledged all that a register has, or said that it does not admit it."""
    log, relay_log = _log(shop, register), _log(shop, shop.relay)
    if log is None or relay_log is None:
        return True
    try:
        refused = {one.seq for one in log.refusals_received(relay_log.log_id)}
        return all(seq in refused for seq, _ in log.unacknowledged(relay_log.log_id))
    except StorageError:
        return True


def nothing_is_given_to_who_was_cut_off(shop: Shop) -> None:
    """The relay has nothing to tell a revoked device, and tells nothing."""
    home = shop.relay.home
    for connection in [one for live in home.connections.values() for one in live] if home else ():
        outbound = connection.session.outbound
        is_silent = outbound.end == START and not outbound.is_stalled and not outbound.served
        name = connection.certificate.name if connection.certificate else "?"
        require(not connection.takes_only or is_silent, "who was cut off gets nothing", name)


def every_copy_is_the_same(held: dict[str, list[bytes]], apart: dict[str, set[str]]) -> None:
    """The same entries everywhere, but for what is set apart until a person has decided, and documents with
    the same content.
    """
    everything = {entry.link for records in held.values() for entry in reading.entries_of(records)}
    documents = contents_of(held["relay"])
    for name, records in held.items():
        links = [entry.link for entry in reading.entries_of(records)]
        require(len(links) == len(set(links)), "no record counts twice", name)
        missing = everything - set(links) - apart[name]
        require(not missing, "every copy is the same", name, len(missing))
        theirs = contents_of(records)
        keys = sorted(documents.keys() | theirs.keys())
        differing = [key for key in keys if documents.get(key) != theirs.get(key)]
        require(not differing, "every document is the same", name, differing)


def knows_what_the_relay_has(shop: Shop, register: RegisterMachine) -> None:
    """It has been acknowledged something since the relay lost something last: until then nothing that it says
    of the relay is held against what the relay has.
    """
    knows = shop.relay.is_rotten or _log_that_knows_the_relay(shop, register) is not None
    require(knows, "a register hears of what the relay lost", register.name)


def status_says_so(shop: Shop, register: RegisterMachine) -> None:
    """Nothing is pending, and the register says so."""
    status = register.register.status()
    kept = len(_apart_on(shop, shop.relay))
    require(status.pending.records <= kept, "nothing is pending at rest", register.name, status.pending, kept)
    synced_is_true(shop, register, status.state, status.pending.records)
    is_told = bool(status.pending.records) or status.state in ("synced", "attention")
    require(is_told, "at rest a register says that it is in sync", register.name, status.state)
    says_why = status.state != "attention" or bool(status.concerns)
    require(says_why, "who calls a person says why", register.name)


def notes_are_kept(shop: Shop, held: dict[str, list[bytes]]) -> None:
    """What somebody was told is saved in a document of their own is everywhere. A disk that was lost, put
    back or copied, or on which something rotted, may have had the only copy.
    """
    notebook = shop.notebook
    unsure = notebook.forked | notebook.holed
    unsure |= {one.name for one in shop.everybody if one.losses or is_revoked(shop, one)}
    for name, records in held.items():
        notes = contents_of(records).get("x/notes", {})
        missing = [
            (key, value, notes.get(key))
            for key, (who, value) in notebook.notes.items()
            if who not in unsure and notes.get(key) != value
        ]
        require(not missing, "a note that was saved is everywhere", name, missing[:4])


def logs_are_no_larger_than_need_be(shop: Shop, held: dict[str, list[bytes]]) -> None:
    """Disks hold what is in the log, and not much besides; what is old is packed."""
    for machine in shop.machines:
        if machine.name in held:
            log, limits = _log(shop, machine), shop.upkeep_limits
            is_due = log is not None and log.end.seq > limits.loose_rows + 3 * limits.pack_rows
            is_packed = not is_due or (log is not None and log.pack_at(1) is not None)
            require(is_packed, "what is old is packed", machine.name, log and log.end.seq)
            records = sum(map(len, held[machine.name]))
            require(
                machine.plate.bytes_held <= 3 * records + machine.plate.slack_bytes,
                "logs are no larger than need be",
                machine.name,
                machine.plate.bytes_held,
                records,
            )


# -- what lies where -----------------------------------------------------------------------------------------


def links_on(machine: Machine) -> set[str]:
    """Entries on a machine's disk: those in the log."""
    return {entry.link for entry in reading.entries_of(machine.records())}


def is_revoked(shop: Shop, register: RegisterMachine) -> bool:
    """Whether the owner has cut this device off."""
    return shop.owner.directory.is_revoked(register.identity.device)


def _apart_on(shop: Shop, machine: Machine) -> set[str]:
    log = _log(shop, machine)
    if log is None:
        return set()
    apart = [row.record for row in log.apart() if row.code != "damaged"]
    return {entry.link for entry in reading.entries_of(apart)}


def _is_damaged(shop: Shop, machine: Machine) -> bool:
    log = _log(shop, machine)
    return log is None or any(row.code == "damaged" for row in log.apart())


def _shows_what_no_disk_has(shop: Shop, register: RegisterMachine) -> bool:
    """What was filed before its record rotted stays in the views: of what no disk has, as its last trace."""
    shown = {row.link.hex() for row in register.register.sales(rows_max=100_000)}
    return not shown <= shop.links_held()


def _log(shop: Shop, machine: Machine) -> ShopLog | None:
    """The log as a process of this machine would open it: what the product itself says."""
    if machine.reader is None:
        machine.reader = machine.plate.open()
    try:
        log = machine.reader.shop(shop.shop_id)
        log.log_id  # noqa: B018
    except (KeyError, StorageError):
        machine.reader = None
        return None
    return log


def _log_that_knows_the_relay(shop: Shop, register: RegisterMachine) -> ShopLog | None:
    """The log of a register that has met the relay since that lost something last: only then can what it says
    of the relay be true.
    """
    log = _log(shop, register)
    if log is None or shop.relay.is_rotten or saved(log, LOSSES_OF_RELAY) != shop.relay.losses:
        return None
    return log


def _names(records: Iterable[bytes]) -> list[str]:
    names = []
    for record in records:
        entry = reading.entry_of(record)
        if entry is None:
            names.append(reading.update_of(record)[0])
        else:
            names.append(f"{entry.body['kind']} {entry.body.get('num', entry.body['seq'])}")
    return names
