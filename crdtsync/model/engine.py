"""The CRDT engine behind three functions: taking an update, asking whether all of it arrived, and following
what changes.

Of an update that another one has to come before, the engine integrates what it can and may lose the rest in
silence. Updates are therefore brought in causal order where anybody can (``protocol.causal``), and asked
about where nobody did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakMethod, finalize

import pycrdt
from pycrdt import Doc, Map

from crdtsync.errors import UnsafeUpdate


def apply_update(doc: Doc[Any], update: bytes) -> None:
    """Apply an update. Raises ``UnsafeUpdate`` when the engine refuses it; then a part of it may have been
    applied, and the document is to be made again without it.
    """
    try:
        doc.apply_update(update)
    except (ValueError, RuntimeError) as error:
        raise UnsafeUpdate(f"the CRDT engine refuses an update: {error}") from error


def lies_beyond(doc: Doc[Any], update: bytes) -> bool:
    """Whether a part of an update that was applied lies beyond what the document holds without a hole.

    The engine has no word for it: it shows such a part, or keeps it unseen, or loses it. Costs some
    microseconds for a small update.
    """
    state = doc.get_state()
    rest = pycrdt.get_update(update, state)
    if rest[0]:
        return True
    # No blocks are left, so that all the rest is the delete set: integers alone.
    return _deletes_beyond(_integers(rest[1:]), _known(_integers(state)))


def follow(observed: Doc[Any] | Map[Any], note: Callable[[Any], None]) -> Callable[[], object]:
    """Have a bound method told of each change, for as long as its object lives or until the result is called.

    What the engine calls it holds where Python's collector does not see it, the document included: an object
    that follows its document by ``observe`` is never freed, nor is the document.
    """
    method = WeakMethod(note)

    def tell(event: Any) -> None:
        living = method()
        if living is not None:
            living(event)

    end = finalize(note.__self__, observed.unobserve, observed.observe(tell))  # type: ignore[attr-defined]
    end.atexit = False
    return end


def _known(integers: Iterator[int]) -> dict[int, int]:
    """A state vector: client to next clock."""
    return {next(integers): next(integers) for _ in range(next(integers))}


def _deletes_beyond(integers: Iterator[int], known: dict[int, int]) -> bool:
    for _ in range(next(integers)):
        client = next(integers)
        for _ in range(next(integers)):
            if next(integers) + next(integers) > known.get(client, 0):
                return True
    return False


def _integers(data: bytes) -> Iterator[int]:
    """Variable-length integers, seven bits a byte, the low ones first, as the engine wrote them."""
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
