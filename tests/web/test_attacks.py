"""What somebody tries who should not get in, and what a register that was taken over may write."""

import csv
import io
import json
import re
from html import unescape

import httpx
import pytest

from crdtsync.web.guard import FORM_BYTES_MAX
from crdtsync_server.dashboard.csv_files import safe_cell
from tests.web.conftest import PASSWORD, Visitor, lines_of

PAGES = (
    "/today",
    "/sales",
    "/days",
    "/sales/company",
    "/alerts",
    "/stock",
    "/stock/record",
    "/registers/hold",
    "/registers",
    "/registers/pair",
    "/catalogue",
    "/catalogue/new",
    "/catalogue/import",
    "/people",
)
FORMS = {
    "/people/new": {"name": "Eve", "role": "owner"},
    "/registers/pair": {"role": "register"},
    "/catalogue/new": {"sku": "EVE-1", "name": "Eve", "price": "1", "vat_rate": "2000", "unit": "pce"},
    "/catalogue/change": {"sku": "CM-19", "name": "Eve", "was_name": "Crozes-Hermitage"},
    "/catalogue/archive": {"sku": "CM-19", "archived": "1"},
    "/catalogue/import/take": {"upload": "x"},
    "/sales/company": {"name": "Eve", "address": "x", "siret": "73282932000074"},
    "/sales/invoice": {"number": "1", "name": "Eve", "address": "x"},
    "/sales/copy": {"request": "0" * 32, "number": "1"},
    "/stock/record": {"what": "delivery", "request": "0" * 32, "product-0": "CM-19", "quantity-0": "6"},
    "/registers/hold/approve": {"device": "00" * 16, "link": "", "sure": "yes"},
    "/sign-out": {},
}
PAGE_BYTES_MAX = 300_000
MARK = "<script>alert(1)</script>"
ATTRIBUTE = "\"><img src=x onerror=alert(1)>'"


@pytest.fixture(scope="module")
def other(shop, till):
    """Another shop of the same relay, with a till and an owner of its own."""
    made = shop.access.create_shop(shop.store, "Cave d'en face")
    shop.person("Odile", shop=made.id)
    return made


@pytest.fixture(scope="module")
def odile(shop, other):
    return shop.visitor("Odile")


def state(shop):
    """What the forms of ``FORMS`` would change."""
    log = shop.store.shop(shop.id)
    people = [(one.name, one.role) for one in shop.books.accounts.of_shop(shop.id)]
    return log.end, people, shop.access.codes.count_open(shop.id)


# -- nobody, and staff ------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        "/live/today",
        "/catalogue/export.csv",
        "/catalogue/product?sku=CM-19",
        "/sales/export.csv",
        "/sales/ticket?number=1",
    ],
)
def test_nobody_sees_anything_without_signing_in(shop, path):
    answer = shop.visitor().get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("path", FORMS)
def test_nobody_changes_anything_without_signing_in(shop, till, path):
    before = state(shop)
    stranger = shop.visitor()
    answer = stranger.post(path, on="/sign-in", **FORMS[path])
    assert answer.status_code == 401
    assert state(shop) == before


@pytest.mark.parametrize("path", [path for path in FORMS if path != "/sign-out"])
def test_staff_changes_nothing(shop, till, paul, path):
    before = state(shop)
    assert paul.post(path, on="/people", **FORMS[path]).status_code == 403
    assert state(shop) == before


def test_staff_sees_no_form_that_changes_a_product_and_only_itself_among_people(paul, till):
    assert "/catalogue/change" not in paul.page("/catalogue/product?sku=CM-19")
    assert "Marie" not in paul.page("/people")


# -- forms of other sites ------------------------------------------------


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1.evil.example"},
        {"origin": "", "referer": "https://evil.example/"},
        {"origin": "http://[bad"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused_also_with_the_right_token(shop, till, marie, path, headers):
    before = state(shop)
    fields = {"token": marie.token("/people"), **FORMS[path]}
    assert marie.http.post(path, data=fields, headers=headers).status_code == 403
    assert state(shop) == before


def test_a_form_that_does_not_say_where_it_comes_from_is_refused(shop, marie):
    request = marie.http.build_request(
        "POST", "/people/new", data={"token": marie.token("/people"), "name": "E"}
    )
    del request.headers["origin"]
    assert marie.http.send(request).status_code == 403


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("token", ["", "wrong", "é" * 20])
def test_a_form_without_its_token_is_refused(shop, till, marie, path, token):
    before = state(shop)
    assert marie.http.post(path, data={"token": token, **FORMS[path]}).status_code == 403
    assert state(shop) == before


def test_the_token_of_one_session_is_none_of_another(shop, marie):
    other_browser = shop.visitor("Marie")
    fields = {"token": other_browser.token("/people"), "name": "Eve", "role": "owner"}
    assert marie.http.post("/people/new", data=fields).status_code == 403


def test_nobody_is_signed_in_by_a_form_that_was_made_elsewhere(shop):
    """Signing somebody in as oneself, to see what they write."""
    thief, victim = shop.visitor(), shop.visitor()
    fields = {"token": thief.token("/sign-in"), "name": "Paul", "password": PASSWORD}
    assert victim.http.post("/sign-in", data=fields).status_code == 403


def test_nothing_is_changed_by_looking(shop, till, marie):
    before = state(shop)
    for path, fields in FORMS.items():
        marie.http.get(path, params=fields)
    assert state(shop) == before


# -- another shop ------------------------------------------------


def test_another_shops_devices_products_and_people_are_not_there(shop, till, odile):
    device = till.replica.identity.device.hex()
    marie = shop.books.accounts.find(shop.id, "Marie")
    _, session = shop.books.sessions.begin(marie, address="::1", agent="")
    paths = (f"/registers/{device}", "/catalogue/product?sku=CM-19")
    assert [odile.get(path).status_code for path in paths] == [404, 404]
    posts = {
        f"/registers/{device}/revoke": {"sure": "yes"},
        "/catalogue/change": {"sku": "CM-19", "name": "Eve", "was_name": "Crozes-Hermitage"},
        "/catalogue/archive": {"sku": "CM-19", "archived": "1"},
        "/catalogue/decide": {"sku": "CM-19", "change": "0" * 32},
        f"/people/{marie.id.hex()}/link": {},
        f"/people/{marie.id.hex()}/end": {},
        f"/people/sessions/{session.id}/end": {},
    }
    before = state(shop)
    assert {
        path: odile.post(path, on="/people", **said).status_code for path, said in posts.items()
    } == dict.fromkeys(posts, 404)
    assert state(shop) == before


def test_one_shop_sees_nothing_of_another(shop, till, odile):
    for path in (
        "/today",
        "/sales",
        "/days",
        "/alerts",
        "/stock",
        "/registers",
        "/catalogue",
        "/people",
        "/catalogue/export.csv",
    ):
        text = odile.page(path)
        assert [name for name in ("Caisse 1", "CM-19", "Crozes", "Marie", "Paul") if name in text] == []


@pytest.mark.parametrize("device", ["zz", "0", "00" * 16, "%00", "a" * 3000, "🍷"])
def test_what_is_no_device_is_not_there(marie, device):
    assert marie.get(f"/registers/{device}").status_code == 404


# -- what a register writes ------------------------------------------------


@pytest.fixture(scope="module")
def hostile(make_module_shop):
    """A shop in which everything that a register can write is an attack."""
    shop = make_module_shop
    shop.person("Marie")
    till = shop.register(f"{MARK[:40]}", operator=MARK[:40])
    fields = {
        name: f"{name} {MARK}{ATTRIBUTE}"[:80]
        for name in ("producer", "appellation", "region", "country", "category")
    }
    fields["category"] = MARK.replace("/", "")[:70]
    till.products.add(
        "X-1", name=f"{MARK}{ATTRIBUTE}", price_minor=1850, vat_rate=2000, unit="<b>&\"'", **fields
    )
    till.products.set("X-1", producer='=HYPERLINK("http://evil")')
    till.products.set("X-1", appellation="{{ 7 * 7 }} {% raw %}")
    till.products.add(
        "..", name="=cmd|' /C calc'!A0", price_minor=100, vat_rate=2000, producer="@SUM(1)", region="-1+1"
    )
    till.sell(["X-1"], ["card"])
    till.sync(60)
    return shop


@pytest.fixture(scope="module")
def make_module_shop(tmp_path_factory):
    from tests.web.conftest import Shop

    shop = Shop(tmp_path_factory.mktemp("hostile"))
    yield shop
    shop.close()


def test_nothing_that_a_register_writes_becomes_a_part_of_a_page(hostile):
    marie = hostile.visitor("Marie")
    device = next(iter(hostile.store.shop(hostile.id).documents()), None)
    assert device is not None
    pages = [
        marie.page(path)
        for path in (
            "/today",
            "/registers",
            "/sales",
            "/catalogue",
            "/catalogue?q=script",
            "/catalogue/product?sku=X-1",
        )
    ]
    pages += [marie.page(path) for path in links(pages[1], "/registers/")]
    pages += [marie.page(unescape(path)) for path in links(pages[2], "/sales/ticket")]
    assert sum("&lt;script&gt;" in page for page in pages) >= 4
    for page in pages:
        assert "<script>" not in page.replace("<script src=", "")
        assert "<img" not in page
        assert "onerror=alert(1)>" not in page
    assert "{{ 7 * 7 }}" in pages[5]
    assert "&lt;script&gt;" in pages[-1]


def links(page, start):
    return sorted(
        {part.split('"')[0] for part in page.split('href="')[1:] if part.startswith(start)}
        - {"/registers/pair", "/registers/hold", "/registers/export.csv"}
    )


def test_what_a_register_writes_breaks_out_of_no_event_of_a_stream(hostile):
    marie = hostile.visitor("Marie")
    with marie.http.stream("GET", "/live/today") as answer:
        lines = lines_of(answer)
        said = [next(lines) for _ in range(12)]
    assert said[0].startswith("retry:")
    assert all(line == "" or line.startswith(("event:", "data:", ":", "retry:")) for line in said)


def test_no_cell_of_an_export_is_a_formula(hostile):
    marie = hostile.visitor("Marie")
    files = [
        marie.page(path).removeprefix("\ufeff") for path in ("/catalogue/export.csv", "/registers/export.csv")
    ]
    rows = [row for text in files for row in csv.reader(io.StringIO(text), delimiter=";")]
    assert len(rows) == 5
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert any(cell == '\'=HYPERLINK("http://evil")' for row in rows for cell in row)


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\tx", "\rx", "|x", "'=1"])
def test_what_a_spreadsheet_would_take_for_a_formula_is_marked(cell):
    assert safe_cell(cell) == f"'{cell}"
    assert safe_cell(f"a{cell}") == f"a{cell}"


@pytest.mark.parametrize(
    "sign", ["＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫", "⁼", "⁻", "−", "｜", "％", "="]
)
@pytest.mark.parametrize(
    "before", ["", " ", "\u00a0", "\ufeff", "\u200b\u202e", "\x00", "\u0301", " " * 5000]
)
def test_neither_the_form_of_a_sign_nor_what_nobody_sees_before_it_hides_a_formula(sign, before):
    assert safe_cell(f"{before}{sign}1+1") == f"'{before}{sign}1+1"
    assert safe_cell(f"{before}Clos {sign}1") == f"{before}Clos {sign}1"
    assert safe_cell(before) == before


def test_a_product_called_dot_dot_can_be_seen_and_changed(hostile):
    marie = hostile.visitor("Marie")
    assert "calc" in marie.page("/catalogue/product?sku=..")


# -- addresses, headers, sizes ------------------------------------------------


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "http:evil", "/%0d%0aSet-Cookie: x",
        "/\r\nset-cookie: x=1", "", "evil", "///evil.example", "/\tx",
    ],
)  # fmt: skip
def test_no_form_leads_to_another_site(shop, back):
    visitor = shop.visitor()
    answer = visitor.post("/language", on="/sign-in", language="en", back=back)
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert location.startswith("/")
    assert httpx.URL(shop.web).join(location).host == "127.0.0.1"
    assert "set-cookie: x" not in str(answer.headers).lower()


@pytest.mark.parametrize(
    "path", [*PAGES, "/nothing-here", "/catalogue/product?sku=none", "/static/x/office.css"]
)
def test_every_page_says_that_nothing_else_may_come_in(marie, path):
    answer = marie.get(path)
    if path == "/nothing-here":
        assert answer.status_code == 404
        return
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_with_all_that_it_loads_is_light(marie, path):
    page = marie.page(path)
    loads = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    assert loads
    weight = len(page) + sum(len(marie.get(address).content) for address in loads)
    assert weight < PAGE_BYTES_MAX


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_style_or_a_script_of_its_own(marie, path):
    page = marie.page(path)
    assert " style=" not in page
    assert "<style" not in page
    assert " on" not in "".join(part.split(">")[0] for part in page.split("<")[1:]).replace(" on ", "")
    assert page.count("<script") == page.count("<script src=")


@pytest.mark.parametrize(
    "name",
    ["../office.py", "..%2foffice.py", "%2e%2e/relay.sqlite", "LICENSES.txt", "", ".", "office.css%00"],
)
def test_no_other_file_is_served(marie, name):
    page = marie.page("/today")
    mark = page.split("/static/")[1].split("/")[0]
    assert marie.get(f"/static/{mark}/{name}").status_code == 404


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=" + b"x" * FORM_BYTES_MAX, 413),
        ({"content-type": "application/x-www-form-urlencoded"}, b"&".join(b"a=1" for _ in range(300)), 400),
        ({"content-type": "application/x-www-form-urlencoded"}, b"token=\xff\xfe", 400),
        ({"content-type": "application/x-www-form-urlencoded"}, b"%ff=%fe", 400),
        ({"content-type": "application/json"}, b"{}", 415),
        ({"content-type": ""}, b"x", 415),
        ({"content-type": "multipart/form-data"}, b"x", 400),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nbroken", 403),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\n" * 500, 400),
    ],
)
@pytest.mark.parametrize("path", ["/sign-in", "/people/new", "/catalogue/new"])
def test_a_form_that_is_none_is_refused_and_nothing_falls_over(marie, path, headers, body, status):
    answer = marie.http.post(path, content=body, headers=headers)
    assert answer.status_code == status
    assert marie.get("/today").status_code == 200


def test_a_form_that_does_not_say_its_size_is_cut_off(marie):
    def endless():
        for _ in range(64):
            yield b"a" * 4096

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert marie.http.post("/people/new", content=endless(), headers=headers).status_code == 413


def test_absurd_addresses_are_answered(marie):
    for query in ("?page=0", "?page=-1", "?page=9" + "9" * 50, "?page=x", "?page=٣"):
        assert marie.get("/catalogue" + query).status_code == 404
    assert marie.get("/catalogue").status_code == 200
    assert marie.get("/catalogue?q=" + "x" * 5000).status_code == 200
    assert marie.get("/today?day=2026-02-30").status_code == 404
    assert marie.get("/today?day=9999-12-31").status_code == 404
    assert marie.get("/today?day=0001-01-01").status_code == 404
    assert marie.get("/live/nothing").status_code == 404


def test_a_browser_that_is_no_browser_gets_the_text(shop):
    assert "crdtsync join" in httpx.get(shop.web).text
    about = httpx.get(shop.web + "/healthz").json()
    assert json.dumps(about["ok"])


def test_so_many_streams_and_not_more(shop):
    paul = shop.visitor("Paul")
    streams = [paul.http.stream("GET", "/live/today") for _ in range(9)]
    opened = [stream.__enter__() for stream in streams]
    assert [answer.status_code for answer in opened] == [200] * 8 + [503]
    for stream in streams:
        stream.__exit__(None, None, None)


def test_a_stranger_with_a_cookie_that_is_none_is_a_stranger(shop):
    visitor: Visitor = shop.visitor()
    for cookie in (
        b"crdtsync_session=" + b"\xff\xc3" * 50,
        b"crdtsync_session",
        b"=;=;crdtsync_session=" + b"a" * 3000,
    ):
        headers = [*visitor.http.headers.raw, (b"cookie", cookie)]
        answer = visitor.http.send(httpx.Request("GET", shop.web + "/today", headers=headers))
        assert answer.status_code == 303
