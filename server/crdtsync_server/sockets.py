"""An accepted WebSocket, as a connection of the protocol uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from crdtsync.errors import LinkClosed, MessageTooBig
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync_server.door import PROVED, SILENT_S, WRITE
from crdtsync_server.metrics import RelayMetrics


class WebSocketEnd:
    """An accepted Starlette WebSocket, as a ``Socket`` of ``runtime.connection``."""

    def __init__(self, websocket: WebSocket, metrics: RelayMetrics) -> None:
        self._websocket = websocket
        self._metrics = metrics
        self._open = True
        self._reads_no_more = False
        self.pause_s: Callable[[], float] = lambda: 0.0
        """How long to wait before the next message is read: the device sends faster than it may."""
        self._write: Callable[[list[bytes]], bool] | None = self._extensions.get(WRITE)

    @property
    def _extensions(self) -> dict[str, Any]:
        return self._websocket.scope.get("extensions") or {}

    def silent_s(self) -> float:
        """For how long nothing has come; how long that may be is the door's business."""
        silent_s: Callable[[], float] | None = self._extensions.get(SILENT_S)
        return 0.0 if silent_s is None else silent_s()

    def stop_reading(self) -> None:
        """Take nothing more from the device: whatever it sends from now on it will send again."""
        self._reads_no_more = True

    def has_proved(self) -> None:
        """Its device has proved who it is: the door keeps it before those that have not."""
        tell_door = self._extensions.get(PROVED)
        if tell_door is not None:
            tell_door()

    def send_now(self, frames: list[bytes]) -> bool:
        """Send all of them without waiting, or none: whether they were sent. Most often nobody waits, and a
        task and the layers of ASGI for every device would cost more than all else that a sale does.
        """
        if self._write is None or not self._open or not self._write(frames):
            return False
        self._metrics.frames_sent.inc(len(frames))
        self._metrics.frames_sent_bytes.inc(sum(map(len, frames)))
        return True

    async def send(self, frame: bytes) -> None:
        """Raises ``LinkClosed``."""
        try:
            await self._websocket.send_bytes(frame)
            self._metrics.frames_sent.inc()
            self._metrics.frames_sent_bytes.inc(len(frame))
        except (RuntimeError, WebSocketDisconnect, OSError) as error:
            self._open = False
            raise LinkClosed("the connection broke", code=1006) from error

    async def receive(self) -> bytes:
        """The next frame. Raises ``LinkClosed``, and ``MessageTooBig`` for one just over the limit
        (larger ones never get here).
        """
        if (pause_s := self.pause_s()) > 0:
            await asyncio.sleep(pause_s)
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self._open = False
            raise LinkClosed("the device is gone", code=message.get("code") or 1006)
        if self._reads_no_more:
            await asyncio.Event().wait()  # Until the connection ends.
        frame = message.get("bytes")
        if frame is None:
            raise LinkClosed("the device sent text where the protocol has bytes", code=4400)
        if len(frame) > FRAME_BYTES_MAX:
            raise MessageTooBig(f"a frame of {len(frame)} bytes; {FRAME_BYTES_MAX} are allowed")
        self._metrics.frames_received.inc()
        self._metrics.frames_received_bytes.inc(len(frame))
        return bytes(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close it, if it is still open."""
        if not self._open:
            return
        self._open = False
        self._metrics.closes.labels(code).inc()
        with suppress(RuntimeError, WebSocketDisconnect, OSError):
            await self._websocket.close(code, reason.encode()[:120].decode(errors="ignore"))
