"""An accepted WebSocket, as a connection of the protocol uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from crdtsync.errors import LinkClosed, MessageTooBig
from crdtsync.protocol.limits import FRAME_BYTES_MAX
from crdtsync_server.serving.door import LISTEN, PROVED, READ, SILENT_S, STAY, WRITE
from crdtsync_server.serving.metrics import RelayMetrics


class WebSocketEnd:
    """An accepted Starlette WebSocket, as a ``Socket`` of ``runtime.syncing.connection``."""

    def __init__(self, websocket: WebSocket, metrics: RelayMetrics) -> None:
        self._websocket = websocket
        self._metrics = metrics
        self._open = True
        self._reads_no_more = False
        self.pause_s: Callable[[], float] = _no_pause
        """How long to wait before the next message is read: the device sends faster than it may."""
        # All of them now: once the device has proved who it is, the server lets go of what it connected with.
        extensions: dict[str, Any] = websocket.scope.get("extensions") or {}
        self._write: Callable[[list[bytes]], bool] | None = extensions.get(WRITE)
        self._read: Callable[[], Mapping[str, Any] | None] | None = extensions.get(READ)
        self._listen: Callable[[Callable[[], None]], None] | None = extensions.get(LISTEN)
        self._silent_s: Callable[[], float] | None = extensions.get(SILENT_S)
        self._stay: Callable[[], None] | None = extensions.get(STAY)
        self._tell_door: Callable[[], None] | None = extensions.get(PROVED)
        self._came: Callable[[], None] = _nothing
        self._waits = False

    def silent_s(self) -> float:
        """For how long nothing has come; how long that may be is the door's business."""
        return 0.0 if self._silent_s is None else self._silent_s()

    def stop_reading(self) -> None:
        """Take nothing more from the device: whatever it sends from now on it will send again."""
        self._reads_no_more = True

    def has_proved(self) -> None:
        """Its device has proved who it is: the door keeps it before those that have not."""
        if self._tell_door is not None:
            self._tell_door()
            self._tell_door = None

    def stay(self) -> bool:
        """Keep the connection when the application returns; whether the server can do that."""
        if self._stay is None or self._listen is None:
            return False
        self._stay()
        return True

    def send_now(self, frames: list[bytes]) -> bool:
        """Send all of them without waiting, or none: whether they were sent. Most often nobody waits, and a
        task and the layers of ASGI for every device would cost more than all else that a sale does.
        """
        if self._write is None or not self._open or not self._write(frames):
            return False
        traffic = self._metrics.traffic
        traffic.frames_sent += len(frames)
        traffic.frames_sent_bytes += sum(map(len, frames))
        return True

    async def send(self, frame: bytes) -> None:
        """Raises ``LinkClosed``."""
        try:
            await self._websocket.send_bytes(frame)
            self._metrics.traffic.frames_sent += 1
            self._metrics.traffic.frames_sent_bytes += len(frame)
        except (RuntimeError, WebSocketDisconnect, OSError) as error:
            self._open = False
            raise LinkClosed("the connection broke", code=1006) from error

    async def receive(self) -> bytes:
        """The next frame. Raises ``LinkClosed``, and ``MessageTooBig`` for one just over the limit
        (larger ones never get here).
        """
        if (pause_s := self.pause_s()) > 0:
            await asyncio.sleep(pause_s)
        frame = self._frame(await self._websocket.receive())
        if self._reads_no_more:
            await asyncio.Event().wait()  # Until the connection ends.
        return frame

    def listen(self, came: Callable[[], None]) -> bool:
        """Have ``came`` called whenever there may be something for ``receive_now``, from now on; nobody waits
        in ``receive`` then. Whether the server can do that.
        """
        if self._listen is None or self._read is None:
            return False
        self._came = came
        self._listen(came)
        self._listen = None
        return True

    def receive_now(self) -> bytes | None:
        """As ``receive``, for a frame that is here already; None without one, or where it is to wait."""
        if self._read is None or self._waits:
            return None
        if (pause_s := self.pause_s()) > 0:
            self._waits = True
            asyncio.get_running_loop().call_later(pause_s, self._go_on)
            return None
        while (message := self._read()) is not None:
            frame = self._frame(message)
            if not self._reads_no_more:
                return frame
        return None

    def _go_on(self) -> None:
        self._waits = False
        self._came()

    def _frame(self, message: Mapping[str, Any]) -> bytes:
        if message["type"] == "websocket.disconnect":
            self._open = False
            raise LinkClosed("the device is gone", code=message.get("code") or 1006)
        frame = message.get("bytes")
        if frame is None:
            raise LinkClosed("the device sent text where the protocol has bytes", code=4400)
        if len(frame) > FRAME_BYTES_MAX:
            raise MessageTooBig(f"a frame of {len(frame)} bytes; {FRAME_BYTES_MAX} are allowed")
        self._metrics.traffic.frames_received += 1
        self._metrics.traffic.frames_received_bytes += len(frame)
        return bytes(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close it, if it is still open."""
        if not self._open:
            return
        self._open = False
        self._metrics.closes.labels(code).inc()
        with suppress(RuntimeError, WebSocketDisconnect, OSError):
            await self._websocket.close(code, reason.encode()[:120].decode(errors="ignore"))


def _nothing() -> None:
    return None


def _no_pause() -> float:
    return 0.0
