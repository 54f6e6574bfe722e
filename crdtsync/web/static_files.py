"""The files that pages load: read once, named by their content, kept by browsers for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crdtsync.web import guard

_TYPES: Final[Mapping[str, str]] = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
SHARED: Final = "crdtsync.web"


class StaticFiles:
    """What lies in the folders ``static`` of this package and of another one; nothing else is served."""

    def __init__(self, package: str) -> None:
        self._packages = (SHARED, package)

    @cached_property
    def files(self) -> Mapping[str, tuple[bytes, str]]:
        """Each file by its name, with a name for its content."""
        found = {
            one.name: one.read_bytes()
            for package in self._packages
            for one in (files(package) / "static").iterdir()
            if one.is_file() and one.name.rpartition(".")[2] in _TYPES
        }
        return {name: (data, hashlib.sha256(data).hexdigest()[:12]) for name, data in found.items()}

    def address(self, name: str) -> str:
        """Where a page finds a file; another address for other content, so that it can be kept for ever."""
        return f"/static/{self.files[name][1]}/{name}"

    def route(self) -> Route:
        """What serves them."""
        return Route("/static/{mark}/{name}", self._serve)

    async def _serve(self, request: Request) -> Response:
        name = request.path_params["name"]
        found = self.files.get(name)
        if found is None or found[1] != request.path_params["mark"]:
            return guard.with_headers(Response(status_code=404))
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        media_type = _TYPES[name.rpartition(".")[2]]
        return guard.with_headers(Response(found[0], media_type=media_type, headers=headers))
