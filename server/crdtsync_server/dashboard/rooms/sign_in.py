"""Coming in and going: signing in, the one-time link, signing out, the language."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from crdtsync.errors import TooManyAttempts
from crdtsync.web import guard
from crdtsync_server.dashboard.accounts import PASSWORD_CHARACTERS_MIN, password_problem
from crdtsync_server.dashboard.house import HOME, SIGN_IN, House, Visit
from crdtsync_server.dashboard.reception import CameIn
from crdtsync_server.dashboard.sessions import KNOWN_FOR_MS, LIFE_MS
from crdtsync_server.dashboard.words import LOCALES, N_

_WRONG = N_("Name or password is not right.")
_WRONG_OR_SHOP = N_("Shop, name or password is not right.")
_TOO_MANY = N_("Too many attempts. Wait %(minutes)s minutes and try again.")
_DIFFERENT = N_("The two passwords are not the same.")
_SHORT = N_("A password has at least %(characters)s characters.")
_LONG = N_("This password is too long.")


def routes(house: House) -> list[Route]:
    """The pages of this room."""
    return [
        Route(SIGN_IN, house.open_page(_sign_in), methods=["GET", "POST"]),
        Route("/welcome/{link}", house.open_page(_welcome), methods=["GET", "POST"]),
        Route("/sign-out", house.page(_sign_out), methods=["POST"]),
        Route("/language", house.open_page(_language), methods=["POST"]),
    ]


async def _sign_in(visit: Visit) -> Response:
    if visit.request.method != "POST":
        if visit.session is not None:
            return visit.go(HOME)
        return await _show(visit, shop=unquote(guard.cookie(visit.request, guard.SHOP_COOKIE))[:64])
    form = await visit.form()
    name, shop, status, headers = form.text("name"), form.text("shop"), 401, None
    try:
        found = await visit.house.reception.sign_in(
            name,
            form.texts.get("password", ""),
            shop=shop,
            marks=guard.cookie(visit.request, guard.BROWSER_COOKIE),
            address=visit.address,
            agent=visit.agent,
        )
        problem = ""
    except TooManyAttempts as error:
        found, status = None, 429
        problem = visit.words.say(_TOO_MANY, minutes=-(-error.retry_after_s // 60))
        headers = {"retry-after": str(error.retry_after_s)}
    if found is None:
        return await _show(
            visit, name=name[:64], shop=shop[:64], problem=problem, status=status, headers=headers
        )
    return _came_in(visit, found)


async def _show(
    visit: Visit,
    *,
    name: str = "",
    shop: str = "",
    problem: str = "",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The page on which one signs in. Which shops there are is told to nobody: a person knows theirs."""
    is_wrong = status == 401
    several = await visit.house.reception.ask(lambda books: books.has_several_shops())
    return visit.render(
        "sign_in.html",
        status=status,
        headers=headers,
        token=await visit.form_token(),
        name=name,
        shop=shop if several else None,
        problem=problem or (visit.words.say(_WRONG_OR_SHOP if several else _WRONG) if is_wrong else ""),
    )


async def _welcome(visit: Visit) -> Response:
    link = visit.request.path_params["link"]
    account = await visit.house.reception.ask(lambda books: books.accounts.of_link(link))
    if account is None:
        return visit.render("welcome_ended.html", status=404)
    problem = ""
    if visit.request.method == "POST":
        form = await visit.form()
        password = form.texts.get("password", "")
        problem = _problem(visit, password, form.texts.get("again", ""))
        if not problem:
            try:
                found = await visit.house.reception.use_link(
                    link,
                    password,
                    marks=guard.cookie(visit.request, guard.BROWSER_COOKIE),
                    address=visit.address,
                    agent=visit.agent,
                )
            except TooManyAttempts:
                raise HTTPException(429) from None
            if found is None:
                return visit.render("welcome_ended.html", status=404)
            return _came_in(visit, found)
    return visit.render(
        "welcome.html",
        status=422 if problem else 200,
        token=await visit.form_token(),
        name=account.name,
        characters_min=PASSWORD_CHARACTERS_MIN,
        problem=problem,
    )


def _problem(visit: Visit, password: str, again: str) -> str:
    found = password_problem(password)
    if found == "short":
        return visit.words.say(_SHORT, characters=PASSWORD_CHARACTERS_MIN)
    if found == "long":
        return visit.words.say(_LONG)
    return "" if password == again else visit.words.say(_DIFFERENT)


def _came_in(visit: Visit, found: CameIn) -> Response:
    """Whatever cookies came with the request, the session is a new one."""
    visit.house.live.look_at_the_door(found.session.account.shop)  # Older sessions may have ended by this.
    response = visit.go(HOME)
    for name, value, lasts_ms in (
        (guard.SESSION_COOKIE, found.cookie, LIFE_MS),
        (guard.BROWSER_COOKIE, found.marks, KNOWN_FOR_MS),
        (guard.SHOP_COOKIE, quote(found.shop_name, safe=""), KNOWN_FOR_MS),
    ):
        guard.set_cookie(visit.request, response, name, value, max_age_s=lasts_ms // 1000)
    guard.drop_cookie(visit.request, response, guard.FORM_COOKIE)
    return response


async def _sign_out(visit: Visit) -> Response:
    await visit.form()
    session = visit.session
    if session is not None:
        await visit.house.reception.ask(lambda books: books.sessions.end(session.id, session.account.id))
        visit.house.live.look_at_the_door(session.account.shop)
    response = visit.go(SIGN_IN)
    guard.drop_cookie(visit.request, response, guard.SESSION_COOKIE)
    response.headers["clear-site-data"] = '"cache"'
    return response


async def _language(visit: Visit) -> Response:
    form = await visit.form()
    name = form.text("language")
    if name not in LOCALES:
        raise HTTPException(400)
    session = visit.session
    if session is not None:
        await visit.house.reception.ask(lambda books: books.accounts.set_locale(session.account.id, name))
    response = RedirectResponse(_back(form.text("back")), 303)
    guard.set_cookie(visit.request, response, guard.LANGUAGE_COOKIE, name, max_age_s=LIFE_MS // 1000)
    return response


def _back(path: str) -> str:
    """A page of ours, whatever was asked for."""
    try:
        found = urlsplit(path)
    except ValueError:
        return HOME
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours and not (found.scheme or found.netloc) else HOME
