"""Frozen vectors: what these bytes are may never change, or old ledgers could not be verified any more."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from crdtsync.model import canonical, sealed
from crdtsync.model.certificate import NeverArrived, Replaced, read_certificate
from crdtsync.model.chain import rebuild
from crdtsync.model.entry import Entry, Head, read_entry
from crdtsync.model.signature import PrivateKey, verify
from crdtsync.model.verify import verify_chain
from crdtsync.runtime.belonging.copies import follows_of

KEYS = {
    "till": PrivateKey.from_seed(b"crdtsync demo key - never use"),
    "owner": PrivateKey.from_seed(b"crdtsync demo owner key - never use"),
    "next owner": PrivateKey.from_seed(b"crdtsync demo next owner key - never use"),
}
VECTORS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("vectors/*.json")}
OWNER = ["owner", "certify", "revoke", "owner-approve"]
HANDED_OVER = [*OWNER[:3], "owner-key", "certify-by-the-next-key"]
"""The owner's chain with a rotation of its key."""

REPLACED = [*OWNER[:3], "certify-that-replaces"]
"""The owner's chain when a register was lost and another has taken its place."""

FIRST_DAY = ["register", "open", "sale", "refund", "close"]
SECOND_DAY = [
    *("abandon", "cash", "move", "count", "print", "train", "jet", "clock-step"),
    *("sale-of-three-rates", "refund-in-part", "close-by-itself", "close-month", "close-year"),
]
EVENTS = ["software-changed", "put-back", "two-versions", "relay-unreachable", "new-key"]
TILL = [*FIRST_DAY, *SECOND_DAY, *EVENTS]
FOLLOWING = ["register-that-follows"]
"""The first entry of the chain in which a till goes on that was put back after its fourth entry."""

DRAFTS = ["first-draft-e1", "first-draft-e2", "first-draft-e3"]
CHAINS = [OWNER, HANDED_OVER, REPLACED, TILL, FOLLOWING]
CHAIN_NAMES = ["owner", "owner who handed over", "owner who replaced", "till", "till that was copied"]


def sealed_vector(vector: dict[str, Any]) -> bytes:
    return sealed.join(vector["body"].encode(), vector["signature"])


def entries(names: list[str]) -> list[Entry]:
    return [read_entry(sealed_vector(VECTORS[name])) for name in names]


def test_the_frozen_vectors_are_all_here() -> None:
    assert sorted(VECTORS) == sorted({*OWNER, *HANDED_OVER, *REPLACED, *TILL, *FOLLOWING, *DRAFTS})


def test_the_demo_key_has_the_published_point() -> None:
    published = "0351349081859d3b6c0cef13a7f95295c185403340d86d867e1e335a68ab6e28da"
    assert KEYS["till"].public.hex() == published


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_canonical(name: str) -> None:
    body = VECTORS[name]["body"].encode()
    assert canonical.encode(canonical.decode(body)) == body


@pytest.mark.parametrize("name", VECTORS)
def test_sealing_a_vector_again_gives_the_same_bytes(name: str) -> None:
    vector = VECTORS[name]
    again = sealed.seal(json.loads(vector["body"]), KEYS[vector["key"]])
    assert again == sealed_vector(vector)


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_has_its_link_and_a_good_signature(name: str) -> None:
    vector = VECTORS[name]
    body, text = sealed.split(sealed_vector(vector))
    assert sealed.link(sealed_vector(vector)).hex() == vector["link"]
    assert verify(KEYS[vector["key"]].public, body, text)


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_is_what_the_standards_say_without_any_code_of_ours(name: str) -> None:
    vector = VECTORS[name]
    body = rfc8785.dumps(json.loads(vector["body"]))
    link = hashlib.sha256(body + b"\0" + vector["signature"].encode("ascii")).hexdigest()
    assert (body, link) == (vector["body"].encode(), vector["link"])


@pytest.mark.parametrize("names", CHAINS, ids=CHAIN_NAMES)
def test_the_final_vectors_are_chains(names: list[str]) -> None:
    first, *others = chain = entries(names)
    assert [entry.facts.n for entry in chain] == list(range(1, len(names) + 1))
    assert [entry.facts.prev for entry in others] == [entry.link for entry in chain[:-1]]
    assert {entry.facts.chain for entry in chain} == {first.link}


@pytest.mark.parametrize("names", CHAINS, ids=CHAIN_NAMES)
def test_the_final_vectors_have_no_defect(names: list[str]) -> None:
    chain = entries(names)
    head = rebuild(chain)
    assert head is not None
    found = verify_chain(chain[0].link, [entry.sealed for entry in chain], known=[head.known])
    assert list(found) == []


def test_every_kind_of_a_ledger_is_frozen() -> None:
    kinds = {"register", "open", "sale", "refund", "abandon", "cash", "move", "count", "jet", "close"}
    assert {entry.kind for entry in entries(TILL)} == kinds | {"print", "train"}


def test_what_takes_the_place_of_a_lost_register_is_frozen() -> None:
    certificate = read_certificate(entries(["certify-that-replaces"])[0].body)
    lost, tip = entries(["register"])[0], entries(["refund"])[0]
    assert certificate.replaces == Replaced(
        lost.author,
        (Head(lost.link, tip.link, 4),),
        NeverArrived(3, 12740, 1_795_547_200_000),
    )


def test_where_a_copied_register_left_its_chain_is_frozen() -> None:
    first, tip = entries(FOLLOWING)[0], entries(["refund"])[0]
    assert follows_of(first) == Head(tip.facts.chain, tip.link, 4)
    assert first.author == tip.author


def test_a_frozen_ticket_has_the_totals_that_pencil_and_paper_give() -> None:
    """Three corks of 3 cents, 0.167 of a bottle at 18.50, two terrines at 6.95 less 0.90, a deposit.

    1.00 off the ticket falls on the glass (19 cents) and the terrines (81). HT of 2.99 at 20 % is 2.49, and
    the cent that the lines leave goes to the first cork; HT of 12.19 at 5.5 % is 11.55.
    """
    body = entries(["sale-of-three-rates"])[0].body
    assert [line["ttc"] for line in body["lines"]] == [3, 3, 3, 290, 1219, 3000]
    assert [line["ht"] for line in body["lines"]] == [3, 2, 2, 242, 1155, 3000]
    assert [line["disc"] for line in body["lines"]] == [0, 0, 0, 19, 171, 0]
    assert [(rate["ttc"], rate["ht"], rate["tva"]) for rate in body["vat"]] == [
        (299, 249, 50),
        (1219, 1155, 64),
    ]
    assert (body["ttc"], body["oos"]) == (1518, 3000)


def test_the_first_draft_is_linked_though_its_fields_were_replaced() -> None:
    drafts = [VECTORS[name] for name in DRAFTS]
    prevs = [json.loads(draft["body"])["prev"] for draft in drafts]
    assert prevs[1:] == [draft["link"] for draft in drafts[:-1]]
