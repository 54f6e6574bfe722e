"""The hold: entries that are kept apart until a certificate comes, or a person decides.

What a revoked device made beyond the heads that were known is a person's to decide. Whoever approves says so
with the owner's key (``model.approval``), and all replicas admit exactly these entries. Nothing here is ever
deleted: what nobody approves stays.

Some of it may be in the log here, and on hold at every other replica: a relay that was put back from a backup
takes what a device brings until it hears again that this one was cut off. That waits for a person as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from crdtsync.errors import InvalidName, RecordError
from crdtsync.ids import ENTRY
from crdtsync.model.admission import signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import Entry, read_entry
from crdtsync.runtime.belonging.copies import first_entries, follows_of
from crdtsync.runtime.register.status import Pending
from crdtsync.storage.log import Apart, Run, ShopLog, Store
from crdtsync_server.shops.access import Access, is_called
from crdtsync_server.shops.devices import device_names
from crdtsync_server.shops.owner import OwnerChain

LINK_CHARACTERS_MIN = 4


@dataclass(frozen=True, slots=True)
class OnHold:
    """One entry on hold. ``is_signed``: its device signed it, as far as certificates tell. ``came_ms``: when
    it came here. ``is_here``: it is in the log here all the same, and when it came is not known.
    """

    entry: Entry
    code: str
    reason: str
    is_signed: bool
    came_ms: int | None
    is_here: bool = False

    @property
    def can_be_approved(self) -> bool:
        """Whether it waits for a person, not for a certificate or for room, and is what its device signed."""
        return self.code == "revoked" and self.is_signed

    @property
    def number(self) -> str | None:
        """Of a ticket its number, if it is one that can be shown."""
        number = self.entry.body.get("num")
        return number if isinstance(number, str) and number.isprintable() else None


@dataclass(frozen=True, slots=True)
class DeviceHold:
    """What one device has on hold, in the order of its chain. ``name`` is None where no certificate says it;
    ``apart``: the same, told apart from other devices of that name. ``pending``: the tickets, and what they
    come to.
    """

    device: bytes
    name: str | None
    is_revoked: bool
    entries: tuple[OnHold, ...]
    pending: Pending
    apart: str | None = None

    def is_called(self, text: str) -> bool:
        """Whether whoever types that means this device."""
        return is_called(text, self.device, self.name) or is_called(text, self.device, self.apart)

    @property
    def approvable(self) -> int:
        """How many of the entries a person may approve."""
        return len(self.approvable_links)

    @property
    def approvable_links(self) -> list[bytes]:
        """The links of these."""
        return [one.entry.link for one in self.entries if one.can_be_approved]


def on_hold(log: ShopLog) -> list[DeviceHold]:
    """Everything that is on hold in a shop, by device. O(what is on hold): signatures are verified."""
    directory = OwnerChain.read(log).directory
    by_device: dict[bytes, list[OnHold]] = defaultdict(list)
    for apart in log.apart():
        found = _read(apart, directory)
        if found is not None:
            by_device[found.entry.author].append(found)
    for entry in recorded_here(log, directory):
        by_device[entry.author].append(OnHold(entry, "revoked", RECORDED, True, None, is_here=True))
    names = device_names(directory)
    return [_device(device, found, directory, names) for device, found in sorted(by_device.items())]


RECORDED: Final = "it came before this relay knew that its device was cut off: other devices keep it apart"


def recorded_here(log: ShopLog, directory: Directory) -> list[Entry]:
    """What is in the log of devices that were cut off, beyond what was known of them then, and no approval
    names. O(runs), and O(what is found); nothing where nobody was cut off. Each page of the back office asks.
    """
    revoked = {one.device for one in directory.certificates() if directory.is_revoked(one.device)}
    known = {device: directory.heads_at_revocation(device) for device in revoked}
    links = {head.link for heads in known.values() for head in heads}
    found = dict[bytes, Entry]()
    for run in log.runs() if revoked else ():
        if run.hi_link in links:
            continue
        device = _author_at_end(log, run)
        if device is None or device not in revoked:
            continue
        reached = max((head.n for head in known[device] if head.chain == run.chain), default=1)
        if run.hi < reached:
            continue
        for _, sealed in log.chain_entries(run.chain, max(reached, run.lo), run.hi):
            entry = read_entry(sealed)
            is_settled = entry.link in links or directory.is_approved(entry.link)
            if entry.author == device and not is_settled:
                found[entry.link] = entry
    return list(found.values())


_Ends = dict[tuple[bytes, int, bytes], tuple[bytes, bytes]]
_ENDS: Final[WeakKeyDictionary[ShopLog, _Ends]] = WeakKeyDictionary()
"""By log and run, the link of its last entry and who made that. Most runs ended long ago, in packs that would
be unpacked for this time and again.
"""


def _author_at_end(log: ShopLog, run: Run) -> bytes | None:
    ends = _ENDS.setdefault(log, {})
    where = run.chain, run.lo, run.lo_prev
    link, author = ends.get(where, (b"", b""))
    if link == run.hi_link:
        return author
    for entry in map(read_entry, log.entry(run.chain, run.hi)):
        if entry.link == run.hi_link:
            ends[where] = entry.link, entry.author
            return entry.author
    return None


def find_hold(holds: Sequence[DeviceHold], text: str) -> DeviceHold:
    """What is on hold of the device of that id or name. Raises ``InvalidName`` where that is nothing, or of
    several devices.
    """
    found = [hold for hold in holds if hold.is_called(text)]
    if len(found) != 1:
        raise InvalidName(
            f"{len(found) or 'no'} devices called {text!r} have something on hold",
            hint="`crdtsync-relay hold list SHOP` shows names and ids",
        )
    return found[0]


def find_entries(holds: Sequence[DeviceHold], texts: Iterable[str]) -> list[OnHold]:
    """The entries whose links or ticket numbers these are (of a link its beginning will do). Raises
    ``InvalidName`` where one is none of those on hold, or of several.
    """
    entries = [one for hold in holds for one in hold.entries]
    chosen: dict[bytes, OnHold] = {}
    for text in texts:
        wanted = text.strip()
        found = [
            one
            for one in entries
            if one.number == wanted
            or (len(wanted) >= LINK_CHARACTERS_MIN and one.entry.link.hex().startswith(wanted.lower()))
        ]
        if len(found) != 1:
            raise InvalidName(
                f"{text!r} names {len(found) or 'no'} entries on hold",
                hint="`crdtsync-relay hold show SHOP DEVICE` shows their links",
            )
        chosen[found[0].entry.link] = found[0]
    return list(chosen.values())


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval has let in, and what of it a person could not approve."""

    admitted: Pending
    links: tuple[bytes, ...]
    left: tuple[OnHold, ...]


def approve(access: Access, store: Store, shop: bytes, entries: Sequence[OnHold], reason: str) -> Approved:
    """Let in these entries; see ``Access.approve``. Those that wait for something else than a person, or that
    their device did not sign, are left. Durable on return.
    """
    links: dict[bytes, list[bytes]] = defaultdict(list)
    for one in entries:
        if one.can_be_approved:
            links[one.entry.author].append(one.entry.link)
    admitted = set(access.approve(store, shop, links, reason)) if links else set()
    admitted |= {one.entry.link for one in entries if one.is_here and one.can_be_approved}
    pending = Pending()
    for one in entries:
        if one.entry.link in admitted:
            pending.add(one.entry.body)
    left = tuple(one for one in entries if not one.can_be_approved)
    return Approved(pending, tuple(sorted(admitted)), left)


VOUCHED: Final = "the register that took its place had it, and says so with its new key"
"""Why the relay itself approves what ``vouched_for`` finds."""


def vouched_for(log: ShopLog) -> list[OnHold]:
    """What is on hold of a replaced device, and its successor vouches for: the entries up to where he says,
    in the first entry of his chain, that he left the old one.

    A register that is enrolled again in its own folder has there what another of its programs sold while its
    new certificate was on its way: the owner had let that folder in, with a code that a person brought.
    Only the key that the owner certified for this can say it. O(chains + what is on hold).

    Where the owner's key is kept elsewhere, the next request asks for it (``owner_keys.request_for``).
    """
    if not any(apart.held and apart.code == "revoked" for apart in log.apart()):
        return []
    waiting = {one.entry.link: one for hold in on_hold(log) for one in hold.entries if one.can_be_approved}
    if not waiting:
        return []
    directory, found = OwnerChain.read(log).directory, dict[bytes, OnHold]()
    for first in first_entries(log):
        certificate, head = directory.certificate(first.author), follows_of(first)
        if head is None or certificate is None or certificate.replaces is None:
            continue
        if directory.is_revoked(first.author):
            continue
        link = head.link
        while (one := waiting.get(link)) is not None and one.entry.author == certificate.replaces.device:
            found[link] = one
            link = one.entry.facts.prev
    return list(found.values())


def _read(apart: Apart, directory: Directory) -> OnHold | None:
    if not apart.held or apart.record[:1] != ENTRY:
        return None
    try:
        entry = read_entry(apart.record[1:])
    except RecordError:  # Held by another version of this program, which could read more.
        return None
    is_signed = signature_holds(entry, directory)
    return OnHold(entry, apart.code, apart.reason, is_signed, apart.at_ms)


def _device(
    device: bytes, entries: list[OnHold], directory: Directory, names: dict[bytes, str]
) -> DeviceHold:
    certificate = directory.certificate(device)
    pending = Pending()
    for one in entries:
        pending.add(one.entry.body)
    in_order = sorted(entries, key=lambda one: (one.entry.facts.chain, one.entry.facts.n, one.entry.link))
    name = certificate.name if certificate else None
    is_revoked, apart = directory.is_revoked(device), names.get(device)
    return DeviceHold(device, name, is_revoked, tuple(in_order), pending, apart)
