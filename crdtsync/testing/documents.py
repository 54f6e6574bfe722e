"""Yjs documents as people make them, from a seed: maps, lists, text, nested types, several writers.

For tests that ask whether what the CRDT engine itself writes is understood, and survives any order.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pycrdt
from pycrdt import Array, Doc, Map, Text, XmlElement, XmlFragment, XmlText

from crdtsync.protocol.flat import STROKE, Grouped
from crdtsync.protocol.plain_keys import FlatValue


def ungrouped(content: Grouped | None) -> dict[str, FlatValue] | None:
    """What ``flat_content`` tells, by the keys as they stand in the map."""
    if content is None:
        return None
    found = [(before, name, value) for before, keys in content.items() for name, value in keys.items()]
    return {name if before is None else f"{before}{STROKE}{name}": value for before, name, value in found}


_WORDS = ("rouge", "vin élevé", "🍷", "a", "Châteauneuf-du-Pape", "")


class Writers:
    """Some devices that write one document and hear of each other now and then.

    ``updates`` are what their transactions gave, each device's own in order. The same seed gives the same.
    """

    def __init__(self, seed: int, *, flat: bool = False) -> None:
        self._rng = Random(seed)
        self._flat = flat
        self.updates: list[bytes] = []
        self.docs: list[Doc[Any]] = [Doc(client_id=self._client_id(place)) for place in range(3)]
        self._subscriptions = [doc.observe(lambda event: self._note(event.update)) for doc in self.docs]

    def write(self, transactions: int) -> None:
        """So many transactions, by one or the other; in between somebody hears of somebody."""
        for _ in range(transactions):
            doc = self._rng.choice(self.docs)
            with doc.transaction():
                for _ in range(self._rng.choice((1, 1, 3))):
                    self._step(doc)
            if self._rng.random() < 0.3:
                other = self._rng.choice(self.docs)
                other.apply_update(doc.get_update(other.get_state()))

    def all_updates(self) -> list[bytes]:
        """The updates, whole states, differences and merged updates: every sort of bytes that there is."""
        found = list(self.updates)
        for doc in self.docs:
            found += [doc.get_update(), doc.get_update(self._rng.choice(self.docs).get_state())]
        if len(self.updates) > 2:
            found.append(pycrdt.merge_updates(*self._rng.sample(self.updates, 3)))
        return found

    def _note(self, update: bytes) -> None:
        if update != b"\0\0":
            self.updates.append(update)

    def _client_id(self, place: int) -> int:
        return self._rng.choice((place + 1, 2**40 + place, self._rng.randrange(2**53)))

    def _step(self, doc: Doc[Any]) -> None:
        steps = _FLAT_STEPS if self._flat else _STEPS
        self._rng.choice(steps)(self._rng, doc)


def plain_value(rng: Random, depth: int = 0) -> Any:
    """Any value that the engine keeps, containers too."""
    choices: list[Callable[[], Any]] = [
        lambda: None,
        lambda: rng.random() < 0.5,
        lambda: rng.randrange(-(10**6), 10**6),
        rng.random,
        lambda: rng.choice(_WORDS),
        lambda: rng.randbytes(rng.randrange(5)),
        lambda: 2**60 + rng.randrange(9),
    ]
    if depth < 3:
        choices += [
            lambda: [plain_value(rng, depth + 1) for _ in range(rng.randrange(4))],
            lambda: {rng.choice("abcé"): plain_value(rng, depth + 1) for _ in range(rng.randrange(4))},
        ]
    return rng.choice(choices)()


def _set(rng: Random, doc: Doc[Any]) -> None:
    doc.get("map", type=Map)[rng.choice("abcdef")] = plain_value(rng)


def _set_scalar(rng: Random, doc: Doc[Any]) -> None:
    doc.get("products", type=Map)[f"sku/{rng.choice('abcdefgh')}"] = plain_value(rng, 3)


def _delete(rng: Random, doc: Doc[Any]) -> None:
    items = doc.get("map", type=Map)
    if keys := sorted(items.keys()):
        del items[rng.choice(keys)]


def _nest(rng: Random, doc: Doc[Any]) -> None:
    inner = {"list": Array([plain_value(rng), 1]), "text": Text("héllo"), "q": plain_value(rng)}
    doc.get("map", type=Map)[f"nested-{rng.choice('ab')}"] = Map(inner)


def _write_nested(rng: Random, doc: Doc[Any]) -> None:
    nested = doc.get("map", type=Map).get(f"nested-{rng.choice('ab')}")
    if isinstance(nested, Map):
        nested[rng.choice("xyz")] = plain_value(rng)
        nested["list"].append(plain_value(rng))
        nested["text"].insert(0, "zz")


def _insert(rng: Random, doc: Doc[Any]) -> None:
    items = doc.get("list", type=Array)
    items.insert(rng.randrange(len(items) + 1), plain_value(rng))


def _append(rng: Random, doc: Doc[Any]) -> None:
    doc.get("list", type=Array).append(Array([1, 2]) if rng.random() < 0.5 else Map({"a": 1}))


def _remove(rng: Random, doc: Doc[Any]) -> None:
    items = doc.get("list", type=Array)
    if len(items):
        del items[rng.randrange(len(items))]


def _type(rng: Random, doc: Doc[Any]) -> None:
    text = doc.get("text", type=Text)
    if rng.random() < 0.5:
        text.insert(0, rng.choice(("ab", "xyz")))
    else:
        text += rng.choice(("hello", "wörld", "🍷!"))


def _mark(rng: Random, doc: Doc[Any]) -> None:
    # At the beginning only, and in ASCII only: indexes of the engine are byte offsets.
    text = doc.get("text", type=Text)
    if str(text)[:2].isascii() and len(text) >= 2:
        if rng.random() < 0.5:
            text.format(0, 2, {"bold": rng.choice((True, None))})
        else:
            del text[0:1]
            text.insert_embed(0, {"image": "url", "size": {"w": 1, "h": 2}})


def _markup(rng: Random, doc: Doc[Any]) -> None:
    element = doc.get("xml", type=XmlFragment).children.append(XmlElement("p", {"class": "a"}))
    element.children.append(XmlText(rng.choice(("rouge", "été"))))


_FLAT_STEPS = (_set_scalar,)
_STEPS = (_set, _set, _delete, _nest, _write_nested, _insert, _append, _remove, _type, _mark, _markup)
