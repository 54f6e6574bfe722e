"""Answers that come to the page in another order than they were made."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.till.conftest import TERRINE
from tests.till.test_in_a_browser import browser, labels, newest, page, place, press, scan

__all__ = ["browser", "page", "place"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Late:
    """Answers of one address, made by the till and kept on their way until they are let go."""

    def __init__(self, page: Page, path: str) -> None:
        self._page, self._path = page, path
        self._kept: list[tuple[Route, object]] = []
        self._is_open = False
        page.route(f"**{path}", self._answer)

    def _answer(self, route: Route) -> None:
        if self._is_open:
            route.continue_()
        else:
            self._kept.append((route, route.fetch()))

    def wait(self) -> None:
        """Until an answer was made."""
        for _ in range(600):
            if self._kept:
                return
            self._page.wait_for_timeout(100)
        raise AssertionError(f"nobody asks for {self._path}")

    def let_go(self) -> None:
        """Returns when the page has taken in the answer; later ones are not kept any more."""
        self._is_open = True
        self._page.evaluate(
            """path => { window.taken = new Promise((taken) => document.addEventListener(
                "htmx:afterSettle", (event) => event.detail.pathInfo.requestPath === path && taken())); }""",
            self._path,
        )
        for route, answer in self._kept:
            route.fulfill(response=answer)
        self._page.evaluate("window.taken")


def test_a_new_price_is_announced_after_the_question_was_taken_away_while_it_was_answered(page, place):
    place.register.products.set("EAU", price_minor=120)
    scan(page, "EAU")
    expect(labels(page)).to_have_count(1)
    place.register.products.set("EAU", price_minor=150)
    expect(page.get_by_text("New price €1.50")).to_be_visible()
    baskets = Late(page, "/basket")
    place.register.products.set("EAU", price_minor=155)
    baskets.wait()
    answers = Late(page, "/line")
    page.get_by_role("button", name="Keep").click()
    answers.wait()
    baskets.let_go()
    answers.let_go()
    place.register.products.set("EAU", price_minor=160)
    expect(page.get_by_text("New price €1.60")).to_be_visible()
    place.register.products.set("EAU", price_minor=120)


def test_a_look_at_the_basket_that_comes_late_takes_no_line_off_the_page(page, place):
    place.register.products.set("EAU", price_minor=120)
    scan(page, "EAU")
    expect(labels(page)).to_have_count(1)
    baskets = Late(page, "/basket")
    place.register.products.set("EAU", price_minor=150)
    baskets.wait()
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(2)
    baskets.let_go()
    expect(labels(page)).to_have_count(2)
    expect(page.get_by_text("New price €1.50")).to_be_visible()
    place.register.products.set("EAU", price_minor=120)


def test_a_payment_that_takes_long_is_shown_though_the_page_hears_first_that_the_basket_is_gone(page, place):
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    press(page, "F2")
    expect(page.locator("#amount")).to_be_focused()
    heard: list[str] = []
    page.on("console", lambda said: heard.append(said.text))
    # Whatever the page does after seconds it does at once; `source` is its stream of news.
    page.evaluate("""() => {
        const later = window.setTimeout;
        window.setTimeout = (work, ms) => later(work, ms >= 1000 ? 0 : ms);
        source.addEventListener("basket", () => console.log("the basket is another one"));
    }""")

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            made = route.fetch(max_redirects=0)
            for _ in range(600):
                if heard:
                    break
                page.wait_for_timeout(100)
            route.fulfill(response=made)
        else:
            route.continue_()

    page.route("**/pay", answer)
    page.get_by_role("button", name="Card").click(no_wait_after=True)
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert heard
    assert newest(place).total_minor == 695
