"""Yjs updates of all sorts: those that an engine writes, and those that somebody made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from crdtsync.testing.documents import Writers
from crdtsync.testing.yjs_bytes import HARMFUL, MALFORMED, NOT_FLAT

TRANSACTIONS_MAX: Final = 12
SHOWN_BYTES_MAX: Final = 300


@dataclass(frozen=True, slots=True)
class HostileUpdate:
    """``data``: the bytes; ``wrong``: what is wrong with them, in words. If ``is_refused``, they must not be
    admitted to any document (of the sort that was asked for); else they may happen to be sound, and then
    applying them must do no harm.
    """

    data: bytes
    wrong: str
    is_refused: bool

    def __repr__(self) -> str:
        """Short, whatever the bytes: some of them are a hundred thousand."""
        data = repr(self.data) if len(self.data) <= SHOWN_BYTES_MAX else f"<{len(self.data)} bytes>"
        return f"HostileUpdate({data}, {self.wrong!r}, {self.is_refused})"


@st.composite
def genuine_updates(draw: st.DrawFn, *, flat: bool = False) -> bytes:
    """An update as the engine writes it: of maps, lists, text, nested types, by several writers who hear of
    each other now and then; also states, differences and merged ones. ``flat``: as a catalogue has them.
    """
    # The number of transactions is what shrinks; what is in them follows from the seed.
    writers = Writers(draw(st.integers(0, 2**16)), flat=flat)
    writers.write(draw(st.integers(1, TRANSACTIONS_MAX)))
    while not writers.updates:
        writers.write(1)  # Some change nothing: a deletion in an empty map.
    updates = writers.updates if flat else [each for each in writers.all_updates() if each != b"\0\0"]
    return draw(st.sampled_from(updates))


@st.composite
def _damaged(draw: st.DrawFn, genuine: st.SearchStrategy[bytes]) -> HostileUpdate:
    wrong = draw(st.sampled_from(sorted(_DAMAGES)))
    update = draw(genuine)
    place = draw(st.integers(0, len(update) - 1))
    bits = draw(st.integers(1, 255))
    return HostileUpdate(_DAMAGES[wrong](update, place, bits), wrong, wrong in _NEVER_SOUND)


_DAMAGES: Final[dict[str, Callable[[bytes, int, int], bytes]]] = {
    "cut short": lambda update, place, _: update[:place],
    "a bit flipped": lambda update, place, bits: _with(update, place, update[place] ^ 1 << bits % 8),
    "a byte replaced": lambda update, place, bits: _with(update, place, update[place] ^ bits),
    "a byte missing": lambda update, place, _: update[:place] + update[place + 1 :],
    "a byte inserted": lambda update, place, bits: update[:place] + bytes([bits]) + update[place:],
    "bytes left over": lambda update, _, bits: update + bytes([bits]),
    "a huge number": lambda update, place, _: update[:place] + b"\xff" * 1000 + update[place:],
    "two updates in one": lambda update, _, __: update + update,
}
_NEVER_SOUND: Final = frozenset(("cut short", "bytes left over", "a huge number", "two updates in one"))


def _with(update: bytes, place: int, byte: int) -> bytes:
    return update[:place] + bytes([byte]) + update[place + 1 :]


def hostile_updates(
    genuine: st.SearchStrategy[bytes] | None = None, *, flat: bool = False
) -> st.SearchStrategy[HostileUpdate]:
    """Bytes that somebody sends for an update, each with what is wrong with it.

    Some are made of ``genuine`` ones (by default ``genuine_updates``; give those of your own document), the
    others by hand: counts without end, nesting that ends an engine's stack, clients that come twice, unknown
    kinds, clocks out of range. ``flat``: also what a document of any sort takes and a catalogue does not.
    Never give them to a CRDT engine that has not had them scanned: some end the process.
    """
    tables = (MALFORMED, HARMFUL, NOT_FLAT) if flat else (MALFORMED, HARMFUL)
    by_hand = {wrong: data for table in tables for wrong, data in table.items()}
    made = st.sampled_from(sorted(by_hand)).map(lambda wrong: HostileUpdate(by_hand[wrong], wrong, True))
    return _damaged(genuine_updates(flat=flat) if genuine is None else genuine) | made
