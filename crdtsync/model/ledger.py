"""A ledger day as a Yjs document: the canonical projection of its set of entries.

What is stored, sent and compared are sealed bytes; this document is derived from them for Yjs clients and
never decides what is held. Each entry becomes one update that follows from the entry alone (map
``entries``, key = link in hex, value = sealed bytes, client = the first 53 bits of the link, clock 0), so
that every replica's document is equal to the byte, whatever arrived first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from pycrdt import Doc, Map

from crdtsync.model import sealed

ROOT: Final = "entries"

_CLIENT_SHIFT: Final = 256 - 53


def project(sealed_entries: Iterable[bytes]) -> bytes:
    """The document of these entries as one Yjs update, the same for every order and repetition."""
    return project_links({sealed.link(data): data for data in sealed_entries})


def project_links(entries: dict[bytes, bytes]) -> bytes:
    """As ``project``, for link -> sealed bytes. Of two links with one client id the smaller is projected."""
    shadowed = set(collisions(entries))
    document: Doc[Map[bytes]] = Doc()
    for link in sorted(entries.keys() - shadowed):
        document.apply_update(entry_update(link, entries[link]))
    return document.get_update()


def collisions(links: Iterable[bytes]) -> list[bytes]:
    """The links that are not projected because a smaller one has the same client id."""
    seen: set[int] = set()
    hidden = []
    for link in sorted(set(links)):
        if client_id(link) in seen:
            hidden.append(link)
        seen.add(client_id(link))
    return hidden


def entry_update(link: bytes, data: bytes) -> bytes:
    """The Yjs update of one entry."""
    document: Doc[Map[bytes]] = Doc(client_id=client_id(link))
    document.get(ROOT, type=Map)[link.hex()] = data
    return document.get_update()


def client_id(link: bytes) -> int:
    """The Yjs client that an entry is written by: the first 53 bits of its link."""
    return int.from_bytes(link, "big") >> _CLIENT_SHIFT


def fingerprint(links: Iterable[bytes]) -> str:
    """The name of a set of links: SHA-256 over them in ascending order, in hex."""
    return hashlib.sha256(b"".join(sorted(set(links)))).hexdigest()
