"""What lies on the disks of a shop whose folders were copied and put back: a program that shares no code with
the product. It reads the stores as ``docs/reference/storage-format.md`` says, and judges chains as
``docs/reference/entries.md`` does.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.replay.check.store import Entry, read_copy

FIRST_PREV = {"register": b"crdtsync/ledger/v1\0", "owner": b"crdtsync/owner/v1\0"}
TICKETS = ("sale", "refund")


def main() -> None:
    """Read lists of folders, one per line, and print what the stores in them hold and what is wrong there."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_look(json.loads(line))) + "\n")
        sys.stdout.flush()


def _look(folders: list[str]) -> dict[str, Any]:
    known: dict[str, Entry] = {}
    stores = {folder: sorted(Path(folder).glob("re*.sqlite"))[0] for folder in folders}
    copies = {folder: read_copy(folder, store, known) for folder, store in stores.items()}
    return {
        folder: {
            "links": sorted(copy.entries),
            "tickets": {
                link: _money(entry.body) for link, entry in copy.entries.items() if _is_ticket(entry)
            },
            "defects": [*copy.defects, *_defects(copy.entries)],
            "forks": _forks(copy.entries),
            "left": _left(copy.entries),
        }
        for folder, copy in copies.items()
    }


def _is_ticket(entry: Entry) -> bool:
    return entry.body["kind"] in TICKETS and entry.body["mode"] == "live"


def _money(body: dict[str, Any]) -> int:
    return int(body["ttc"]) + int(body.get("oos", 0))


def _chains(entries: dict[str, Entry]) -> dict[str, dict[int, list[Entry]]]:
    chains: dict[str, dict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries.values():
        chains[entry.body.get("chain", entry.link)][entry.body["seq"]].append(entry)
    return chains


def _forks(entries: dict[str, Entry]) -> dict[str, int]:
    """By chain of a register, the first number that is there several times."""
    found = {}
    for chain, numbered in _chains(entries).items():
        twice = [n for n, those in numbered.items() if len(those) > 1]
        if twice and numbered[1][0].body["kind"] == "register":
            found[chain] = min(twice)
    return found


def _left(entries: dict[str, Entry]) -> list[dict[str, Any]]:
    """Chains that were begun because another was left: which, by whom, where, with what series."""
    return [
        {
            "chain": entry.link,
            "device": entry.body["till"],
            "series": entry.body["series"],
            "of": entry.body["follows"]["chain"],
            "at": entry.body["follows"]["seq"],
            "link": entry.body["follows"]["link"],
        }
        for entry in entries.values()
        if "follows" in entry.body
    ]


def _defects(entries: dict[str, Entry]) -> Iterator[str]:
    chains = _chains(entries)
    for chain, numbered in chains.items():
        yield from _tree(chain, numbered)
    for one in _left(entries):
        tip = entries.get(one["link"])
        if tip is None or (tip.body.get("chain", tip.link), tip.body["seq"]) != (one["of"], one["at"]):
            yield f"chain {one['chain'][:8]} follows an entry that is not there"
        elif sum(entry.body["prev"] == one["link"] for entry in entries.values()) > 1:
            # Once: the other holder goes on after the same entry.
            yield f"chain {one['of'][:8]} was written on by two after it was left"
    series = Counter(
        numbered[1][0].body["series"] for numbered in chains.values() if "series" in numbered[1][0].body
    )
    yield from (f"series {name} belongs to {count} chains" for name, count in series.items() if count > 1)
    yield from _numbers(chains)


def _tree(chain: str, numbered: dict[int, list[Entry]]) -> Iterator[str]:
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        yield f"chain {chain[:8]} has holes"
        return
    first = numbered[1][0].body
    if first["prev"] != hashlib.sha256(FIRST_PREV[first["kind"]] + bytes.fromhex(first["till"])).hexdigest():
        yield f"chain {chain[:8]} does not begin as its author's would"
    for n, those in numbered.items():
        before = {entry.link for entry in numbered.get(n - 1, [])}
        for entry in those:
            if n > 1 and entry.body["prev"] not in before:
                yield f"entry {n} of chain {chain[:8]} follows nothing"
            if entry.body["till"] != first["till"]:
                yield f"entry {n} of chain {chain[:8]} was written by another device"


def _numbers(chains: dict[str, dict[int, list[Entry]]]) -> Iterator[str]:
    """A ticket number is there once, except in versions of a chain that forked; it counts on along each."""
    owner: dict[str, str] = {}
    for chain, numbered in chains.items():
        counted: dict[str, int] = {}
        for n in sorted(numbered):
            for entry in numbered[n]:
                counter = counted.get(entry.body["prev"], 0) + _is_ticket(entry)
                counted[entry.link] = counter
                if not _is_ticket(entry):
                    continue
                number = entry.body["num"]
                if owner.setdefault(number, chain) != chain:
                    yield f"ticket {number} is there in two chains"
                if int(number.split("-")[2]) != counter:
                    yield f"ticket {number} is number {counter} of its chain"


if __name__ == "__main__":
    main()
