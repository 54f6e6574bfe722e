"""The products of a folder are read and filed once in a process, whichever of its threads comes first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Condition, Lock
from typing import TYPE_CHECKING, Final

from crdtsync.ids import CATALOGUE_DOCUMENT

if TYPE_CHECKING:
    from crdtsync.runtime.filing.product_rows import Content, ProductsHome


GIVES_WAY_S: Final = 1.0
"""How long at a time whoever files lets others look, at most: one look takes a fraction of that."""


class Filing:
    """What the threads of one process that work in one folder share."""

    def __init__(self) -> None:
        self.lock = Lock()
        """Held while products are filed: two threads would each file all of them, at half the pace."""
        self._reading = Lock()
        self._content: Content | None = None
        self._turn = Condition()
        self._filed_seq = self._waited_seq = 0
        self._looking = 0

    def content(self, home: ProductsHome) -> Content | None:
        """What the catalogue holds, if most of it is not in the views yet. It is kept until ``forget``:
        whoever looks a product up needs it, and so does whoever files. Raises ``StorageError``.
        """
        # Late: commands that only look at the log do without.
        from crdtsync.runtime.filing.product_rows import is_mostly_new, read_content

        with self._reading:
            row = home.log.document(CATALOGUE_DOCUMENT)
            if row is None or not is_mostly_new(home):
                return None
            known, shop = self._content, home.log.shop  # A folder may hold the logs of two, after a join.
            if known is None or known.shop != shop or known.through < row.last_seq:
                # Whoever files waits for nothing else: what is damaged is set apart here, or never.
                known = self._content = home.mending(partial(read_content, home.log))
            return known

    def forget(self) -> None:
        """The products are in the views."""
        with self._reading:
            self._content = None

    def has_filed(self, seq: int) -> None:
        """The views were seen to hold the products up to that seq of the log."""
        if seq > self._filed_seq:
            with self._turn:
                self._filed_seq = seq
                self._turn.notify_all()

    def wait_until_filed(self, seq: int, timeout_s: float) -> None:
        """Wait until the views hold the products up to there; for each seq once, and not for ever."""
        if seq > self._waited_seq:
            with self._turn:
                self._turn.wait_for(lambda: self._filed_seq >= seq, timeout_s)
            self._waited_seq = seq

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Somebody looks through all products. In CPython one thread computes at a time."""
        with self._turn:
            self._looking += 1
        try:
            yield
        finally:
            with self._turn:
                self._looking -= 1
                self._turn.notify_all()

    def give_way(self) -> None:
        """Wait for whoever is looking, but not for ever. For whoever files, before each product."""
        if self._looking:
            with self._turn:
                self._turn.wait_for(lambda: not self._looking, GIVES_WAY_S)
