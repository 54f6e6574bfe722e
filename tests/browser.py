"""A real browser for the tests of both programs: where it is, how it is started, what hinders on a page.

Playwright has no bound for some of what it does (a script in a page, closing): each test has one of its own,
`timeout` in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

FLAGS: Final = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--no-first-run"),
)
MISSING: Final = (
    "there is no Chromium: `apt-get update && apt-get install -y chromium`, or CRDTSYNC_CHROMIUM=its path"
)
SCAN_MS: Final = 3
START_MS: Final = 60_000
PAGE_MS: Final = 30_000
"""How long anything on a page is waited for: of a machine that has much to do."""

MOVING_MS: Final = """() => Math.max(0, ...[...document.querySelectorAll("*")].flatMap((one) => {
  const style = getComputedStyle(one);
  return [...style.animationDuration.split(","), ...style.transitionDuration.split(",")]
    .map((text) => 1000 * parseFloat(text));
}))"""
"""The longest that anything on a page moves by itself."""

NOBODY_LOOKS: Final = 'Object.defineProperty(document, "hidden", { get: () => !window.looked });'
"""For a page that is to take itself for one behind others, from its beginning until ``SOMEBODY_LOOKS``."""

SOMEBODY_LOOKS: Final = "window.looked = true; document.dispatchEvent(new Event('visibilitychange'))"

AXE: Final = Path(__file__).parent / "web/axe/axe-4.14.1.min.js"


T = TypeVar("T")
ASIDE_S: Final = 120


def aside(work: Callable[[], T]) -> T:
    """Do something in a thread of its own, for what has an event loop: while Playwright runs there is none to
    be had in this one. It is waited for two minutes at most, and not at all in the end.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # Whoever waits is told.
            done.set_exception(error)

    Thread(target=run, name="aside", daemon=True).start()
    return done.result(timeout=ASIDE_S)


def chromium() -> str | None:
    """Where the browser is; None if there is none."""
    return os.environ.get("CRDTSYNC_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def started(*more_flags: str) -> Iterator[Browser]:
    """A browser. While it runs, no other event loop begins in this thread: start servers before it, and stop
    them after it. Without Chromium the test fails.
    """
    path = chromium()
    if path is None:
        pytest.fail(MISSING)
    expect.set_options(timeout=PAGE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*FLAGS, *more_flags], timeout=START_MS
        )
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser: Browser, **settings: Any) -> Page:
    """A page in a context of its own, as a person with these settings has it. ``problems`` gathers what the
    browser complains of, a content security policy among it.
    """
    context = browser.new_context(**{"locale": "en", "viewport": {"width": 1280, "height": 900}, **settings})
    context.set_default_timeout(PAGE_MS)
    page: Any = context.new_page()
    page.problems = []
    page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    return page  # type: ignore[no-any-return]


def close_page(page: Page) -> None:
    """Close a page and its context. The browser waits for ever for the end of one that loads itself anew in
    that moment, as pages do that follow what happens: it is led away first.
    """
    for one in page.context.pages:
        with suppress(Error):  # It loads itself anew just now: that was its last time.
            one.goto("about:blank")
    page.context.close()


def scan(page: Page, code: str) -> None:
    """As a scanner types: a key every three milliseconds by the time that its events bear, however long a
    busy machine takes (that time tells a scanner from a hand); and Enter behind it.
    """
    keyboard, begins_s = page.context.new_cdp_session(page), time.time()
    for place, key in enumerate([*code, "Enter"]):
        at_s = begins_s + place * SCAN_MS / 1000
        said = {"text": key} if key != "Enter" else {"text": "\r", "code": key, "windowsVirtualKeyCode": 13}
        for kind, more in (("keyDown", said), ("keyUp", {})):
            pressed = {"type": kind, "key": key, "timestamp": at_s, **more}
            keyboard.send("Input.dispatchKeyEvent", pressed)
    keyboard.detach()


def press(page: Page, key: str) -> None:
    """Press a key that the page's script answers: not before it is there. A field has the focus earlier."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def serious(page: Page) -> list[str]:
    """What axe-core finds that is serious; the page was opened with ``AXE`` as a script."""
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def too_small(page: Page) -> list[str]:
    """What can be pressed and is lower than 44 px: links within a sentence apart."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll(
             'button, .button, input:not([type=hidden], [type=checkbox], [type=radio]), select,'
             + ' textarea:not([hidden]), summary, .menu a, label.check')]
           .filter((one) => one.checkVisibility() && one.getBoundingClientRect().height < 43.5)
           .map((one) => one.outerHTML.slice(0, 100))"""
    )
    return found


def too_wide(page: Page, width: int) -> bool:
    """Whether something is cut off at the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth") > width)
