"""pycrdt-websocket with its SQLite store, under uvicorn: ``python pycrdt_rooms.py PORT DATABASE``.

Two things are left to whoever deploys it, and are here: a room's store has to be given to it and what is
stored loaded before anybody is served; and rooms are opened one at a time, because two registers that open
the same one at the same moment would start it twice, and the second wait for ever.
"""

import sys

import uvicorn
from anyio import Lock
from pycrdt.store import SQLiteYStore, YDocNotFound
from pycrdt.websocket import ASGIServer, WebsocketServer, YRoom

PORT, DATABASE = int(sys.argv[1]), sys.argv[2]


class Store(SQLiteYStore):
    """In one file, with the defaults: a row per update, a checkpoint every hundred."""

    db_path = DATABASE


class Rooms(WebsocketServer):
    """Rooms that are loaded from the store, and kept while the server runs."""

    def __init__(self) -> None:
        super().__init__(auto_clean_rooms=False)
        self._opening = Lock()

    async def get_room(self, name: str) -> YRoom:
        """The room, ready to serve."""
        async with self._opening:
            if name not in self.rooms:
                self.rooms[name] = await self._open(name)
            return self.rooms[name]

    async def _open(self, name: str) -> YRoom:
        store = Store(name)
        room = YRoom(ready=False, ystore=store)
        await self.start_room(room)
        await store.started.wait()
        try:
            await store.apply_updates(room.ydoc)
        except YDocNotFound:
            pass
        room.ready = True
        await room.ydoc_observed.wait()
        return room


class App:
    """Rooms run as long as the server."""

    def __init__(self) -> None:
        self._rooms = Rooms()
        self._serve = ASGIServer(self._rooms)

    async def __call__(self, scope, receive, send):
        """See ASGI."""
        if scope["type"] == "lifespan":
            async with self._rooms:
                await self._serve(scope, receive, send)
        else:
            await self._serve(scope, receive, send)


if __name__ == "__main__":
    uvicorn.run(App(), host="127.0.0.1", port=PORT, log_level="warning", ws_per_message_deflate=False)
