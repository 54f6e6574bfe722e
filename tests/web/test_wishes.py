"""Asking a register to synchronise: it is asked at once or when it comes, and says what has become of it."""

import re
from itertools import takewhile

import pytest

from tests.docs.test_peer_by_the_page import Chain, Key, Peer, certificate, connect, enrol, sha256
from tests.web.conftest import lines_of, wait_until


@pytest.fixture
def office(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.person("Paul", "staff")
    return shop


def device_of(till):
    return till.replica.identity.device.hex()


def ask(visitor, device):
    answer = visitor.post(f"/registers/{device}/synchronise", on=f"/registers/{device}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/registers/{device}#sync"


def said(visitor, device):
    """What the page of a register says has become of it."""
    page = visitor.page(f"/registers/{device}")
    found = re.search(r'id="wish-state"[^>]*>(.*?)</p>', page, re.DOTALL)
    return " ".join(found[1].split()).replace("\u202f", " ") if found else ""


def test_a_connected_register_is_asked_and_says_that_it_is_done(office):
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    connection = till.start_sync()
    wait_until(lambda: connection.is_connected)
    device = device_of(till)
    wait_until(lambda: "Ask it to synchronise now" in marie.page(f"/registers/{device}"))
    assert said(marie, device) == ""
    number = till.sell(["CM-19"], ["card"]).number
    ask(marie, device)
    wait_until(lambda: "all that it had is here" in said(marie, device), said(marie, device))
    assert said(marie, device).startswith("Marie asked on ")
    assert number in marie.page("/sales")
    assert connection.error is None


def test_a_register_that_is_away_is_asked_when_it_comes_also_after_the_relay_was_started_again(office):
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    till.sync(60)
    device = device_of(till)
    wait_until(lambda: "Have it asked as soon as it connects" in marie.page(f"/registers/{device}"))
    ask(marie, device)
    assert "It is not connected: it is asked when it connects, until" in said(marie, device)
    assert "It is not connected: it is asked when it connects" in marie.page("/registers")
    office.start_again()
    marie = office.visitor("Marie")
    assert "It is not connected: it is asked when it connects, until" in said(marie, device)
    till.sync(60)  # It stays until it has said that it is done.
    wait_until(lambda: "all that it had is here" in said(marie, device))
    assert "Marie asked" not in marie.page("/registers")


def test_who_asks_a_second_time_is_answered_a_second_time(office):
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    connection = till.start_sync()
    wait_until(lambda: connection.is_connected)
    device = device_of(till)
    for _ in range(3):
        ask(marie, device)
        wait_until(lambda: "all that it had is here" in said(marie, device))
    assert connection.error is None


def test_staff_sees_what_was_asked_and_asks_nothing(office):
    till, marie, paul = office.register("Caisse 1"), office.visitor("Marie"), office.visitor("Paul")
    device = device_of(till)
    assert "/synchronise" not in paul.page(f"/registers/{device}")
    assert paul.post(f"/registers/{device}/synchronise", on="/people").status_code == 403
    assert said(marie, device) == ""
    ask(marie, device)
    assert "Marie asked" in said(paul, device)


def test_nobody_asks_a_register_of_another_shop_or_one_that_was_cut_off(office):
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    device = device_of(till)
    made = office.access.create_shop(office.store, "Cave d'en face")
    office.person("Odile", shop=made.id)
    odile = office.visitor("Odile")
    for path in (f"/registers/{device}/synchronise", "/registers/zz/synchronise"):
        assert odile.post(path, on="/people").status_code == 404
    assert odile.get(f"/live/register/{device}").status_code == 404
    assert said(marie, device) == ""
    marie.post(f"/registers/{device}/revoke", on=f"/registers/{device}", sure="yes")
    assert marie.post(f"/registers/{device}/synchronise", on="/people").status_code == 303
    assert said(marie, device) == ""


def stream_of(visitor, device):
    """What a register's page is told while it is open, line by line."""
    return visitor.http.stream("GET", f"/live/register/{device}")


def test_the_page_follows_by_itself_in_french_too(office):
    till, marie = office.register("Caisse 1"), office.visitor("Marie", language="fr")
    device = device_of(till)
    with stream_of(marie, device) as stream:
        lines = lines_of(stream)
        assert next(line for line in lines if line.startswith("event")) == "event: register"
        ask(office.visitor("Marie"), device)
        assert next(line for line in lines if "Marie l’a demandé le" in line)
        connection = till.start_sync()
        assert next(line for line in lines if "connectée" in line and "non connectée" not in line)
        assert next(line for line in lines if "les deux ont comparé ce qu’ils détiennent" in line)
        connection.stop()
        assert next(line for line in lines if "non connectée" in line)


def test_the_stream_of_a_register_offers_nothing_to_staff(office):
    till = office.register("Caisse 1")
    told = {}
    for name in ("Marie", "Paul"):
        with stream_of(office.visitor(name), device_of(till)) as stream:
            lines = takewhile(lambda line: "part-risked" not in line, lines_of(stream))
            told[name] = "\n".join(lines)
    assert 'id="ask-now"' in told["Marie"]
    assert 'id="ask-now"' not in told["Paul"]
    assert 'name="token"' not in told["Marie"]  # One painting for all owners: nothing of a session is in it.


def test_an_old_register_is_not_asked_and_goes_on(office):
    """One that is made from the page alone, which names no capabilities: an unknown message would end it."""
    key, marie = Key(), office.visitor("Marie")
    device = sha256(b"crdtsync/device/v1\0", key.public)[:16]
    shop, owners_chain, relay_key = enrol(office.relay.url, office.relay.pairing_code(), key, device)
    mine, name = certificate(shop, owners_chain, device)
    chain = Chain(key, device, {"id": shop.hex(), "name": name}, mine["series"])
    ask(marie, device.hex())
    with connect(office.relay.url + "/v1/sync", compression=None, max_size=None) as socket:
        peer = Peer(socket, key, shop, device, relay_key, [b"E" + sealed for sealed in chain.sealed])
        peer.send_log()
        while not peer.acknowledged:
            peer.take()
        page = f"/registers/{device.hex()}"
        wait_until(lambda: "Its program is older than this question" in marie.page(page))
        assert "has not answered yet" in said(marie, device.hex())
        assert marie.post(page + "/synchronise", on="/people").status_code == 303
        chain.sell(mine["series"])
        peer.log.append(b"E" + chain.sealed[-1])
        peer.h.append(sha256(peer.h[-1], len(peer.log[-1]).to_bytes(4, "big"), peer.log[-1]))
        peer.send_newest()
        while peer.acknowledged < 2:
            peer.take()  # It knows three messages, and would fail at another one.
