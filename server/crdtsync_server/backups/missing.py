"""What there must have been and nobody has any more, as far as anything here tells.

Three things tell: a hole in a chain, an entry that another entry names (a refund its ticket, a closing its
witness, a count its cut, a replacement and a revocation the heads known then), and what a register said when
it was last here. What is on hold here is not missing: it waits for a person. An end that nobody named is not
missed by anybody: see the page on durability.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal

from crdtsync.errors import CrdtsyncError, RecordError
from crdtsync.ids import ENTRY
from crdtsync.model.admission import signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import Entry, read_entry, read_heads
from crdtsync.protocol.intervals import Interval, difference
from crdtsync.runtime.filing.completeness import LOOKED_BACK_MAX, last_number
from crdtsync.storage.log import ShopLog
from crdtsync_server.backups.restore import read_restored
from crdtsync_server.backups.restored import restore_noticed_ms
from crdtsync_server.shops.contacts import read_contact, was_here_since
from crdtsync_server.shops.devices import device_names, machines_of
from crdtsync_server.shops.owner import OwnerChain

_NAMES: Final = (b'"ref":', b'"wit":', b'"heads":', b'"cut":')
"""Where entries name others."""

Sort = Literal["hole", "tail", "untold"]


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not here. ``hole``: entries ``first`` to ``last`` of a chain, between the tickets
    ``after`` and ``before``. ``tail``: those up to ``last``, which is ticket ``number`` if that is told, and
    which ``named_by`` names. ``untold``: a device has not been here since the relay was put back, and had
    ``sales`` pending then, or did not say.
    """

    sort: Sort
    device: bytes
    name: str
    chain: bytes | None = None
    first: int | None = None
    last: int | None = None
    after: str | None = None
    before: str | None = None
    number: str | None = None
    named_by: str | None = None
    last_contact_at_ms: int | None = None
    sales: int | None = None
    amount_minor: int | None = None


@dataclass(frozen=True, slots=True)
class _Mention:
    chain: bytes
    n: int
    link: bytes | None
    number: str | None
    by: str


def missing_of(log: ShopLog) -> list[Missing]:
    """Everything that is missed, by device. Reads every entry. Raises ``StorageError``."""
    directory = OwnerChain.read(log).directory
    found = [*_holes(log, directory), *_tails(log, directory), *untold(log)]
    return sorted(found, key=lambda one: (one.name, one.sort, one.first or 0))


def holes(log: ShopLog) -> list[Missing]:
    """Only the holes in chains. O(chains)."""
    return list(_holes(log, OwnerChain.read(log).directory))


def untold(log: ShopLog) -> list[Missing]:
    """The devices that have not been here since the relay was put back. O(devices)."""
    restored = read_restored(log)
    if restored is None:
        return []
    # It may have been put back since then in another way: a disk, a whole machine.
    since_ms = max(restored.at_ms, restore_noticed_ms(log) or 0)
    directory = OwnerChain.read(log).directory
    names, found = device_names(directory), []
    for certificate in machines_of(directory):
        contact, name = read_contact(log, certificate.device), names[certificate.device]
        if contact is None:
            found.append(Missing("untold", certificate.device, name))
        elif not was_here_since(log, contact, since_ms):
            found.append(
                Missing(
                    "untold",
                    certificate.device,
                    name,
                    last_contact_at_ms=contact.at_ms,
                    sales=contact.pending_sales,
                    amount_minor=contact.pending_amount_minor,
                )
            )
    return found


def _holes(log: ShopLog, directory: Directory) -> Iterator[Missing]:
    on_hold = cache(lambda: _on_hold(log, directory))
    names = device_names(directory)
    for chain, intervals in _intervals(log).items():
        for (_, hi), (lo, _) in pairwise([(0, 0), *intervals]):
            if lo <= hi + 1:
                continue
            device, name = _whose(log, names, chain)
            after = last_number(log, chain, hi) if hi else None
            before = _next_number(log, chain, lo)
            for first, last in difference([(hi + 1, lo - 1)], on_hold().get(chain, [])):
                yield Missing("hole", device, name, chain, first, last, after=after, before=before)


def _tails(log: ShopLog, directory: Directory) -> Iterator[Missing]:
    ends = {chain: intervals[-1][1] for chain, intervals in _intervals(log).items()}
    furthest: dict[bytes, _Mention] = {}
    names = device_names(directory)
    for mention in _mentions(log, names):
        if mention.n <= ends.get(mention.chain, 0):
            continue
        known = furthest.get(mention.chain)
        if known is None or (known.n, known.number or "") < (mention.n, mention.number or ""):
            furthest[mention.chain] = mention
    on_hold = cache(lambda: _on_hold(log, directory))
    for chain, mention in furthest.items():
        end = ends.get(chain, 0)
        device, name = _whose(log, names, chain)
        for first, last in difference([(end + 1, mention.n)], on_hold().get(chain, [])):
            yield Missing(
                "tail",
                device,
                name,
                chain,
                first,
                last,
                after=last_number(log, chain, end) if end else None,
                number=mention.number if last == mention.n else None,
                named_by=mention.by,
            )


def _on_hold(log: ShopLog, directory: Directory) -> dict[bytes, list[Interval]]:
    """By chain, the numbers that wait for a person and are what their device signed: they are here. O(what is
    kept apart).
    """
    numbers = defaultdict[bytes, set[int]](set)
    for apart in log.apart():
        if apart.held and apart.record[:1] == ENTRY:
            with suppress(RecordError):
                entry = read_entry(apart.record[1:])
                if signature_holds(entry, directory):
                    numbers[entry.facts.chain].add(entry.facts.n)
    return {chain: [(n, n) for n in sorted(found)] for chain, found in numbers.items()}


def _intervals(log: ShopLog) -> dict[bytes, list[tuple[int, int]]]:
    """By chain, the numbers that are held, joined."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for run in sorted(log.runs(), key=lambda run: (run.chain, run.lo)):
        held = found.setdefault(run.chain, [])
        if held and run.lo <= held[-1][1] + 1:
            held[-1] = (held[-1][0], max(held[-1][1], run.hi))
        else:
            held.append((run.lo, run.hi))
    return found


def _mentions(log: ShopLog, names: dict[bytes, str]) -> Iterator[_Mention]:
    for chain, intervals in _intervals(log).items():
        for lo, hi in intervals:
            for _, sealed in log.chain_entries(chain, lo, hi):
                if any(name in sealed for name in _NAMES):
                    try:
                        yield from _named_in(read_entry(sealed), names)
                    except (CrdtsyncError, TypeError, ValueError, KeyError, AttributeError):
                        continue  # What entries of its kind look like is `verify`'s question.


def _named_in(entry: Entry, names: dict[bytes, str]) -> Iterator[_Mention]:
    body: dict[str, Any] = dict(entry.body)
    whose = names.get(entry.author, "the owner")
    by = f"{entry.kind} {body['num'] if 'num' in body else body['seq']} of {whose}"
    if "ref" in body:
        ref = body["ref"]
        number = ref["num"] if type(ref["num"]) is str else None
        yield _Mention(bytes.fromhex(ref["chain"]), int(ref["seq"]), bytes.fromhex(ref["link"]), number, by)
    for head in (*read_heads(body.get("heads", [])), *read_heads([body["wit"]] if "wit" in body else [])):
        yield _Mention(head.chain, head.n, head.link, None, by)
    for chain, n in body["cut"].items() if "cut" in body else ():
        yield _Mention(bytes.fromhex(chain), int(n), None, None, by)


def _whose(log: ShopLog, names: dict[bytes, str], chain: bytes) -> tuple[bytes, str]:
    for lo, _ in _intervals(log).get(chain, []):
        for sealed in log.entry(chain, lo):
            author = read_entry(sealed).author
            return author, names.get(author, author.hex())
    return b"", f"chain {chain.hex()[:8]}"


def _next_number(log: ShopLog, chain: bytes, n: int) -> str | None:
    for _, sealed in log.chain_entries(chain, n, n + LOOKED_BACK_MAX):
        entry = read_entry(sealed)
        if entry.kind in ("sale", "refund") and entry.body["mode"] == "live":
            number: str = entry.body["num"]
            return number
    return None
