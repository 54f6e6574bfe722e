"""What is on hold of devices that were cut off: looked at, and let in by a person who says so."""

from __future__ import annotations

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import SetupError
from crdtsync_server.dashboard.csv_files import Cells, amount_cell, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.devices import utc
from crdtsync_server.shops.hold import Approved, DeviceHold, OnHold, approve, on_hold
from crdtsync_server.shops.registers import currency_of

PATH: Final = "/registers/hold"
SHOWN_MAX: Final = 200
"""Of each device; what is approved may be all of it."""

_COLUMNS: Final = (
    *("register", "ticket", "what", "time", "amount", "signed", "can be approved", "why it waits", "link"),
    "device",
)
REASON_CHARACTERS_MAX: Final = 120
_ELSEWHERE: Final = N_(
    "The owner's key of this shop is kept elsewhere: whoever has it approves, by “crdtsync-relay owner"
    " request --approve”."
)


def routes(house: House) -> list[Route]:
    """The pages of this room; before those of the registers, whose addresses it shares."""
    return [
        Route(PATH, house.page(_hold), methods=["GET"]),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/approve", house.page(_approve, owner=True), methods=["POST"]),
    ]


async def _hold(visit: Visit) -> Response:
    return await _show(visit)


async def _export(visit: Visit) -> Response:
    def read(shop: OfficeShop) -> list[Cells]:
        return [_cells(hold, one) for hold in on_hold(shop.log) for one in hold.entries]

    return csv_file("hold.csv", [_COLUMNS, *await visit.ask(read)])


def _cells(hold: DeviceHold, one: OnHold) -> Cells:
    body, amount = one.entry.body, one.entry.body.get("ttc")
    return [
        *(
            safe_cell(hold.name or ""),
            safe_cell(one.number or ""),
            safe_cell(one.entry.kind),
            utc(body["ts"]),
        ),
        amount_cell(amount if type(amount) is int else None),
        *("yes" if one.is_signed else "no", "yes" if one.can_be_approved else "no", safe_cell(one.reason)),
        *(one.entry.link.hex(), hold.device.hex()),
    ]


async def _show(visit: Visit, *, problem: str = "", approved: Approved | None = None) -> Response:
    def look(shop: OfficeShop) -> dict[str, Any]:
        return {
            "holds": on_hold(shop.log),
            "currency": currency_of(shop.log),
            "offset_min": shop.clock.utc_offset_min(shop.clock.now_ms()),
        }

    return visit.render(
        "hold.html",
        status=409 if problem else 200,
        token=await visit.form_token(),
        problem=problem,
        approved=approved,
        shown_max=SHOWN_MAX,
        **await visit.ask(look),
    )


async def _approve(visit: Visit) -> Response:
    form = await visit.form()
    try:
        device, link = bytes.fromhex(form.text("device")), bytes.fromhex(form.text("link"))
    except ValueError:
        raise HTTPException(404) from None
    if not device or form.text("sure") != "yes":
        return visit.go(PATH)
    reason = " ".join(form.text("reason").split())[:REASON_CHARACTERS_MAX]
    said = f"{visit.account.name}: {reason}" if reason else visit.account.name

    def let_in(shop: OfficeShop) -> Approved:
        found = [
            one
            for hold in on_hold(shop.log)
            for one in hold.entries
            if hold.device == device and link in (b"", one.entry.link)
        ]
        if not found:
            raise HTTPException(404)
        approved = approve(shop.access, shop.store, shop.log.shop, found, said)
        shop.wrote()
        return approved

    try:
        approved = await visit.change(let_in)
    except SetupError:
        return await _show(visit, problem=visit.words.say(_ELSEWHERE))
    return await _show(visit, approved=approved)
