"""What a connection needs of a WebSocket, and what it makes use of where there is more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Socket(Protocol):
    """One WebSocket, opened. ``receive`` raises ``LinkClosed`` at the end."""

    async def send(self, frame: bytes) -> None: ...
    async def receive(self) -> bytes: ...
    async def close(self, code: int, reason: str) -> None: ...


class AttentiveSocket(Socket, Protocol):
    """A socket that knows for how long nothing has come. Raises ``LinkClosed`` where that is too long."""

    def silent_s(self) -> float: ...


class PromptSocket(Socket, Protocol):
    """A socket that can do without a task for what the peer takes at once: that is most of what is sent."""

    def send_now(self, frames: list[bytes]) -> bool:
        """Send all of them or nothing, without waiting; whether they were sent. Raises nothing."""
        ...

    def receive_now(self) -> bytes | None:
        """The next frame, if it is here already and nothing speaks against it. Raises as ``receive``."""
        ...

    def listen(self, came: Callable[[], None]) -> bool:
        """Have ``came`` called whenever ``receive_now`` may have something; nobody waits in ``receive`` then.
        False where that cannot be done.
        """
        ...


class RelaySocket(Socket, Protocol):
    """A socket that can be asked whether anybody is there."""

    async def answers(self, timeout_s: float) -> bool: ...
    def abandon(self) -> None: ...
