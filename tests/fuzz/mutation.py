"""Changing an input within its structure: pieces, trees, and the values that are most often read wrongly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from crdtsync.testing.strange_entries import ABSENT, places, with_value

EDGES: Final[tuple[int, ...]] = (
    *(0, 1, 2, 23, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1),
    *(2**63 - 1, 2**63, 2**64 - 1, -1, -(2**31), -(2**63)),
)
"""Numbers at which something else begins."""


def with_pieces_changed(pieces: Sequence[bytes], rng: Random, make: Callable[[Random], bytes]) -> list[bytes]:
    """A list in which one piece is gone, doubled, elsewhere, new, or changed in one byte."""
    changed = list(pieces)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(changed) + 1)
        what = rng.randrange(6)
        if what <= 1 or not changed:
            changed.insert(place, make(rng))
            continue
        place = min(place, len(changed) - 1)
        if what == 2:
            del changed[place]
        elif what == 3:
            changed.insert(rng.randrange(len(changed) + 1), changed[place])
        elif what == 4:
            changed.insert(rng.randrange(len(changed)), changed.pop(place))
        else:
            changed[place] = with_byte_changed(changed[place], rng)
    return changed


def with_byte_changed(data: bytes, rng: Random) -> bytes:
    """One byte is another, gone or new."""
    place = rng.randrange(len(data) + 1)
    what = rng.randrange(3)
    new = bytes((rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))),))
    return data[:place] + (new if what != 1 else b"") + data[place + (what != 2) :]


def with_tree_changed(tree: Any, rng: Random, values: Sequence[Any]) -> Any:
    """A tree of lists and objects in which some value is another, gone, doubled, or that of another place."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = list(places(tree))
        if not found:
            return rng.choice(values)
        path = rng.choice(found)
        what = rng.randrange(5)
        if what == 0:
            tree = with_value(tree, path, ABSENT)
        elif what == 1:
            tree = with_value(tree, path, at(tree, rng.choice(found)))
        elif what == 2:
            tree = _with_another(tree, path, rng)
        else:
            tree = with_value(tree, path, rng.choice(values))
    return tree


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    for name in path:
        tree = tree[name]
    return tree


def _with_another(tree: Any, path: tuple[Any, ...], rng: Random) -> Any:
    value = at(tree, path)
    if isinstance(value, list) and value:
        return with_value(tree, path, [*value, *value[: rng.randrange(len(value)) + 1]])
    if isinstance(value, bool):
        return with_value(tree, path, not value)
    if isinstance(value, int):
        return with_value(tree, path, value + rng.choice((-1, 1)) * rng.choice((1, 1, 2, 100, 10**6)))
    if isinstance(value, bytes):
        return with_value(tree, path, with_byte_changed(value, rng))
    if isinstance(value, str):
        return with_value(tree, path, value[rng.randrange(len(value) + 1) :] + value[:1])
    return with_value(tree, path, ABSENT)
