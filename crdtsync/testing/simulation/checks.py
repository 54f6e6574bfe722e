"""What must hold of a simulated shop, seen from outside: from the bytes on the disks, from what people were
told, and from what the product itself says of its state.

Each check has a name; a failure begins with it, so that two failures can be told to be the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from pycrdt import Doc, Map

from crdtsync.errors import StorageError
from crdtsync.protocol import limits
from crdtsync.runtime.register_status import Pending
from crdtsync.storage.log import ShopLog
from crdtsync.testing.simulation import folds, reading
from crdtsync.testing.simulation.machine import Machine, saved
from crdtsync.testing.simulation.register import LOSSES_OF_RELAY, RegisterMachine

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop

QUEUED_MAX = limits.QUEUED_BYTES_MAX + limits.ROOM_BYTES


class Broken(AssertionError):
    """A promise does not hold. ``check`` is the name of the check that saw it."""

    def __init__(self, check: str, *facts: object) -> None:
        self.check = check
        self.facts = facts
        super().__init__(f"{check}: " + " · ".join(str(fact) for fact in facts))


def require(holds: bool, check: str, *facts: object) -> None:
    """Raise ``Broken`` with that name and those facts unless something holds."""
    if not holds:
        raise Broken(check, *facts)


# -- at every moment -----------------------------------------------------------------------------------------


def at_every_moment(shop: Shop) -> None:
    """Raise ``Broken`` where a promise is broken, whoever is connected to whom."""
    require(not shop.unexpected_errors(), "honest peers understand one another", shop.unexpected_errors())
    on_relay = set(shop.relay.records())
    for register in shop.registers:
        pending_is_no_less_than_the_truth(shop, register, on_relay)
    nobody_queues_without_end(shop)


def pending_is_no_less_than_the_truth(shop: Shop, register: RegisterMachine, on_relay: set[bytes]) -> None:
    """What is not shown as pending is on the relay's disk, unless that has lost it since they met."""
    held = register.records()
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
    missing = [record for record in held if record not in on_relay and record not in pending]
    missing = [record for record in missing if not _is_in_a_state(record, on_relay)]
    require(not missing, "acknowledged means on the relay's disk", register.name, _names(missing))


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
    on_relay = set(shop.relay.records())
    missing = [record for record in register.records() if record not in on_relay]
    missing = [record for record in missing if not _is_in_a_state(record, on_relay)]
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
    counted = len(tickets), sum(entry.amount_minor for entry in tickets)
    require((shown.sales, shown.amount_minor) == counted, "pending is counted right", register.name, counted)


# -- at rest -------------------------------------------------------------------------------------------------


def at_rest(shop: Shop) -> None:
    """Raise ``Broken`` where a promise is broken after everything has come to rest."""
    at_every_moment(shop)
    present = [register for register in shop.registers if not is_revoked(shop, register)]
    held = {machine.name: machine.records() for machine in (shop.relay, *present)}
    every_ticket_exists(shop, present)
    apart = {machine.name: _apart_on(shop, machine) for machine in (shop.relay, *present)}
    every_copy_is_the_same(held, apart)
    chains_hold(
        shop, list({entry.link: entry for r in held.values() for entry in reading.entries_of(r)}.values())
    )
    for register in present:
        views_equal_a_fold(shop, register, reading.entries_of(held[register.name]))
        status_says_so(shop, register)
    logs_are_no_larger_than_need_be(shop, held)


def in_step(shop: Shop) -> None:
    """Raise ``Broken`` where it took a new connection to bring everybody what is there: nobody waits for the
    next one. Copies of one register take turns in the place of one another, and are left out.
    """
    for register in shop.registers:
        connection = register.syncer.connection if register.syncer is not None else None
        is_served = connection is not None and connection.session.is_live
        require(
            not (is_served and is_revoked(shop, register)), "nobody serves a revoked device", register.name
        )
    if len({register.identity.device for register in shop.registers}) == len(shop.registers):
        present = [register for register in shop.registers if not is_revoked(shop, register)]
        held = {machine.name: machine.records() for machine in (shop.relay, *present)}
        every_copy_is_the_same(
            held, {machine.name: _apart_on(shop, machine) for machine in (shop.relay, *present)}
        )


def every_ticket_exists(shop: Shop, present: Iterable[RegisterMachine]) -> None:
    """What people were told is everywhere, but for what lay on a lost disk alone."""
    revoked = {register.name for register in shop.everybody if is_revoked(shop, register)}
    for machine in (shop.relay, *present):
        links = links_on(machine)
        missing = [
            told
            for link, told in shop.notebook.wanted.items()
            if link not in links and told.who not in revoked and link not in _apart_on(shop, machine)
        ]
        require(not missing, "every ticket exists", machine.name, [told.number for told in missing])
    for register in shop.registers:
        own = {link for link, told in shop.notebook.wanted.items() if told.who == register.name}
        gone = own - links_on(register)
        if register.name in shop.notebook.forked or register.losses:
            gone -= shop.links_held()
        require(not gone, "a register keeps its tickets", register.name, len(gone))


def every_copy_is_the_same(held: dict[str, list[bytes]], apart: dict[str, set[str]]) -> None:
    """The same entries everywhere, but for what is set apart until a person has decided, and documents with
    the same content.
    """
    everything = {entry.link for records in held.values() for entry in reading.entries_of(records)}
    documents = _contents(held["relay"])
    for name, records in held.items():
        links = [entry.link for entry in reading.entries_of(records)]
        require(len(links) == len(set(links)), "no record counts twice", name)
        missing = everything - set(links) - apart[name]
        require(not missing, "every copy is the same", name, len(missing))
        theirs = _contents(records)
        differing = [key for key in documents.keys() | theirs.keys() if documents.get(key) != theirs.get(key)]
        require(not differing, "every document is the same", name, differing)


def chains_hold(shop: Shop, entries: list[reading.Entry]) -> None:
    """Links, numbers and signatures; amounts are those that people were told."""
    keys = {
        entry.body["device"]: bytes.fromhex(entry.body["key"]["pub"])
        for entry in entries
        if entry.body["kind"] == "certify"
    }
    forked = _forked_devices(shop)
    numbers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for numbered in reading.by_chain(entries).values():
        first = numbered[min(numbered)][0]
        author = first.body.get("till", "")
        is_whole = author not in forked
        found = sorted(numbered)
        if is_whole:
            require(found == list(range(1, len(found) + 1)), "no number is missing", author[:8], found)
            twice = [n for n, those in numbered.items() if len(those) > 1]
            require(not twice, "no number is there twice", author[:8], twice)
            closings_are_sums(author, numbered)
        for n, those in numbered.items():
            for entry in those:
                before = {earlier.link for earlier in numbered.get(n - 1, [])}
                require(
                    n == 1 or entry.body["prev"] in before or not is_whole, "chains are linked", author[:8], n
                )
                public = keys.get(entry.body.get("till", ""))
                if entry.body["kind"] not in ("owner", "certify", "revoke") and public is not None:
                    require(reading.is_signed(entry, public), "entries are signed", author[:8], n)
                if "num" in entry.body and is_whole:
                    numbers[(author, entry.body["num"])].add(entry.link)
                told = shop.notebook.tickets.get(entry.link)
                if told is not None:
                    require(entry.amount_minor == told.amount_minor, "amounts are what was told", told.number)
    twice_numbered = [number for (_, number), links in numbers.items() if len(links) > 1]
    require(not twice_numbered, "no ticket number is there twice", twice_numbered)


def views_equal_a_fold(shop: Shop, register: RegisterMachine, entries: list[reading.Entry]) -> None:
    """What a register shows of tickets, days and products is what a naive sum over all entries gives."""
    seen = register.register.sales(rows_max=100_000)
    shown = sorted((row.link.hex(), row.total) for row in seen)
    expected = sorted((entry.link, entry.amount_minor) for entry in entries if entry.is_ticket)
    require(shown == expected, "views equal a fold", register.name, len(shown), len(expected))
    reports_equal_a_fold(register, entries)
    register.register.products.refresh()
    shown_products = (*register.register.products.list(), *register.register.products.list(archived=True))
    products = {row.sku: row.name for row in shown_products}
    catalogue = _contents(register.records()).get("catalogue", {})
    named = {key.split("/")[0]: value for key, value in catalogue.items() if key.endswith("/name")}
    require(products == named, "products equal a fold", register.name, len(products), len(named))
    priced = {
        row.sku: (
            None if row.price_minor is None else (row.price_minor, row.vat_rate, row.vat_class),
            bool(row.disputed),
        )
        for row in shown_products
    }
    prices = folds.prices(catalogue, register.clock.now_ms())
    require(priced == prices, "prices equal a fold", register.name, _differing(priced, prices))
    levels = {level.sku: level.quantity for level in register.register.stock.levels()}
    stock = folds.stock(entries)
    require(levels == stock, "stock equals a fold", register.name, _differing(levels, stock))


def reports_equal_a_fold(register: RegisterMachine, entries: list[reading.Entry]) -> None:
    """The report of each day is what its tickets come to."""
    days: dict[str, list[reading.Entry]] = defaultdict(list)
    for entry in entries:
        if entry.is_ticket:
            days[entry.body["bd"]].append(entry)
    for day, tickets in days.items():
        report = register.register.report(day)
        refunds = [entry.amount_minor for entry in tickets if entry.body["kind"] == "refund"]
        shown = {
            "total": report.total_minor,
            "refunds": (report.refunds, report.refunds_minor),
            "means": {name: amount_minor for name, amount_minor in report.means.items() if amount_minor},
            "vat": sorted(row for row in map(astuple, report.vat) if any(row[2:])),
        }
        expected = {
            "total": sum(entry.amount_minor for entry in tickets),
            "refunds": (len(refunds), sum(refunds)),
            "means": folds.means(tickets),
            "vat": folds.vat(tickets),
        }
        require(shown == expected, "reports equal a fold", register.name, day, _differing(shown, expected))


def closings_are_sums(author: str, numbered: Mapping[int, list[reading.Entry]]) -> None:
    """Each closing of a day says what the entries of its chain since the last one come to."""
    for n, (entry, *_) in sorted(numbered.items()):
        if entry.body["kind"] == "close" and entry.body["level"] == "day":
            shown, expected = folds.said(entry), folds.closing(entry, numbered)
            require(shown == expected, "closings are sums", author[:8], n, _differing(shown, expected))


def _differing(shown: Mapping[str, object], expected: Mapping[str, object]) -> list[tuple[object, ...]]:
    keys = sorted(shown.keys() | expected.keys())
    return [(key, shown.get(key), expected.get(key)) for key in keys if shown.get(key) != expected.get(key)]


def status_says_so(shop: Shop, register: RegisterMachine) -> None:
    """Nothing is pending, and the register says so."""
    status = register.register.status()
    kept = len(_apart_on(shop, shop.relay))
    require(status.pending.records <= kept, "nothing is pending at rest", register.name, status.pending, kept)
    synced_is_true(shop, register, status.state, status.pending.records)


def logs_are_no_larger_than_need_be(shop: Shop, held: dict[str, list[bytes]]) -> None:
    """Disks hold what is in the log, and not much besides."""
    for machine in shop.machines:
        if machine.name in held:
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


def _forked_devices(shop: Shop) -> set[str]:
    return {
        register.identity.device.hex()
        for register in shop.everybody
        if register.name in shop.notebook.forked or register.name in shop.notebook.holed
    }


def _apart_on(shop: Shop, machine: Machine) -> set[str]:
    log = _log(shop, machine)
    if log is None:
        return set()
    apart = [row.record for row in log.apart() if row.code != "damaged"]
    return {entry.link for entry in reading.entries_of(apart)}


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


# -- documents -----------------------------------------------------------------------------------------------


def _is_in_a_state(record: bytes, held: Iterable[bytes]) -> bool:
    """Whether a change of a document is held in a compacted state that took its place."""
    if record[:1] == b"E":
        return False
    document, _ = reading.update_of(record)
    others = [other for other in held if other[:1] != b"E" and reading.update_of(other)[0] == document]
    return _facts(others) >= _facts([record])


def _facts(records: Iterable[bytes]) -> set[str]:
    """The keys that these changes of a document name."""
    return set().union(*(_keys(record) for record in records))


_KEYS: dict[bytes, frozenset[str]] = {}


def _keys(record: bytes) -> frozenset[str]:
    found = _KEYS.get(record)
    if found is None:
        if len(_KEYS) > 1 << 12:
            _KEYS.clear()
        found = _KEYS[record] = frozenset(_contents([record]).get(reading.update_of(record)[0], {}))
    return found


def _contents(records: Iterable[bytes]) -> dict[str, dict[str, Any]]:
    """What documents hold, by name; changes that wait for others are left out until these come."""
    documents: dict[str, Doc[Any]] = {}
    updates = [reading.update_of(record) for record in records if record[:1] != b"E"]
    # Twice: of what came before something that it builds on, the engine may have kept only a part.
    for name, update in (*updates, *updates):
        documents.setdefault(name, Doc(client_id=0)).apply_update(update)
    return {name: _map_of(name, doc) for name, doc in documents.items()}


def _map_of(name: str, doc: Doc[Any]) -> dict[str, Any]:
    root = "products" if name == "catalogue" else "root"
    return dict(doc.get(root, type=Map).to_py() or {})
