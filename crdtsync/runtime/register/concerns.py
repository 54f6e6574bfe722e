"""What a person must look at on a register: one sentence each, for `status`, from the disk alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Final

from crdtsync.model.naming import names_apart, short_id
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.committing.signature_checks import bad_signatures
from crdtsync.runtime.folder.identity import CLOCK_OFFSET_MAX_MS, has_left
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.flags import day_flags
from crdtsync.said import Said
from crdtsync.storage.log import Refusal, ShopLog
from crdtsync.storage.view_queries import ChainRow, FlagRow

if TYPE_CHECKING:
    from crdtsync.model.chain import ChainHead
    from crdtsync.runtime.belonging.copies import CopiedTold
    from crdtsync.runtime.syncing.link_trouble import LinkTrouble

SPANS: Final = (
    (Said("%(count)s days"), 86_400),
    (Said("%(count)s hours"), 3_600),
    (Said("%(count)s minutes"), 60),
)

NO_SENSE: Final = Said("it makes no sense")
FLAG_KINDS: Final[Mapping[str, str]] = {
    "totals": Said("the totals do not follow from the lines"),
    "payment": Said("the payments are not what was to be paid"),
    "sign": Said("goods or money go the other way than they should"),
    "clock": Said("the clock and the business day are more than a day apart"),
    "refund": Said("more was given back than was sold"),
    "unreadable": Said("this entry cannot be read"),
}
"""Code of a flag -> what it comes to."""

REASON: Final = Said("it does not fit what the relay admits")
REASONS: Final[Mapping[str, str]] = {
    "revoked": Said("it came after this register was revoked"),
    "unknown-device": Said("no certificate admits this register there"),
    "unknown-key": Said("no certificate names its key there"),
    "role": Said("this device is enrolled to look on"),
    "other-shop": Said("it belongs to another shop"),
    "no-owner": Said("the shop is not known there yet"),
    "malformed": Said("it is of no form that is known there"),
    "too-big": Said("it is too large"),
    "bad-signature": Said("its signature does not hold"),
    "unsafe-update": Said("it is a change that is not safe to take"),
    "not-permitted": Said("this register has no right to it"),
}
"""Code of a refusal -> what it comes to, where the relay's own words are not understood."""


def apart_concerns(apart: int, held: int) -> Iterable[str]:
    """What was set apart here."""
    if held:
        yield Said.counted(
            Said(
                "%(count)s received records are held until a certificate admits them: "
                "`crdtsync quarantine list`"
            ),
            "1 received record is held until a certificate admits it: `crdtsync quarantine list`",
            count=held,
        )
    if apart - held:
        yield Said.counted(
            Said("%(count)s records were set apart as refused or damaged: `crdtsync quarantine list`"),
            "1 record was set apart as refused or damaged: `crdtsync quarantine list`",
            count=apart - held,
        )


def refused_concerns(refused: Sequence[Refusal]) -> Iterable[str]:
    """What the relay did not admit of this register's log."""
    on_hold = [one for one in refused if one.code == "revoked"]
    others = [one for one in refused if one.code != "revoked"]
    if on_hold:
        yield Said.counted(
            Said("the relay keeps %(count)s records on hold until a person decides: %(why)s"),
            "the relay keeps 1 record on hold until a person decides: %(why)s",
            count=len(on_hold),
            why=_reason(on_hold[0]),
        )
    if others:
        yield Said.counted(
            Said("the relay did not take %(count)s records: %(why)s"),
            "the relay did not take 1 record: %(why)s",
            count=len(others),
            why=_reason(others[0]),
        )


def _reason(refusal: Refusal) -> Said:
    return Said.standing_for(refusal.reason, REASONS.get(refusal.code, REASON))


def signature_concerns(log: ShopLog) -> Iterable[str]:
    """Stored entries that their author did not sign."""
    bad = bad_signatures(log)
    if bad:
        yield Said.counted(
            Said("%(count)s stored entries are not signed by their author: `crdtsync verify` names them"),
            "1 stored entry is not signed by its author: `crdtsync verify` names it",
            count=len(bad),
        )


def entry_concerns(replica: Replica) -> Iterable[str]:
    """What is strange about the entries that are here: holes, versions, series, flags of the running day."""
    # Not by way of `replica.writer`: a status needs neither cryptography nor the device's key.
    head = None if _makes_no_entries(replica) else read_head(replica.log)
    if head is not None:
        yield from _hole_concerns(replica, head)
    yield from _chain_concerns(replica)
    yield from _series_concerns(replica)
    newest = max((chain.day or "" for chain in replica.queries.chains()), default="")
    yield from _flag_concerns(replica, newest if head is None else head.bd)


def _makes_no_entries(replica: Replica) -> bool:
    return replica.identity.role == "display" or has_left(replica.log)


def _hole_concerns(replica: Replica, head: ChainHead) -> Iterable[str]:
    """Entries of the own chain that are not on the own disk: nobody else can be waited for to bring them, and
    nobody can say here whether the relay has them.
    """
    reached = missing = 0
    for run in sorted(replica.log.runs(head.chain), key=lambda run: run.lo):
        missing += max(0, run.lo - reached - 1)
        reached = max(run.hi, reached)
    missing += max(0, head.n - reached)
    if missing:
        yield Said.counted(
            Said(
                "%(count)s entries of this register are missing on its own disk: `crdtsync verify` names them"
            ),
            "1 entry of this register is missing on its own disk: `crdtsync verify` names it",
            count=missing,
        )


def copied_told(replica: Replica) -> tuple[CopiedTold, ...]:
    """Registers that were put back or copied. Looked for only where some device has two chains."""
    devices = [chain.device for chain in replica.queries.chains() if chain.series is not None]
    if len(devices) == len(set(devices)):
        return ()  # Most shops have none: nothing is imported for it.
    from crdtsync.runtime.belonging.copies import copied_registers, copied_says

    known = {device.device: device for device in replica.queries.devices()}
    names = _names(replica)
    own = None if _makes_no_entries(replica) else read_head(replica.log).chain
    return tuple(
        copied_says(names.get(one.device) or short_id(one.device), one, is_own=one.goes_on == own)
        for one in copied_registers(replica.log)
        if one.device not in known or not known[one.device].revoked
    )


def _names(replica: Replica) -> dict[bytes, str]:
    return names_apart((row.device, row.name, row.series) for row in replica.queries.devices())


def _chain_concerns(replica: Replica) -> Iterable[str]:
    reached: dict[bytes, int] = {}
    forked = set()
    for run in replica.log.runs():
        if run.lo <= reached.get(run.chain, 0):
            forked.add(run.chain)
        reached[run.chain] = max(run.hi, reached.get(run.chain, 0))
    left = _left_for_another(replica) if forked else set()
    names = _names(replica)
    writers: dict[bytes, list[ChainRow]] = {}
    for row in replica.queries.chains():
        writers.setdefault(row.chain, []).append(row)
    for chain, rows in writers.items():
        # Whose it is says its first entry.
        owner, *others = sorted(rows, key=lambda row: not row.since)
        name = names.get(owner.device) or short_id(owner.device)
        if others:
            who = ", ".join(names.get(row.device) or short_id(row.device) for row in others)
            yield Said(
                "%(who)s wrote into the chain of %(name)s: `crdtsync verify` names the entries",
                who=who,
                name=name,
            )
        elif chain in forked - left and owner.device != replica.log.shop:  # See ``Verification.notes``.
            yield Said(
                "two versions of the register %(name)s exist: both are kept, `crdtsync verify` names them",
                name=name,
            )


def _left_for_another(replica: Replica) -> set[bytes]:
    from crdtsync.runtime.belonging.copies import left_for_another

    return left_for_another(replica.log)


def _series_concerns(replica: Replica) -> Iterable[str]:
    """Registers that number their tickets alike: a number of one may be there twice."""
    chains: dict[str, list[ChainRow]] = {}
    for row in replica.queries.chains():
        if row.series:
            chains.setdefault(row.series, []).append(row)
    names = _names(replica)
    for series, rows in sorted(chains.items()):
        if len(rows) > 1:
            who = reduce(_both, (names.get(row.device) or short_id(row.device) for row in rows))
            yield Said(
                "%(who)s number their tickets in one series, %(series)s: a number may be there twice",
                who=who,
                series=series,
            )


def _both(one: str, other: str) -> str:
    return Said("%(one)s and %(other)s", one=one, other=other)


def _flag_concerns(replica: Replica, day: str) -> Iterable[str]:
    """Entries of the running day that cannot be so: shown while somebody can still do something about it."""
    by_device: dict[bytes, list[FlagRow]] = {}
    for row in day_flags(replica.log, replica.queries, day):
        by_device.setdefault(row.device, []).append(row)
    names = _names(replica) if by_device else {}
    for device, rows in by_device.items():
        first, entries = rows[0], len({row.link for row in rows})
        yield Said(
            "%(name)s, %(what)s: %(said)s%(more)s: it is kept and counted as it stands",
            name=names.get(device) or short_id(device),
            what=Said("ticket %(number)s", number=first.number)
            if first.number
            else Said("entry %(number)s", number=first.n),
            said=flag_said(first),
            more=Said(" (%(count)s more today)", count=entries - 1) if entries > 1 else "",
        )


def flag_said(row: FlagRow) -> Said:
    """What is wrong with an entry, in particular; other languages say what kind of mistake it is."""
    return Said.standing_for(row.detail or NO_SENSE, FLAG_KINDS.get(row.code, NO_SENSE))


def clock_concerns(offset_ms: int | None) -> Iterable[str]:
    """A clock that is far from the relay's."""
    if offset_ms is not None and abs(offset_ms) > CLOCK_OFFSET_MAX_MS:
        how_far = span(abs(offset_ms) // 1000)
        if offset_ms > 0:
            yield Said("the clock is %(span)s ahead of the relay's: set it right", span=how_far)
        else:
            yield Said("the clock is %(span)s behind the relay's: set it right", span=how_far)


def stopped_concerns(trouble: LinkTrouble | None) -> Iterable[str]:
    """Synchronising that goes on only when somebody does something."""
    if trouble is not None and trouble.is_over:
        yield Said("synchronising has stopped: %(why)s", why=trouble.message)


def unmended_concerns(documents: Iterable[str]) -> Iterable[str]:
    """Documents that differ from the relay's."""
    for name in documents:
        yield Said("%(name)s differs from the relay's, and sending it again does not mend it", name=name)


def span(seconds: int) -> Said:
    """A length of time as one says it: ``40 days``, ``12 s``."""
    for form, size in SPANS:
        if seconds >= 2 * size:
            return Said(form, count=seconds // size)
    return Said("%(count)s s", count=seconds)
