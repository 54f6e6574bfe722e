"""Following chains: numbers without gap or double, links, totals that follow from lines."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from benchmarks.replay.check.store import Entry

FIRST_PREV: Final = {"register": b"crdtsync/ledger/v1\0", "owner": b"crdtsync/owner/v1\0"}
TICKETS: Final = ("sale", "refund")

Chains = dict[str, list[Entry]]
"""Link of the first entry -> entries by number."""


def chains_of(entries: Iterable[Entry]) -> Chains:
    """Sort entries into their chains."""
    chains: Chains = defaultdict(list)
    for entry in entries:
        chains[entry.body.get("chain", entry.link)].append(entry)
    for chain in chains.values():
        chain.sort(key=lambda entry: (entry.body["seq"], entry.link))
    return dict(chains)


def device_names(chains: Chains) -> dict[str, str]:
    """Device id -> name, as the owner's chain certifies them."""
    return {
        entry.body["device"]: entry.body["name"]
        for chain in chains.values()
        for entry in chain
        if entry.body["kind"] == "certify"
    }


def chain_defects(name: str, chain: list[Entry]) -> Iterator[str]:
    """What is wrong with one chain, and with each of its entries."""
    yield from _follow(name, chain)
    tickets = [entry for entry in chain if entry.body["kind"] in TICKETS]
    yield from _numbers(name, tickets)
    real = absolute = 0
    for entry in tickets:
        body = entry.body
        where = f"{name}: ticket {body['num']}"
        yield from (f"{where}: {what}" for what in _totals(body))
        real, absolute = real + body["ttc"], absolute + abs(body["ttc"])
        if body["gt"] != {"real": real, "abs": absolute}:
            yield f"{where}: grand totals {body['gt']} where {real} and {absolute} are due"


def closings(chain: list[Entry]) -> dict[str, list[dict[str, Any]]]:
    """Business day -> its day closings."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in chain:
        if entry.body["kind"] == "close" and entry.body["level"] == "day":
            found[entry.body["bd"]].append(entry.body)
    return dict(found)


def _follow(name: str, chain: list[Entry]) -> Iterator[str]:
    first = chain[0].body
    if first["kind"] not in FIRST_PREV:
        yield f"{name}: the chain begins with a {first['kind']}"
        return
    prev = hashlib.sha256(FIRST_PREV[first["kind"]] + bytes.fromhex(first["till"])).hexdigest()
    ts = 0
    counts: dict[str, int] = defaultdict(int)
    for number, entry in enumerate(chain, start=1):
        body = entry.body
        counts[body["kind"]] += 1
        if body["seq"] != number:
            yield f"{name}: entry {number} is expected, and {body['seq']} comes"
            return
        if body["prev"] != prev:
            yield f"{name}: entry {number} does not follow the one before it"
        if body["n"] != counts[body["kind"]]:
            yield f"{name}: entry {number} counts {body['n']}, it is {body['kind']} {counts[body['kind']]}"
        if body["ts"] < ts and not (body["kind"] == "jet" and body["code"] == 1001):
            yield f"{name}: the time goes back at entry {number}"
        prev, ts = entry.link, body["ts"]


def _numbers(name: str, tickets: list[Entry]) -> Iterator[str]:
    for counter, entry in enumerate(tickets, start=1):
        series, year, number = entry.body["num"].split("-")
        if (int(number), year) != (counter, entry.body["bd"][2:4]):
            yield f"{name}: ticket {counter} is expected, and {entry.body['num']} comes"
            return
        if series != tickets[0].body["num"].split("-")[0]:
            yield f"{name}: the series changes at {entry.body['num']}"


def _totals(body: dict[str, Any]) -> Iterator[str]:
    by_rate: dict[tuple[int, str], int] = defaultdict(int)
    for line in body["lines"]:
        gross = _half_up(line["pu"] * line["qty"], 1000)
        if gross - line["disc"] != line["ttc"] or line["disc"] < 0:
            yield f"line {line['i']} comes to {gross - line['disc']}, it says {line['ttc']}"
        by_rate[line["vat"], line["vc"]] += line["ttc"]
    outside = sum(amount for (_, vat_class), amount in by_rate.items() if vat_class == "O")
    if body.get("oos", 0) != outside:
        yield f"outside the scope of VAT are {outside}, it says {body.get('oos', 0)}"
    inside = {rate: amount for rate, amount in by_rate.items() if rate[1] != "O"}
    said = {(rate["vat"], rate["vc"]): rate["ttc"] for rate in body["vat"]}
    if inside != said or sum(inside.values()) != body["ttc"]:
        yield f"the lines come to {inside}, it says {said} and {body['ttc']}"
    for rate in body["vat"]:
        without = _half_up(rate["ttc"] * 10_000, 10_000 + rate["vat"])
        if (rate["ht"], rate["tva"]) != (without, rate["ttc"] - without):
            yield f"VAT at {rate['vat']} of {rate['ttc']}: it says {rate['ht']} and {rate['tva']}"
    if sum(payment["amt"] for payment in body["pay"]) != body["ttc"] + outside:
        yield "the payments do not come to what is due"


def _half_up(numerator: int, denominator: int) -> int:
    half = (2 * abs(numerator) + denominator) // (2 * denominator)
    return half if numerator >= 0 else -half
