"""Commands that go on until somebody stops them: Ctrl-C or SIGTERM is how they end well."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Stop:
    """Remembers that a signal asked for the end. Made in the main thread, before the work begins."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    @property
    def requested(self) -> bool:
        """Whether it is time to end."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> None:
        """Return after that time, or at once when the end is asked for."""
        self._asked.wait(seconds)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()
