"""What a person must look at on a register: one sentence each, for `status`, from the disk alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from crdtsync.runtime.belonging.copies import CopiedTold, copied_registers, copied_says, left_for_another
from crdtsync.runtime.committing.signature_checks import bad_signatures
from crdtsync.runtime.committing.writer import read_head
from crdtsync.runtime.folder.identity import has_left
from crdtsync.runtime.folder.replica import Replica
from crdtsync.runtime.register.flags import day_flags
from crdtsync.storage.log import Refusal, ShopLog
from crdtsync.storage.view_queries import ChainRow, DeviceRow, FlagRow

if TYPE_CHECKING:
    from crdtsync.model.chain import ChainHead

CLOCK_OFFSET_MAX_MS: Final = 120_000


def apart_concerns(apart: int, held: int) -> Iterable[str]:
    """What was set apart here."""
    if held:
        yield f"{held} received records are held until a certificate admits them: `crdtsync quarantine list`"
    if apart - held:
        yield f"{apart - held} records were set apart as refused or damaged: `crdtsync quarantine list`"


def refused_concerns(refused: Sequence[Refusal]) -> Iterable[str]:
    """What the relay did not admit of this register's log."""
    on_hold = [one for one in refused if one.code == "revoked"]
    others = [one for one in refused if one.code != "revoked"]
    if on_hold:
        yield f"the relay keeps {len(on_hold)} records on hold until a person decides: {on_hold[0].reason}"
    if others:
        yield f"the relay did not take {len(others)} records: {others[0].reason}"


def signature_concerns(log: ShopLog) -> Iterable[str]:
    """Stored entries that their author did not sign."""
    bad = bad_signatures(log)
    if bad:
        yield f"{len(bad)} stored entries are not signed by their author: `crdtsync verify` names them"


def entry_concerns(replica: Replica) -> Iterable[str]:
    """What is strange about the entries that are here: holes, versions, series, flags of the running day."""
    # Not by way of `replica.writer`: a status needs neither cryptography nor the device's key.
    head = None if _makes_no_entries(replica) else read_head(replica.log)
    if head is not None:
        yield from _hole_concerns(replica, head)
    yield from _chain_concerns(replica)
    yield from _series_concerns(replica)
    newest = max((chain.day for chain in replica.queries.chains()), default="")
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
        yield f"{missing} entries of this register are missing on its own disk: `crdtsync verify` names them"


def copied_told(replica: Replica) -> tuple[CopiedTold, ...]:
    """Registers that were put back or copied. Looked for only where some device has two chains."""
    devices = [chain.device for chain in replica.queries.chains() if chain.series is not None]
    if len(devices) == len(set(devices)):
        return ()
    known = {device.device: device for device in replica.queries.devices()}
    own = None if _makes_no_entries(replica) else read_head(replica.log).chain
    return tuple(
        copied_says(_name(known.get(one.device), one.device), one, is_own=one.goes_on == own)
        for one in copied_registers(replica.log)
        if one.device not in known or not known[one.device].revoked
    )


def _name(row: DeviceRow | None, device: bytes) -> str:
    return (row.name if row is not None else None) or device.hex()[:8]


def _chain_concerns(replica: Replica) -> Iterable[str]:
    reached: dict[bytes, int] = {}
    forked = set()
    for run in replica.log.runs():
        if run.lo <= reached.get(run.chain, 0):
            forked.add(run.chain)
        reached[run.chain] = max(run.hi, reached.get(run.chain, 0))
    left = left_for_another(replica.log) if forked else set()
    names = {device.device: device.name for device in replica.queries.devices()}
    writers: dict[bytes, list[ChainRow]] = {}
    for row in replica.queries.chains():
        writers.setdefault(row.chain, []).append(row)
    for chain, rows in writers.items():
        # Whose it is says its first entry.
        owner, *others = sorted(rows, key=lambda row: not row.since)
        name = names.get(owner.device) or owner.device.hex()[:8]
        if others:
            who = ", ".join(names.get(row.device) or row.device.hex()[:8] for row in others)
            yield f"{who} wrote into the chain of {name}: `crdtsync verify` names the entries"
        elif chain in forked - left and owner.device != replica.log.shop:  # See ``Verification.notes``.
            yield f"two versions of the register {name} exist: both are kept, `crdtsync verify` names them"


def _series_concerns(replica: Replica) -> Iterable[str]:
    """Registers that number their tickets alike: a number of one may be there twice."""
    chains: dict[str, list[ChainRow]] = {}
    for row in replica.queries.chains():
        if row.series:
            chains.setdefault(row.series, []).append(row)
    names = {device.device: device.name for device in replica.queries.devices()}
    for series, rows in sorted(chains.items()):
        if len(rows) > 1:
            who = " and ".join(names.get(row.device) or row.device.hex()[:8] for row in rows)
            yield f"{who} number their tickets in one series, {series}: a number may be there twice"


def _flag_concerns(replica: Replica, day: str) -> Iterable[str]:
    """Entries of the running day that cannot be so: shown while somebody can still do something about it."""
    by_device: dict[bytes, list[FlagRow]] = {}
    for row in day_flags(replica.log, replica.queries, day):
        by_device.setdefault(row.device, []).append(row)
    names = {device.device: device.name for device in replica.queries.devices()} if by_device else {}
    for device, rows in by_device.items():
        first, entries = rows[0], len({row.link for row in rows})
        what = f"ticket {first.number}" if first.number else f"entry {first.n}"
        more = f" ({entries - 1} more today)" if entries > 1 else ""
        said = first.detail or "it makes no sense"
        name = names.get(device) or device.hex()[:8]
        yield f"{name}, {what}: {said}{more}: it is kept and counted as it stands"


def clock_concerns(offset_ms: int | None) -> Iterable[str]:
    """A clock that is far from the relay's."""
    if offset_ms is not None and abs(offset_ms) > CLOCK_OFFSET_MAX_MS:
        way = "ahead of" if offset_ms > 0 else "behind"
        yield f"the clock is {span(abs(offset_ms) // 1000)} {way} the relay's: set it right"


def span(seconds: int) -> str:
    """A length of time as one says it: ``40 days``, ``12 s``."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
