"""Nonsense in every address and every field: something is answered, nothing of it becomes a part of a page,
and nothing falls over. Which routes and fields there are, the office and its pages say themselves.
"""

import re
from urllib.parse import quote

import pytest

from tests.web.test_every_route import address, filled, gets, posts, routes, sold  # noqa: F401  # Fixtures.

ASKED = (
    *(
        "q",
        "page",
        "sku",
        "number",
        "link",
        "day",
        "older",
        "newer",
        "from",
        "to",
        "register",
        "by",
        "before",
    ),
    *("what", "done", "archived", "disputed", "below", "upload", "again"),
)
"""Whatever a page of any room reads from its address."""

SENT = (
    *("sku", "name", "role", "link", "number", "what", "sure", "request", "reason", "reference", "language"),
    *("device", "change", "back", "archived", "was_name", "password", "again", "upload", "price", "vat_rate"),
    *(
        "unit",
        "barcodes",
        "volume_ml",
        "abv",
        "vintage",
        "valid_from",
        "colour",
        "category",
        "address",
        "siret",
    ),
    *("product-0", "quantity-0", "product-11", "quantity-11", "quantity--1", "product-99"),
)
"""Whatever a form of any room reads."""

NONSENSE = (
    *("", " ", "0", "-1", "9" * 400, "1e9", "NaN", "٣", "½", "2026-13-45", "0000-00-00", "9999-12-31.9"),
    *(
        "\0",
        "a\0b",
        "\r\nset-cookie: x=1",
        "../../etc/passwd",
        "..%2f",
        "%",
        "%zz",
        "\\\\evil",
        "//evil.example",
    ),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "' OR 1=1 --", '*"* NEAR('),
    *(
        "\u202e\u2066",
        "e\u0301",
        "🍷" * 60,
        "x" * 5_000,
        "=cmd|' /C calc'!A0",
        "zz" * 16,
        "00" * 16,
        "ff" * 32,
    ),
)
MARKUP = re.compile(r"<script>alert|<img src=x|\b49\b.*\{\{ 7")


@pytest.fixture(scope="module")
def places(shop, filled):  # noqa: F811
    """What stands in addresses: nobody's account who signs in here."""
    eve, _ = shop.books.accounts.create(shop.id, "Eve, who is not here", "staff")
    return {**filled, "account": eve.id.hex()}


def is_fine(answer, what):
    """Refused or answered, never a fault of ours; and what was sent is text, where it is shown at all."""
    assert answer.status_code < 500, (what, answer.status_code)
    assert "x" not in answer.cookies, what
    assert "evil" not in answer.headers.get("location", ""), what
    if "html" in answer.headers.get("content-type", ""):
        assert not MARKUP.search(answer.text), what
    if "attachment" in (said := answer.headers.get("content-disposition", "")):
        assert re.fullmatch(r'attachment; filename="[\w.-]+"', said), what


@pytest.mark.slow
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_in_an_address_is_answered(shop, till, routes, places, marie, nonsense):  # noqa: F811
    for route in gets(routes):
        if route.path.startswith("/live/"):
            continue  # What it has in its address is a path, see below; its answer has no end.
        params = dict.fromkeys(ASKED, nonsense[:2000])
        is_fine(marie.http.get(address(route, places), params=params), (route.path, nonsense))


@pytest.mark.parametrize("nonsense", [one for one in NONSENSE if one.strip()])
def test_nonsense_in_a_path_is_answered(shop, till, routes, places, marie, nonsense):  # noqa: F811
    said = quote(nonsense[:2000], safe="")
    for route in gets(routes):
        if "{" in route.path:
            path = address(route, dict.fromkeys(places, said))
            answer = marie.get(path)
            is_fine(answer, (route.path, nonsense))
            assert answer.status_code in (303, 404), (route.path, nonsense)


@pytest.mark.parametrize("name", ["sku", "number", "page", "day", "older"])
@pytest.mark.parametrize("nonsense", ["%ED%A0%80", "%FF%FE", "%00", "%F0%9F", "[]=1", "%"])
def test_an_address_that_is_no_text_is_answered(shop, till, marie, name, nonsense):
    for room in ("/sales", "/stock/product", "/catalogue", "/catalogue/product", "/days", "/today"):
        is_fine(marie.get(f"{room}?{name}={nonsense}"), (room, name, nonsense))


@pytest.mark.slow
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_in_a_form_is_answered(shop, till, routes, places, marie, nonsense):  # noqa: F811
    token = marie.token("/people")
    for route in posts(routes):
        if route.path in ("/sign-out", "/sign-in", "/welcome/{link}", "/people/sessions/{session}/end"):
            continue  # They end a session, or begin one.
        if route.path.endswith("/revoke"):
            continue  # Cuts the till off for good: see its own tests.
        data = {"token": token, **dict.fromkeys(SENT, nonsense)}
        is_fine(marie.http.post(address(route, places), data=data), (route.path, nonsense))
    assert marie.get("/today").status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"&" * 3000, b"=" * 3000, b"token=%ED%A0%80&name=%FF", b"\xff\xfe\0", b"a=1;b=2", b"a[]=1&a[]=2"],
)
def test_a_form_that_is_no_text_is_refused(shop, till, routes, places, marie, body):  # noqa: F811
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for route in posts(routes):
        answer = marie.http.post(address(route, places), content=body, headers=kind)
        is_fine(answer, (route.path, body[:20]))
        assert answer.status_code in (400, 403, 413), (route.path, body[:20], answer.status_code)


def test_a_person_whose_name_is_markup_is_text_wherever_the_wish_stands(shop, till):
    name = '"><img src=x onerror=alert(1)> {{ 7*7 }}'
    shop.person(name)
    visitor, device = shop.visitor(name), till.replica.identity.device.hex()
    visitor.post(f"/registers/{device}/synchronise", on=f"/registers/{device}")
    for path in (f"/registers/{device}", "/registers"):
        page = visitor.page(path)
        assert "<img" not in page
        assert "&gt;" in page
        assert "{{ 7*7 }}" in page


def test_a_wish_is_no_way_to_slow_a_relay_down(shop, till, marie):
    """Asked a hundred times: one wish is kept, and the register answers the last."""
    device = till.replica.identity.device.hex()
    token = marie.token(f"/registers/{device}")
    for _ in range(100):
        answer = marie.http.post(f"/registers/{device}/synchronise", data={"token": token})
        assert answer.status_code == 303
    keys = shop.store.connection.execute("SELECT count(*) FROM state WHERE key GLOB 'wish*'").fetchall()
    assert keys[0][0] <= 2
    till.sync(60)
