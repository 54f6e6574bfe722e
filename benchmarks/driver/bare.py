"""Clients of the bare relay: rows of a fixed size, counted by their bytes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.driver.light import Crowd
from benchmarks.driver.socket import LightSocket


class BareClient:
    """One client. ``seen`` is called with the bytes that come in, if it is given, at once.

    ``hears_itself``: the relay sends merged messages to their senders too.
    """

    def __init__(
        self,
        crowd: Crowd,
        row: bytes,
        *,
        hears_itself: bool,
        seen: Callable[[bytes], None] | None = None,
    ) -> None:
        self.progress = 0
        self.socket: LightSocket
        self._crowd = crowd
        self._row = row
        self._hears_itself = hears_itself
        self._seen = seen
        self._frames: list[bytes] = []
        self._is_due = False

    async def connect(self, port: int) -> None:
        """Open the connection."""
        self.socket = await LightSocket.open(port, "/", self._on_frame)

    @property
    def trouble(self) -> str:
        """See ``Client.trouble``."""
        return self.socket.closed

    def sell(self) -> bytes:
        """See ``Client.sell``."""
        self.socket.send(self._row)
        if not self._hears_itself:
            self.progress += 1
        return self._row

    def take_frames(self) -> None:
        """See ``Client.take_frames``."""
        frames, self._frames, self._is_due = self._frames, [], False
        self.progress += sum(map(len, frames)) // len(self._row)

    def tick(self, now_ms: int) -> None:
        """See ``Client.tick``."""

    def _on_frame(self, frame: bytes) -> None:
        if self._seen is not None:
            self.progress += len(frame) // len(self._row)
            self._seen(frame)
            self._crowd.turn()
            return
        self._frames.append(frame)
        if not self._is_due:
            self._is_due = True
            self._crowd.due(self)
