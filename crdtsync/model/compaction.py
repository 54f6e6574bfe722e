"""Compaction: many updates of one Yjs document become one state that holds the same.

The state is built in a document of the engine, one update at a time: merging the bytes is quadratic and keeps
what was overwritten. Nothing is offered on trust: the state is read again and its content compared, and
while anything waits for an update that is not there, no state is made, because the engine would leave it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pycrdt import Doc

from crdtsync.errors import IntegrityDefect, NotSynchronised, UnsafeUpdate
from crdtsync.model.engine import apply_update, lies_beyond

Fingerprint = Callable[[bytes], bytes]
"""Digest of what a whole state holds, deletions included (``protocol.fingerprint.content_fingerprint``)."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A state that replaces the updates it was made of, and the digest of its content."""

    state: bytes
    fingerprint: bytes


def compact(updates: Sequence[bytes], *, fingerprint: Fingerprint) -> Compacted:
    """The state of all these updates and states, which are given in causal order (``protocol.causal``).

    Changes nothing; O(their bytes), twice. Raises ``NotSynchronised`` when one of them waits for another that
    is not before it, ``UnsafeUpdate`` when the engine refuses one, and ``IntegrityDefect`` when the state
    does not hold what they hold, or cannot be read.
    """
    state = _build(updates).get_update()
    try:
        expected = fingerprint(state)
        # On top of the state, none of the updates may bring anything new.
        again = fingerprint(_build((state, *updates)).get_update())
    except UnsafeUpdate as error:
        raise IntegrityDefect(f"the engine makes a state that no replica would take: {error}") from error
    if again != expected:
        raise IntegrityDefect("a compacted state does not hold what its updates hold; nothing was replaced")
    return Compacted(state, expected)


def _build(updates: Iterable[bytes]) -> Doc[Any]:
    """A document for reading: its client id writes nothing. It ends at the first hole, before the engine is
    asked for anything more.
    """
    doc: Doc[Any] = Doc(client_id=0)
    for place, update in enumerate(updates, 1):
        apply_update(doc, update)
        if lies_beyond(doc, update):
            raise NotSynchronised(f"update {place} waits for one that is missing")
    return doc
