"""The till in a real browser: keyboard, scanner, a price that changes, the relay cut and back, the day."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from crdtsync import Register
from crdtsync.till.app import Till
from crdtsync_server import LocalRelay
from tests.browser import (
    AXE,
    MOVING_MS,
    NOBODY_LOOKS,
    SOMEBODY_LOOKS,
    close_page,
    open_page,
    press,
    scan,
    serious,
    started,
    too_small,
)
from tests.till.conftest import SHARED, TERRINE, Shop, many_products, stock_up, tickets, wait_until

pytestmark = pytest.mark.slow

AZERTY = str.maketrans("1234567890", "&é\"'(-è_çà")
PAGES = ("/", "/pay", "/parked", "/tickets", "/day", "/day/close", "/sync")


class Place:
    """A relay, a register with its till, and what a test does to them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.open_relay()
        with Register.join(
            folder / "till", self.relay.url, self.relay.pairing_code(), name="Caisse 1"
        ) as register:
            stock_up(register)
            many_products(register, 200, seed=5)
            register.sync(60)
        self.shop = Shop(folder / "till", stack)
        self.clerk = self.shop.open_till()
        self.register = self.shop.register()

    def open_relay(self, port: int = 0) -> None:
        self.relay = LocalRelay(self.folder / "relay", shop="Cave du Port", port=port)
        self.relay.start()
        self._stack.callback(self.relay.stop)
        self.port = int(self.relay.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with ExitStack() as stack:
        yield Place(tmp_path_factory.mktemp("browser"), stack)


@pytest.fixture(scope="module")
def browser(place):
    # The till first, and last gone: while Playwright runs, no other event loop begins in this thread.
    with started() as browser:
        yield browser


def at_the_till(browser: Browser, place: Place, **settings) -> Page:
    page = open_page(browser, **settings)
    page.goto(place.shop.till.address)
    return page


@pytest.fixture
def page(browser, place):
    clerk = place.clerk
    if clerk.lines():
        clerk.post("/pay/back", basket=clerk.hidden("basket", "/pay"))
        clerk.post("/drop", basket=clerk.hidden("basket", "/pay"))
    page = at_the_till(browser, place)
    yield page
    assert page.problems == []  # The content security policy among them.
    close_page(page)


def pay(page: Page, key: str) -> None:
    press(page, "F2")
    expect(page.locator("#amount")).to_be_focused()
    press(page, key)


def labels(page: Page):
    return page.locator("#basket .label")


def newest(place: Place):
    return tickets(place.register)[0]


def test_a_sale_by_keyboard_alone(page, place):
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("terrine", delay=60)
    expect(page.locator("#found .product").first).to_contain_text("Terrine")
    page.keyboard.press("Enter")
    expect(labels(page)).to_have_text(["Terrine de campagne 180 g"])
    page.keyboard.type("cm- hermitage")
    expect(page.locator("#found .product")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(labels(page)).to_have_text(["Terrine de campagne 180 g", "Crozes-Hermitage 2020"])
    expect(page.locator("#q")).to_be_focused()
    press(page, "F2")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    expect(page.locator("#change")).to_have_text("€23.55")
    assert newest(place).total_minor == 2645
    page.keyboard.press("Enter")  # The next customer.
    expect(page.locator("#q")).to_be_focused()


def test_a_sale_by_scanner_also_with_a_french_keyboard(page, place):
    scan(page, TERRINE.translate(AZERTY))
    expect(labels(page)).to_have_text(["Terrine de campagne 180 g"])
    scan(page, TERRINE)
    expect(page.locator("#basket .qty")).to_have_text(["2"])
    scan(page, SHARED)
    expect(page.get_by_text("Several products bear this code")).to_be_visible()
    page.locator(".product", has_text="2019").click()
    expect(labels(page)).to_have_text(["Terrine de campagne 180 g", "Crozes-Hermitage 2019"])
    pay(page, "F4")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert newest(place).payments[0].means == "card"


def test_a_scan_lands_in_the_basket_wherever_the_focus_is(page):
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    page.get_by_role("button", name="One more: Terrine").focus()
    scan(page, TERRINE)
    expect(page.locator("#basket .qty")).to_have_text(["2"])
    page.locator(".line-more summary").click()
    page.get_by_label("Discount: 10 % or 2,50").fill("5 %")
    page.get_by_label("Discount: 10 % or 2,50").focus()
    scan(page, TERRINE)
    expect(page.locator("#basket .qty")).to_have_text(["3"])
    press(page, "F2")
    expect(page.locator("#amount")).to_be_focused()
    page.wait_for_load_state()
    scan(page, TERRINE)
    page.wait_for_url(re.compile(r"/$"))
    expect(page.locator("#basket .qty")).to_have_text(["4"])


def test_two_quick_scans_are_both_there(page):
    scan(page, TERRINE)
    scan(page, "EAU")
    expect(labels(page)).to_have_text(["Terrine de campagne 180 g", "Eau de source"])


def test_a_new_price_is_announced_on_the_line_and_applied_by_nobody_else(page, place):
    place.register.products.set("EAU", price_minor=120)
    scan(page, "EAU")
    expect(labels(page)).to_have_count(1)
    place.register.products.set("EAU", price_minor=150)
    expect(page.get_by_text("New price €1.50")).to_be_visible()
    expect(page.locator("#due")).to_have_text("€1.20")
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_text("New price")).to_have_count(0)
    place.register.products.set("EAU", price_minor=160)
    expect(page.get_by_text("New price €1.60")).to_be_visible()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#due")).to_have_text("€1.60")
    place.register.products.set("EAU", price_minor=120)


def test_touch_quantities_a_payment_in_parts_and_the_change(page, place):
    page.locator(".product").first.click()
    expect(labels(page)).to_have_count(1)
    page.get_by_role("button", name="One more").click()
    expect(page.locator("#basket .qty")).to_have_text(["2"])
    page.get_by_role("button", name="One less").click()
    expect(page.locator("#basket .qty")).to_have_text(["1"])
    page.get_by_role("link", name="Pay").click()
    page.get_by_label("Amount handed over").fill("1")
    page.get_by_role("button", name="Voucher", exact=True).click()
    expect(page.locator("dl.facts")).to_contain_text("Voucher")
    page.get_by_role("button", name="Card").click()
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert [one.means for one in newest(place).payments] == ["voucher", "card"]


def test_parked_and_taken_up_again(page):
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    page.locator(".act summary", has_text="Park").click()
    page.get_by_label("Name, if you like").fill("Monsieur Blanc")
    page.get_by_role("button", name="Park the basket").click()
    expect(labels(page)).to_have_count(0)
    page.locator("#menu summary").click()
    page.get_by_role("link", name="Parked baskets").click()
    expect(page.get_by_role("heading", name="Monsieur Blanc")).to_be_visible()
    page.get_by_role("button", name="Go on with it").click()
    expect(labels(page)).to_have_count(1)


def test_a_ticket_is_given_back_in_part(page, place):
    number = place.register.sell(["CM-19", "TER-1"], ["card"]).number
    page.goto(f"{place.shop.till.base}/tickets?number={number}")
    page.get_by_role("link", name="Give back").click()
    page.get_by_label("How many come back: Crozes").fill("0")
    page.get_by_role("button", name="Record the refund").click()
    expect(page.get_by_role("heading", name="Given back")).to_be_visible()
    assert newest(place).total_minor == -695


def test_the_line_of_safety_tells_the_truth_when_the_relay_is_cut_and_back(page, place):
    safety = page.locator("#safety")
    expect(safety).to_have_text(re.compile("Everything is recorded at the office"))
    place.relay.stop()
    expect(safety).to_contain_text("offline")
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    pay(page, "F4")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    expect(safety).to_contain_text("Offline · 1 ticket (€6.95) on this register only, since")
    place.register.sell(["EAU"], ["card"])  # Beside the page: it is counted as well.
    expect(safety).to_contain_text("2 tickets (€8.15) on this register only")
    place.open_relay(place.port)
    page.locator("#menu summary").click()
    last = page.locator("#menu li").last
    expect(last).to_have_text(re.compile("Synchronise"))
    last.click()
    page.get_by_role("button", name="Synchronise now").click()
    expect(safety).to_have_text(re.compile("Everything is recorded at the office"))
    expect(page.locator("#progress")).to_contain_text("In step with the office")


def test_a_page_that_hears_nothing_says_that_it_knows_nothing(browser, tmp_path):
    with Register.init(tmp_path / "alone", name="Caisse 9") as register:
        stock_up(register)
    with Till(tmp_path / "alone") as till:
        page = open_page(browser, locale="fr")
        page.goto(till.address)
        expect(page.locator("#safety")).to_contain_text("Cette caisse travaille seule")
    expect(page.locator("#safety")).to_contain_text("État inconnu")
    page.locator("#q").fill("EAU")
    page.keyboard.press("Enter")
    expect(page.locator("#alert")).to_contain_text("ne répond pas")
    close_page(page)


def test_more_windows_are_open_at_once_than_a_browser_has_connections(page, place):
    """Six to one address: those that nobody looks at use none, and know the newest when somebody does."""
    expect(page.locator("#safety")).to_contain_text("Everything is recorded")
    page.context.add_init_script(NOBODY_LOOKS)
    more = [page.context.new_page() for _ in range(8)]
    for one in more:
        one.goto(place.shop.till.base)
    expect(more[-1].locator("#safety")).to_contain_text("Unknown what is safe")
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    pay(page, "F4")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    more[-1].evaluate(SOMEBODY_LOOKS)
    expect(more[-1].locator("#safety")).to_contain_text("Everything is recorded")


def test_a_double_click_is_one_sale(page, place):
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    before = len(tickets(place.register))
    press(page, "F2")
    page.get_by_role("button", name="Card").dblclick()
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert len(tickets(place.register)) == before + 1


def test_a_basket_that_another_window_changes_is_not_paid_at_the_sum_before(page, place):
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    press(page, "F2")
    expect(page.locator("#rest")).to_have_text("€6.95")
    place.clerk.take("EAU")
    expect(page.locator("#rest")).to_have_text("€8.15")
    expect(page.locator("#amount")).to_be_focused()
    page.keyboard.type("10")
    place.clerk.take("EAU")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="Nothing was taken")).to_be_visible()
    expect(page.locator("#rest")).to_have_text("€9.35")
    press(page, "F4")
    expect(page.get_by_role("heading", name="Paid")).to_be_visible()
    assert newest(place).total_minor == 935


def test_a_form_that_is_pressed_twice_is_sent_once(page, place):
    before = place.register.end.seq
    page.goto(f"{place.shop.till.base}/day")
    page.fill("#cash-amount", "20")
    page.fill("#cash-reason", "change")
    page.get_by_role("button", name="Into the drawer").dblclick()
    expect(page.get_by_role("alert").filter(has_text="Recorded.")).to_be_visible()
    assert place.register.end.seq == before + 1


def test_training_is_seen_at_once_and_sells_nothing(page, place):
    before = place.register.end
    page.locator("#menu summary").click()
    page.get_by_role("button", name="Training").click()
    expect(page.locator("body")).to_have_class("training")
    scan(page, TERRINE)
    expect(labels(page)).to_have_count(1)
    pay(page, "F8")
    expect(page.get_by_role("heading", name="nothing was recorded")).to_be_visible()
    page.locator("#menu summary").click()
    page.get_by_role("button", name="End the training").click()
    expect(page.locator("body")).to_have_class("live")
    assert place.register.end == before


def test_the_day_is_closed_by_counting_the_drawer(page, place):
    place.clerk.take("EAU")
    place.clerk.pay("card")  # Whatever was played before: there is something to close.
    expected = place.register.x_report().cash_expected_minor
    page.goto(place.shop.till.base + "/day/close")
    page.get_by_label("€10.00").fill("3")
    page.get_by_label("€0.50").fill("1")
    expect(page.locator("#counted")).to_have_text("€30.50")
    page.get_by_role("button", name="Close the day").click()
    expect(page.locator("#z-counted")).to_have_text("€30.50")
    assert f"{expected / 100:.2f}" in page.locator("#z-expected").inner_text()
    wait_until(lambda: place.register.status().pending.records == 0)
    expect(page.locator("#safety")).to_contain_text("Everything is recorded")


def test_a_refund_is_filled_in_on_a_telephone_without_moving_the_page_aside(browser, place):
    page = at_the_till(browser, place, viewport={"width": 360, "height": 740})
    sold = place.register.sell(["CM-19", "TER-1"], ["card"])
    page.goto(f"{place.shop.till.base}/ticket/{sold.link.hex()}/refund?number={sold.number}")
    for field in page.locator(".narrow-field").all():
        box = field.bounding_box()
        assert box["x"] + box["width"] <= 360
    assert page.evaluate(
        "document.querySelector('.table').scrollWidth <= document.querySelector('.table').clientWidth"
    )
    close_page(page)


@pytest.mark.parametrize(
    ("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 360, "fr"), ("light", 820, "fr")]
)
def test_nothing_hinders_anybody(browser, place, scheme, width, language):
    """axe-core finds nothing serious; nothing is cut off at the side; everything can be hit with a finger."""
    size = {"width": width, "height": 800}
    clerk = place.clerk
    page = at_the_till(
        browser,
        place,
        color_scheme=scheme,
        viewport=size,
        locale=language,
        bypass_csp=True,
        reduced_motion="reduce",
    )
    page.add_init_script(path=AXE)
    for code in ("CM-19", "2*ROSE-22", TERRINE):
        clerk.take(code)
    sold = place.register.sell(["CM-19", "TER-1"], ["card"]).link.hex()
    place.register.products.set("ROSE-22", price_minor=1250)
    for path in (*PAGES, f"/ticket/{sold}?said=paid", f"/ticket/{sold}/refund"):
        page.goto(place.shop.till.base + path)
        page.wait_for_load_state()
        assert serious(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert too_small(page) == [], path
    page.locator("#menu summary").click()
    assert serious(page) == []
    assert too_small(page) == []
    place.register.products.set("ROSE-22", price_minor=990)
    clerk.post("/drop", basket=clerk.hidden("basket", "/pay"))
    page.goto(place.shop.till.base)
    clerk.post("/training", on="1")
    expect(page.locator("body")).to_have_class("training")  # It came by itself.
    assert serious(page) == []
    clerk.post("/training", on="0")
    close_page(page)


def test_at_twice_the_size_nothing_is_cut_off_and_nothing_moves(browser, place):
    size = {"width": 640, "height": 400}
    page = at_the_till(browser, place, viewport=size, device_scale_factor=2, reduced_motion="reduce")
    place.clerk.take(TERRINE)
    for path in PAGES:
        page.goto(place.shop.till.base + path)
        assert page.evaluate(MOVING_MS) < 1, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, path
    close_page(page)
