"""Reading what lies on a disk with nothing but JSON and SHA-256, as somebody would who has only the pages of
the reference: checks that shared the product's code would share its errors.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from crdtsync.model import signature


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its link, its body as bytes and as an object."""

    link: str
    raw: bytes
    signature: bytes
    body: dict[str, Any]

    @property
    def chain(self) -> str:
        """The link of the first entry of its chain."""
        return str(self.body.get("chain", self.link))

    @property
    def n(self) -> int:
        """Its number along its chain, from 1."""
        return int(self.body["seq"])

    @property
    def amount_minor(self) -> int:
        """What a ticket comes to."""
        return int(self.body["ttc"]) + int(self.body.get("oos", 0))

    @property
    def is_ticket(self) -> bool:
        """Whether it is a sale or a refund that counts."""
        return self.body["kind"] in ("sale", "refund") and self.body["mode"] == "live"


@lru_cache(maxsize=1 << 13)
def entry_of(record: bytes) -> Entry | None:
    """The entry of a record, None for a change of a document."""
    if record[:1] != b"E":
        return None
    sealed = record[1:]
    raw, _, text = sealed.rpartition(b"\0")
    body = json.loads(raw)
    return Entry(hashlib.sha256(sealed).hexdigest(), raw, urlsafe_b64decode(text + b"=="), body)


def entries_of(records: Iterable[bytes]) -> list[Entry]:
    """The entries among records."""
    return [entry for record in records if (entry := entry_of(record)) is not None]


def by_chain(entries: Iterable[Entry]) -> dict[str, dict[int, list[Entry]]]:
    """Entries by chain and number."""
    chains: dict[str, dict[int, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        chains[entry.chain][int(entry.body["seq"])].append(entry)
    return chains


def that_left_holes(before: Iterable[Entry], held: Iterable[Entry]) -> list[Entry]:
    """Of the entries that a disk had, those that nobody holds, and of which somebody holds what follows."""
    links, ends = set[str](), dict[str, int]()
    for entry in held:
        links.add(entry.link)
        ends[entry.chain] = max(entry.n, ends.get(entry.chain, 0))
    return [one for one in before if one.link not in links and one.n < ends.get(one.chain, 0)]


def way_to(entry: Entry, by_link: Mapping[str, Entry]) -> list[Entry] | None:
    """What comes before an entry along its chain, from the first one on; None where a link leads nowhere."""
    way = []
    while entry.n > 1:
        before = by_link.get(entry.body["prev"])
        if before is None or before.n != entry.n - 1:
            return None
        way.append(entry := before)
    return way[::-1]


def is_signed(entry: Entry, public: bytes) -> bool:
    """Whether the key of ``public`` signed it."""
    return _is_signed(public, entry.raw, entry.signature)


_is_signed = lru_cache(maxsize=1 << 13)(signature.verify_raw)


def update_of(record: bytes) -> tuple[str, bytes]:
    """(document, Yjs bytes) of a record that is not an entry."""
    length = int.from_bytes(record[1:3], "big")
    return record[3 : 3 + length].decode(), record[3 + length :]
