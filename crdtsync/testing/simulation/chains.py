"""What must hold of the chains that lie on the disks: links, numbers, signatures, amounts and closings.

A chain that has forked, because an old copy of a disk was put back or two machines had the same one, is a
tree: whatever must hold of a chain must hold of each way from one of its entries back to the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from crdtsync.testing.simulation import folds, reading
from crdtsync.testing.simulation.broken import differing, require
from crdtsync.testing.simulation.reading import Entry

OWNER_KINDS = ("owner", "certify", "revoke", "owner-approve", "owner-key")

if TYPE_CHECKING:
    from crdtsync.testing.simulation.shop import Shop


def chains_hold(shop: Shop, entries: list[Entry]) -> None:
    """Raise ``Broken`` unless they hold, for ``entries`` from all disks, each once."""
    keys = {
        entry.body["device"]: bytes.fromhex(entry.body["key"]["pub"])
        for entry in entries
        if entry.body["kind"] == "certify"
    }
    owner_signed_in_time([entry for entry in entries if entry.body["kind"] in OWNER_KINDS])
    by_link = {entry.link: entry for entry in entries}
    forked, holed = _devices(shop, shop.notebook.forked), _devices(shop, shop.notebook.holed)
    holed |= shop.notebook.holed_authors
    clean: dict[str, str] = {}
    for numbered in reading.by_chain(entries).values():
        author = numbered[min(numbered)][0].body.get("till", "")
        if author not in holed:
            chain_is_linked(author, numbered)
        if author not in forked | holed:
            twice = [n for n, those in numbered.items() if len(those) > 1]
            require(not twice, "no number is there twice", author[:8], twice)
            tickets_are_numbered_once(author, numbered)
            no_register_has_the_number_of_another(numbered, clean)
            sales_were_asked_for(shop, author, numbered)
        if author not in holed:
            tickets_are_counted(author, numbered)
        for n, those in sorted(numbered.items()):
            for entry in those:
                is_what_was_signed_and_told(shop, keys, entry)
                closing_is_a_sum(author, n, entry, by_link)


def owner_signed_in_time(entries: list[Entry]) -> None:
    """Each entry of the owner's chain is signed with the key that was his then: the first one, and from each
    rotation on the one that it names. What he signed before stays as it is.
    """
    present, first = b"", b""
    for entry in sorted(entries, key=lambda one: one.n):
        body = entry.body
        if body["kind"] == "owner":
            present = first = bytes.fromhex(body["key"]["pub"])
        by = bytes.fromhex(body["by"]) if "by" in body else first
        require(by == present, "the owner signs with his present key", body["kind"], entry.n)
        require(reading.is_signed(entry, present), "the owner's entries are signed", body["kind"], entry.n)
        if body["kind"] == "owner-key":
            present = bytes.fromhex(body["key"]["pub"])


def chain_is_linked(author: str, numbered: Mapping[int, list[Entry]]) -> None:
    """Numbers have no gap, and whatever has a number follows something that has the one before."""
    found = sorted(numbered)
    require(found == list(range(1, len(found) + 1)), "no number is missing", author[:8], found)
    for n, those in numbered.items():
        links = {before.link for before in numbered.get(n - 1, ())}
        is_linked = n == 1 or all(entry.body["prev"] in links for entry in those)
        require(is_linked, "chains are linked", author[:8], n)


def tickets_are_numbered_once(author: str, numbered: Mapping[int, list[Entry]]) -> None:
    """No two entries of a chain have one ticket number."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for those in numbered.values():
        for entry in those:
            if "num" in entry.body:
                numbers[entry.body["num"]].add(entry.link)
    twice = [number for number, links in numbers.items() if len(links) > 1]
    require(not twice, "no ticket number is there twice", author[:8], twice)


def no_register_has_the_number_of_another(numbered: Mapping[int, list[Entry]], known: dict[str, str]) -> None:
    """Ticket numbers are the shop's: none is there in two chains. ``known``: by number, whose it is."""
    for those in numbered.values():
        for entry in those:
            if entry.is_ticket:
                chain = known.setdefault(entry.body["num"], entry.chain)
                require(chain == entry.chain, "no two registers give out one number", entry.body["num"])


def sales_were_asked_for(shop: Shop, author: str, numbered: Mapping[int, list[Entry]]) -> None:
    """Whatever was sold somebody asked for, and each request made one sale. Nobody knows where no
    people sell.
    """
    if not shop.notebook.requests:
        return
    made: dict[str, list[str]] = defaultdict(list)
    for those in numbered.values():
        for entry in those:
            if entry.body["kind"] == "sale" and entry.link not in shop.notebook.tickets:
                asked = entry.body.get("req") in shop.notebook.requests
                require(asked, "what is sold was asked for", author[:8], entry.body["num"])
            if entry.body["kind"] == "sale" and "req" in entry.body:
                made[entry.body["req"]].append(entry.body["num"])
    twice = {request: numbers for request, numbers in made.items() if len(numbers) > 1}
    require(not twice, "a request makes one sale", author[:8], twice)


def tickets_are_counted(author: str, numbered: Mapping[int, list[Entry]]) -> None:
    """Along each way through a chain ticket numbers go up by one, in the series of its first entry, with the
    year of the business day; and business days do not go back.
    """
    counted: dict[str, tuple[int, str]] = {}
    for n in sorted(numbered):
        for entry in numbered[n]:
            counter, day = counted.get(entry.body["prev"], (0, ""))
            body = entry.body
            if "num" in body and body["mode"] == "live":
                counter += 1
                number = f"{numbered[1][0].body['series']}-{body['bd'][2:4]}-{counter:06d}"
                require(body["num"] == number, "no ticket number is missing", author[:8], body["num"], number)
            require(body["bd"] >= day, "business days do not go back", author[:8], n, day, body["bd"])
            counted[entry.link] = counter, body["bd"]


def is_what_was_signed_and_told(shop: Shop, keys: Mapping[str, bytes], entry: Entry) -> None:
    """Its author's key signed it, and a ticket comes to what people were told."""
    author, n = entry.body.get("till", ""), entry.body["seq"]
    public = keys.get(author)
    if entry.body["kind"] not in OWNER_KINDS and public is not None:
        require(reading.is_signed(entry, public), "entries are signed", author[:8], n)
    told = shop.notebook.tickets.get(entry.link)
    if told is not None:
        require(entry.amount_minor == told.amount_minor, "amounts are what was told", told.number)


def closing_is_a_sum(author: str, n: int, entry: Entry, by_link: Mapping[str, Entry]) -> None:
    """A closing says what the entries before it come to, on the way to it. Where one of these is lost, nobody
    can tell.
    """
    if entry.body["kind"] != "close":
        return
    way = reading.way_to(entry, by_link)
    if way is not None:
        shown, expected = folds.said(entry.body), folds.closing(way, entry.body["level"])
        require(shown == expected, "closings are sums", author[:8], n, differing(shown, expected))


def _devices(shop: Shop, names: set[str]) -> set[str]:
    return {register.identity.device.hex() for register in shop.everybody if register.name in names}
