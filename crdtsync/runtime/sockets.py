"""What a connection needs of a WebSocket: the relay, registers and simulations each bring their own."""

from __future__ import annotations

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
