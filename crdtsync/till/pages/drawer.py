"""The drawer without a sale: it is recorded, as the law asks, before it opens."""

from __future__ import annotations

import unicodedata

from starlette.responses import Response
from starlette.routing import Route

from crdtsync.model.jet import DRAWER_OPENED, build_jet
from crdtsync.till.desk import Desk
from crdtsync.till.house import House, Visit
from crdtsync.till.printing import PrinterTrouble

REASON_CHARACTERS_MAX = 200


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [Route("/drawer", house.page(_open), methods=["POST"])]


async def open_drawer(visit: Visit) -> bool:
    """Have the printer open the drawer; whether it took that. Without a printer there is none to open."""
    if visit.house.printer.address is None:
        return True
    try:
        await visit.house.printer.open_drawer()
    except PrinterTrouble:
        return False
    return True


def _plain(text: str) -> str:
    """A reason as an entry can hold it; the drawer opens whatever somebody wrote."""
    words = "".join(one for one in " ".join(text.split()) if one.isprintable())
    return unicodedata.normalize("NFC", words)[:REASON_CHARACTERS_MAX]


async def _open(visit: Visit) -> Response:
    form = await visit.form()
    reason = _plain(form.text("reason"))
    if visit.house.printer.address is None:
        return visit.go("/day", said="no-printer")

    def work(desk: Desk) -> bool:
        if desk.shelf.is_training:
            return False
        data = {"reason": reason} if reason else {}
        desk.register.replica.writer.write("jet", build_jet(DRAWER_OPENED, data))
        return True

    if not await visit.ask(work):
        return visit.go("/day", said="training")
    return visit.go("/day", said="drawer" if await open_drawer(visit) else "no-drawer")
