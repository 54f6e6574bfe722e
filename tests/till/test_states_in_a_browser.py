"""Every page and state of the till as a person meets it: axe-core finds nothing serious, everything can be
hit with a finger, nothing is cut off at the side, also on a telephone, at twice the size and in the dark.
"""

import shutil
from contextlib import ExitStack, contextmanager

import apsw
import pytest
from playwright.sync_api import expect

from crdtsync import Register
from crdtsync.runtime.folder.replica import STORE
from crdtsync_server import LocalRelay
from crdtsync_server.open import opened
from tests.browser import AXE, aside, open_page, serious, started, too_small, too_wide
from tests.till.conftest import SHARED, TERRINE, Shop, stock_up, wait_until
from tests.till.test_french import english_on

pytestmark = pytest.mark.slow

LOOKS = (("light", 1280, 800), ("dark", 360, 740))
TWICE = (640, 400)
"""A window of 1280 by 800 at twice the size."""


class Place:
    """A shop with a relay, and one browser for all of its tills."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.relay = stack.enter_context(LocalRelay(folder / "relay", shop="Cave du Port"))
        self.made = 0

    @contextmanager
    def till(self, prepare=lambda folder: None, **settings):
        """A register of the shop with its till. ``prepare``: what happened to its folder before."""
        self.made += 1
        folder = self.folder / f"till-{self.made}"
        aside(lambda: self._join(folder))
        aside(lambda: prepare(folder))
        with ExitStack() as stack:
            shop = Shop(folder, stack)
            shop.desk_clerk = shop.open_till(language="fr", **settings)
            yield shop

    def _join(self, folder):
        url, code = self.relay.url, self.relay.pairing_code()
        with Register.join(folder, url, code, name=f"Caisse {self.made}") as register:
            if self.made == 1:
                stock_up(register)
            register.sync(60)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with ExitStack() as stack:
        yield Place(tmp_path_factory.mktemp("states"), stack)


@pytest.fixture(scope="module")
def browser(place):
    # The relay first, and last gone: while Playwright runs, no other event loop begins in this thread.
    with started() as browser:
        yield browser


def at(browser, shop):
    page = open_page(browser, locale="fr-FR", bypass_csp=True, reduced_motion="reduce")
    page.add_init_script(path=AXE)
    page.goto(shop.till.address)
    return page


def hinders_nobody(page, what):
    """Whatever is shown now."""
    page.wait_for_load_state()
    for scheme, width, height in LOOKS:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": height})
        assert serious(page) == [], (what, width)
        assert too_small(page) == [], (what, width)
        assert not too_wide(page, width), (what, width)
    page.set_viewport_size({"width": TWICE[0], "height": TWICE[1]})
    assert not too_wide(page, TWICE[0]), what
    page.set_viewport_size({"width": LOOKS[0][1], "height": LOOKS[0][2]})
    assert english_on(page.content()) == [], what


def test_selling_and_all_that_may_come_of_it(place, browser, paper):
    with place.till(printer=paper) as shop:
        clerk, page = shop.desk_clerk, at(browser, shop)
        base = shop.till.base
        hinders_nobody(page, "an empty basket")
        page.locator("#q").fill(SHARED)
        page.keyboard.press("Enter")
        expect(page.locator(".choose")).to_be_visible()
        hinders_nobody(page, "several vintages")
        page.locator(".product").first.click()
        expect(page.locator("#basket .label")).to_have_count(1)
        page.locator("#q").fill("9999999999994")
        page.keyboard.press("Enter")
        expect(page.locator("#found .note.warn")).to_be_visible()
        hinders_nobody(page, "an unknown code")
        page.locator(".line-more summary").click()
        page.locator(".free summary").click()
        hinders_nobody(page, "a line that is edited, something of no catalogue")
        for act in page.locator(".act summary").all():
            act.click()
        hinders_nobody(page, "discount, park, give up")
        clerk.take("60*CM-19")
        page.goto(base + "/pay")
        page.locator("#amount").fill("1200")
        page.get_by_role("button", name="Espèces").first.click()
        expect(page.locator("[name=confirmed]")).to_be_visible()
        hinders_nobody(page, "much cash")
        page.goto(base + "/pay")
        page.locator("#amount").fill("100")
        page.get_by_role("button", name="Carte").click()
        expect(page.locator("dl.facts")).to_be_visible()
        hinders_nobody(page, "paid in part")
        page.goto(base + "/?said=full")
        hinders_nobody(page, "a basket that is paid in part")
        page.goto(base + "/pay")
        page.get_by_role("button", name="Carte").click()
        expect(page.get_by_role("heading", name="Payé")).to_be_visible()
        hinders_nobody(page, "paid")
        ticket = page.url.partition("?")[0]
        number = page.url.partition("number=")[2].partition("&")[0]
        for said in ("printer=failed", "printer=no-drawer", "said=printed", "said=refund"):
            page.goto(f"{ticket}?number={number}&{said}")
            hinders_nobody(page, said)
        page.goto(f"{ticket}/refund?number={number}")
        hinders_nobody(page, "giving back")
        page.get_by_role("button", name="Enregistrer le remboursement").click()
        expect(page.get_by_role("heading", name="Remboursé")).to_be_visible()
        hinders_nobody(page, "given back")


def test_lists_the_day_and_what_is_refused(place, browser, paper, monkeypatch):
    monkeypatch.setattr("crdtsync.till.pages.tickets.ROWS_MAX", 2)
    with place.till(printer=paper) as shop:
        clerk, page = shop.desk_clerk, at(browser, shop)
        base, register = shop.till.base, shop.register()
        for path in ("/tickets", "/parked"):
            page.goto(base + path)
            hinders_nobody(page, f"nothing in {path}")
        for _ in range(5):
            register.sell(["CM-19", "TER-1"], ["cash"])
        clerk.take(TERRINE)
        clerk.post("/park", name="Monsieur Blanc " * 2)
        for path in ("/tickets", "/tickets?all=1", "/tickets?number=99-99", "/parked", "/nothing-there"):
            page.goto(base + path)
            hinders_nobody(page, path)
        page.goto(base + "/tickets")
        page.get_by_role("link", name="Tickets plus anciens").click()
        page.wait_for_url("**/tickets?older=*")
        hinders_nobody(page, "older tickets")
        page.goto(base + "/tickets?older=2020-01-01.1")
        hinders_nobody(page, "no older tickets")
        for said in ("opened", "moved", "amount", "drawer", "no-drawer", "no-printer", "training", "nothing"):
            page.goto(f"{base}/day?said={said}")
            hinders_nobody(page, f"the day: {said}")
        page.goto(base + "/day/close?said=amount")
        hinders_nobody(page, "counting")
        page.locator("#coin-1000").fill("3")
        page.get_by_role("button", name="Clôturer la journée (Z)").click()
        expect(page.locator("#z-counted")).to_be_visible()
        hinders_nobody(page, "closed")
        page.goto(base + "/sync")
        hinders_nobody(page, "synchronising")
        page.locator("#menu summary").click()
        hinders_nobody(page, "the menu")
        page.get_by_role("button", name="Entraînement").click()
        expect(page.locator("body")).to_have_class("training")
        hinders_nobody(page, "training")
        clerk.take("EAU")
        page.goto(base + "/pay")
        page.get_by_role("button", name="Carte").click()
        expect(page.locator(".paid.practice")).to_be_visible()
        hinders_nobody(page, "a ticket of training")
        page.context.clear_cookies()
        page.goto(base + "/day")
        assert page.locator("#says").is_visible()
        hinders_nobody(page, "a stranger")


def damage(folder):
    """A record of the newest sales is not what it was."""
    with Register.open(folder) as register:
        for _ in range(3):
            register.sell(["EAU"], ["card"])
    connection = apsw.Connection(str(folder / STORE))
    connection.execute("UPDATE record SET bytes = zeroblob(20) WHERE pos = (SELECT max(pos) - 1 FROM record)")
    connection.close()


def copy(folder):
    """The disk was copied, and the copy has sold and synchronised since."""
    twin = folder.with_name(folder.name + "-twin")
    shutil.copytree(folder, twin)
    with Register.open(twin) as register:
        register.sell(["EAU"], ["card"])
        register.sync(60)
    with Register.open(folder) as register:
        register.sell(["CM-19"], ["card"])


@pytest.mark.parametrize(
    ("prepare", "says"), [(damage, "mis à part"), (copy, "doit être inscrite à nouveau")]
)
def test_what_somebody_must_look_at(place, browser, prepare, says):
    with place.till(prepare) as shop:
        page = at(browser, shop)
        expect(page.locator("#safety")).to_contain_text("À vérifier")
        hinders_nobody(page, "selling while somebody must look")
        page.locator("#safety a").click()
        expect(page.locator("#hinders")).to_contain_text(says)
        page.locator(".for-help summary").click()
        hinders_nobody(page, "what hinders")
        page.goto(shop.till.base)
        page.locator("#q").fill("EAU")  # It sells on.
        page.keyboard.press("Enter")
        expect(page.locator("#basket .label")).to_have_count(1)


def test_cut_off(place, browser):
    with place.till() as shop:
        page, register = at(browser, shop), shop.register()
        with opened(place.folder / "relay") as (access, store):
            access.revoke(store, register.identity.shop, register.identity.device, "perdue")
        expect(page.locator("#safety")).to_contain_text("Révoquée par le bureau")
        shop.desk_clerk.take("EAU")
        shop.desk_clerk.pay("card")
        expect(page.locator("#safety")).to_contain_text("1 vente")
        hinders_nobody(page, "selling while cut off")
        page.locator("#safety a").click()
        expect(page.locator("#cut-off")).to_be_visible()
        hinders_nobody(page, "cut off")
        page.get_by_role("button", name="Synchroniser maintenant").click()
        page.wait_for_url("**/sync?said=asked")
        hinders_nobody(page, "cut off, and asked again")
        wait_until(lambda: register.status().pending.sales == 1)


def test_a_till_whose_program_is_gone(place, browser):
    with place.till() as shop:
        page = at(browser, shop)
        shop.till.stop()
        expect(page.locator("#safety")).to_contain_text("État inconnu")
        page.locator("#q").fill("EAU")
        page.keyboard.press("Enter")
        expect(page.locator("#alert")).to_contain_text("ne répond pas")
        hinders_nobody(page, "nobody answers")
