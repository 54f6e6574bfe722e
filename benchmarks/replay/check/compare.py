"""Comparing copies with one another, with what was told, and with the source."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks.replay.check.chains import chain_defects, chains_of, closings, device_names
from benchmarks.replay.check.source import Expected
from benchmarks.replay.check.store import Copy, Entry


def copy_defects(copy: Copy) -> Iterator[str]:
    """What is wrong with one copy, whatever the others hold."""
    yield from copy.defects
    if copy.apart:
        yield f"{copy.apart} records were set apart"
    if copy.refused:
        yield f"the relay refused {copy.refused} records"
    chains = chains_of(copy.entries.values())
    names = device_names(chains)
    for chain in chains.values():
        yield from chain_defects(names.get(chain[0].body["till"], "owner"), chain)


def fingerprints(copy: Copy) -> dict[str, str]:
    """Document -> SHA-256 of what it is made of, sorted: links of entries, hashes of updates."""
    parts: dict[str, set[str]] = defaultdict(set)
    for entry in copy.entries.values():
        body = entry.body
        owner = body["kind"] in ("owner", "certify", "revoke")
        parts["owner" if owner else f"ledger/{body['till']}/{body['bd']}"].add(entry.link)
    for name, digests in copy.updates.items():
        parts[name] |= digests
    return {
        name: hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in sorted(digests))).hexdigest()
        for name, digests in parts.items()
    }


def fingerprint_defects(copies: Sequence[Copy]) -> Iterator[str]:
    """Documents that are not the same in all copies. (One that a copy has compacted is made of other records
    there; whether it says the same is for those who can read Yjs.)
    """
    first, *others = copies
    expected = fingerprints(first)
    for other in others:
        found = fingerprints(other)
        for name in sorted((expected.keys() | found.keys()) - first.compacted - other.compacted):
            if expected.get(name) != found.get(name):
                yield f"{name} differs between {first.name} and {other.name}"


def status_defects(copy: Copy, status: Mapping[str, Any]) -> Iterator[str]:
    """Where `crdtsync status --documents` of a copy says something else than its bytes. (What it says of a
    Yjs document is about the content, which only those can compute who read Yjs: see ``said_defects``.)
    """
    found = _of_entries(fingerprints(copy))
    said = _of_entries(_said(status))
    for name in sorted(said.keys() | found.keys()):
        if said.get(name) != found.get(name):
            yield f"status gives {name} the fingerprint {said.get(name)}, its bytes have {found.get(name)}"
    if status["pending_records"]:
        yield f"status says that {status['pending_records']} records are pending"
    if status["apart"] or status["refused_by_relay"]:
        yield f"status says that {status['apart']} were set apart, {status['refused_by_relay']} refused"


def said_defects(statuses: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Documents whose fingerprints are not the same in what all registers say, by the register's name."""
    (first, status), *others = statuses.items()
    expected = _said(status)
    for name, other in others:
        found = _said(other)
        for document in sorted(expected.keys() | found.keys()):
            if expected.get(document) != found.get(document):
                yield f"{first} and {name} say that they hold something else in {document}"


def _said(status: Mapping[str, Any]) -> dict[str, str]:
    return {row["name"]: row["fingerprint"] for row in status["documents"] if row["fingerprint"]}


def _of_entries(documents: Mapping[str, str]) -> dict[str, str]:
    return {name: held for name, held in documents.items() if name.startswith(("ledger/", "owner"))}


def told_defects(copy: Copy, register: str, told: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tickets that a register told to be paid, before any kill, and that are not there as it told them."""
    for ticket in told:
        entry = copy.entries.get(ticket["link"])
        if entry is None:
            yield f"ticket {ticket['number']} that {register} told to be paid is not there"
        elif (entry.body["num"], entry.body.get("req")) != (ticket["number"], str(ticket["basket"])):
            yield f"ticket {ticket['number']} that {register} told to be paid is another one there"


def source_defects(copy: Copy, expected: Expected) -> Iterator[str]:
    """Where the tickets of a copy are not those of the source."""
    chains = chains_of(copy.entries.values())
    names = device_names(chains)
    registers = {
        int(names[chain[0].body["till"]].rsplit(" ", 1)[1]): chain
        for chain in chains.values()
        if chain[0].body["kind"] == "register" and chain[0].body["till"] in names
    }
    tickets = _tickets(registers)
    yield from _ticket_defects(tickets, expected)
    days = tickets.groupby(["register", "day"]).agg(
        tickets=("due", "size"), lines=("lines", "sum"), money=("due", "sum")
    )
    yield from _table_defects("tickets, lines and money", expected.days(), days)
    yield from _table_defects("means of payment", expected.means(), _sums(registers, _means))
    yield from _table_defects("VAT rates", expected.rates(), _sums(registers, _rates))
    yield from _closing_defects(registers, expected.days())


def _tickets(registers: Mapping[int, Sequence[Entry]]) -> pd.DataFrame:
    rows = [
        {
            "basket_id": int(entry.body["req"]),
            "register": register,
            "day": entry.body["bd"],
            "at_ms": entry.body["ts"],
            "lines": len(entry.body["lines"]),
            "due": entry.body["ttc"] + entry.body.get("oos", 0),
            "content": tuple(sorted((int(line["sku"]), line["ttc"]) for line in entry.body["lines"])),
        }
        for register, chain in registers.items()
        for entry in chain
        if entry.body["kind"] == "sale"
    ]
    columns = ["basket_id", "register", "day", "at_ms", "lines", "due", "content"]
    return pd.DataFrame(rows, columns=columns)


def _ticket_defects(tickets: pd.DataFrame, expected: Expected) -> Iterator[str]:
    double = tickets[tickets["basket_id"].duplicated()]
    yield from (f"basket {basket} is there twice" for basket in double["basket_id"])
    by_basket = tickets.drop_duplicates("basket_id").set_index("basket_id")
    source = expected.lines
    content = {
        basket: tuple(sorted(zip(part["product_id"], part["sales_value"], strict=True)))
        for basket, part in source.groupby("basket_id")
    }
    at_ms = (
        source.drop_duplicates("basket_id")
        .set_index("basket_id")["transaction_timestamp"]
        .astype("datetime64[ms]")
        .astype("int64")
    )
    for basket in expected.tickets.index.difference(by_basket.index):
        yield f"basket {basket} of the source is in no ticket"
    for basket in by_basket.index.difference(expected.tickets.index):
        yield f"the ticket of basket {basket} is not of the source"
    for basket in by_basket.index.intersection(expected.tickets.index):
        if by_basket.at[basket, "content"] != content[basket]:
            yield f"basket {basket}: lines {by_basket.at[basket, 'content']}, in the source {content[basket]}"
        if by_basket.at[basket, "at_ms"] != at_ms[basket]:
            yield f"basket {basket}: sold at {by_basket.at[basket, 'at_ms']}, in the source {at_ms[basket]}"


def _sums(registers: Mapping[int, Sequence[Entry]], parts: Any) -> pd.DataFrame:
    """Sum what ``parts`` takes from each ticket: (keys…, amount)."""
    sums: dict[tuple[Any, ...], int] = defaultdict(int)
    for register, chain in registers.items():
        for entry in chain:
            if entry.body["kind"] == "sale":
                for *keys, amount in parts(entry.body):
                    sums[register, entry.body["bd"], *keys] += amount
    return pd.DataFrame({"amount": sums})


def _means(body: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for payment in body["pay"]:
        yield ("cash" if payment["m"] == "change" else payment["m"], payment["amt"])


def _rates(body: Mapping[str, Any]) -> Iterator[tuple[int, str, int]]:
    for line in body["lines"]:
        yield (line["vat"], line["vc"], line["ttc"])


def _table_defects(what: str, expected: pd.DataFrame, found: pd.DataFrame) -> Iterator[str]:
    left = {key: tuple(map(int, row)) for key, row in zip(expected.index, expected.to_numpy(), strict=True)}
    right = {key: tuple(map(int, row)) for key, row in zip(found.index, found.to_numpy(), strict=True)}
    for key in sorted(left.keys() | right.keys(), key=str):
        if left.get(key) != right.get(key):
            where = ", ".join(map(str, key[1:]))
            yield f"{what} of register {key[0]}, {where}: {right.get(key)}, in the source {left.get(key)}"


def _closing_defects(registers: Mapping[int, Sequence[Entry]], days: pd.DataFrame) -> Iterator[str]:
    """Every register closes each of its days once, with the figures of the source."""
    for register, chain in registers.items():
        found = closings(list(chain))
        expected = {day: row for (number, day), row in days.iterrows() if number == register}
        for day in sorted(expected.keys() | found.keys()):
            bodies, row = found.get(day, []), expected.get(day)
            if len(bodies) != 1 or row is None:
                yield f"register {register} closed {day} {len(bodies)} times"
                continue
            said = (bodies[0]["counts"].get("sale", 0), bodies[0]["total"] + bodies[0]["oos"])
            if said != (row["tickets"], row["money"]):
                yield f"the closing of {day} on register {register} says {said}, the source {tuple(row)}"
