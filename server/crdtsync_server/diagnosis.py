"""Why a relay does not do its work, or not for everybody: from its disk outwards to its registers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crdtsync.errors import (
    CrdtsyncError,
    IntegrityDefect,
    RecordError,
    RoleTaken,
    UnknownShop,
    WrongClock,
)
from crdtsync.runtime.damage.not_back import is_back
from crdtsync.runtime.doctor.disk import (
    look_at_drive,
    look_at_folder,
    look_at_lock,
    look_at_space,
    may_look_on,
)
from crdtsync.runtime.doctor.finding import Finding, notice, well, wrong
from crdtsync.runtime.doctor.register import brought_back, process_state
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS
from crdtsync.runtime.register.concerns import span
from crdtsync.said import many
from crdtsync.storage.log import DAMAGED
from crdtsync_server.damage import in_a_relays_words
from crdtsync_server.folder import KEYS, LOCK, STORE, DataFolder

if TYPE_CHECKING:
    from crdtsync.storage.log import ShopLog, Store
    from crdtsync_server.shops.access import ShopRow

CHECKS: Final[dict[str, str]] = {
    "folder": "the data folder is there and can be written",
    "drive": "it lies on a disk of this machine, not on a network drive",
    "space": "the disk has room",
    "keys": "private keys are for the service's user alone",
    "serving": "a process serves the folder",
    "store": "the stores open, and there is a shop",
    "copies": "no register's data was put back from an old copy, or copied; nor the relay's",
    "quarantine": "nothing was refused, held or damaged",
    "missing": "no hole is in any chain, and after a restore every register was here",
    "registers": "registers were heard of lately",
    "clocks": "their clocks agree with this machine's",
    "devices": "of each: last contact, what it has pending, up to where it is complete, version, clock",
}
"""What is looked at, in this order."""

UNHEARD_MS: Final = 24 * 3_600_000
"""A register that was not here for so long is worth a word."""


Tell = Callable[[dict[str, Any]], None]


def examine_relay(data: Path, now_ms: int, tell: Tell = lambda device: None) -> list[Finding]:
    """Look at everything that a relay needs, while it runs or not. Never raises for what is wrong; changes
    nothing; needs no network. ``tell`` gets what is known of each device (``devices.devices_of``), with the
    name of its shop.
    """
    order = list(CHECKS)
    return sorted(_findings(data, now_ms, tell), key=lambda found: order.index(found.check))


def _findings(data: Path, now_ms: int, tell: Tell) -> Iterator[Finding]:
    folder = DataFolder(data)
    yield (found := look_at_folder(data, STORE, "relay"))
    if not may_look_on(found, data):
        return
    yield look_at_drive(data)
    yield look_at_space(data)
    yield _keys(data / KEYS)
    yield _serving(folder)
    try:
        yield from _shops(data, now_ms, is_served=folder.served_by() is not None, tell=tell)
    except CrdtsyncError as error:
        yield wrong("store", in_a_relays_words(error))


def _keys(keys: Path) -> Finding:
    open_to_others = [
        path for path in (keys, *keys.glob("*")) if path.exists() and path.stat().st_mode & 0o077
    ]
    if open_to_others:
        says = f"others than the service's user can use {', '.join(str(path) for path in open_to_others[:3])}"
        return notice("keys", says, f"`chmod -R go= {keys}`")
    return well("keys", "the keys are for the service's user alone")


def _serving(folder: DataFolder) -> Finding:
    process = folder.served_by()
    if process is None:
        error = RoleTaken("no process serves this folder", hint="start `crdtsync-relay serve`")
        return wrong("serving", error)
    if process_state(process) in ("T", "t"):
        what = f"process {process} serves this folder, and is stopped"
        hint = f"let it go on (`kill -CONT {process}`) or end it (`kill {process}`); see {LOCK}"
        return wrong("serving", RoleTaken(what, hint=hint))
    return well("serving", f"process {process} serves this folder")


def _shops(data: Path, now_ms: int, *, is_served: bool, tell: Tell) -> Iterator[Finding]:
    from crdtsync_server.open import opened

    with opened(data) as (access, store):
        shops = access.shops_here(store)
        if not shops:
            hint = "`crdtsync-relay shop create NAME` makes one"
            yield wrong("store", UnknownShop("there is no shop here", hint=hint))
        else:
            locked = look_at_lock(data / STORE)
            yield locked or well("store", f"the stores open, with {many(len(shops), 'shop')}")
        for shop in shops:
            yield from _shop(store, shop, now_ms)
            yield from _devices(store.shop(shop.id), shop.name, is_served=is_served, tell=tell)


def _shop(store: Store, shop: ShopRow, now_ms: int) -> Iterator[Finding]:
    log = store.shop(shop.id)
    apart = log.apart()
    back = [row for row in apart if is_back(log, row)]
    refused = [row for row in apart if not row.held and row not in back]
    look = f"`crdtsync-relay quarantine list '{shop.name}'` shows them, each with its reason"
    if refused:
        what = f"{shop.name}: refused or damaged: {many(len(refused), 'record')}"
        yield wrong("quarantine", RecordError(what, hint=look))
    elif held := sum(row.held for row in apart):
        yield notice("quarantine", f"{shop.name}: held: {many(held, 'record')}", look)
    elif back:
        found = brought_back(len(back))
        yield notice("quarantine", f"{shop.name}: {found.says}", found.advice)
    else:
        yield well("quarantine", f"{shop.name}: nothing was refused, held or damaged")
    yield _missing(log, shop.name)
    yield from _copies(log, shop.name)
    yield from _registers(log, shop.name, now_ms)


def _devices(log: ShopLog, shop: str, *, is_served: bool, tell: Tell) -> Iterator[Finding]:
    from crdtsync_server.shops.devices import device_names, devices_of, told
    from crdtsync_server.shops.owner import OwnerChain

    names = device_names(OwnerChain.read(log).directory)
    for device in devices_of(log, is_served=is_served):
        tell({"shop": log.shop, "shop_name": shop} | device)
        revoked = ", revoked" if device["revoked"] else ""
        yield well("devices", f"{shop}, {names[device['device']]}{revoked}: {told(device)}")


def _missing(log: ShopLog, shop: str) -> Finding:
    from crdtsync_server.backups.missing import holes, untold

    look = f"`crdtsync-relay missing '{shop}'` names it"
    away = untold(log)
    if away:
        names = ", ".join(row.name for row in away)
        what = f"{shop}: since the relay was put back, not here yet: {names}"
        return notice("missing", what, f"let them come: they bring what the backup lacks; {look}")
    gaps = holes(log)
    if gaps:
        names = ", ".join(sorted({row.name for row in gaps}))
        return notice("missing", f"{shop}: entries are missing between those held: {names}", look)
    return well("missing", f"{shop}: no hole is in any chain")


def _copies(log: ShopLog, shop: str) -> Iterator[Finding]:
    from crdtsync_server.backups.restore import read_restored
    from crdtsync_server.backups.restored import restore_noticed_ms
    from crdtsync_server.shops.contacts import read_contact, was_here_since
    from crdtsync_server.shops.copied import copied_in
    from crdtsync_server.shops.devices import device_names, machines_of
    from crdtsync_server.shops.owner import OwnerChain

    directory = OwnerChain.read(log).directory
    names = device_names(directory)
    told, noticed = copied_in(log, directory), restore_noticed_ms(log)
    for one in told:
        yield wrong("copies", IntegrityDefect(f"{shop}: {one.says}", hint=one.advice))
    away = []
    for certificate in machines_of(directory):
        contact = read_contact(log, certificate.device)
        is_back = was_here_since(log, contact, noticed or 0)
        if not (directory.is_revoked(certificate.device) or is_back):
            away.append(names[certificate.device])
    if noticed is not None and away and read_restored(log) is None:  # Else ``missing`` tells it.
        what = f"{shop}: put back from a backup, taken in from an export, or lost and filled again"
        if any(row.code == DAMAGED for row in log.apart_rows()):
            what = f"{shop}: something was damaged on this disk, if it was not put back from a backup"
        hint = f"its registers bring what it lacks; not here since: {', '.join(sorted(away))}"
        yield notice("copies", what, hint)
    elif not told:
        yield well("copies", f"{shop}: no register's data was put back from an old copy, or copied")


def _registers(log: ShopLog, shop: str, now_ms: int) -> Iterator[Finding]:
    from crdtsync_server.shops.contacts import read_contact
    from crdtsync_server.shops.devices import device_names, machines_of
    from crdtsync_server.shops.owner import OwnerChain

    directory = OwnerChain.read(log).directory
    names = device_names(directory)
    unheard, wrong_clocks, heard = [], [], 0
    for certificate in machines_of(directory):
        if directory.is_revoked(certificate.device):
            continue
        contact, name = read_contact(log, certificate.device), names[certificate.device]
        if contact is None:
            unheard.append(f"{name} (never)")
            continue
        heard += 1
        since_ms = now_ms - contact.at_ms
        if since_ms > UNHEARD_MS and not contact.connected:
            unheard.append(f"{name} ({span(since_ms // 1000)})")
        if abs(contact.clock_offset_ms or 0) > CLOCK_OFFSET_MAX_MS:
            wrong_clocks.append(f"{name} ({span(abs(contact.clock_offset_ms or 0) // 1000)} off)")
    if unheard:
        hint = "look at them with `crdtsync doctor`; what they sold meanwhile is on their own disks only"
        yield notice("registers", f"{shop}: not heard of: {', '.join(unheard)}", hint)
    else:
        here = f"all {heard} devices were" if heard > 1 else many(heard, "device was", "devices were")
        yield well("registers", f"{shop}: {here} here within a day")
    if wrong_clocks:
        what = f"{shop}: wrong clocks: {', '.join(wrong_clocks)}"
        yield wrong(
            "clocks", WrongClock(what, hint="set them, or this machine's, if it is the only wrong one")
        )
    else:
        yield well("clocks", f"{shop}: the clocks of its devices agree with this machine's")
