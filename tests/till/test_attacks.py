"""What a page of the internet, another program of the machine, or a hostile product may try with the till."""

import re
from contextlib import ExitStack
from html import unescape

import httpx
import pytest

from crdtsync import Register
from crdtsync.model.company import Company
from crdtsync.runtime.register.company import say_company
from crdtsync.till.app import Till
from crdtsync.till.house import House
from crdtsync.till.pages import counter, day, drawer, menu, pay
from crdtsync.till.pages import tickets as tickets_page
from crdtsync.till.printing import PrinterAddress
from crdtsync.web.guard import FORM_BYTES_MAX
from tests.till.conftest import Clerk, Shop, plain, stock_up, tickets

PAGES = ("/", "/pay", "/parked", "/tickets", "/day", "/day/close", "/sync", "/found", "/basket")
FORMS = {
    "/take": {"q": "EAU"},
    "/add": {"sku": "EAU"},
    "/free": {"label": "x", "price": "1", "vat_rate": "2000"},
    "/line": {"item": "x", "what": "more"},
    "/discount": {"basket": "x", "discount": "50 %"},
    "/park": {"basket": "x", "name": "x"},
    "/resume": {"basket": "x"},
    "/drop": {"basket": "x"},
    "/pay": {"basket": "x", "step": "0", "due": "1850", "means": "card"},
    "/pay/back": {"basket": "x"},
    "/ticket/x/print": {"how": "print"},
    "/ticket/x/refund": {"means": "cash", "request": "x"},
    "/day/open": {"sum": "1"},
    "/day/cash": {"what": "in", "amount": "1", "reason": "x", "request": "x"},
    "/day/close": {"sum": "1"},
    "/drawer": {"reason": "x"},
    "/sync": {},
    "/training": {"on": "1"},
    "/language": {"language": "fr"},
}
MARK = "<script>alert(1)</script>"
ATTRIBUTE = "\"><img src=x onerror=alert(1)>'"
PAGE_BYTES_MAX = 300_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One till for all tests of this file: none of them may leave anything behind that hinders another."""
    folder = tmp_path_factory.mktemp("attacked") / "till"
    with Register.init(folder, name="Caisse 1", shop_name="Cave du Port") as register:
        stock_up(register)
        say_company(register.replica, Company(name=f"SARL {MARK}", address=f"{ATTRIBUTE}\n{MARK}"))
    with ExitStack() as stack:
        yield Shop(folder, stack)


@pytest.fixture(scope="module")
def clerk(shop):
    return shop.open_till(printer=PrinterAddress("file", str(shop.folder.parent / "paper")))


def test_every_form_of_the_till_is_attacked():
    house = House(None, None, None, None, "", 0)
    modules = (counter, day, drawer, menu, pay, tickets_page)
    routes = [route for module in modules for route in module.routes(house)]
    forms = {route.path.replace("{name}", "x") for route in routes if "POST" in route.methods}
    assert forms == FORMS.keys()


@pytest.fixture(scope="module")
def register(shop):
    return shop.register()


def state(register, clerk):
    return register.end, clerk.lines(), clerk.due(), "training" in clerk.page("/")


# -- who may come in ---------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/live", "/nothing"])
def test_nobody_without_the_link_of_this_start_sees_anything(clerk, path):
    answer = httpx.get(clerk.till.base + path, verify=False)
    assert answer.status_code == 403
    assert "Cave du Port" not in answer.text
    assert "Caisse 1" not in answer.text


def test_the_link_of_another_start_opens_nothing(tmp_path):
    with Register.init(tmp_path / "till", name="Caisse 1") as register:
        assert register.identity.device_name == "Caisse 1"
    with Till(tmp_path / "till") as first:
        secret = first.address.rpartition("/")[2]
    with Till(tmp_path / "till", port=first.port) as second:
        assert httpx.get(f"{second.base}/enter/{secret}", verify=False).status_code == 403
        cookie = {"cookie": f"crdtsync_till_{second.port}={secret}"}
        assert httpx.get(second.base, headers=cookie, verify=False).status_code == 403
        came = Clerk(second)
        assert came.page("/")
        came.http.close()


@pytest.mark.parametrize("guess", ["", "x", "0" * 48, "%00", "..", "a" * 5000])
def test_a_guess_opens_nothing(clerk, guess):
    answer = httpx.get(f"{clerk.till.base}/enter/{guess}", verify=False)
    assert answer.status_code in (403, 404)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:80", "[::1]", ""],
)
def test_a_name_that_was_made_to_lead_here_is_not_answered(clerk, host):
    """DNS rebinding: the browser believes that it talks to that site, whose page would read along."""
    assert clerk.get("/", host=host).status_code == 403
    assert httpx.get(clerk.till.address, headers={"host": host}, verify=False).status_code == 403


def test_the_cookie_is_for_this_till_alone_and_for_no_script(clerk):
    cookie = httpx.get(clerk.till.address, verify=False).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert str(clerk.till.port) in cookie


def test_it_listens_on_the_loopback_address_alone(clerk):
    assert clerk.till.base.startswith("http://127.0.0.1:")


# -- forms of others ------------------------------------------------------


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_form_of_another_site_changes_nothing(clerk, register, path, origin):
    clerk.take("CM-19")
    before = state(register, clerk)
    token = clerk.token
    answer = clerk.http.post(path, data={"token": token, **FORMS[path]}, headers={"origin": origin})
    assert answer.status_code == 403
    assert state(register, clerk) == before


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", [None, "0" * 64])
def test_a_form_without_the_token_of_a_page_changes_nothing(clerk, register, path, token):
    clerk.take("CM-19")
    before = state(register, clerk)
    fields = {"x": "1", **FORMS[path]} if token is None else {"token": token, **FORMS[path]}
    assert clerk.http.post(path, data=fields).status_code == 403
    assert state(register, clerk) == before


def test_the_cookie_is_not_the_token(clerk):
    assert clerk.token not in clerk.http.cookies.values()


@pytest.mark.parametrize("path", FORMS)
def test_what_changes_something_is_not_done_by_a_link(clerk, register, path):
    clerk.take("CM-19")
    before = state(register, clerk)
    clerk.http.get(path, params={"token": clerk.token, **FORMS[path]})
    assert state(register, clerk) == before


# -- what is too much, or not what it should be -----------------------------


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_is_too_large_is_refused(clerk, path):
    data = {"token": clerk.token, "q": "x" * (FORM_BYTES_MAX + 1)}
    assert clerk.http.post(path, data=data).status_code == 413


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"\xff\xfe=1", "application/x-www-form-urlencoded", (400, 403)),
        (b"&".join(b"a%d=1" % n for n in range(500)), "application/x-www-form-urlencoded", (400,)),
        (b"{}", "application/json", (415,)),
        (b"--x\r\n", "multipart/form-data; boundary=x", (400, 403)),
        (b"", "", (415,)),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(clerk, body, kind, status):
    answer = clerk.http.post("/take", content=body, headers={"content-type": kind})
    assert answer.status_code in status


STRANGE = ("", "-1", "9" * 40, "٣\u0000", "1;2 ' OR 1=1 --", "🍷" * 50)


@pytest.mark.parametrize("path", [path for path in FORMS if path != "/language"])
@pytest.mark.parametrize("value", STRANGE)
def test_strange_values_never_break_a_page_nor_sell_anything(clerk, register, path, value):
    clerk.take("CM-19")
    before = len(tickets(register))
    fields = dict.fromkeys((*FORMS[path], "quantity", "price", "amount", "confirmed", "coin-100"), value)
    answer = clerk.post(path, **fields)
    assert answer.status_code in (200, 303, 400, 404, 409), answer.text
    assert len(tickets(register)) == before
    clerk.page("/")


@pytest.mark.parametrize(
    "path",
    [
        "/found?first=-1",
        "/found?first=99999999999",
        "/day/z/x",
        "/day/z/2026-13-45",
        "/ticket/..%2f..%2fetc",
        "/static/x/../../app.py",
        "/found?q=" + "x" * 5000,
        "/tickets?older=-1",
        "/tickets?older=2026-11-24." + "9" * 30,
        "/tickets?older=" + "x" * 5000,
    ],
)
def test_strange_addresses_are_answered_calmly(clerk, path):
    assert clerk.get(path).status_code in (200, 404)


# -- what a product is called ------------------------------------------------


def test_names_out_of_the_catalogue_stay_text(clerk, register):
    register.products.add(
        "EVIL",
        name=f"Vin {MARK} {ATTRIBUTE}",
        price_minor=100,
        vat_rate=2000,
        producer=f"{MARK}",
        category=MARK[:20],
    )
    pages = [clerk.page("/"), clerk.get("/found?q=vin").text]
    clerk.take("EVIL")
    clerk.post("/free", label=f"{MARK}", price="1", vat_rate="2000")
    pages += [clerk.page("/"), clerk.page("/pay")]
    address = clerk.pay("card").headers["location"]
    pages += [clerk.page(address), clerk.page(f"{address.partition('?')[0]}/refund")]
    clerk.take("EVIL")
    clerk.post("/park", name=f"{ATTRIBUTE}")
    pages += [clerk.page("/parked"), clerk.take(MARK).text, clerk.page(f"/tickets?number={ATTRIBUTE}")]
    register.products.set("EVIL", price_minor=200)
    for page in pages:
        assert MARK not in page
        assert "<img" not in page
    assert any(MARK in unescape(page) for page in pages)


@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_every_page_forbids_what_is_not_ours(clerk, path):
    answer = clerk.http.get(path, follow_redirects=True)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert re.findall(r"<script(?![^>]* src=)|<[^>]*\s(?:on\w+|style)=", tags(answer.text)) == []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_all_that_it_loads_weighs_little(clerk, path):
    clerk.take("CM-19")
    page = clerk.page(path)
    loads = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    weight = len(page.encode()) + sum(len(clerk.get(one).content) for one in loads)
    assert weight < PAGE_BYTES_MAX


def tags(page):
    """A page without what stands in quotes: that is text, whatever it says."""
    return re.sub(r'"[^"]*"', '""', page)


def test_only_so_many_pages_are_listened_to(clerk, monkeypatch):
    monkeypatch.setattr("crdtsync.till.live.PAGES_MAX", 0)
    assert clerk.get("/live").status_code == 503
    assert plain(clerk.page("/"))
