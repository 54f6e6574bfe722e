"""People: who may come in, where they are signed in, and ending that."""

from __future__ import annotations

from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.errors import InvalidName
from crdtsync_server.dashboard.accounts import ROLES, Account, Role
from crdtsync_server.dashboard.csv_files import Cells, csv_file, safe_cell
from crdtsync_server.dashboard.house import House, Visit
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.dashboard.sessions import Session
from crdtsync_server.dashboard.words import N_
from crdtsync_server.shops.devices import utc

PATH = "/people"
_COLUMNS: Final = ("person", "may", "has a password", "signed in", "browser", "address", "last visit")
_TAKEN = N_("This name cannot be, or is taken in this shop. Choose another one.")
_LAST_OWNER = N_("This is the last owner: somebody must be able to let others in.")


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(PATH, house.page(_people), methods=["GET"]),
        Route(f"{PATH}/export.csv", house.page(_export)),
        Route(f"{PATH}/new", house.page(_new, owner=True), methods=["POST"]),
        Route(f"{PATH}/{{account}}/link", house.page(_link, owner=True), methods=["POST"]),
        Route(f"{PATH}/{{account}}/end", house.page(_end, owner=True), methods=["POST"]),
        Route(f"{PATH}/sessions/{{session}}/end", house.page(_end_session), methods=["POST"]),
    ]


async def _people(visit: Visit) -> Response:
    return await _show(visit)


async def _show(
    visit: Visit, *, problem: str = "", name: str = "", link: tuple[Account, str] | None = None
) -> Response:
    """The page; ``link`` is one that was just made, and is shown this once."""
    people = await _seen_by(visit)
    clock = visit.house.office.clock
    now_ms = clock.now_ms()
    request = visit.request
    return visit.render(
        "people.html",
        status=422 if problem else 200,
        people=people,
        here=visit.session.id if visit.session else "",
        token=await visit.form_token(),
        problem=problem,
        name=name,
        link=link and (link[0], f"{request.url.scheme}://{request.url.netloc}/welcome/{link[1]}"),
        offset_min=clock.utc_offset_min(now_ms),
    )


async def _seen_by(visit: Visit) -> list[tuple[Account, list[Session]]]:
    """Whom the visitor may see, and where each is signed in: an owner everybody of the shop, staff itself."""
    me = visit.account

    def look(books: Books) -> list[tuple[Account, list[Session]]]:
        shown = books.accounts.of_shop(me.shop) if me.is_owner else [me]
        return [(account, books.sessions.of_account(account)) for account in shown]

    return await visit.house.reception.ask(look)


async def _export(visit: Visit) -> Response:
    rows = [cells for person, sessions in await _seen_by(visit) for cells in _cells(person, sessions)]
    return csv_file("people.csv", [_COLUMNS, *rows])


def _cells(person: Account, sessions: list[Session]) -> list[Cells]:
    """A row for each browser in which a person is signed in, one without for a person who is in none."""
    who = [
        *(safe_cell(person.name), "owner" if person.is_owner else "staff"),
        "yes" if person.has_password else "no",
    ]
    if not sessions:
        return [[*who, "no", "", "", ""]]
    return [[*who, "yes", safe_cell(one.agent), safe_cell(one.address), utc(one.seen_ms)] for one in sessions]


async def _new(visit: Visit) -> Response:
    form = await visit.form()
    role: Role = "owner" if form.text("role") == "owner" else "staff"
    if form.text("role") not in ROLES:
        raise HTTPException(400)
    name, shop = form.text("name"), visit.account.shop
    try:
        made = await visit.house.reception.ask(lambda books: books.accounts.create(shop, name, role))
    except InvalidName:
        return await _show(visit, problem=visit.words.say(_TAKEN), name=name[:64])
    return await _show(visit, link=made)


async def _link(visit: Visit) -> Response:
    await visit.form()
    account = await _account(visit)
    token = await visit.house.reception.ask(lambda books: books.accounts.new_link(account))
    return await _show(visit, link=(account, token))


async def _end(visit: Visit) -> Response:
    await visit.form()
    account = await _account(visit)

    def end(books: Books) -> bool:
        others = [
            one
            for one in books.accounts.of_shop(account.shop)
            if one.is_owner and one.has_password and one.id != account.id
        ]
        if account.is_owner and not others:
            return False
        books.accounts.end(account.id)
        return True

    if not await visit.house.reception.ask(end):
        return await _show(visit, problem=visit.words.say(_LAST_OWNER))
    visit.house.live.look_at_the_door(account.shop)
    return visit.go(PATH)


async def _end_session(visit: Visit) -> Response:
    await visit.form()
    me, session_id = visit.account, visit.request.path_params["session"]

    def end(books: Books) -> bool:
        whose = books.accounts.of_shop(me.shop) if me.is_owner else [me]
        return any(books.sessions.end(session_id, account.id) for account in whose)

    if not await visit.house.reception.ask(end):
        raise HTTPException(404)
    visit.house.live.look_at_the_door(me.shop)
    return visit.go(PATH)


async def _account(visit: Visit) -> Account:
    """The account of the address, if it is one of this shop. Raises 404."""
    try:
        id_ = bytes.fromhex(visit.request.path_params["account"])
    except ValueError:
        raise HTTPException(404) from None
    found = await visit.house.reception.ask(lambda books: books.accounts.get(id_))
    if found is None or found.shop != visit.account.shop:
        raise HTTPException(404)
    return found
