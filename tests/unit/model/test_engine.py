"""Following a document costs no memory once nobody holds who follows; state vectors are read as numbers."""

import gc
from random import Random
from typing import Any
from weakref import ref

from pycrdt import Doc, Map

from crdtsync.model.catalogue import Catalogue
from crdtsync.model.engine import apply_update, follow, lies_beyond


class Follower:
    """Counts changes."""

    def __init__(self, doc: Doc) -> None:
        self.doc = doc
        self.heard = 0
        self.end = follow(doc, self.note)

    def note(self, event: object) -> None:
        self.heard += 1


def test_each_change_is_told_until_it_is_ended() -> None:
    follower = Follower(Doc())
    items = follower.doc.get("products", type=Map)
    items["a"] = 1
    items["b"] = 2
    follower.end()
    follower.end()
    items["c"] = 3
    assert follower.heard == 2


def test_who_is_gone_is_told_nothing_and_the_document_stays() -> None:
    doc = Doc()
    follower = ref(Follower(doc))
    gc.collect()
    assert follower() is None
    doc.get("products", type=Map)["a"] = 1
    assert doc.get("products", type=Map).to_py() == {"a": 1}


def test_a_document_is_freed_with_who_follows_it() -> None:
    catalogue = Catalogue.open((), client_id=1)
    document, view = ref(catalogue.doc), ref(catalogue)
    del catalogue
    gc.collect()
    assert (view(), document()) == (None, None)


def test_state_vectors_are_read_and_not_compared_as_bytes() -> None:
    """Twenty clients: the engine writes one state in many orders."""
    chance = Random(1)
    first, second = [], []
    for client in sorted(chance.getrandbits(53) for _ in range(20)):
        author = Doc(client_id=client)
        for made in (first, second):
            before = author.get_state()
            author.get("notes", type=Map)[f"{client} {len(made)}"] = "written"
            made.append(author.get_update(before))
    states = set()
    for _ in range(10):
        doc: Doc[Any] = Doc()
        for update in chance.sample(first, 20):
            apply_update(doc, update)
        states.add(doc.get_state())
        assert not any(lies_beyond(doc, update) for update in first)
        for update in chance.sample(second, 20):
            apply_update(doc, update)
        assert not any(lies_beyond(doc, update) for update in first + second)
    assert len(states) > 1, "nothing was shown"
    behind: Doc[Any] = Doc()
    for update in first[1:] + second:
        apply_update(behind, update)
    assert [lies_beyond(behind, update) for update in second] == [True] + [False] * 19
