"""Following a document costs no memory once nobody holds who follows."""

import gc
from weakref import ref

from pycrdt import Doc, Map

from crdtsync.model.catalogue import Catalogue
from crdtsync.model.engine import follow


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
