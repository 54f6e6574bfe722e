"""Entries: sealed bytes, judged, projected into views and verified as a chain.

First byte: 0 sealed bytes as they are; 1 bodies, a line each, signed as they are; 2 bodies that are also made
to follow one another, so that what is wrong with one is only what was changed in it. Signatures are the fast
ones of simulations: a fuzzer cannot guess either sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from random import Random
from typing import Any, Final

import orjson

from crdtsync.errors import MalformedRecord, RecordError
from crdtsync.model import canonical, sealed
from crdtsync.model.admission import Held, judge_entry, judge_run, signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import Entry, first_prev, read_admitted, read_entry
from crdtsync.model.form import payload_problem, wrong_way
from crdtsync.model.ledger import entry_update
from crdtsync.model.signature import PrivateKey, signature_bytes, signature_text
from crdtsync.model.verify import CODES, verify_chain
from crdtsync.model.views import project
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.strange_entries import (
    STRANGE_SPELLINGS,
    STRANGE_VALUES,
    everything_once,
    signed_as_it_is,
)
from crdtsync.testing.till import MemoryOwner, MemoryTill
from tests.fuzz.mutation import with_byte_changed, with_pieces_changed, with_tree_changed
from tests.fuzz.target import Target, require

INPUT_BYTES_MAX: Final = 16 << 10
_AS_IT_IS, _SIGNED, _LINKED = range(3)


def _run(data: bytes) -> None:
    mode, rest = (data[0] if data else 0), data[1:]
    with fast_signatures():
        _, till = _shop()
        if mode == _AS_IT_IS:
            entries = [rest]
        elif mode == _SIGNED:
            entries = [signed_as_it_is(body, _key_for(body)) for body in rest.split(b"\n") if body]
        else:
            entries = _linked(rest.split(b"\n"))
        for each in entries:
            _reads(each)
        _judges(entries, _directory())
        chain = till.end.chain
        found = [defect.code for defect in verify_chain(chain, entries, directory=_directory())]
        require(set(found) <= CODES.keys(), "a defect has an unknown code")


def _reads(data: bytes) -> None:
    try:
        entry = read_entry(data)
    except RecordError:
        return
    body, text = sealed.split(data)
    require(sealed.join(body, text) == data, "an entry is more than its body and signature")
    require(signature_text(signature_bytes(text)) == text, "a signature has two spellings")
    require(canonical.encode(entry.body) == body, "a body has two spellings")
    require(read_admitted(data) == entry, "an admitted entry reads otherwise")
    projection = project(entry)
    require(orjson.dumps(orjson.loads(body)) != b"", "a body that no other program reads")
    require(bool(projection), "an entry has no projection")
    require(len(entry_update(entry.link, data)) > len(data), "an entry is not in its document")
    if payload_problem(entry.body) is None:
        wrong_way(entry.body)


def _judges(entries: list[bytes], directory: Directory) -> None:
    """Together they are judged as they are one by one."""
    verdicts = judge_run(entries, directory)
    for data, verdict in zip(entries, verdicts, strict=True):
        try:
            judged: Entry | Held | None = judge_entry(data, directory)
        except RecordError:
            judged = None
        # One that awaits its check is vouched for by those after it.
        is_sound = not verdict.awaits_check or (verdict.entry and signature_holds(verdict.entry, directory))
        admitted = verdict.admitted and bool(is_sound)
        require(admitted == isinstance(judged, Entry), "a run is judged otherwise than its entries")
        require(verdict.held == isinstance(judged, Held), "a run is held otherwise than its entries")
        if isinstance(judged, Entry):
            directory = directory.with_entry(judged, admitted=True)


@lru_cache(maxsize=1)
def _shop() -> tuple[MemoryOwner, MemoryTill]:
    owner = MemoryOwner()
    till = owner.enrol("till 1", series="01")
    return owner, everything_once(till)


@lru_cache(maxsize=1)
def _directory() -> Directory:
    return _shop()[0].directory


def _key_for(body: bytes) -> PrivateKey:
    owner, till = _shop()
    is_owners = owner.author.hex().encode() in body[:400] and b'"kind":"register"' not in body
    return owner.key if is_owners else till.key


def _linked(bodies: list[bytes]) -> list[bytes]:
    _, till = _shop()
    entries: list[bytes] = []
    prev, chain = first_prev(till.author).hex(), ""
    for body in bodies:
        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError:
            continue
        if type(fields) is not dict:
            continue
        fields |= {"seq": len(entries) + 1, "prev": prev, "till": till.author.hex(), "v": 1}
        fields.pop("chain", None)
        if chain:
            fields["chain"] = chain
        try:
            data = sealed.seal(fields, till.key)
        except MalformedRecord:
            continue
        entries.append(data)
        prev = sealed.link(data).hex()
        chain = chain or prev
    return entries


def _seeds() -> Iterator[bytes]:
    with fast_signatures():
        owner, till = _shop()
        bodies = [sealed.split(entry.sealed)[0] for entry in till.entries]
        owners = [sealed.split(entry.sealed)[0] for entry in owner.entries]
        yield bytes((_AS_IT_IS,)) + till.entries[1].sealed
        yield bytes((_AS_IT_IS,)) + owner.entries[1].sealed
    for body in (*bodies, *owners):
        yield bytes((_SIGNED,)) + body
    for count in (2, 4, 8):
        yield bytes((_LINKED,)) + b"\n".join(bodies[:count])
    for begin in range(1, len(bodies), 3):
        yield bytes((_LINKED,)) + b"\n".join([bodies[0], *bodies[begin : begin + 3]])
    yield bytes((_SIGNED,)) + b"\n".join([*owners, *bodies[:2]])


_VALUES: Final[tuple[Any, ...]] = tuple(v for v in STRANGE_VALUES if len(repr(v)) < 600)
_SPELLINGS: Final = tuple(spelling for spelling in STRANGE_SPELLINGS if len(spelling) < 600)


def _mutate(data: bytes, rng: Random) -> bytes:
    mode, rest = (data[0] if data else 0), data[1:]
    if rng.random() < 0.05:
        return bytes((rng.randrange(3),)) + rest
    if mode == _AS_IT_IS:
        if rng.random() < 0.2:
            return data[:-1] + rng.choice((b"A", b"B", b"Q", b"R", b"g", b"w", b"_", b"="))
        return data[:1] + with_byte_changed(rest, rng)
    bodies = rest.split(b"\n")
    if rng.random() < 0.3:
        return data[:1] + b"\n".join(with_pieces_changed(bodies, rng, _body))
    place = rng.randrange(len(bodies))
    bodies[place] = _with_body_changed(bodies[place], rng)
    return data[:1] + b"\n".join(bodies)


def _with_body_changed(body: bytes, rng: Random) -> bytes:
    if rng.random() < 0.1:
        values = body.split(b":")
        values[rng.randrange(len(values))] = rng.choice(_SPELLINGS).replace(b"\n", b" ")
        return b":".join(values)
    try:
        return orjson.dumps(with_tree_changed(orjson.loads(body), rng, _VALUES), option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, orjson.JSONEncodeError):
        return with_byte_changed(body, rng)


def _body(rng: Random) -> bytes:
    with fast_signatures():
        owner, till = _shop()
        return sealed.split(rng.choice((*till.entries, *owner.entries)).sealed)[0]


TARGET = Target("entries", _run, _seeds, _mutate, INPUT_BYTES_MAX)
