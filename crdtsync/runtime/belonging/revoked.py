"""Devices that were cut off: what they may still bring, and what is kept of it.

A relay takes what a revoked device brings, so that no sale is lost with it, and gives it nothing: no record,
no certificate, no word of what there is. What the device had signed up to the heads known at its revocation
is admitted as ever. What goes beyond them is held until a person decides (see ``model.approval``), whoever
brings it. When the relay has all that the device announced, and has said what it refused or holds, it hangs
up.

By its number alone an entry looks known if it lies below a head. Where the log shows that this head follows
from another entry of that number, it was not: whoever has the key of a stolen register would otherwise make
new versions of old sales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from crdtsync.errors import AccessDenied, NotPermitted, RecordError
from crdtsync.ids import OWNER_DOCUMENT, START, EntryFacts, Item
from crdtsync.model.admission import CUT_OFF_ROLE
from crdtsync.model.certificate import Certificate, Directory
from crdtsync.model.entry import Head
from crdtsync.protocol.heads import root_digest
from crdtsync.protocol.messages import TAKES_ONLY
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me
from crdtsync.runtime.committing.admission import Rejection
from crdtsync.storage.log import Run, ShopLog

HANDED_OVER: Final = 4401
"""Close code: all that a revoked device had when it said hello is taken."""

N_MAX: Final = 1 << 62

HAND_OVER: Final = "this device was revoked: what it has not sent is still taken"
"""What it is told when it was connected meanwhile, so that it comes once more."""


def who_only_takes(certificate: Certificate, me: Me) -> tuple[Certificate, Me]:
    """Who a revoked device is here, and who we are to it: a log in which there is nothing for it to fetch.
    Raises ``AccessDenied`` for a relay: a register gives nothing to one that was revoked.
    """
    if certificate.role == "relay":
        hint = "ask for a pairing code of the shop's present relay, and run `crdtsync move URL CODE`"
        raise AccessDenied("the relay was revoked", hint=hint)
    bare = replace(me, end=START, digest=root_digest([]), capabilities=(*me.capabilities, TAKES_ONLY))
    return replace(certificate, role=CUT_OFF_ROLE), bare


def has_handed_over(session: Session) -> bool:
    """Whether all that the device had when it said hello is on disk here, apart or not, and told.

    A number says nothing where nothing came: a copied disk, or one that was put back, has another log of the
    same id, and gives it a new one as soon as it has read our hello.
    """
    inbound, peer = session.inbound, session.peer
    return (
        session.is_live
        and peer is not None
        and not inbound.under_way
        and inbound.got == inbound.stored
        and (inbound.stored == peer.end or (inbound.has_begun and inbound.stored.seq >= peer.end.seq))
    )


def in_log(
    log: ShopLog, record: bytes, rejection: Rejection, item_of: Callable[[bytes], Item]
) -> Item | None:
    """The record, where the log has it already: neither revoking a device nor losing a certificate to damage
    takes anything out, and what is there needs no refusal when it comes again.
    """
    if not rejection.held and rejection.code != NotPermitted.code:
        return None
    try:
        item = item_of(record)
    except RecordError:
        return None
    entry = item.entry
    is_held = log.holds(item.digest) if entry is None else log.holds(entry.link, entry.chain, entry.n)
    return item if is_held else None


def other_version(
    log: ShopLog, item: Item, directory: Directory, tops: dict[bytes, int] | None = None
) -> Rejection | None:
    """Why an admitted entry of a revoked device is held all the same: each head known at the revocation that
    could follow from it follows from other entries, which are here. None if it may be stored.

    ``tops``: for one transaction, up to which number there may be entries of a chain. Beyond it nothing is to
    be looked up: a whole history comes in its turn.
    """
    entry = item.entry
    if entry is None or not directory.has_revoked or item.document == OWNER_DOCUMENT:
        return None
    device = bytes.fromhex(item.document.split("/")[1])
    if not directory.is_revoked(device) or directory.is_approved(entry.link):
        return None
    if tops is not None and entry.n > tops.get(entry.chain, N_MAX):
        tops[entry.chain] = entry.n
        return None
    runs = log.runs(entry.chain)
    if tops is not None:
        tops[entry.chain] = max([entry.n, *(run.hi for run in runs)])
    if not any(run.lo <= entry.n <= run.hi for run in runs):
        return None
    heads = [head for head in directory.heads_at_revocation(device) if head.chain == entry.chain]
    if any(head.link == entry.link for head in heads) or log.holds(entry.link, entry.chain, entry.n):
        return None
    if not all(_is_held_down_to(log, runs, head, entry) for head in heads if head.n > entry.n):
        return None
    reason = f"another version of entry {entry.n} was known when its device was revoked"
    return Rejection(item.digest, "revoked", reason, held=True)


def _is_held_down_to(log: ShopLog, runs: Sequence[Run], head: Head, entry: EntryFacts) -> bool:
    """Whether everything from a head down to the entry's number is here."""
    found = [run for run in runs if run.lo <= head.n <= run.hi]
    run = next((run for run in found if run.hi_link == head.link), None)
    if run is None and len(found) == 1 and head.link in log.links_at(head.chain, head.n):
        run = found[0]
    while run is not None and run.lo > entry.n:
        below = run
        run = next((one for one in runs if (one.hi, one.hi_link) == (below.lo - 1, below.lo_prev)), None)
    return run is not None
