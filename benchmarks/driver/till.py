"""`crdtsync till` as a process, and a browser without a screen in front of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Final

import httpx

STOP_S: Final = 60.0
ANSWER_S: Final = 60.0


class TillFailed(Exception):
    """The till did not start, or answered what it should not."""


class Clerk:
    """Whoever stands at the till. Times are milliseconds, from asking until the whole answer is there."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def visit(self, address: str) -> tuple[float, httpx.Response]:
        """Open a page. Raises ``TillFailed`` for anything but 200."""
        began_s = time.perf_counter()
        answer = self._http.get(address)
        took_ms = (time.perf_counter() - began_s) * 1000
        if answer.status_code != 200:
            raise TillFailed(f"{address} answered {answer.status_code}")
        return took_ms, answer

    def send(self, address: str, page: str, **fields: str) -> tuple[float, httpx.Response]:
        """Send a form of a page; ``page`` is its HTML, which has what forms bring along."""
        hidden = dict(re.findall(r'name="(token|basket|step|due)" value="([^"]*)"', page))
        began_s = time.perf_counter()
        answer = self._http.post(
            address, data={**{name: unescape(value) for name, value in hidden.items()}, **fields}
        )
        took_ms = (time.perf_counter() - began_s) * 1000
        if answer.status_code not in (200, 303):
            raise TillFailed(f"{address} answered {answer.status_code}")
        return took_ms, answer

    def weight_bytes(self, address: str) -> int:
        """A page and all that it loads."""
        page = self.visit(address)[1]
        loads = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
        return len(page.content) + sum(len(self.visit(one)[1].content) for one in sorted(loads))


@contextmanager
def till_process(folder: Path, log: Path) -> Iterator[Clerk]:
    """The till of that folder; stopped as a person would at the end, and killed if it does not stop."""
    command = [sys.executable, "-m", "crdtsync", "till", "--data", str(folder), "--port", "0"]
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*command, "--no-browser", "--json"], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise TillFailed(f"the till ended: {log.read_text()[-2000:]}")
        address = json.loads(line)["address"]
        base = address.partition("/enter/")[0]
        headers = {"accept-language": "fr", "origin": base}
        with httpx.Client(base_url=base, headers=headers, timeout=ANSWER_S) as http:
            http.get(address)
            yield Clerk(http)
        process.terminate()
        process.wait(STOP_S)
    finally:
        process.kill()
        process.wait(STOP_S)
        if process.stdout is not None:
            process.stdout.close()
