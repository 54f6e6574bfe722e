"""Frozen vectors: what these bytes are may never change, or old ledgers could not be verified any more."""

import json
from pathlib import Path
from typing import Any

import pytest

from crdtsync.model import canonical, sealed
from crdtsync.model.entry import read_entry
from crdtsync.model.signature import PrivateKey, verify

KEYS = {
    "till": PrivateKey.from_seed(b"crdtsync demo key - never use"),
    "owner": PrivateKey.from_seed(b"crdtsync demo owner key - never use"),
}
VECTORS = {path.stem: json.loads(path.read_text()) for path in Path(__file__).parent.glob("vectors/*.json")}
FINAL = ["owner", "certify", "revoke", "register", "open", "sale", "refund", "close"]


def sealed_vector(vector: dict[str, Any]) -> bytes:
    return sealed.join(vector["body"].encode(), vector["signature"])


def test_the_frozen_vectors_are_all_here() -> None:
    assert sorted(VECTORS) == sorted([*FINAL, "first-draft-e1", "first-draft-e2", "first-draft-e3"])


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


@pytest.mark.parametrize(
    "names", [["owner", "certify", "revoke"], ["register", "open", "sale", "refund", "close"]]
)
def test_the_final_vectors_are_chains(names: list[str]) -> None:
    first, *others = entries = [read_entry(sealed_vector(VECTORS[name])) for name in names]
    assert [entry.facts.n for entry in entries] == list(range(1, len(names) + 1))
    assert [entry.facts.prev for entry in others] == [entry.link for entry in entries[:-1]]
    assert {entry.facts.chain for entry in entries} == {first.link}


def test_the_first_draft_is_linked_though_its_fields_were_replaced() -> None:
    drafts = [VECTORS[f"first-draft-e{number}"] for number in (1, 2, 3)]
    prevs = [json.loads(draft["body"])["prev"] for draft in drafts]
    assert prevs[1:] == [draft["link"] for draft in drafts[:-1]]
