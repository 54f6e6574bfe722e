"""The day at the till: opened, read, closed with a counted drawer; and the clock in doubt."""

import re

import orjson
import pytest

from crdtsync.errors import DamagedStore
from crdtsync.runtime.committing.writer import Writer
from crdtsync.testing.clock import DAY_MS, HOUR_MS
from tests.clocks import clock_of_now
from tests.till.conftest import plain
from tests.till.test_selling import bought


def test_a_day_is_opened_read_and_closed_with_a_counted_drawer(clerk, shop):
    clerk.post("/day/open", **{"coin-5000": "2", "coin-1000": "5"})
    assert "open" in clerk.page("/day")
    clerk.take("CM-19")
    clerk.pay("cash", "20")
    clerk.post("/day/cash", what="out", amount="10", reason="Timbres")
    assert "€18.50" in plain(clerk.page("/day"))
    answer = clerk.post("/day/close", **{"coin-5000": "3", "coin-200": "4"})
    closed = answer.headers["location"]
    assert clerk.shown("z-counted", closed) == "€158.00"
    assert clerk.shown("z-expected", closed) == "€158.50"
    assert clerk.shown("z-gap", closed) == "-€0.50"
    assert shop.register().x_report().sales == 0


def test_cash_that_is_sent_twice_goes_once(clerk, shop):
    fields = {"what": "out", "amount": "10", "reason": "Timbres", "request": clerk.hidden("request", "/day")}
    for _ in range(2):
        assert clerk.post("/day/cash", **fields).headers["location"] == "/day?said=moved"
    clerk.post("/day/cash", what="in", amount="20", reason="Monnaie")
    assert shop.register().x_report().cash_expected_minor == 1000
    # Pressed again, with the amount set right, before an answer came: what is told to be recorded is.
    assert clerk.post("/day/cash", **{**fields, "amount": "3"}).headers["location"] == "/day?said=moved"
    assert shop.register().x_report().cash_expected_minor == 700
    assert clerk.post("/day/cash", **{**fields, "what": "in"}).headers["location"] == "/day?said=moved"
    assert shop.register().x_report().cash_expected_minor == 1700
    for request in ("", "é", "a" * 41, "../x"):
        assert clerk.post("/day/cash", **{**fields, "request": request}).status_code == 400


def test_a_day_is_closed_without_counting_and_with_the_sum_alone(clerk):
    clerk.take("EAU")
    clerk.pay("cash")
    assert clerk.shown("z-counted", clerk.post("/day/close").headers["location"]) == "–"
    clerk.take("EAU")
    clerk.pay("cash")
    assert clerk.shown("z-gap", clerk.post("/day/close", sum="1,00").headers["location"]) == "-€0.20"


@pytest.mark.parametrize("fields", [{"coin-100": "x"}, {"coin-100": "-1"}, {"sum": "many"}, {"sum": "-1"}])
def test_what_cannot_be_counted_closes_nothing(clerk, shop, fields):
    clerk.take("EAU")
    clerk.pay("cash")
    assert "said=amount" in clerk.post("/day/close", **fields).headers["location"]
    assert shop.register().x_report().sales == 1


def test_nothing_to_close_and_a_day_that_is_open_already_are_told(clerk):
    assert "said=nothing" in clerk.post("/day/close").headers["location"]
    clerk.post("/day/open", sum="100")
    assert "said=open-already" in clerk.post("/day/open", sum="100").headers["location"]


def test_a_day_that_was_forgotten_is_told_on_the_ticket_that_closed_it(shop):
    clock = clock_of_now()
    clerk = shop.open_till(clock=clock)
    bought(clerk, "EAU")
    clock.pass_ms(DAY_MS)
    clerk.take("EAU")
    page = plain(clerk.page(clerk.pay("card").headers["location"]))
    assert "had not been closed: it was closed now, cash not counted" in page
    clerk.take("EAU")
    assert "had not been closed" not in clerk.page(clerk.pay("card").headers["location"])
    for _ in range(2):  # Whoever was not looking, or loads the page anew, reads it there.
        assert "had not been closed" in plain(clerk.page("/day"))
    clerk.post("/day/open", sum="0")
    assert "had not been closed" not in plain(clerk.page("/day?said=opened"))


def test_what_was_noticed_is_told_by_the_next_start_too_in_whatever_language(shop):
    clock = clock_of_now()
    clerk = shop.open_till(clock=clock)
    bought(clerk, "EAU")
    clock.pass_ms(DAY_MS)
    bought(clerk, "EAU")
    clock.pass_ms(-HOUR_MS)
    bought(clerk, "EAU")
    shop.till.stop()
    clerk = shop.open_till(clock=clock, language="fr")
    page = plain(clerk.page("/day"))
    assert "n'avait pas été clôturée" in page
    assert "L'horloge a reculé" in page
    assert "had not been closed" not in page
    clerk.post("/day/close", sum="1,20")
    shop.till.stop()
    page = plain(shop.open_till(clock=clock).page("/day"))
    assert "had not been closed" not in page
    assert "the clock went back" not in page


def test_baskets_of_a_till_that_kept_no_notices_are_there(shop):
    clerk = shop.open_till()
    clerk.take("EAU")
    shop.till.stop()
    file = shop.folder / "till.json"
    facts = orjson.loads(file.read_bytes())
    del facts["notices"]
    file.write_bytes(orjson.dumps(facts))
    assert shop.open_till().lines() == ["Eau de source"]


def test_what_is_noticed_at_the_closing_stands_on_its_page_however_often_it_is_loaded(shop):
    clock = clock_of_now()
    clerk = shop.open_till(clock=clock)
    bought(clerk, "EAU")
    clock.pass_ms(-HOUR_MS)
    address = clerk.post("/day/close", sum="1,20").headers["location"]
    for _ in range(2):
        assert "the clock went back; it is recorded, and sales go on" in plain(clerk.page(address))
    assert "the clock went back" in plain(clerk.page("/day"))
    assert "the clock went back" not in plain(clerk.page(address.partition("?")[0]))


def test_a_clock_that_is_far_ahead_is_asked_about_and_a_person_says_the_day(shop):
    clock = clock_of_now()
    clerk = shop.open_till(language="fr", clock=clock)
    bought(clerk, "EAU")
    assert 'id="question"' not in clerk.page("/day")
    clock.pass_ms(20 * DAY_MS)
    clerk.take("EAU")
    address = clerk.pay("card").headers["location"]
    assert re.search(
        "L'horloge dit [0-9/]+, mais le dernier jour connu est le [0-9/]+", plain(clerk.page(address))
    )
    assert shop.register().x_report().sales == 2  # It was sold, on the day that was known.
    page = clerk.page("/day")
    day = re.search(r'name="day" value="([0-9-]+)"', page)[1]
    for wrong in ("2001-01-01", "2099-01-01", "x"):
        assert "said=no-day" in clerk.post("/day/open", sum="0", day=wrong).headers["location"]
    assert "said=opened" in clerk.post("/day/open", sum="0", day=day).headers["location"]
    page = plain(clerk.page("/day?said=opened"))
    assert "n'avait pas été clôturée" in page
    assert "L'horloge dit" not in page
    assert shop.register().x_report().business_day == day


def test_a_clock_that_went_back_is_told_and_no_day_is_offered(shop):
    clock = clock_of_now()
    clerk = shop.open_till(clock=clock)
    bought(clerk, "EAU")
    clock.pass_ms(-5 * DAY_MS)
    clerk.take("EAU")
    page = plain(clerk.page(clerk.pay("card").headers["location"]))
    assert "the clock went back; it is recorded, and sales go on" in page
    page = clerk.page("/day")
    assert "Is the clock right?" in page
    assert 'name="day"' not in page


def test_a_disk_that_cannot_be_read_behind_a_sale_does_not_hide_that_it_was_sold(shop, monkeypatch):
    clock = clock_of_now()
    clerk = shop.open_till(clock=clock)
    bought(clerk, "EAU")
    clock.pass_ms(DAY_MS)
    clerk.take("EAU")

    def fail(_):
        raise DamagedStore("the head cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "asked_of_the_day", fail)
        answer = clerk.pay("card")
    assert "said=paid" in answer.headers["location"]
    assert clerk.lines() == []
    assert "had not been closed" in plain(clerk.page("/day"))
