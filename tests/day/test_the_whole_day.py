"""The whole day of a shop, as its people have it before them: two tills and the back office, open at once.

One test, because it is one day: what somebody does at nine is what somebody else sees at six. The pages are
in French, as the shop is. With ``CRDTSYNC_PICTURES`` set to a folder (`make pictures`) it leaves the pictures
of the documentation there.
"""

import re
import time

from playwright.sync_api import Browser, Page, expect

from crdtsync.runtime.register.company import Companies
from crdtsync.runtime.register.ticket import Ticket
from crdtsync.testing.clock import HOUR_MS
from tests.browser import close_page, open_page, press, scan
from tests.day.pictures import keep
from tests.day.shop import HERMITAGE, MINUTE_MS, TERRINE, WATER, Shop, wait_until
from tests.web.conftest import PASSWORD

SAFE = "Tout est enregistré au bureau"
COMPANY = {
    "name": "Cave du Port SARL",
    "form": "SARL au capital de 8 000 €",
    "address": "3 quai du Port\n17000 La Rochelle",
    "siret": "732 829 320 00074",
    "naf": "47.25Z",
    "rcs": "La Rochelle",
    "vat_number": "FR 44 732829320",
}


class Day:
    """The shop, and every page that somebody has open."""

    def __init__(self, browser: Browser, shop: Shop) -> None:
        self.browser, self.shop = browser, shop
        self.pages: dict[str, Page] = {}
        self.today, self.desk = self.office(), self.office()

    def _page(self) -> Page:
        return open_page(self.browser, locale="fr-FR", viewport={"width": 1280, "height": 800})

    def office(self) -> Page:
        """Marie, signed in."""
        page = self._page()
        page.goto(self.shop.web + "/sign-in")
        page.get_by_label("Nom").fill("Marie")
        page.get_by_label("Mot de passe").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/today")
        return page

    def till(self, name: str) -> Page:
        """Whoever stands at a till, in front of its page."""
        page = self.pages[name] = self._page()
        page.goto(self.shop.open_till(name).address)
        expect(page.locator("#q")).to_be_focused()
        return page

    def room(self, path: str) -> Page:
        """Another page of the back office."""
        self.desk.goto(self.shop.web + path)
        return self.desk

    def safety(self, name: str, text: str) -> None:
        """The line of safety of that till says this, sooner or later."""
        expect(self.pages[name].locator("#safety")).to_contain_text(text, timeout=30_000)

    def sell(self, name: str, *codes: str, key: str = "F4") -> Ticket:
        """Scan, and take the money (F4: card); the sale is the newest of that till's ledger."""
        page = self.pages[name]
        self.scan(name, *codes)
        press(page, "F2")
        expect(page.locator("#amount")).to_be_focused()
        press(page, key)
        expect(page.get_by_role("heading", name="Payé")).to_be_visible()
        ticket = self.shop.newest(name)
        expect(page.locator(".paper")).to_contain_text(ticket.number)
        page.keyboard.press("Enter")  # The next customer.
        expect(page.locator("#q")).to_be_focused()
        return ticket

    def scan(self, name: str, *codes: str) -> None:
        """With a scanner: quick, and Enter behind it."""
        page = self.pages[name]
        for place, code in enumerate(codes, start=1):
            scan(page, code)
            expect(page.locator("#basket .label")).to_have_count(place)


def euros(amount_minor: int) -> str:
    """As French pages write it."""
    whole = f"{amount_minor // 100:,}".replace(",", "\u202f")
    return f"{whole},{amount_minor % 100:02}\u00a0€"


def test_the_whole_day_of_a_shop(browser, shop):
    day = Day(browser, shop)
    the_office_says_who_sells(day)
    both_open_with_a_counted_float(day)
    a_sale_shows_on_today_within_a_second(day)
    both_sell_by_keyboard_and_scanner(day)
    a_product_made_in_the_back_office_is_on_an_open_till(day)
    a_price_that_changes_under_an_open_basket_is_told_and_not_applied(day)
    with_the_relay_cut_selling_goes_on_and_the_line_tells_the_truth(day)
    a_till_that_is_cut_off_says_so_and_keeps_what_it_has(day)
    a_lost_till_is_back_on_another_machine(day)
    both_close_and_the_day_of_the_shop_is_complete(day)


def the_office_says_who_sells(day: Day) -> None:
    page = day.room("/sales")
    page.get_by_role("link", name="Qui vend").click()
    page.wait_for_url("**/sales/company")
    for name, value in COMPANY.items():
        page.locator(f"[name={name}]").fill(value)
    page.get_by_role("button", name="Enregistrer").click()
    page.wait_for_url("**/sales")
    day.shop.sync()
    for name in ("Caisse 1", "Caisse 2"):
        replica = day.shop.registers[name].replica
        replica.views.catch_up()
        assert Companies(replica.log, replica.queries, None).at().is_known


def both_open_with_a_counted_float(day: Day) -> None:
    for name in ("Caisse 1", "Caisse 2"):
        page = day.till(name)
        page.goto(day.shop.tills[name].base + "/day")
        page.locator("#coin-5000").fill("2")
        page.locator("#coin-1000").fill("4")
        page.locator("#coin-100").fill("10")
        expect(page.locator("#counted")).to_have_text(euros(15_000))
        page.get_by_role("button", name="Ouvrir la journée").click()
        expect(page.get_by_text("La journée est ouverte")).to_be_visible()
        page.goto(day.shop.tills[name].base)
        day.safety(name, SAFE)
    for name, count in (("Caisse 1", 9), ("Caisse 2", 10)):
        at_ms = day.shop.clock.now_ms()
        day.shop.sell(name, count, over_ms=3 * HOUR_MS)
        day.shop.clock.set_ms(at_ms)
    day.shop.clock.pass_ms(3 * HOUR_MS)


def a_sale_shows_on_today_within_a_second(day: Day) -> None:
    day.today.reload()
    expect(day.today.locator("#hours canvas")).to_be_visible()
    took_s = []
    for _ in range(3):
        ticket = day.sell("Caisse 1", TERRINE, WATER)
        since_s = time.monotonic()
        expect(day.today.locator("#tickets")).to_contain_text(ticket.number)
        took_s.append(time.monotonic() - since_s)
    assert min(took_s) < 1.0, took_s


def both_sell_by_keyboard_and_scanner(day: Day) -> None:
    shop, page = day.shop, day.pages["Caisse 2"]
    shop.clock.pass_ms(4 * MINUTE_MS)
    page.keyboard.type("rosé d'été", delay=30)
    expect(page.locator("#found .product").first).to_contain_text("Rosé d'été")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#basket .label")).to_have_text(["Rosé d'été 2022"])
    scan(page, "2*" + TERRINE)
    expect(page.locator("#basket .qty")).to_have_text(["1", "2"])
    keep(page, "till-basket")
    keep(page, "till-basket-dark", scheme="dark")
    keep(page, "till-basket-phone", size="phone")
    keep(page, "till-basket-tablet", size="tablet")
    press(page, "F2")
    expect(page.locator("#amount")).to_be_focused()
    keep(page, "till-pay")
    page.keyboard.type("30")
    page.keyboard.press("Enter")
    expect(page.locator("#change")).to_have_text(euros(3000 - 990 - 2 * 695))
    expect(page.locator(".paper")).to_contain_text("SIRET 73282932000074")
    keep(page, "till-paid")
    ticket = shop.newest("Caisse 2")
    assert [(one.means, one.amount_minor) for one in ticket.payments] == [("cash", 3000), ("change", -620)]
    page.keyboard.press("Enter")
    page.locator("#menu summary").click()
    keep(page, "till-menu")
    press(page, "Escape")
    expect(day.today.locator("#tickets")).to_contain_text(ticket.number)
    look_at_the_figures(day, ticket)


def look_at_the_figures(day: Day, ticket: Ticket) -> None:
    shop, today = day.shop, day.today
    report = shop.registers["Caisse 1"].report(ticket.business_day)
    wait_until(lambda: shop.registers["Caisse 1"].report(ticket.business_day).tickets >= 23)
    report = shop.registers["Caisse 1"].report(ticket.business_day)
    expect(today.locator("#turnover")).to_have_text(euros(report.total_minor))
    expect(today.locator("#sales")).to_have_text(str(report.tickets))
    for size, scheme in (("desktop", "light"), ("desktop", "dark"), ("tablet", "light"), ("phone", "light")):
        keep(today, f"office-today-{size}-{scheme}", size=size, scheme=scheme)


def a_product_made_in_the_back_office_is_on_an_open_till(day: Day) -> None:
    page = day.room("/catalogue/new")
    page.get_by_label("Nom", exact=True).fill("Condrieu 2023")
    page.locator("#f-sku").fill("CO-23")
    page.locator("#f-price").fill("41,50")
    page.locator("#f-producer").fill("Domaine Oriol")
    page.get_by_role("button", name="Enregistrer").click()
    page.wait_for_url("**/catalogue/product?sku=CO-23*")
    expect(page.get_by_role("status")).to_contain_text("Les caisses connectées le reçoivent aussitôt")
    wait_until(lambda: day.shop.registers["Caisse 1"].products.find("CO-23") is not None)
    till = day.pages["Caisse 1"]
    till.keyboard.type("condrieu oriol", delay=20)
    expect(till.locator("#found .product", has_text="Condrieu 2023")).to_be_visible()
    till.keyboard.press("Enter")
    expect(till.locator("#basket .label")).to_have_text(["Condrieu 2023"])
    expect(till.locator("#due")).to_have_text(euros(4150))


def a_price_that_changes_under_an_open_basket_is_told_and_not_applied(day: Day) -> None:
    till, page = day.pages["Caisse 1"], day.room("/catalogue/product?sku=CO-23")
    page.locator("#f-price").fill("44,00")
    page.get_by_role("button", name="Enregistrer").first.click()
    expect(page.get_by_role("status")).to_contain_text("Enregistré")
    expect(till.locator(".new-price")).to_contain_text(f"Nouveau prix {euros(4400)}")
    expect(till.locator("#due")).to_have_text(euros(4150))
    keep(till, "till-new-price")
    till.get_by_role("button", name="Garder").click()
    expect(till.locator(".new-price")).to_have_count(0)
    press(till, "F2")
    expect(till.locator("#rest")).to_have_text(euros(4150))
    press(till, "F4")
    expect(till.get_by_role("heading", name="Payé")).to_be_visible()
    assert day.shop.newest("Caisse 1").total_minor == 4150
    expect(till.get_by_role("link", name="Client suivant")).to_be_focused()
    till.keyboard.press("Enter")
    expect(till.locator("#q")).to_be_focused()
    till.keyboard.type("co-23", delay=20)
    till.keyboard.press("Enter")
    expect(till.locator("#due")).to_have_text(euros(4400))  # The next customer's.
    till.locator(".act summary", has_text="Abandonner").click()
    till.get_by_role("button", name="Abandonner ce panier").click()
    expect(till.locator("#basket .label")).to_have_count(0)


def with_the_relay_cut_selling_goes_on_and_the_line_tells_the_truth(day: Day) -> None:
    shop = day.shop
    for name in ("Caisse 1", "Caisse 2"):
        day.safety(name, SAFE)
    shop.clock.pass_ms(7 * MINUTE_MS)
    shop.cut_relay()
    expect(day.today.locator("#live-state")).to_be_visible()
    for name in ("Caisse 1", "Caisse 2"):
        day.safety(name, "hors ligne")
    first = day.sell("Caisse 1", WATER)
    day.safety("Caisse 1", f"Hors ligne · 1 vente ({euros(first.total_minor)}) sur cette caisse seulement")
    shop.clock.pass_ms(3 * MINUTE_MS)
    more = [day.sell("Caisse 1", TERRINE, HERMITAGE), day.sell("Caisse 2", HERMITAGE)]
    amount = euros(first.total_minor + more[0].total_minor)
    day.safety("Caisse 1", f"Hors ligne · 2 ventes ({amount}) sur cette caisse seulement, depuis 12 h 11")
    day.safety("Caisse 2", f"Hors ligne · 1 vente ({euros(more[1].total_minor)}) sur cette caisse seulement")
    pending = shop.registers["Caisse 1"].status().pending
    assert (pending.sales, pending.amount_minor) == (2, first.total_minor + more[0].total_minor)
    keep(day.pages["Caisse 1"], "till-offline")
    keep(day.pages["Caisse 1"], "till-offline-phone", size="phone", scheme="dark")
    shop.open_relay()
    for name in ("Caisse 1", "Caisse 2"):
        page = day.pages[name]
        page.goto(shop.tills[name].base + "/sync")
        page.get_by_role("button", name="Synchroniser maintenant").click()
        day.safety(name, SAFE)
        expect(page.locator("#progress")).to_contain_text("À jour avec le bureau")
        page.goto(shop.tills[name].base)
    for ticket in (first, *more):
        expect(day.today.locator("#tickets")).to_contain_text(ticket.number, timeout=30_000)
    expect(day.today.locator("#live-state")).to_be_hidden()


def a_till_that_is_cut_off_says_so_and_keeps_what_it_has(day: Day) -> None:
    shop, name = day.shop, "Caisse mobile"
    till = day.till(name)
    day.safety(name, SAFE)
    page = day.room("/registers")
    page.get_by_role("link", name=name).click()
    page.get_by_label("Pourquoi").fill("oubliée dans le train")
    page.get_by_label("Je veux révoquer cet appareil").check()
    page.get_by_role("button", name="Révoquer").click()
    expect(page.locator(".badge.bad")).to_have_text("Révoquée")
    day.safety(name, "Révoquée par le bureau")
    ticket = day.sell(name, HERMITAGE)  # It cannot be told apart from a theft, and loses nothing.
    day.safety(name, f"1 vente ({euros(ticket.total_minor)}) sur cette caisse seulement")
    till.locator("#safety a").click()
    expect(till.locator("#cut-off")).to_contain_text("Le bureau ne lui donne plus rien")
    expect(till.locator("#cut-off")).to_contain_text("reste sur le disque de cette machine")
    keep(till, "till-cut-off")
    assert shop.registers[name].status().pending.sales == 1
    assert shop.newest(name).link == ticket.link
    till.get_by_role("button", name="Synchroniser maintenant").click()
    held = lambda: ticket.number in day.room("/registers/hold").content()  # noqa: E731
    wait_until(held, "what it sold is not on hold")
    day.safety(name, f"1 vente ({euros(ticket.total_minor)}) sur cette caisse seulement")
    expect(day.room("/sales").locator("#found")).not_to_contain_text(ticket.number)


def a_lost_till_is_back_on_another_machine(day: Day) -> None:
    shop, name = day.shop, "Caisse 2"
    day.safety(name, SAFE)
    old = shop.newest(name)
    close_page(day.pages.pop(name))
    shop.lose(name)
    page = day.room("/registers")
    page.get_by_role("link", name=name).click()
    page.get_by_role("link", name="La restaurer sur une autre machine").click()
    expect(page.locator("main")).to_contain_text(f"jusqu’au ticket {old.number}")
    page.get_by_role("button", name="Créer un code de restauration").click()
    code = page.locator("#code").inner_text()
    shop.clock.pass_ms(25 * MINUTE_MS)
    shop.join(name, shop.folder / "new-machine", code)
    till = day.till(name)
    day.safety(name, SAFE)
    shelf = lambda: {row.sku for row in shop.registers[name].products.list()}  # noqa: E731
    wait_until(lambda: HERMITAGE in shelf(), "the products do not come to the new machine")
    ticket = day.sell(name, HERMITAGE, TERRINE)
    assert ticket.number.partition("-")[0] != old.number.partition("-")[0]  # No number is given twice.
    expect(day.today.locator("#tickets")).to_contain_text(ticket.number)
    till.goto(f"{shop.tills[name].base}/tickets?number={old.number}")  # What the lost one sold is here.
    expect(till.locator(".paper")).to_contain_text(old.number)
    till.goto(shop.tills[name].base)
    shop.clock.pass_ms(MINUTE_MS)
    room = day.room("/registers")
    expect(room.locator("[aria-labelledby=cut-off] li")).to_have_count(2)
    expect(room.locator(".devices .badge.good")).to_have_text(["Connectée", "Connectée"])


def both_close_and_the_day_of_the_shop_is_complete(day: Day) -> None:
    shop = day.shop
    look_around_the_office(day)
    shop.clock.pass_ms(6 * HOUR_MS)
    for name in ("Caisse 1", "Caisse 2"):
        page, register = day.pages[name], shop.registers[name]
        expected = register.x_report().cash_expected_minor
        page.goto(shop.tills[name].base + "/day/close")
        page.locator("#coin-1000").fill("3")
        if name == "Caisse 1":
            keep(page, "till-closing")
        page.locator("#coin-1000").fill("")
        page.locator("#sum").fill(f"{expected // 100},{expected % 100:02}")
        page.get_by_role("button", name="Clôturer la journée (Z)").click()
        expect(page.locator("#z-counted")).to_have_text(euros(expected))
        expect(page.locator("#z-gap")).to_have_text(euros(0))
        day.safety(name, SAFE)
    keep(day.pages["Caisse 1"], "till-closed", size="tablet")
    today = shop.newest("Caisse 1").business_day
    report = shop.registers["Caisse 1"].report(today)
    page = day.room(f"/days/{today}")
    expect(page.locator("#complete")).to_have_text("Complète")
    expect(page.locator("#total")).to_have_text(euros(report.total_minor))
    expect(page.get_by_text(re.compile("Clôturée, Z"))).to_have_count(2)
    expect(page.locator("main")).to_contain_text("Révoquée avant d’avoir clôturé")
    keep(page, "office-day")
    assert report.complete


def look_around_the_office(day: Day) -> None:
    rooms = {
        "office-registers": ("/registers", "desktop", "light"),
        "office-registers-phone": ("/registers", "phone", "dark"),
        "office-sales": ("/sales", "desktop", "light"),
        "office-catalogue": ("/catalogue", "desktop", "light"),
        "office-stock": ("/stock", "tablet", "light"),
        "office-days": ("/days", "desktop", "light"),
        "office-alerts": ("/alerts", "desktop", "dark"),
    }
    for name, (path, size, scheme) in rooms.items():
        page = day.room(path)
        page.wait_for_load_state()
        assert page.locator("h1").is_visible()
        keep(page, name, size=size, scheme=scheme)
    page = day.room("/sales")
    page.locator("#found tbody a").first.click()
    page.wait_for_url("**/sales/ticket*")
    keep(page, "office-ticket", whole=True)
