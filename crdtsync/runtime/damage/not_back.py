"""Own entries that were damaged on this disk and that nobody has brought back.

A log goes on behind what is damaged, and the relay acknowledges what follows. An entry that the relay had
comes back from it at the next contact. One that it never had lies in quarantine alone: it stays pending.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from crdtsync.ids import ENTRY
from crdtsync.runtime.committing.head import read_head
from crdtsync.runtime.folder.identity import HEAD
from crdtsync.storage.log import DAMAGED, Apart, ShopLog


def not_back(log: ShopLog) -> list[dict[str, Any] | None]:
    """What each of them says, None where that cannot be read any more. O(records set apart)."""
    # Asked for every second, and what else is set apart may be large.
    if not log.apart_counts().get((DAMAGED, False)) or log.state(HEAD) is None:
        return []
    damaged = [row.record for row in log.apart() if row.code == DAMAGED]
    head = read_head(log)
    holes = list(_holes(log, head.chain, head.n))
    told: dict[int, dict[str, Any]] = {}
    unreadable = 0
    for record in damaged:
        body = _body(record)
        if body is None:
            unreadable += 1
        elif body.get("chain") == head.chain.hex() and any(lo <= body["seq"] <= hi for lo, hi in holes):
            told[body["seq"]] = body
    left = sum(hi - lo + 1 for lo, hi in holes) - len(told)
    return [*told.values(), *[None] * min(left, unreadable)]


def is_back(log: ShopLog, row: Apart) -> bool:
    """Whether what was damaged here is here again, from whoever had a copy: of an entry that still says which
    it was. Of what cannot be read any more nobody can say it.
    """
    body = readable_body(row.record) if row.code == DAMAGED else None
    if body is None:
        return False
    try:
        chain, number = bytes.fromhex(body["chain"]), body["seq"]
    except (ValueError, TypeError, KeyError):
        return False
    return type(number) is int and bool(log.links_at(chain, number))


def _holes(log: ShopLog, chain: bytes, last: int) -> Iterator[tuple[int, int]]:
    """From and to which number of the own chain nothing is here."""
    reached = 0
    for run in sorted(log.runs(chain), key=lambda run: run.lo):
        if run.lo > reached + 1:
            yield reached + 1, run.lo - 1
        reached = max(run.hi, reached)
    if reached < last:
        yield reached + 1, last


def readable_body(record: bytes) -> dict[str, Any] | None:
    """What an entry says, if it can be read at all: nothing that was set apart is what it should be."""
    if record[:1] != ENTRY:
        return None
    try:
        body = orjson.loads(record[1:].rpartition(b"\0")[0])
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _body(record: bytes) -> dict[str, Any] | None:
    """What a damaged entry says, if it still says all that a status counts by."""
    body = readable_body(record)
    is_whole = body is not None and all(type(body.get(name)) is int for name in ("seq", "ts"))
    return body if body is not None and is_whole and {"kind", "mode", "till"} <= body.keys() else None
