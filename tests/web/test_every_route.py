"""Every route that there is, as the back office itself lists them: a new room cannot be forgotten here."""

import re
from html import unescape

import pytest

from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync_server.dashboard.back_office import BackOffice
from crdtsync_server.folder import DataFolder

OPEN = {"/sign-in", "/welcome/{link}", "/language", "/{nowhere:path}"}
"""Who is not signed in may come here."""

STAFF_MAY = OPEN | {"/sign-out", "/people/sessions/{session}/end"}
"""What somebody of the staff may send: nothing of the shop."""

STATIC = re.compile(r"^/static/")


def _routes(folder):
    office = BackOffice(
        DataFolder(folder), SystemClock(), system_random, failed=lambda error: None, wrote=lambda: None
    )
    return [route for route in office.routes() if not STATIC.match(route.path)]


@pytest.fixture(scope="module")
def routes(shop):
    return _routes(shop.folder / "relay")


@pytest.fixture(scope="module")
def sold(shop, till):
    """A ticket, a closed day and an invoice, by whose names another shop may ask."""
    till.sell(["CM-19"], ["card"])
    ticket = till.sell(["CM-19"], ["card"])
    till.sync(60)
    return ticket


@pytest.fixture(scope="module")
def filled(shop, till, sold):
    marie = shop.books.accounts.find(shop.id, "Marie")
    _, session = shop.books.sessions.begin(marie, address="::1", agent="")
    _, link = shop.books.accounts.create(shop.id, f"Eve {session.id}", "staff")
    return {
        "device": till.replica.identity.device.hex(),
        "account": marie.id.hex(),
        "session": session.id,
        "day": "2026-11-30",
        "room": "today",
        "link": link,
        "nowhere": "no-such/room",
    }


def address(route, filled):
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: filled[found[1]], route.path)


def state(shop):
    people = [(one.id, one.name, one.role) for one in shop.books.accounts.of_shop(shop.id)]
    sessions = [len(shop.books.sessions.of_account(shop.books.accounts.get(one[0]))) for one in people]
    return shop.store.shop(shop.id).end, people, sessions, shop.access.codes.count_open(shop.id)


def posts(routes):
    return [route for route in routes if "POST" in route.methods]


def gets(routes):
    return [route for route in routes if "GET" in route.methods]


def test_there_are_routes_to_look_at(routes):
    assert len(posts(routes)) >= 20
    assert len(gets(routes)) >= 25
    assert {route.methods - {"HEAD"} == {"GET"} for route in routes if route not in posts(routes)} == {True}


def test_no_page_is_shown_to_who_is_not_signed_in(shop, routes, filled):
    stranger = shop.visitor()
    for route in gets(routes):
        if route.path in OPEN:
            continue
        answer = stranger.get(address(route, filled))
        assert (answer.status_code, answer.headers.get("location")) == (303, "/sign-in"), route.path


def test_an_address_that_is_none_is_answered_in_the_language_of_whoever_asks(shop, marie):
    stranger = shop.visitor()
    for visitor in (stranger, marie):
        answer = visitor.get("/no-such/room", **{"accept-language": "fr"})
        assert (answer.status_code, "Cette page n’existe pas" in answer.text) == (404, True)


def test_no_form_is_taken_of_who_is_not_signed_in(shop, routes, filled):
    stranger, before = shop.visitor(), state(shop)
    for route in posts(routes):
        if route.path not in OPEN:
            answer = stranger.post(address(route, filled), on="/sign-in", sure="yes", name="Eve")
            assert answer.status_code == 401, route.path
    assert state(shop) == before


@pytest.mark.parametrize("token", [None, "", "wrong", "the cookie"])
def test_every_form_must_bring_the_token_of_its_page(shop, routes, filled, marie, token):
    before = state(shop)
    cookie = next(iter(marie.http.cookies.jar)).value
    said = {} if token is None else {"token": cookie if token == "the cookie" else token}
    for route in posts(routes):
        answer = marie.http.post(address(route, filled), data={**said, "sure": "yes", "name": "Eve"})
        assert answer.status_code == 403, route.path
    assert state(shop) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
)
def test_no_form_of_another_site_is_taken_even_with_the_token(shop, routes, filled, marie, headers):
    before, token = state(shop), marie.token("/people")
    for route in posts(routes):
        answer = marie.http.post(
            address(route, filled), data={"token": token, "sure": "yes", "name": "Eve"}, headers=headers
        )
        assert answer.status_code == 403, route.path
    assert state(shop) == before


def test_staff_sends_no_form_that_changes_the_shop(shop, routes, filled, paul):
    before = state(shop)
    for route in posts(routes):
        if route.path not in STAFF_MAY:
            answer = paul.post(address(route, filled), on="/people", sure="yes", name="Eve")
            assert answer.status_code == 403, route.path
    assert paul.post(f"/people/sessions/{filled['session']}/end", on="/people").status_code == 404
    assert state(shop) == before


def test_nothing_is_changed_by_a_link(shop, routes, filled, marie):
    """Whoever has somebody open an address does nothing by it."""
    before = state(shop)
    for route in posts(routes):
        marie.http.get(address(route, filled), params={"sure": "yes", "role": "owner", "name": "Eve"})
    assert state(shop) == before


@pytest.fixture(scope="module")
def odile(shop):
    """The owner of another shop of the same relay."""
    made = shop.access.create_shop(shop.store, "Cave d'en face")
    shop.person("Odile", shop=made.id)
    return shop.visitor("Odile")


def queries(shop, till, sold, marie):
    """What the pages of the shop ask with, everywhere: tickets, closings, invoices, products."""
    company = {"name": "Cave du Port SARL", "address": "3 quai du Port", "siret": "73282932000074"}
    marie.post("/sales/company", **company)
    where = {"number": sold.number, "link": sold.link.hex()}
    marie.post("/sales/invoice", on="/people", **where, name="Jean", address="La Rochelle")
    till.close_day()
    till.sync(60)
    found = {f"?number={sold.number}", f"?number={sold.number}&link={sold.link.hex()}", "?sku=CM-19"}
    found |= {f"?q={sold.number}", f"?register={till.replica.identity.device.hex()}", "?q=CM-19"}
    day = re.search(r'href="/days/(\d{4}-\d\d-\d\d)"', marie.page("/days"))[1]
    for page in ("/days", f"/days/{day}", f"/sales/ticket?number={sold.number}"):
        found |= {f"?{unescape(one)}" for one in re.findall(r'href="/[^"?]+\?([^"]+)"', marie.page(page))}
    assert any("chain=" in one for one in found), found
    assert any(one.startswith("?number=F") for one in found), found
    return found


def test_no_address_shows_anything_of_another_shop(shop, routes, filled, till, sold, marie, odile):
    asked = {"", *queries(shop, till, sold, marie)}
    secrets = ("Caisse 1", "Crozes", "Marie", "Paul", "Jean", "Cave du Port", "18,50", "18.50")
    looked = 0
    for route in gets(routes):
        if route.path in OPEN or route.path == "/live/{room}":
            continue  # That one goes on for ever, and is of whoever asks.
        for query in sorted(asked):
            answer = odile.get(address(route, filled) + query)
            looked += 1
            assert answer.status_code in (200, 303, 404), (route.path, query, answer.status_code)
            assert [one for one in secrets if one in answer.text] == [], (route.path, query)
            assert answer.headers["content-type"] != "application/pdf", (route.path, query)
    assert looked > 200
