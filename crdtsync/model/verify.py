"""Verifying a chain: does everything in it follow, entry by entry, from its beginning?

This is the whole check, for ``crdtsync verify``, archives and inspectors: signatures, links, numbers, totals,
closings, clock and business day. It streams, holds one head per branch in memory, and never stops at a
defect: it names the entry and goes on. After a gap the numbers and totals that the missing entries would have
explained are taken from the entries that follow, so that one gap is one defect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from crdtsync.errors import RecordError
from crdtsync.model import owner_key, sealed
from crdtsync.model.certificate import Directory
from crdtsync.model.chain import (
    CLOCK_STEP_CODE,
    ChainHead,
    advance,
    ticket_counter,
    ticket_number,
    training_number,
)
from crdtsync.model.closing import closing_fields
from crdtsync.model.entry import Entry, Head, is_owner_kind, read_entry
from crdtsync.model.flags import wrong_payments, wrong_totals
from crdtsync.model.form import payload_problem, wrong_way
from crdtsync.model.period import COUNTED_KINDS, LEVELS, Period
from crdtsync.model.signature import verify


@dataclass(frozen=True, slots=True)
class Defect:
    """What does not hold, and where. ``seq`` is the entry's number along the chain (0 when it cannot be
    read), ``num`` its ticket number. ``code`` is one of ``CODES``; ``message`` a sentence for a person.
    """

    code: str
    link: bytes
    seq: int
    num: str | None
    message: str


CODES: Final = {
    "malformed": "the bytes are no entry",
    "gap": "entries are missing",
    "fork": "two versions of one number",
    "link": "the entry before is not the one it was sealed after",
    "chain": "an entry of another chain or device",
    "key": "the key is not certified for the device",
    "signature": "the bytes are not what was signed",
    "clock": "the time goes back without a note of it",
    "day": "the business day goes back",
    "count": "the count of its kind does not follow",
    "form": "a field is missing or not of its form",
    "totals": "the totals do not follow from the lines",
    "sign": "goods or money go the other way than in an entry of its kind",
    "payment": "the payments are not what was to be paid",
    "refund": "what was given back is not what was sold (see ``model.returns``)",
    "number": "the ticket number does not follow",
    "grand-total": "the grand totals do not follow",
    "closing": "a closing does not follow from its entries",
    "tail": "the end of the chain that was known elsewhere is missing",
    "witness": "the entry known elsewhere is not the one held here",
}
"""Code -> what it means."""


@dataclass(frozen=True, slots=True)
class _Branch:
    """What was learned up to ``head``, and what cannot be known of it.

    ``unknown`` holds ``gt``, ``ticket``, the levels of closings, ``kind <kind>`` for the count of a kind,
    and ``kinds`` for those of all kinds not met yet. A gap makes everything unknown; a defect makes the
    one thing unknown, so that what follows from it is not reported again and again.
    """

    head: ChainHead
    unknown: frozenset[str] = frozenset()


_PAYLOAD: Final = frozenset(("gt", "ticket", *LEVELS))


def verify_chain(
    chain: bytes,
    entries: Iterable[bytes],
    *,
    directory: Directory | None = None,
    known: Sequence[Head] = (),
) -> Iterator[Defect]:
    """Verify the sealed entries of one chain, given in ascending number (versions of one number together).

    ``directory``: also ask whether the chain's key is certified. ``known``: heads of the chain that somebody
    else holds (a relay's acknowledgement, a witness in another chain); without one, a missing end cannot be
    seen. Yields defects as they are found. Never raises for what the entries contain.
    """
    walk = _Walk(chain, directory, {head.n: head for head in known if head.chain == chain})
    for n, versions in groupby(walk.read(entries), key=lambda entry: entry.facts.n):
        yield from walk.set_aside()
        yield from walk.step(n, list({entry.link: entry for entry in versions}.values()))
    yield from walk.set_aside()
    yield from walk.end()


class _Walk:
    """The state of one verification: the branches that reach number ``last_n``, normally one."""

    def __init__(self, chain: bytes, directory: Directory | None, known: dict[int, Head]) -> None:
        self._chain = chain
        self._directory = directory
        self._known = known
        self._aside: list[Defect] = []
        self._branches: list[_Branch] = []
        self._last_n = 0
        self._author: bytes | None = None
        self._keys: list[bytes] = []

    def read(self, entries: Iterable[bytes]) -> Iterator[Entry]:
        """The entries of this chain; everything else is set aside."""
        for data in entries:
            try:
                entry = read_entry(data)
            except RecordError as error:
                self._aside.append(Defect("malformed", sealed.link(data), 0, None, str(error)))
                continue
            if entry.facts.chain == self._chain:
                yield entry
            else:
                message = f"an entry of chain {entry.facts.chain.hex()[:8]} among those of this one"
                self._aside.append(_defect("chain", entry, message))

    def set_aside(self) -> Iterator[Defect]:
        """The defects of what was set aside since the last call."""
        found, self._aside = self._aside, []
        yield from found

    def step(self, n: int, versions: list[Entry]) -> Iterator[Defect]:
        """Judge all versions of entry ``n``."""
        if self._author is None:
            yield from self._begin(versions[0])
        if n > self._last_n + 1:
            yield _defect("gap", versions[0], f"entries {self._last_n + 1} to {n - 1} are missing")
            before = self._branches[0].head if self._branches else None
            self._branches = [_after_gap(before, entry) for entry in versions]
        reached: list[_Branch] = []
        for entry in versions:
            if len(versions) > 1:
                yield _defect("fork", entry, f"{len(versions)} versions of entry {n} exist")
            yield from self._check_seal(entry)
            branch, misplaced = self._branch_of(entry)
            yield from misplaced
            defects, branch = _follow(branch, entry)
            yield from defects
            reached.append(branch)
        self._branches, self._last_n = reached, n

    def end(self) -> Iterator[Defect]:
        """Compare the end with what is known elsewhere."""
        for n, head in sorted(self._known.items()):
            if n > self._last_n:
                message = f"known elsewhere up to entry {n}, held here up to {self._last_n}"
                yield Defect("tail", head.link, n, None, message)

    def _begin(self, first: Entry) -> Iterator[Defect]:
        self._author = first.author
        known = [] if self._directory is None else self._directory.certificates(first.author)
        certified = {certificate.public: certificate.series for certificate in known}
        if first.facts.n > 1:
            self._keys = list(certified)
        else:
            self._keys = [bytes.fromhex(first.body["key"]["pub"])]
            if self._directory is not None and first.kind == "register":
                yield from _check_certified(first, certified, self._keys[0])
        if not self._keys:
            yield _defect("key", first, "the first entry is missing: signatures cannot be verified")

    def _branch_of(self, entry: Entry) -> tuple[_Branch | None, list[Defect]]:
        """The branch that an entry continues, or else the first one and a defect."""
        for branch in self._branches:
            if branch.head.link == entry.facts.prev:
                return branch, []
        if not self._branches:
            return None, []
        message = f"it was sealed after {entry.facts.prev.hex()[:8]}, which is not here"
        return self._branches[0], [_defect("link", entry, message)]

    def _check_seal(self, entry: Entry) -> Iterator[Defect]:
        if entry.author != self._author:
            yield _defect("chain", entry, f"device {entry.author.hex()[:8]} wrote into this chain")
        body, text = sealed.split(entry.sealed)
        if self._keys and not any(verify(public, body, text) for public in self._keys_of(entry)):
            yield _defect("signature", entry, "the bytes are not what was signed with the key of this chain")
        elif self._is_retired(entry):
            yield _defect(
                "key", entry, "it is signed with an owner key that was given up before it was known"
            )
        elif entry.kind == owner_key.KIND:
            yield from self._hand_over(entry)
        head = self._known.get(entry.facts.n)
        if head is not None and head.link != entry.link:
            yield _defect("witness", entry, f"entry {head.n} is known elsewhere as {head.link.hex()[:8]}")

    def _keys_of(self, entry: Entry) -> list[bytes]:
        """The keys that may have signed an entry: an owner who has handed over says by which."""
        by = entry.body.get("by")
        if not is_owner_kind(entry.kind) or type(by) is not str:
            return self._keys[:1] if is_owner_kind(entry.kind) else self._keys
        return [public for public in self._keys[1:] if public.hex() == by]

    def _is_retired(self, entry: Entry) -> bool:
        if self._directory is None or entry.kind == "owner" or not is_owner_kind(entry.kind):
            return False
        return not self._directory.keys.is_good(owner_key.signed_by(entry.body), entry.link)

    def _hand_over(self, entry: Entry) -> Iterator[Defect]:
        try:
            rotation = owner_key.read_owner_key(entry.body, entry.author)
        except RecordError as error:
            yield _defect("form", entry, str(error))
        else:
            self._keys = [*self._keys, rotation.public]


def _check_certified(first: Entry, certified: Mapping[bytes, str | None], key: bytes) -> Iterator[Defect]:
    """Whether the chain's key, and the series of its tickets, are what the shop's owner certified."""
    if key not in certified:
        yield _defect("key", first, "no certificate of the shop names the key of this chain")
    elif certified[key] not in (None, first.body["series"]) and "follows" not in first.body:
        # One that follows another has numbers of its own: nobody knows what was given out in the other.
        message = f"its tickets are of series {first.body['series']}, its certificate says {certified[key]}"
        yield _defect("number", first, message)


def _follow(branch: _Branch | None, entry: Entry) -> tuple[list[Defect], _Branch]:
    """Check an entry against the branch that it continues; the branch after it."""
    if branch is None:
        return [], _Branch(advance(None, entry))
    branch = _adopt_count(branch, entry)
    defects = _check_common(branch.head, entry)
    problem = payload_problem(entry.body)
    if problem is not None:
        defects.append(_defect("form", entry, problem))
        after = _Branch(_skip(branch.head, entry), branch.unknown | _PAYLOAD)
    else:
        branch = _adopt_totals(branch, entry)
        defects += _check_payload(branch, entry)
        after = _settle(branch, entry)
    return defects, _forget(after, entry, {defect.code for defect in defects}, branch.head.ticket)


def _check_common(head: ChainHead, entry: Entry) -> list[Defect]:
    body, defects = entry.body, []
    noted = entry.kind == "jet" and body.get("code") == CLOCK_STEP_CODE
    if body["ts"] < head.ts_ms and not noted:
        defects.append(_defect("clock", entry, f"the time goes back {head.ts_ms - body['ts']} ms"))
    if body["bd"] < head.bd:
        defects.append(_defect("day", entry, f"the business day goes back from {head.bd} to {body['bd']}"))
    expected = head.counts.get(entry.kind, 0) + 1
    if body["n"] != expected:
        message = f"it says it is {entry.kind} number {body['n']}, and is number {expected}"
        defects.append(_defect("count", entry, message))
    if (body["mode"] == "train") != (entry.kind == "train"):
        defects.append(_defect("form", entry, "training and sales are mixed up"))
    return defects


def _check_payload(branch: _Branch, entry: Entry) -> list[Defect]:
    head, body, defects = branch.head, entry.body, []
    counted = entry.kind in COUNTED_KINDS
    ticket = counted or entry.kind == "abandon"
    if ticket and (problem := wrong_totals(body)):
        defects.append(_defect("totals", entry, problem))
    if problem := wrong_way(body):
        defects.append(_defect("sign", entry, problem))
    if counted:
        if problem := wrong_payments(body):
            defects.append(_defect("payment", entry, problem))
        number = ticket_number(head.series, body["bd"], head.ticket + 1)
        if body["num"] != number:
            defects.append(_defect("number", entry, f"the next number was {number}"))
    if entry.kind == "train" and head.series:
        number = training_number(head.series, body["bd"], body["n"])
        if body.get("num") != number:
            defects.append(_defect("number", entry, f"the number of this training is {number}"))
    if counted or entry.kind == "close":
        defects += _check_grand_totals(head, entry)
    if entry.kind == "close" and body["level"] not in branch.unknown:
        defects += _check_closing(head, entry)
    return defects


def _check_grand_totals(head: ChainHead, entry: Entry) -> list[Defect]:
    ttc = entry.body["ttc"] if entry.kind in COUNTED_KINDS else 0
    expected = {"real": head.gt_real + ttc, "abs": head.gt_abs + abs(ttc)}
    found = entry.body["gt"]
    if found == expected:
        return []
    message = f"real {found['real']} and abs {found['abs']}, not {expected['real']} and {expected['abs']}"
    return [_defect("grand-total", entry, message)]


def _check_closing(head: ChainHead, entry: Entry) -> list[Defect]:
    body = entry.body
    expected = closing_fields(head, body["level"])
    cash, found = expected.pop("cash", {}), body.get("cash", {})
    wrong = [name for name, value in expected.items() if body.get(name) != value]
    wrong += [name for name in ("first", "last", "plink") if name in body and name not in expected]
    counted = found.get("counted")
    gap = {} if counted is None else {"counted": counted, "gap": counted - cash.get("expected", 0)}
    wrong += ["cash"] if found != cash | gap else []
    if not wrong:
        return []
    return [_defect("closing", entry, f"{', '.join(sorted(wrong))}: not what follows from its entries")]


def _adopt_count(branch: _Branch, entry: Entry) -> _Branch:
    """Take a count that is unknown from the entry itself."""
    token, head = f"kind {entry.kind}", branch.head
    if token in branch.unknown or ("kinds" in branch.unknown and entry.kind not in head.counts):
        counts = {**head.counts, entry.kind: entry.body["n"] - 1}
        return _Branch(replace(head, counts=counts), branch.unknown - {token})
    return branch


def _adopt_totals(branch: _Branch, entry: Entry) -> _Branch:
    """Take a ticket number and grand totals that are unknown from the entry itself."""
    head, body, unknown = branch.head, entry.body, branch.unknown
    counted = entry.kind in COUNTED_KINDS
    if "gt" in unknown and (counted or entry.kind == "close"):
        ttc = body["ttc"] if counted else 0
        real, absolute = body["gt"]["real"] - ttc, body["gt"]["abs"] - abs(ttc)
        head, unknown = replace(head, gt_real=real, gt_abs=absolute), unknown - {"gt"}
    if "ticket" in unknown and counted:
        series = head.series or body["num"].partition("-")[0]
        counter = max(head.ticket, ticket_counter(body["num"]) - 1)
        head, unknown = replace(head, series=series, ticket=counter), unknown - {"ticket"}
    return _Branch(head, unknown)


def _settle(branch: _Branch, entry: Entry) -> _Branch:
    """The branch after an entry that could be read; a closing makes its level known again."""
    facts, unknown = entry.facts, branch.unknown
    head = advance(replace(branch.head, link=facts.prev, n=facts.n - 1), entry)
    level = entry.body["level"] if entry.kind == "close" else None
    if level not in unknown:
        return _Branch(head, unknown)
    closings = {**head.closings, level: (entry.link, entry.body["z"])}
    head = replace(head, closings=closings)
    begun = Period(entry.body["to"] + 1)
    if level == "day":
        unknown -= {"day"}
    elif level == "month" and "day" not in unknown:
        head, unknown = replace(head, month=begun), unknown - {"month"}
    elif level == "year" and not unknown & {"day", "month"}:
        head, unknown = replace(head, year=begun), unknown - {"year"}
    return _Branch(head, unknown)


def _forget(branch: _Branch, entry: Entry, codes: set[str], ticket: int) -> _Branch:
    """What the defects of this entry make unknown for those after it; ``ticket`` is the counter before."""
    head, unknown = branch.head, branch.unknown
    if "count" in codes:
        unknown |= {f"kind {entry.kind}"}
    if "grand-total" in codes:
        unknown |= {"gt"}
    if "number" in codes and entry.kind in COUNTED_KINDS:
        head, unknown = replace(head, ticket=ticket + 1), unknown | {"ticket"}
    if "day" in codes:
        head = replace(head, bd=entry.body["bd"])
    return _Branch(head, unknown)


def _skip(head: ChainHead, entry: Entry) -> ChainHead:
    """The head after an entry whose payload cannot be used."""
    return replace(
        head,
        link=entry.link,
        n=entry.facts.n,
        ts_ms=entry.body["ts"],
        bd=max(head.bd, entry.body["bd"]),
        counts={**head.counts, entry.kind: entry.body["n"]},
    )


def _after_gap(head: ChainHead | None, entry: Entry) -> _Branch:
    """The branch that an entry continues whose predecessors are missing."""
    facts = entry.facts
    if head is None:
        head = ChainHead(facts.chain, entry.author, facts.prev, facts.n - 1, 0, "")
    counts = {f"kind {kind}" for kind in head.counts}
    head = replace(head, link=facts.prev, n=facts.n - 1, ts_ms=0)
    return _Branch(head, _PAYLOAD | counts | {"kinds"})


def _defect(code: str, entry: Entry, message: str) -> Defect:
    num: Any = entry.body.get("num")
    return Defect(code, entry.link, entry.facts.n, num if type(num) is str else None, message)
