"""The figures of the day, as people of the shop see them."""

import re
import threading
import time

import pytest

from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock
from tests.web.conftest import lines_of, wait_until

WEEK_MS = 7 * 86_400_000


@pytest.fixture
def now_ms():
    return SystemClock().now_ms()


@pytest.fixture
def week(make_shop, now_ms):
    """A shop that sold a week ago, and today."""
    shop = make_shop()
    shop.person("Marie")
    clock = ManualClock(now_ms - WEEK_MS, SystemClock().utc_offset_min(now_ms))
    shop.clock = clock
    shop.till = shop.register("Caisse 1", clock=clock)
    shop.till.products.add("CM-19", name="Crozes", price_minor=2000, vat_rate=2000)
    shop.till.products.add("EAU", name="Eau", price_minor=150, vat_rate=550)
    return shop


def test_turnover_sales_and_basket_are_what_the_register_itself_reports(week, now_ms):
    till = week.till
    ticket = till.sell(["CM-19", "EAU"], ["card"])
    till.sell(["CM-19"], ["card"])
    till.refund(ticket.number, lines={2: 1000}, reason="erreur", payments=["card"])
    report = till.report(till.x_report().business_day)
    till.sync(60)
    marie = week.visitor("Marie")
    path = f"/today?day={report.business_day}"
    assert marie.shown("turnover", path) == "€40.00"
    assert report.total_minor == 4000
    assert marie.shown("sales", path) == "2"
    page = marie.page(path)
    assert "€20.75" in page  # Average basket: 41.50 of two sales.
    assert "-€1.50" in page


def test_the_same_weekday_is_compared_up_to_the_same_time(week, now_ms):
    week.till.sell(["CM-19"], ["card"])
    week.clock.set_ms(now_ms - WEEK_MS + 600_000)
    week.till.sell(["CM-19"] * 5, ["card"])  # Ten minutes later than now, a week ago.
    week.clock.set_ms(now_ms)
    week.till.open_day(0, day=day_of(now_ms))
    week.till.sell(["CM-19"] * 3, ["card"])
    week.till.sync(60)
    page = week.visitor("Marie").page("/today")
    assert "€60.00" in page
    assert "+200%</span> · €20.00" in page
    earlier = week.visitor("Marie").page(f"/today?day={day_of(now_ms - WEEK_MS)}")
    assert "€120.00" in earlier


def day_of(at_ms):
    from datetime import UTC, datetime, timedelta

    minutes = SystemClock().utc_offset_min(at_ms)
    return (datetime.fromtimestamp(at_ms / 1000, UTC) + timedelta(minutes=minutes)).date().isoformat()


def test_each_register_has_its_part_and_each_hour_its_row(make_shop):
    shop = make_shop()
    shop.person("Marie")
    first, second = shop.register("Caisse 1"), shop.register("Caisse 2")
    first.products.add("CM-19", name="Crozes", price_minor=1000, vat_rate=2000)
    first.sync(60)
    second.sync(60)
    hours = {time.localtime().tm_hour}
    first.sell(["CM-19"] * 3, ["card"])
    second.sell(["CM-19"], ["card"])
    first.sync(60)
    second.sync(60)
    page = shop.visitor("Marie").page("/today")
    assert page.index("Caisse 1<progress") < page.index("Caisse 2<progress")
    assert 'value="0.75"' in page
    hours.add(time.localtime().tm_hour)
    rows = {int(hour): int(now) for hour, now in re.findall(r'data-hour="(\d+)".*?data-now="(\d+)"', page)}
    assert rows.keys() <= hours
    assert sum(rows.values()) == 4000


def test_a_register_that_is_away_is_named_and_its_sales_are_not_called_none(make_shop):
    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1000, vat_rate=2000)
    till.sync(60)
    till.sell(["CM-19"], ["card"])
    marie = shop.visitor("Marie")
    wait_until(lambda: "Caisse 1: what it sold after" in marie.page("/today"))
    assert marie.shown("turnover") == "€0.00"


def test_a_sale_reaches_an_open_page_without_being_asked_for(make_shop):
    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    till.sync(60)
    marie = shop.visitor("Marie")
    heard, seen = threading.Event(), []

    def listen():
        with marie.http.stream("GET", "/live/today") as answer:
            for line in lines_of(answer):
                seen.append(line)
                heard.set()
                if "€18.50" in line:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert heard.wait(60)
    connection = till.start_sync()
    till.sell(["CM-19"], ["card"])
    listener.join(30)
    assert not listener.is_alive()
    assert connection.error is None


def test_a_session_that_is_ended_hears_no_more(make_shop, monkeypatch):
    monkeypatch.setattr("crdtsync_server.dashboard.live.HEARTBEAT_S", 0.05)
    shop = make_shop()
    shop.person("Marie")
    marie = shop.visitor("Marie")
    account = shop.books.accounts.find(shop.id, "Marie")
    with marie.http.stream("GET", "/live/registers") as answer:
        lines = lines_of(answer)
        next(lines)
        for session in shop.books.sessions.of_account(account):
            shop.books.sessions.end(session.id, account.id)
        assert list(lines) is not None  # It ends.


def test_money_and_days_are_written_as_the_reader_writes_them(week):
    week.till.sell(["CM-19"] * 100, ["card"])
    week.till.sync(60)
    day = week.till.x_report().business_day
    french = week.visitor("Marie", language="fr")
    assert french.shown("turnover", f"/today?day={day}") == "2 000,00 €"
    assert week.visitor("Marie").shown("turnover", f"/today?day={day}") == "€2,000.00"
