"""What all rooms share: who visits, how a page is painted, how a form is taken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from crdtsync.errors import StorageError, UnknownShop
from crdtsync.runtime.clock import RandomBytes
from crdtsync.web import guard
from crdtsync.web.painting import Painter
from crdtsync_server.dashboard.accounts import Account, new_token
from crdtsync_server.dashboard.live import Live
from crdtsync_server.dashboard.office import Office
from crdtsync_server.dashboard.reception import Reception
from crdtsync_server.dashboard.sessions import Session
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.dashboard.words import N_, Words, choose, words_in
from crdtsync_server.serving.logs import get_logger

T = TypeVar("T")
Handler = Callable[["Visit"], Awaitable[Response]]

SIGN_IN: Final = "/sign-in"
HOME: Final = "/today"

ROOMS: Final = (
    (HOME, N_("Today")),
    ("/sales", N_("Sales")),
    ("/days", N_("Days")),
    ("/registers", N_("Registers")),
    ("/catalogue", N_("Catalogue")),
    ("/stock", N_("Stock")),
    ("/alerts", N_("Alerts")),
    ("/people", N_("People")),
)
"""What stands in the menu, in this order. Another room is one more line here, and its routes in ``rooms``."""

_TROUBLES: Final = {
    400: N_("This form could not be read."),
    403: N_("You may not do this, or the page was open for too long. Go back, reload it and try again."),
    404: N_("There is no such page."),
    413: N_("That is too large."),
    415: N_("This form could not be read."),
    429: N_("Too many attempts. Wait a little and try again."),
    500: N_("This page does not work: it is our mistake. Selling and synchronising go on."),
    503: N_("The back office cannot answer now. Selling and synchronising go on. Try again in a moment."),
}


@dataclass
class House:
    """The back office of one relay, as its pages see it."""

    office: Office
    reception: Reception
    live: Live
    random: RandomBytes

    def page(self, handler: Handler, *, owner: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for whoever is signed in; with ``owner``, for owners alone."""

        async def endpoint(request: Request) -> Response:
            return await self._answer(request, handler, signed_in=True, owner=owner)

        return endpoint

    def open_page(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for anybody."""

        async def endpoint(request: Request) -> Response:
            return await self._answer(request, handler, signed_in=False, owner=False)

        return endpoint

    async def _answer(self, request: Request, handler: Handler, *, signed_in: bool, owner: bool) -> Response:
        session = None
        try:
            if request.method == "POST":
                guard.refuse_foreign(request)
            session = await self.reception.session(guard.cookie(request, guard.SESSION_COOKIE))
            if signed_in and session is None:
                return self._to_sign_in(request)
            visit = Visit(self, request, session)
            if owner and not visit.account.is_owner:
                raise HTTPException(403)
            if signed_in and request.method != "POST" and not visit.is_part:
                await visit.count_alerts()
            response = await handler(visit)
            visit.add_form_cookie(response)
        except HTTPException as trouble:
            response = self._trouble(request, session, trouble.status_code, trouble.headers)
        except StorageError as error:
            get_logger().error("page_failed", room=_room(request), reason=str(error))
            response = self._trouble(request, session, 503)
        except UnknownShop:
            response = self._trouble(request, session, 503)
        except Exception as error:  # The boundary of a page: whatever is wrong with it, the relay goes on.
            get_logger().exception("page_failed", room=_room(request), reason=repr(error))
            response = self._trouble(request, session, 500)
        return guard.with_headers(response)

    def _to_sign_in(self, request: Request) -> Response:
        if request.method == "POST" or request.headers.get("hx-request"):
            # htmx follows a redirect into the middle of a page: it is told to leave the page instead.
            return Response(status_code=401, headers={"hx-redirect": SIGN_IN})
        response = RedirectResponse(SIGN_IN, 303)
        guard.drop_cookie(request, response, guard.SESSION_COOKIE)
        return response

    def _trouble(
        self, request: Request, session: Session | None, status: int, headers: Any = None
    ) -> Response:
        visit = Visit(self, request, session)
        says = visit.words.say(_TROUBLES.get(status, _TROUBLES[503]))
        return visit.render("trouble.html", status=status, headers=headers, says=says)


class Visit:
    """One request of one person, or of a stranger."""

    def __init__(self, house: House, request: Request, session: Session | None) -> None:
        self.house, self.request, self.session = house, request, session
        self._form_cookie = ""
        self.alerts: int | None = None
        """How many there are; None where nobody asked, or they cannot be told now."""

    @property
    def is_part(self) -> bool:
        """Whether only a part of a page is asked for, which has no menu."""
        is_count = self.request.url.path.endswith("/count")
        return bool(self.request.headers.get("hx-request")) and not is_count

    async def count_alerts(self) -> None:
        """Ask how many alerts there are. What cannot be told now hinders no page."""
        try:
            self.alerts = await self.ask(lambda shop: len(shop.alerts.now()))
        except (StorageError, UnknownShop) as error:
            get_logger().warning("alerts_unknown", reason=str(error))

    @property
    def account(self) -> Account:
        """Who it is. Only where somebody is signed in."""
        assert self.session is not None
        return self.session.account

    @cached_property
    def words(self) -> Words:
        """In the language that the person chose, or else the browser."""
        chosen = self.session.account.locale if self.session else None
        wished = (chosen, guard.cookie(self.request, guard.LANGUAGE_COOKIE))
        return words_in(choose(wished, self.request.headers.get("accept-language", "")))

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    @property
    def agent(self) -> str:
        """What the browser calls itself."""
        return self.request.headers.get("user-agent", "")

    async def ask(self, question: Callable[[OfficeShop], T]) -> T:
        """Something of this person's own shop, and of no other."""
        return await self.house.office.ask(self.account.shop, question)

    async def change(self, work: Callable[[OfficeShop], T]) -> T:
        """As ``ask``, for what this person changes."""
        return await self.house.office.ask(self.account.shop, work, by=self.account.name)

    @property
    def operator(self) -> str:
        """Who makes an entry: a pseudonym, never a name, because entries can never be erased."""
        return f"u-{self.account.id.hex()[:8]}"

    async def form(self, bytes_max: int = guard.FORM_BYTES_MAX) -> guard.Form:
        """The form that was sent, if it was one of this browser's. Raises 400, 403, 413, 415."""
        form = await guard.read_form(self.request, bytes_max)
        guard.refuse_without_token(form, await self.form_token())
        return form

    async def form_token(self) -> str:
        """What a form of this browser brings."""
        if self.session is not None:
            return self.session.token
        found = guard.cookie(self.request, guard.FORM_COOKIE)
        if not found:
            found = self._form_cookie = self._form_cookie or new_token(self.house.random)
        return guard.token_of_stranger(await self.house.reception.secret(), found)

    def add_form_cookie(self, response: Response) -> None:
        """Give a stranger's browser what its forms are held against."""
        if self._form_cookie:
            guard.set_cookie(self.request, response, guard.FORM_COOKIE, self._form_cookie)

    def render(self, template: str, *, status: int = 200, headers: Any = None, **facts: Any) -> HTMLResponse:
        """A page. ``token`` must be among the facts where it has a form."""
        html = paint(
            template,
            self.words,
            account=self.session.account if self.session else None,
            session_token=self.session.token if self.session else "",
            path=self.request.url.path,
            alerts=self.alerts,
            status=status,
            **facts,
        )
        return HTMLResponse(html, status, headers)

    def go(self, path: str, **query: str) -> Response:
        """On to another page of the back office, after a form was taken."""
        said = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return RedirectResponse(f"{path}?{said}" if said else path, 303)


def _room(request: Request) -> str:
    """The first part of the address: what follows may be the token of a link."""
    return request.url.path.split("/")[1]


_PAINTER: Final = Painter("crdtsync_server.dashboard", words_in, rooms=ROOMS)

static = _PAINTER.static
"""The files that pages load."""

paint = _PAINTER.paint
"""A template with its facts, in a language."""
