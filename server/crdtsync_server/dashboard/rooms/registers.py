"""Registers: of each, what is safe and what is not; pairing one more, and cutting one off."""

from __future__ import annotations

from typing import Any, Final

import segno
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import SetupError
from crdtsync_server.dashboard.alerts import counts_apart
from crdtsync_server.dashboard.csv_files import Cells, amount_cell, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit, paint
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import words_in
from crdtsync_server.shops.copied import copied_in
from crdtsync_server.shops.devices import DeviceState, utc
from crdtsync_server.shops.owner import OwnerChain
from crdtsync_server.shops.pairing import IssuedCode
from crdtsync_server.shops.registers import advice_about, currency_of
from crdtsync_server.shops.replacing import never_arrived
from crdtsync_server.shops.wishes import LASTS_MS, Wish, read_wish

PATH = "/registers"
ROLES = ("register", "backoffice", "display")
REASON_CHARACTERS_MAX = 120
_COLUMNS: Final = (
    *("register", "role", "series", "state", "last heard of", "pending tickets", "pending amount"),
    *("complete up to", "its entries here", "records it lacks", "held", "refused"),
    *("clock ahead by s", "software", "device"),
)
SHOWN_FOR_MS = 2 * LASTS_MS
"""So long stands in the page what was asked of a device: a wish that waited in vain is told as such."""


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_registers)),
        Route(f"{PATH}/pair", house.page(_pair, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/{{device}}", house.page(_register)),
        Route(f"{PATH}/{{device}}/restore", house.page(_restore, owner=True), methods=["GET", "POST"]),
        Route(f"{PATH}/{{device}}/synchronise", house.page(_synchronise, owner=True), methods=["POST"]),
        Route(f"{PATH}/{{device}}/revoke", house.page(_revoke, owner=True), methods=["POST"]),
    ]


async def _registers(visit: Visit) -> Response:
    return visit.render("registers.html", **await visit.ask(_facts))


def paint_now(shop: OfficeShop, language: str) -> str:
    """What moves on the page."""
    return paint("registers_now.html", words_in(language), **_facts(shop))


def _facts(shop: OfficeShop) -> dict[str, Any]:
    now_ms = shop.clock.now_ms()
    states = shop.device_states()
    apart = counts_apart(shop.log, now_ms)
    wishes = {state.certificate.device: _wish_of(shop, state) for state in states}
    return {
        "devices": [(state, advice_about(state, now_ms)) for state in states if not state.revoked],
        "wishes": {device: wish for device, wish in wishes.items() if wish is not None},
        "revoked": [state for state in states if state.revoked],
        "now_ms": now_ms,
        "currency": currency_of(shop.log),
        "offset_min": shop.clock.utc_offset_min(now_ms),
        "open_codes": shop.access.codes.count_open(shop.log.shop),
        "apart_held": apart.get("held", 0) + apart.get("hold", 0),
        "apart_refused": apart.get("refused", 0),
        "apart_damaged": apart.get("damaged", 0),
        "end": shop.log.end.seq,
    }


async def _export(visit: Visit) -> Response:
    rows = await visit.ask(lambda shop: [_cells(state) for state in shop.device_states()])
    return csv_file("registers.csv", [_COLUMNS, *rows])


def _cells(state: DeviceState) -> Cells:
    certificate, contact, complete = state.certificate, state.contact, state.complete
    offset_ms = contact.clock_offset_ms if contact else None
    return [
        *(safe_cell(certificate.name), certificate.role, certificate.series or ""),
        "cut off" if state.revoked else "connected" if state.connected else "away",
        utc(contact.at_ms) if contact else "",
        *(
            "" if state.pending_sales is None else str(state.pending_sales),
            amount_cell(state.pending_amount_minor),
        ),
        *(safe_cell(complete.number or "") if complete else "", str(complete.n if complete else 0)),
        *(str(state.behind), str(state.held), str(state.refused)),
        *(
            "" if offset_ms is None else str(round(offset_ms / 1000)),
            safe_cell(contact.software if contact else ""),
        ),
        certificate.device.hex(),
    ]


async def _register(visit: Visit) -> Response:
    return await _show(visit, problem="")


async def _show(visit: Visit, *, problem: str) -> Response:
    device, is_owner = _device(visit), visit.account.is_owner
    facts = await visit.ask(lambda shop: _facts_of(shop, device, is_owner=is_owner))
    return visit.render(
        "register.html",
        status=409 if problem else 200,
        token=await visit.form_token(),
        problem=problem,
        **facts,
    )


async def about(visit: Visit) -> str:
    """What the stream of a register's page is about: the device, and what whoever looks at it may do. Raises
    404 for what is no device of the shop: nothing is painted for those who ask for it.
    """
    device = _device(visit)
    await visit.ask(lambda shop: _state(shop, device))
    return f"{device.hex()}/{'owner' if visit.account.is_owner else 'staff'}"


def paint_one(shop: OfficeShop, language: str, about: str) -> str:
    """What moves on the page of a register. Raises 404."""
    device, _, role = about.partition("/")
    facts = _facts_of(shop, bytes.fromhex(device), is_owner=role == "owner")
    return paint("register_now.html", words_in(language), **facts)


def _facts_of(shop: OfficeShop, device: bytes, *, is_owner: bool) -> dict[str, Any]:
    state, now_ms, wishes = _state(shop, device), shop.clock.now_ms(), {}
    if (wish := _wish_of(shop, state)) is not None:
        wishes[device] = wish
    told = copied_in(shop.log, OwnerChain.read(shop.log).directory)
    return {
        "state": state,
        "advice": advice_about(state, now_ms),
        "copied": next((one for one in told if one.device == device), None),
        "wishes": wishes,
        "is_owner": is_owner,
        "now_ms": now_ms,
        "offset_min": shop.clock.utc_offset_min(now_ms),
        "currency": currency_of(shop.log),
    }


def _wish_of(shop: OfficeShop, state: DeviceState) -> Wish | None:
    """What was last asked of a device, if it is no older than a wish lasts."""
    wish = None if state.revoked else read_wish(shop.log, state.certificate.device)
    is_old = wish is not None and shop.clock.now_ms() - wish.at_ms >= SHOWN_FOR_MS
    return None if is_old else wish


async def _synchronise(visit: Visit) -> Response:
    """Have a device asked to synchronise: now if it is connected, otherwise when it comes."""
    device = _device(visit)
    await visit.form()
    state = await visit.ask(lambda shop: _state(shop, device))
    if not state.revoked:
        await visit.house.office.wish(visit.account.shop, device, by=visit.account.name)
    return visit.go(f"{PATH}/{device.hex()}#sync")


async def _revoke(visit: Visit) -> Response:
    device = _device(visit)
    form = await visit.form()
    if form.text("sure") != "yes":
        return visit.go(f"{PATH}/{device.hex()}")
    reason = " ".join(form.text("reason").split())[:REASON_CHARACTERS_MAX]
    said = f"{visit.account.name}: {reason}" if reason else visit.account.name

    def revoke(shop: OfficeShop) -> None:
        _state(shop, device)
        shop.access.revoke(shop.store, shop.log.shop, device, said)
        shop.wrote()

    try:
        await visit.change(revoke)
    except SetupError:
        problem = visit.words.say(
            "The owner's key of this shop is kept elsewhere: whoever has it can cut devices off."
        )
        return await _show(visit, problem=problem)
    return visit.go(f"{PATH}/{device.hex()}")


async def _pair(visit: Visit) -> Response:
    issued = None
    if visit.request.method == "POST":
        form = await visit.form()
        role = form.text("role")
        if role not in ROLES:
            raise HTTPException(400)

        def issue(shop: OfficeShop) -> IssuedCode:
            return shop.access.issue_code(shop.log.shop, role)

        issued = await visit.change(issue)
    return await _show_code(visit, "pair.html", issued)


async def _restore(visit: Visit) -> Response:
    """A code for the machine that takes the place of a lost register."""
    device = _device(visit)
    issued = None

    def look(shop: OfficeShop) -> dict[str, Any]:
        state = _state(shop, device)
        missing = never_arrived(shop.log, device)
        return {"state": state, "missing": missing, "currency": currency_of(shop.log)}

    facts = await visit.ask(look)
    if visit.request.method == "POST":
        await visit.form()
        role = facts["state"].certificate.role

        def issue(shop: OfficeShop) -> IssuedCode:
            return shop.access.issue_code(shop.log.shop, role, replaces=device)

        issued = await visit.change(issue)
    return await _show_code(visit, "restore.html", issued, **facts)


async def _show_code(visit: Visit, template: str, issued: IssuedCode | None, **facts: Any) -> Response:
    """A page on which a code stands once, also for a camera."""
    qr = ""
    if issued is not None:
        made = segno.make(issued.code.format(), micro=False, error="m")
        qr = made.svg_inline(border=2, omitsize=True, svgclass="qr", lineclass="qr-line")
    request = visit.request
    scheme = "wss" if request.url.scheme == "https" else "ws"
    clock = visit.house.office.clock
    return visit.render(
        template,
        token=await visit.form_token(),
        issued=issued,
        qr=qr,
        address=f"{scheme}://{request.url.netloc}",
        offset_min=clock.utc_offset_min(clock.now_ms()),
        **facts,
    )


def _device(visit: Visit) -> bytes:
    try:
        return bytes.fromhex(visit.request.path_params["device"])
    except ValueError:
        raise HTTPException(404) from None


def _state(shop: OfficeShop, device: bytes) -> DeviceState:
    """The device, if it is one of this shop. Raises 404."""
    for state in shop.device_states():
        if state.certificate.device == device:
            return state
    raise HTTPException(404)
