"""What a request must be, and what every page says of itself: cookies, forms, origins, headers, sizes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

FORM_BYTES_MAX: Final = 64 << 10
FORM_FIELDS_MAX: Final = 256
"""A refund has one for each line: the largest basket of a till has 200."""

TOKEN_FIELD: Final = "token"  # noqa: S105

SESSION_COOKIE, FORM_COOKIE, LANGUAGE_COOKIE = "crdtsync_session", "crdtsync_form", "crdtsync_language"
BROWSER_COOKIE, SHOP_COOKIE = "crdtsync_browser", "crdtsync_shop"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
"""Nothing from elsewhere, nothing inline, in nobody's frame; no page stays in a cache after signing out."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that came with a form."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """What a form brought: texts by name (the last of several), and files."""

    texts: Mapping[str, str]
    files: Mapping[str, File]

    def text(self, name: str) -> str:
        """A field without blanks around it; empty where it is missing."""
        return self.texts.get(name, "").strip()


def with_headers(response: Response) -> Response:
    """The response as every page goes out."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, to the relay or to a trusted proxy before it."""
    return request.url.scheme == "https"


def cookie_name(request: Request, name: str) -> str:
    """Under TLS a name that browsers take from this host alone, over TLS alone."""
    return f"__Host-{name}" if is_secure(request) else name


def set_cookie(
    request: Request, response: Response, name: str, value: str, *, max_age_s: int | None = None
) -> None:
    """A cookie that no script reads and that other sites' forms do not bring."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=max_age_s,
        path="/",
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Have the browser forget it."""
    response.delete_cookie(
        cookie_name(request, name), path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )


def cookie(request: Request, name: str) -> str:
    """What the browser brought; empty without."""
    return request.cookies.get(cookie_name(request, name), "")


def refuse_foreign(request: Request) -> None:
    """Raise 403 for a request that another site's page made a browser send."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403)
    said = request.headers.get("origin") or request.headers.get("referer") or ""
    try:
        found = urlsplit(said)
        place = (found.scheme, found.netloc)
    except ValueError:
        raise HTTPException(403) from None
    if place != (request.url.scheme, request.headers.get("host", "")):
        raise HTTPException(403)


def token_of_stranger(secret: bytes, form_cookie: str) -> str:
    """What the forms of somebody who is not signed in must bring."""
    return hmac.new(secret, form_cookie.encode(errors="replace"), "sha256").hexdigest()


def is_same(said: str, expected: str) -> bool:
    """Whether a secret was said, compared in a time that tells nothing of it."""
    return hmac.compare_digest(
        *(hashlib.sha256(text.encode(errors="replace")).digest() for text in (said, expected))
    )


def refuse_without_token(form: Form, expected: str) -> None:
    """Raise 403 for a form that was not on a page of ours for this browser."""
    if not is_same(form.texts.get(TOKEN_FIELD, ""), expected):
        raise HTTPException(403)


async def read_form(request: Request, bytes_max: int = FORM_BYTES_MAX) -> Form:
    """The form that was sent, up to so many bytes. Raises 413, 415, 400."""
    body = await _body(request, bytes_max)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                body.decode("utf-8"),
                keep_blank_values=True,
                max_num_fields=FORM_FIELDS_MAX,
                errors="strict",
            )
        except ValueError:
            raise HTTPException(400) from None
        return Form(dict(pairs), {})
    if kind != "multipart/form-data":
        raise HTTPException(415)
    return await _multipart(request, body)


async def _body(request: Request, bytes_max: int) -> bytes:
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > bytes_max:
        raise HTTPException(413)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > bytes_max:
            raise HTTPException(413)
        parts.append(part)
    return b"".join(parts)


async def _multipart(request: Request, body: bytes) -> Form:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    texts: dict[str, str] = {}
    files: dict[str, File] = {}
    try:
        whole = Request(request.scope, receive)
        async with whole.form(max_files=1, max_fields=FORM_FIELDS_MAX, max_part_size=FORM_BYTES_MAX) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    files[name] = File((value.filename or "")[:200], await value.read())
                else:
                    texts[name] = value
    except (MultiPartException, HTTPException, ValueError, KeyError):
        raise HTTPException(400) from None
    return Form(texts, files)
