"""Ways in besides the front door: methods, kinds of content, sockets, streams, a session that was ended."""

import re
import socket
from contextlib import closing

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.web.guard import SESSION_COOKIE
from crdtsync_server.dashboard.reception import Books
from tests.web.conftest import PASSWORD, lines_of, wait_until
from tests.web.test_every_route import address, filled, posts, routes, sold, state  # noqa: F401

UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "PROPFIND"])
def test_another_method_does_what_no_form_does(shop, routes, filled, marie, method):  # noqa: F811
    before, token = state(shop), marie.token("/people")
    for route in posts(routes):
        body = f"token={token}&sure=yes&name=Eve&role=owner".encode()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        request = marie.http.build_request(method, address(route, filled), content=body, headers=kind)
        answer = marie.http.send(request)
        is_page = "GET" in route.methods and method == "HEAD"
        assert answer.status_code in ((200, 303, 400, 404) if is_page else (400, 404, 405)), route.path
    assert state(shop) == before


@pytest.mark.parametrize("name", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_a_header_makes_no_form_of_a_link(shop, routes, filled, marie, name):  # noqa: F811
    before = state(shop)
    for route in posts(routes):
        marie.http.get(
            address(route, filled), params={"_method": "POST", "sure": "yes"}, headers={name: "POST"}
        )
    assert state(shop) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", "token={token}&sure=yes&name=Eve&role=owner"),
        ("application/json", '{{"token": "{token}", "sure": "yes", "name": "Eve", "role": "owner"}}'),
        ("application/xml", "<token>{token}</token>"),
        ("application/x-www-form-urlencoded-x", "token={token}&sure=yes&name=Eve&role=owner"),
        (
            "multipart/mixed; boundary=x",
            '--x\r\ncontent-disposition: form-data; name="token"\r\n\r\n{token}\r\n--x--',
        ),
        (
            "multipart/form-data; boundary=x",
            '--x\r\ncontent-disposition: form-data; name="token"; filename="t"\r\n\r\n{token}\r\n--x--\r\n',
        ),
        ("application/x-www-form-urlencoded; charset=utf-16", "\ufeffsure=yes"),
        ("application/x-www-form-urlencoded", "token[]={token}&token.x={token}&sure=yes"),
        ("application/x-www-form-urlencoded", "token={token}&token=&sure=yes&name=Eve&role=owner"),
    ],
)
def test_what_is_no_form_of_a_page_is_refused_whatever_it_calls_itself(
    shop,
    routes,  # noqa: F811
    filled,  # noqa: F811
    marie,
    kind,
    body,
):
    """A page of another site can send some of these without asking first."""
    before, token = state(shop), marie.token("/people")
    for route in posts(routes):
        sent = body.format(token=token).encode()
        answer = marie.http.post(address(route, filled), content=sent, headers={"content-type": kind})
        assert answer.status_code in (400, 403, 415), (route.path, answer.status_code)
    assert state(shop) == before


@pytest.mark.parametrize("said", ["-1", "1e3", "9" * 30, "0x10", "²", "١"])
def test_a_size_that_is_none_is_refused(shop, said):
    host, port = shop.web.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        head = ["POST /sign-in HTTP/1.1", f"host: {host}:{port}", f"origin: {shop.web}"]
        head.append(f"content-length: {said}")
        line.sendall("\r\n".join((*head, "", "")).encode())
        line.shutdown(socket.SHUT_WR)
        answer = line.recv(4096)
    assert re.match(rb"HTTP/1.1 4\d\d ", answer), answer


@pytest.mark.parametrize("path", ["/today", "/live/today", "/registers", "/sign-in", "/static/x", "/people"])
def test_no_page_becomes_a_socket(shop, marie, path):
    for visitor in (marie, shop.visitor()):
        for origin in (shop.web, "https://evil.example"):
            with visitor.http.stream("GET", path, headers={**UPGRADE, "origin": origin}) as answer:
                assert answer.status_code != 101


def test_the_socket_of_registers_asks_for_no_cookie_and_a_cookie_opens_nothing_there(shop, marie):
    """A page of another site may open it with the cookie of whoever reads it: it has to prove a key there."""
    cookie = "; ".join(f"{one.name}={one.value}" for one in marie.http.cookies.jar)
    headers = {"cookie": cookie, "origin": "https://evil.example"}
    with connect(shop.relay.url + "/v1/sync", additional_headers=headers, open_timeout=60) as line:
        line.send(b"hello")
        with pytest.raises(ConnectionClosed):
            while True:
                assert b"Cave du Port" not in line.recv(timeout=60)


def test_every_stream_is_of_the_shop_of_whoever_listens(shop, till, marie):
    made = shop.access.create_shop(shop.store, "Cave du coin")
    shop.person("Odette", shop=made.id)
    odette, device = shop.visitor("Odette"), till.replica.identity.device.hex()
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    for path in (
        f"/live/register/{device}",
        "/live/register/zz",
        f"/live/register/{device}%20",
        "/live/register/",
    ):
        assert odette.get(path).status_code in (303, 404), path
    for room in (
        "register",
        f"register%2f{device}",
        f"register%2f{device}%2fowner",
        "..%2ftoday",
        "nothing",
        "*",
    ):
        assert odette.get(f"/live/{room}").status_code == 404, room
    for room in ("today", "registers", "alerts"):
        with odette.http.stream("GET", f"/live/{room}") as stream:
            told = []
            for line in lines_of(stream):
                told.append(line)
                if told[-1] == "" and len(told) > 3:
                    break
        for secret in ("Caisse 1", "Crozes", "Marie", "18.50", device):
            assert secret not in "\n".join(told), (room, secret)


@pytest.mark.parametrize("more", ["/owner", "%2fowner", "/../owner", "/staff", ";owner"])
def test_nobody_chooses_as_whom_a_page_is_painted(till, paul, more):
    """What staff may not do is not even offered to it, whatever the address says."""
    assert paul.get(f"/live/register/{till.replica.identity.device.hex()}{more}").status_code == 404


def test_a_new_password_ends_what_is_open_elsewhere(make_shop):
    shop = make_shop()
    shop.person("Marie")
    here, there = shop.visitor("Marie"), shop.visitor("Marie")
    token = there.token("/people")
    with closing(Books(shop.data, SystemClock(), system_random)) as books:
        account = books.accounts.find(shop.id, "Marie")
        link = books.accounts.new_link(account)
    fresh = shop.visitor()
    answer = fresh.post(f"/welcome/{link}", password="une autre phrase", again="une autre phrase")
    assert answer.status_code == 303
    for old in (here, there):
        assert old.get("/today").headers["location"] == "/sign-in"
        assert old.get("/live/today").headers["location"] == "/sign-in"
    answer = there.http.post("/people/new", data={"token": token, "name": "Eve", "role": "owner"})
    assert answer.status_code == 401
    assert shop.visitor().sign_in("Marie", PASSWORD).status_code == 401
    assert fresh.get("/today").status_code == 200


@pytest.mark.parametrize("how", ["signed out", "ended elsewhere", "let in no more", "another password"])
def test_a_stream_ends_with_its_session(make_shop, monkeypatch, how):
    monkeypatch.setattr("crdtsync_server.dashboard.live.HEARTBEAT_S", 3600.0)
    shop = make_shop()
    shop.person("Marie")
    shop.person("Paul", "staff")
    marie, paul = shop.visitor("Marie"), shop.visitor("Paul")
    account = shop.books.accounts.find(shop.id, "Paul")
    session = shop.books.sessions.find(paul.http.cookies[SESSION_COOKIE])
    with paul.http.stream("GET", "/live/today") as of_paul, marie.http.stream("GET", "/live/today") as others:
        lines = lines_of(of_paul)
        assert next(lines).startswith("retry:")
        if how == "signed out":
            paul.post("/sign-out", on="/today")
        elif how == "ended elsewhere":
            marie.post(f"/people/sessions/{session.id}/end", on="/people")
        elif how == "let in no more":
            marie.post(f"/people/{account.id.hex()}/end", on="/people")
        else:
            link = shop.books.accounts.new_link(account)
            shop.visitor().post(f"/welcome/{link}", password="une autre phrase", again="une autre phrase")
        for _ in lines:
            pass  # To its end.
        told = lines_of(others)
        assert next(told).startswith("retry:")
        wait_until(lambda: next(told) == ": ", "the page of somebody else goes on")


def test_the_link_of_a_password_is_of_the_one_whose_it_is_and_leaves_no_trace(shop, marie, paul):
    account = shop.books.accounts.find(shop.id, "Paul").id.hex()
    marie_id = shop.books.accounts.find(shop.id, "Marie").id.hex()
    assert paul.post(f"/people/{account}/link", on="/people").status_code == 403
    assert paul.post(f"/people/{marie_id}/link", on="/people").status_code == 403
    page = marie.post(f"/people/{account}/link", on="/people")
    link = re.search(r"/welcome/([\w-]+)", page.text)[1]
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    for guess in (link[:-1], link + "A", link.swapcase(), "%00" + link, link + "/"):
        assert httpx.get(f"{shop.web}/welcome/{guess}", verify=False).status_code == 404, guess
    assert paul.get("/today").status_code == 200  # Nothing ends before the link is used.
