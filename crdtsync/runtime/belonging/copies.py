"""Registers whose data was put back from an old copy, or copied: how one goes on, and how all find out.

A register's chain has one writer. Whoever finds that his log is not what the relay holds of it, or that
somebody else has written on after his last entry, cannot know whether he is the register or the copy. So he
writes nothing more into that chain: in the transaction in which he finds out he begins one of his own, whose
first entry names where he left the other (``follows``), with a series of its own. He sells on without a
pause, and no number is given twice from then on. The other holder, if there is one, goes on as before.

That entry is signed and goes to everybody: relay and registers tell it, until the one who left has enrolled
again, with a code and a key of his own, and names in turn the chain that he leaves (``rejoin``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdtsync.errors import MalformedRecord
from crdtsync.model import chain as chains
from crdtsync.model.chain import ChainHead, Moment, Shop
from crdtsync.model.entry import Entry, Head, read_entry, read_heads, seal_entry
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.folder.identity import HEAD, Identity
from crdtsync.said import Said
from crdtsync.storage.log import Run, ShopLog

if TYPE_CHECKING:
    from crdtsync.model.signature import PrivateKey
    from crdtsync.runtime.clock import Clock, RandomBytes


@dataclass(frozen=True, slots=True)
class Copied:
    """A register that was put back or copied, and not enrolled again since. ``chain`` was left at number
    ``n`` and goes on as ``goes_on``, with tickets of ``series``, since ``at_ms`` (Unix milliseconds).
    ``forks_at``: the first number of ``chain`` of which there are two versions, None while there is none.
    """

    device: bytes
    chain: bytes
    n: int
    goes_on: bytes
    series: str
    at_ms: int
    forks_at: int | None


@dataclass(frozen=True, slots=True)
class CopiedTold:
    """What a person is told of a register that was put back or copied, and what is to be done. ``is_own``:
    it is this one.
    """

    device: bytes
    name: str
    says: str
    advice: str
    series: str
    at_ms: int
    forks_at: int | None
    is_own: bool


def copied_says(name: str, one: Copied, *, is_own: bool) -> CopiedTold:
    """The same for a person."""
    says = Said(
        "%(versions)s%(whose)s was put back from an old copy, or copied to another machine: %(who)s sells on "
        "with tickets %(series)s-…, and must be enrolled again",
        versions=""
        if one.forks_at is None
        else Said("two versions of the register %(name)s exist: both are kept; ", name=name),
        whose=Said("this register's data") if is_own else Said("the data of %(name)s", name=name),
        who=Said("it") if is_own else Said("that machine"),
        series=one.series,
    )
    where = "here" if is_own else "there"
    advice = (
        f"`crdtsync join URL CODE` {where}, with a code of `crdtsync-relay pair` if another machine sells as "
        f"{name} too, else of `crdtsync-relay restore`"
    )
    return CopiedTold(one.device, name, says, advice, one.series, one.at_ms, one.forks_at, is_own)


def follows_of(first: Entry) -> Head | None:
    """The end of the chain that a register left when it began this one; None of any other chain."""
    try:
        (head,) = read_heads([first.body["follows"]]) if "follows" in first.body else (None,)
    except MalformedRecord:
        return None
    return head


def begin_own_chain(
    log: ShopLog, identity: Identity, key: PrivateKey, clock: Clock, random_bytes: RandomBytes
) -> ChainHead | None:
    """Leave the register's chain where it is, and begin another; inside a transaction. None of a display,
    which has no chain. Raises ``DamagedStore``.
    """
    if identity.role == "display":
        return None
    from crdtsync.runtime.committing.writer import append_entry

    left = read_head(log)
    ts_ms = clock.now_ms()
    body = chains.start(
        identity.device,
        identity.public_key,
        Shop(identity.shop, identity.shop_name),
        series=chains.series_of(random_bytes(16)),
        nonce=random_bytes(16),
        # The business day never decreases: the next sale takes it on from where it was left.
        moment=Moment(ts_ms, clock.utc_offset_min(ts_ms), left.bd),
        heads=[left.known],
        follows=left.known,
    )
    first = seal_entry(body, key)
    append_entry(log, first)
    head = chains.advance(None, first)
    log.set_state(HEAD, head.to_bytes())
    return head


def has_other_writer(log: ShopLog, head: ChainHead) -> bool:
    """Whether somebody wrote on after the register's last entry. One look at an index, most often."""
    if not log.links_at(head.chain, head.n + 1):
        return False
    return any(read_entry(sealed).facts.prev == head.link for sealed in log.entry(head.chain, head.n + 1))


def is_contested(log: ShopLog, head: ChainHead) -> bool:
    """Whether somebody else may be writing into the register's chain: after its last entry, or on a version
    that nobody has left. Asked before each entry: one look at an index while the chain has one version.
    """
    runs = log.runs(head.chain)
    if max([run.hi for run in runs], default=0) <= head.n and (len(runs) == 1 or forks_at(runs) is None):
        return False
    if has_other_writer(log, head):
        return True
    left = {of.link for first in first_entries(log) if (of := follows_of(first)) is not None}
    return not {run.hi_link for run in _ends(runs)} - {head.link} <= left


def copied_registers(log: ShopLog) -> list[Copied]:
    """All that were put back or copied, and not enrolled again since. O(chains)."""
    firsts = {entry.facts.chain: entry for entry in first_entries(log)}
    left = {chain: head for chain, first in firsts.items() if (head := follows_of(first)) is not None}
    followed = {(head.chain, head.link) for head in left.values()}
    found = []
    for chain, head in left.items():
        first, before = firsts[chain], firsts.get(head.chain)
        is_other_device = before is not None and before.author != first.author
        tips = {(run.chain, run.hi_link) for run in log.runs(chain)}
        if not is_other_device and not tips & followed:
            found.append(
                Copied(
                    first.author,
                    head.chain,
                    head.n,
                    chain,
                    str(first.body["series"]),
                    first.body["ts"],
                    forks_at(log.runs(head.chain)),
                )
            )
    return sorted(found, key=lambda one: (one.at_ms, one.goes_on))


def own_ends(log: ShopLog, device: bytes) -> list[Run]:
    """The chains that a device began, each from its first entry on: first those whose end was not left for
    another one, the longest first. O(chains).
    """
    firsts = {entry.facts.chain: entry for entry in first_entries(log)}
    left = {head.link for first in firsts.values() if (head := follows_of(first)) is not None}
    runs = [run for run in log.runs() if run.lo == 1 and run.chain in firsts]
    own = [run for run in runs if firsts[run.chain].author == device]
    return sorted(own, key=lambda run: (run.hi_link not in left, run.hi), reverse=True)


def left_chains(log: ShopLog) -> set[bytes]:
    """Chains that nobody writes any more: each of their ends was left for another chain. O(chains)."""
    left = [head for first in first_entries(log) if (head := follows_of(first)) is not None]
    links = {head.link for head in left}
    return {
        chain
        for chain in {head.chain for head in left}
        if all(run.hi_link in links for run in _ends(log.runs(chain)))
    }


def left_for_another(log: ShopLog) -> set[bytes]:
    """Chains of which one version was left for another chain: what forked there is settled, or will be told
    as ``Copied``. O(chains).
    """
    return {head.chain for first in first_entries(log) if (head := follows_of(first)) is not None}


def forks_at(runs: list[Run]) -> int | None:
    """The first number of a chain of which several versions are held; None where there is none."""
    reached = 0
    for run in sorted(runs, key=lambda run: run.lo):
        if run.lo <= reached:
            return run.lo
        reached = max(reached, run.hi)
    return None


def _ends(runs: list[Run]) -> list[Run]:
    """The runs that nothing held follows."""
    before = {run.lo_prev for run in runs}
    return [run for run in runs if run.hi_link not in before]


def first_entries(log: ShopLog) -> Iterator[Entry]:
    """The first entries of all chains that are held from their beginning. O(chains)."""
    for chain in sorted({run.chain for run in log.runs() if run.lo == 1}):
        for sealed in log.entry(chain, 1):
            if b'"kind":"register"' in sealed:
                yield read_entry(sealed)
