"""What all pages of the till share: who may come in, how a page is painted, how a form is taken.

The till is for the browser of its own machine. Whoever comes must name it by its loopback address (no name
that some page of the internet has made to lead here), and bring the cookie that only the link of this start
gives; a form must come from one of its own pages.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from crdtsync.errors import CrdtsyncError, StorageError
from crdtsync.runtime.clock import Clock
from crdtsync.till.counter import Counter
from crdtsync.till.desk import Desk
from crdtsync.till.live import Live
from crdtsync.till.printing import Printer
from crdtsync.till.safety import Snapshot
from crdtsync.till.selling import PartPaid, Stale
from crdtsync.till.troubles import said_of
from crdtsync.till.words import words_in
from crdtsync.web import guard
from crdtsync.web.painting import Painter
from crdtsync.web.words import N_, Words, choose

T = TypeVar("T")
Handler = Callable[["Visit"], Awaitable[Response]]

LANGUAGE_FOR_S: Final = 365 * 86_400

_TROUBLES: Final = {
    400: N_("This form could not be read."),
    403: N_(
        "This page belongs to a till that was started by somebody else, or earlier. Open the till again."
    ),
    404: N_("There is no such page."),
    405: N_("There is no such page."),
    409: N_("This was of another basket than the one that is open. Nothing was done twice."),
    413: N_("That is too large."),
    415: N_("This form could not be read."),
    500: N_("This page does not work: it is our mistake. What was sold before is recorded."),
    503: N_("The till has too much to do now. Try again."),
}

_logger = logging.getLogger("crdtsync.till")

_PAINTER: Final = Painter("crdtsync.till", words_in)
static = _PAINTER.static
"""The files that pages load."""


@dataclass
class House:
    """The till of one register, as its pages see it. ``secret`` is new with every start."""

    counter: Counter
    live: Live
    printer: Printer
    clock: Clock
    secret: str
    port: int

    @property
    def cookie_name(self) -> str:
        """Of this till: cookies do not know of ports."""
        return f"crdtsync_till_{self.port}"

    @property
    def form_token(self) -> str:
        """What the forms of this till bring; not what its cookie says."""
        return guard.token_of_stranger(self.secret.encode(), "form")

    def page(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for whoever has the cookie."""

        async def endpoint(request: Request) -> Response:
            return guard.with_headers(await self._answer(request, handler))

        return endpoint

    async def enter(self, request: Request) -> Response:
        """The link of this start: it leaves the cookie, and leads to the till."""
        if not self._is_ours(request) or not guard.is_same(request.path_params["secret"], self.secret):
            return guard.with_headers(self._trouble(request, 403))
        response = RedirectResponse("/", 303)
        response.set_cookie(self.cookie_name, self.secret, path="/", httponly=True, samesite="strict")
        return guard.with_headers(response)

    async def _answer(self, request: Request, handler: Handler) -> Response:
        try:
            if not self._is_ours(request) or not self._is_known(request):
                raise HTTPException(403)
            if request.method == "POST":
                guard.refuse_foreign(request)
            return await handler(Visit(self, request))
        except HTTPException as trouble:
            return self._trouble(request, trouble.status_code)
        except Stale:
            return self._trouble(request, 409)
        except PartPaid:
            return RedirectResponse("/pay?said=part-paid", 303)
        except StorageError as error:
            _logger.error("the disk: %s", error)
            return self._trouble(request, 503, error)
        except CrdtsyncError as error:
            return self._trouble(request, 422, error)
        except Exception:  # The boundary of a page: whatever is wrong with it, the till goes on.
            _logger.exception("a page failed")
            return self._trouble(request, 500)

    def _is_ours(self, request: Request) -> bool:
        """Whether the till is called by its own address: a name that leads here is somebody else's."""
        return request.headers.get("host", "") in (f"127.0.0.1:{self.port}", f"localhost:{self.port}")

    def _is_known(self, request: Request) -> bool:
        return guard.is_same(request.cookies.get(self.cookie_name, ""), self.secret)

    def _trouble(self, request: Request, status: int, error: CrdtsyncError | None = None) -> Response:
        visit = Visit(self, request)
        if self._is_ours(request) and self._is_known(request):
            says = said_of(error, visit.words) if error is not None else ""
            if not says and status in _TROUBLES:
                says = visit.words.say(_TROUBLES[status])
            reason = str(error) if error is not None else ""
            return visit.render("trouble.html", status=status, says=says, reason=reason)
        # A stranger is told nothing of the shop.
        return HTMLResponse(
            _PAINTER.paint("stranger.html", visit.words, says=visit.words.say(_TROUBLES[403])), 403
        )


class Visit:
    """One request of the person at the till."""

    def __init__(self, house: House, request: Request) -> None:
        self.house, self.request = house, request

    @cached_property
    def words(self) -> Words:
        """In the language that was chosen here, or else the browser's."""
        wished = (self.request.cookies.get(guard.LANGUAGE_COOKIE),)
        return words_in(choose(wished, self.request.headers.get("accept-language", "")))

    @property
    def snapshot(self) -> Snapshot:
        """What the top of every page says, as of now."""
        assert self.house.live.current is not None
        return self.house.live.current

    async def ask(self, question: Callable[[Desk], T]) -> T:
        """Something of the desk."""
        return await self.house.counter.ask(question)

    async def form(self) -> guard.Form:
        """The form that was sent, if it stood on a page of this till. Raises 400, 403, 413, 415."""
        form = await guard.read_form(self.request)
        guard.refuse_without_token(form, self.house.form_token)
        return form

    def paint(self, template: str, **facts: Any) -> str:
        """A template, or a part of a page."""
        return _PAINTER.paint(
            template,
            self.words,
            token=self.house.form_token,
            top=self.snapshot,
            has_printer=self.house.printer.address is not None,
            since=self.since,
            path=self.request.url.path,
            said=self.request.query_params.get("said", "")[:40],
            **facts,
        )

    def render(self, template: str, *, status: int = 200, **facts: Any) -> HTMLResponse:
        """A page."""
        return HTMLResponse(self.paint(template, **facts), status)

    def since(self, at_ms: int) -> str:
        """A moment that went before, as it is told now."""
        now_ms = self.house.clock.now_ms()
        return self.words.since(at_ms, now_ms, self.house.clock.utc_offset_min(now_ms))

    def go(self, path: str, **query: str) -> Response:
        """On to another page, after a form was taken."""
        said = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        address = f"{path}?{said}" if said else path
        if self.is_part:
            # htmx would put the page that it is led to into the middle of this one.
            return Response(status_code=204, headers={"hx-redirect": address})
        return RedirectResponse(address, 303)

    @property
    def is_part(self) -> bool:
        """Whether a part of a page is asked for, to be put into the one that is open."""
        return self.request.headers.get("hx-request") == "true"
