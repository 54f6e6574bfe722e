"""The back office in a real browser: what moves by itself, the keyboard, the size, what axe-core finds."""

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from crdtsync.testing.wine import barcode
from tests.browser import (
    AXE,
    MOVING_MS,
    NOBODY_LOOKS,
    SOMEBODY_LOOKS,
    close_page,
    open_page,
    serious,
    started,
    too_small,
)
from tests.web.conftest import PASSWORD, Shop, wait_until
from tests.web.test_invoices import COMPANY

pytestmark = pytest.mark.slow

PAGES = {
    "today": "/today",
    "sales": "/sales",
    "ticket": "/sales?q=V-001",
    "company": "/sales/company",
    "days": "/days",
    "alerts": "/alerts",
    "stock": "/stock",
    "stock-product": "/stock/product?sku=V-001",
    "loss": "/stock/record?what=breakage",
    "hold": "/registers/hold",
    "day": "/days/today",
    "registers": "/registers",
    "pair": "/registers/pair",
    "catalogue": "/catalogue",
    "product": "/catalogue/product?sku=V-001",
    "new-product": "/catalogue/new",
    "import": "/catalogue/import",
    "people": "/people",
}


@pytest.fixture(scope="module")
def browser(office):
    # The shop first, and last gone: while Playwright runs, no other event loop begins in this thread.
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """A shop with a connected till, some products and some sales."""
    shop = Shop(tmp_path_factory.mktemp("browser"))
    shop.person("Marie")
    shop.till = shop.register("Caisse 1")
    for number in range(1, 61):
        shop.till.products.add(
            f"V-{number:03}",
            name=f"Viré-Clessé {2010 + number % 12} n° {number}",
            price_minor=1000 + 10 * number,
            vat_rate=2000,
            producer="Domaine des Tilleuls",
            category="Vin/Blanc",
            barcodes=[barcode(number)],
        )
    away, shop.silent = shop.register("Caisse 2"), shop.register("Caisse 3")
    away.sync(60)
    shop.till.sell(["V-001", "V-002"], ["card"])
    shop.day = shop.till.sell(["V-003"], ["card"]).business_day
    shop.connection = shop.till.start_sync()
    wait_until(lambda: shop.connection.is_connected and not shop.till.status().pending.records)
    away.sync(60)
    away.sell(["V-005"], ["card"])
    away.close_day()
    away.sync(60)
    yield shop
    shop.close()


def signed_in(browser: Browser, office: Shop, **settings) -> Page:
    page = open_page(browser, **settings)
    is_english = settings.get("locale", "en") == "en"
    page.goto(office.web + "/")
    page.get_by_label("Name" if is_english else "Nom").fill("Marie")
    page.get_by_label("Password" if is_english else "Mot de passe").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/today")
    return page


@pytest.fixture
def page(browser, office):
    page = signed_in(browser, office)
    yield page
    assert page.problems == []  # The content security policy among them.
    close_page(page)


def test_a_sale_shows_on_an_open_page_within_a_second(page, office):
    office.till.sell(["V-001"], ["card"])  # The stream is there when this one comes.
    number = office.till.sell(["V-002"], ["card"]).number
    expect(page.locator("#tickets")).to_contain_text(number)
    took_s = []
    for _ in range(3):
        started_s = time.monotonic()
        number = office.till.sell(["V-003"], ["card"]).number
        expect(page.locator("#tickets")).to_contain_text(number)
        took_s.append(time.monotonic() - started_s)
    assert min(took_s) < 1.0, took_s
    assert page.locator("#hours canvas").count() == 1


def test_what_is_looked_at_stays_open_while_the_page_moves(page, office):
    page.locator("#hours-summary").click()
    number = office.till.sell(["V-004"], ["card"]).number
    expect(page.locator("#tickets")).to_contain_text(number)
    expect(page.locator("#hours-table tbody tr").first).to_be_visible()
    rows = page.locator("#hours-table tbody tr").count()
    assert rows == page.evaluate("document.querySelectorAll('#hours-table tr[data-hour]').length")


def test_the_page_of_a_register_moves_by_itself_under_the_hands_of_whoever_looks_at_it(page, office):
    """It comes, is asked, and is gone: what is half typed stays, and the focus; nothing is said twice."""
    till = office.silent
    page.goto(f"{office.web}/registers/{till.identity.device.hex()}")
    expect(page.locator("#part-facts")).to_contain_text("not connected")
    page.get_by_label("Why, for whoever asks later").fill("half a reason")
    page.get_by_role("button", name="Have it asked as soon as it connects").focus()
    connection = till.start_sync()
    expect(page.locator("#part-badge")).to_have_text("Connected")
    expect(page.locator("#part-facts")).to_contain_text("connected now")
    expect(page.get_by_role("button", name="Ask it to synchronise now")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#wish-state")).to_contain_text("both have compared what they hold")
    page.get_by_label("Why, for whoever asks later").fill("half a reason")
    kept = page.locator("#wish-state").element_handle()
    connection.stop()
    expect(page.locator("#part-badge")).to_have_text("Away")
    assert kept.evaluate("node => node.isConnected")  # It says the same: nobody is told it a second time.
    expect(page.get_by_label("Why, for whoever asks later")).to_have_value("half a reason")
    expect(page.get_by_label("Why, for whoever asks later")).to_be_focused()


def test_more_windows_are_open_at_once_than_a_browser_has_connections(page, office):
    """Six to one address: those that nobody looks at use none, and have the newest when somebody does."""
    page.context.add_init_script(NOBODY_LOOKS)
    more = [page.context.new_page() for _ in range(8)]
    for one in more:
        one.goto(office.web + "/today")
    number = office.till.sell(["V-004"], ["card"]).number
    expect(page.locator("#tickets")).to_contain_text(number)
    for one in more:
        expect(one.locator("#tickets")).not_to_contain_text(number)
        expect(one.locator("#live-state")).to_be_visible()
    more[-1].evaluate(SOMEBODY_LOOKS)
    expect(more[-1].locator("#tickets")).to_contain_text(number)
    expect(more[-1].locator("#live-state")).to_be_hidden()


def test_a_page_that_comes_out_of_the_memory_of_the_browser_is_asked_for_anew(page, office):
    """Its form was sent already: whatever is entered in it once more would count as the same."""
    page.goto(office.web + "/stock/record?what=delivery")
    request = page.locator("input[name=request]")
    before = request.get_attribute("value")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(request).not_to_have_attribute("value", before)


def test_products_are_found_while_somebody_types(page, office):
    page.goto(office.web + "/catalogue")
    expect(page.locator("#found-title")).to_have_text(re.compile(r"6\d products"))
    page.get_by_label("Search").press_sequentially(barcode(17))
    expect(page.locator("#found-title")).to_have_text("1 product")
    expect(page.get_by_label("Search")).to_be_focused()


def test_a_product_is_made_by_keyboard_alone_and_is_on_the_till(page, office):
    page.goto(office.web + "/catalogue/new")
    page.get_by_label("Name").focus()
    page.keyboard.type("Condrieu 2022")
    page.keyboard.press("Tab")
    page.keyboard.type("CO-22")
    page.keyboard.press("Tab")
    page.keyboard.type("41,50")
    page.keyboard.press("Enter")
    page.wait_for_url("**/catalogue/product?sku=CO-22*")
    expect(page.get_by_role("status")).to_contain_text("Saved")
    wait_until(lambda: office.till.products.find("CO-22") is not None)


def test_the_first_press_of_tab_leads_to_the_content(page):
    page.keyboard.press("Tab")
    expect(page.get_by_text("To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize(("scheme", "width", "language"), [("light", 1280, "en"), ("dark", 360, "fr")])
def test_nothing_hinders_anybody(browser, office, scheme, width, language):
    """axe-core finds nothing serious; nothing is cut off at the side; everything can be hit with a finger."""
    size = {"width": width, "height": 800}
    page = signed_in(browser, office, color_scheme=scheme, viewport=size, locale=language, bypass_csp=True)
    page.add_init_script(path=AXE)
    for name, path in PAGES.items():
        page.goto(office.web + path.replace("/days/today", f"/days/{office.day}"))
        if name == "ticket":
            page.locator("#found tbody a").last.click()
            page.wait_for_url("**/sales/ticket*")
        page.wait_for_load_state()
        assert serious(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert too_small(page) == [], name
    page.context.clear_cookies()
    page.goto(office.web + "/sign-in")
    assert serious(page) == []
    close_page(page)


def test_forms_that_lead_further_hinder_nobody(browser, office):
    """Those that come after a button: a restore code, a closing, a copy, an invoice."""
    page = signed_in(browser, office, viewport={"width": 360, "height": 800}, locale="fr", bypass_csp=True)
    page.add_init_script(path=AXE)

    def hinders_nobody(what):
        page.wait_for_load_state()
        assert serious(page) == [], what
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, what
        assert too_small(page) == [], what

    page.goto(f"{office.web}/registers/{office.till.identity.device.hex()}")
    hinders_nobody("a register")
    page.get_by_role("button", name="Lui demander de synchroniser maintenant").click()
    expect(page.locator("#wish-state")).to_contain_text("les deux ont comparé ce qu’ils détiennent")
    hinders_nobody("a register that was asked")
    page.goto(f"{office.web}/registers/{office.till.identity.device.hex()}/restore")
    hinders_nobody("restoring")
    page.get_by_role("button", name="Créer un code de restauration").click()
    expect(page.locator("#code")).to_be_visible()
    hinders_nobody("the restore code")
    page.goto(f"{office.web}/days/{office.day}")
    page.get_by_role("link", name="Clôture Z").first.click()
    page.wait_for_url("**/days/closing*")
    hinders_nobody("a closing")
    page.goto(f"{office.web}/sales?q=V-001")
    page.locator("#found tbody a").last.click()
    page.wait_for_url("**/sales/ticket*")
    ticket = page.url
    page.get_by_role("button", name="Faire un duplicata").click()
    expect(page.locator("#mark")).to_be_visible()
    hinders_nobody("a copy")
    page.goto(ticket)
    page.get_by_role("link", name="Faire une facture").click()
    page.wait_for_url("**/sales/company*")
    for name, value in COMPANY.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator("main form button").last.click()
    page.wait_for_url("**/sales/invoice*")
    hinders_nobody("an invoice")
    close_page(page)


def test_at_twice_the_size_nothing_is_cut_off_and_nothing_moves(browser, office):
    size = {"width": 640, "height": 400}
    page = signed_in(browser, office, viewport=size, device_scale_factor=2, reduced_motion="reduce")
    for name, path in PAGES.items():
        page.goto(office.web + path.replace("/days/today", f"/days/{office.day}"))
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, name
        assert page.evaluate(MOVING_MS) < 1, name
    close_page(page)
