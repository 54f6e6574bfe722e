"""What the menu leads to beside selling: synchronising, training, the language; and the stream of news."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from crdtsync.till import selling
from crdtsync.till.house import LANGUAGE_FOR_S, House, Visit
from crdtsync.till.safety import Snapshot
from crdtsync.till.troubles import told_of
from crdtsync.web import guard
from crdtsync.web.words import LOCALES


def routes(house: House) -> list[Route]:
    """The pages of this module."""
    return [
        Route("/sync", house.page(_sync)),
        Route("/sync", house.page(_sync_now), methods=["POST"]),
        Route("/training", house.page(_training), methods=["POST"]),
        Route("/language", house.page(_language), methods=["POST"]),
        Route("/live", house.page(_events)),
    ]


async def _sync(visit: Visit) -> Response:
    error, is_alone = await visit.ask(lambda desk: (desk.sync_error, desk.register.replica.relay is None))
    told = "" if error is None else told_of(str(error), type(error).__name__)
    return visit.render("sync.html", error=told, is_alone=is_alone)


async def _sync_now(visit: Visit) -> Response:
    await visit.form()
    await visit.ask(lambda desk: desk.sync_now())
    return visit.go("/sync", said="asked")


async def _training(visit: Visit) -> Response:
    form = await visit.form()
    on = form.text("on") == "1"
    await visit.ask(lambda desk: selling.set_training(desk, on=on))
    return visit.go("/")


async def _language(visit: Visit) -> Response:
    form = await visit.form()
    name = form.text("language")
    if name not in LOCALES:
        raise HTTPException(400)
    response = visit.go("/")
    response.set_cookie(
        guard.LANGUAGE_COOKIE, name, max_age=LANGUAGE_FOR_S, path="/", httponly=True, samesite="strict"
    )
    return response


async def _events(visit: Visit) -> Response:
    live = visit.house.live
    if live.is_full:
        raise HTTPException(503)

    def paint(snapshot: Snapshot) -> dict[str, str]:
        return {
            "safety": visit.paint("safety.html", safety=snapshot.safety, offset_min=snapshot.offset_min),
            "progress": visit.paint("progress.html"),
            "basket": snapshot.basket,
            "mode": "training" if snapshot.is_training else "live",
        }

    return StreamingResponse(
        live.events(paint), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
    )
