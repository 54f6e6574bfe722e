"""The rooms of the back office, and the back office as the relay starts and stops it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from crdtsync.errors import CrdtsyncError
from crdtsync.runtime.clock import Clock, RandomBytes
from crdtsync.runtime.syncing.tail import Growth
from crdtsync.web import guard
from crdtsync_server.dashboard.house import House, Visit, static
from crdtsync_server.dashboard.live import Live, Paint
from crdtsync_server.dashboard.office import Office
from crdtsync_server.dashboard.reception import Reception
from crdtsync_server.dashboard.rooms import (
    alerts,
    catalogue,
    days,
    hold,
    imports,
    invoices,
    people,
    registers,
    sales,
    sign_in,
    stock,
    today,
)
from crdtsync_server.folder import DataFolder

_LIVE: Final[dict[str, Paint]] = {
    "today": today.paint_now,
    "registers": registers.paint_now,
    "alerts": alerts.paint_now,
}
_ABOUT: Final[dict[str, Paint]] = {"register": registers.paint_one}
"""Rooms of which there is a page for each thing."""


class BackOffice:
    """The back office of one relay."""

    def __init__(
        self,
        folder: DataFolder,
        clock: Clock,
        random: RandomBytes,
        *,
        failed: Callable[[CrdtsyncError], None],
        wrote: Callable[[], None],
        wished: Callable[[bytes, bytes], None] = lambda shop, device: None,
    ) -> None:
        """Nothing is opened yet. See ``Office``."""
        self.office = Office(folder, clock, random, failed=failed, wrote=wrote, wished=wished)
        self._reception = Reception(folder, clock, random)
        rooms = _LIVE | _ABOUT
        self._live = Live(rooms, moves_alone=frozenset(rooms))
        self.office.listeners = self._live
        self.house = House(self.office, self._reception, self._live, random)

    def start(self) -> None:
        """Begin. On the event loop; returns at once."""
        self.office.start()

    def met(self, log_id: bytes, device: bytes) -> None:
        """A device has connected, whose log has that id."""
        self.office.met(log_id, device)

    def came(self, growths: list[Growth]) -> None:
        """What a commit brought. Returns at once."""
        for growth in growths:
            self.office.came(growth)

    def look_for_others(self, newest: Mapping[bytes, int]) -> None:
        """What other processes wrote."""
        self.office.look_for_others(newest)

    def close(self) -> None:
        """End the streams of open pages; they come back by themselves."""
        self._live.close()

    async def stop(self) -> None:
        """Finish what is under way, then let go of the files."""
        self._live.close()
        await self.office.stop()
        await self._reception.stop()

    def routes(self) -> list[Route]:
        """Every page."""
        house = self.house
        return [
            static.route(),
            Route("/live/{room}", house.page(_events)),
            Route("/live/register/{device}", house.page(_events_of_register)),
            *sign_in.routes(house),
            *today.routes(house),
            *sales.routes(house),
            *invoices.routes(house),
            *days.routes(house),
            *hold.routes(house),
            *registers.routes(house),
            *imports.routes(house),
            *catalogue.routes(house),
            *stock.routes(house),
            *alerts.routes(house),
            *people.routes(house),
            Route("/{nowhere:path}", house.open_page(_nowhere)),
        ]


async def _nowhere(_visit: Visit) -> Response:
    """Any other address, in the words of whoever came there."""
    raise HTTPException(404)


async def _events(visit: Visit) -> Response:
    """The stream of a live room."""
    room = visit.request.path_params["room"]
    if room not in _LIVE:
        raise HTTPException(404)
    return await _stream(visit, room)


async def _events_of_register(visit: Visit) -> Response:
    """The stream of the page of one register."""
    return await _stream(visit, f"register/{await registers.about(visit)}")


async def _stream(visit: Visit, room: str) -> Response:
    session, live = visit.session, visit.house.live
    if session is None:
        raise HTTPException(404)
    language, shop = visit.words.name, visit.account.shop
    listener = live.join(shop, room, language, session.id)
    if listener is None:
        raise HTTPException(503, headers={"retry-after": "5"})
    try:
        first = await visit.ask(lambda office: live.first(office, room, language))
    except BaseException:
        live.leave(listener)
        raise
    cookie = guard.cookie(visit.request, guard.SESSION_COOKIE)
    return StreamingResponse(
        live.events(listener, first, lambda: visit.house.reception.session(cookie)),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )
