"""The back office follows the log by itself, and nothing that synchronises ever waits for it."""

import shutil
import threading
from contextlib import closing, nullcontext

import pytest

from crdtsync.errors import DamagedStore, InvalidSale, StorageError
from crdtsync.model.movement import Moved, build_move
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.dashboard import office as office_module
from crdtsync_server.dashboard.database import VIEWS_APPLICATION_ID, OfficeDatabase
from crdtsync_server.dashboard.live import PAGES_PER_SHOP_MAX, Live
from crdtsync_server.dashboard.office import Office
from crdtsync_server.dashboard.shop import OfficeShop
from crdtsync_server.shops.devices import device_states
from tests.web.conftest import wait_until

DELIVERY = build_move([Moved("CM-19", 12_000, "delivery", "BL 4711")])


@pytest.fixture
def selling(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.till = shop.register("Caisse 1")
    shop.till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    shop.till.sell(["CM-19"], ["card"])
    shop.till.sync(30)
    return shop


def views_of(shop):
    return shop.data.office_views / f"{shop.id.hex()}.sqlite"


def test_sales_are_acknowledged_while_the_views_cannot_be_written(selling):
    """Somebody holds the lock of the views' file, so that the back office's thread is stuck in it."""
    marie = selling.visitor("Marie")
    assert marie.shown("turnover") == "€18.50"
    with closing(OfficeDatabase(views_of(selling), VIEWS_APPLICATION_ID)) as other:
        other.begin()
        for _ in range(3):
            selling.till.sell(["CM-19"], ["card"])
            selling.till.sync(30)
            assert selling.till.status().pending.sales == 0
        other.rollback()
    wait_until(lambda: marie.shown("turnover") == "€74.00")


def test_sales_are_acknowledged_while_the_back_office_does_nothing_at_all(selling, monkeypatch):
    go_on = threading.Event()
    stuck = threading.Event()
    filing = OfficeShop.file_some

    def stand_still(shop, is_enough):
        stuck.set()
        assert go_on.wait(60)
        return filing(shop, is_enough)

    monkeypatch.setattr(OfficeShop, "file_some", stand_still)
    selling.till.sell(["CM-19"], ["card"])
    selling.till.sync(30)
    assert stuck.wait(30)
    selling.till.sell(["CM-19"], ["card"])
    selling.till.sync(30)
    assert selling.till.status().pending.sales == 0
    go_on.set()
    marie = selling.visitor("Marie")
    wait_until(lambda: marie.shown("turnover") == "€55.50")


def test_the_relays_commits_write_nothing_of_the_back_office(selling):
    with closing(SqliteStore(selling.data.store, read_only=True)) as store:
        tables = {name for (name,) in store.database.rows("SELECT name FROM sqlite_master")}
    assert [name for name in tables if name.startswith("view_")] == []


@pytest.mark.parametrize("how", ["lost", "damaged", "of another version", "another database"])
def test_views_that_are_lost_are_made_again(make_shop, tmp_path, how):
    from crdtsync_server import LocalRelay

    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    till.sell(["CM-19"], ["card"])
    till.sync(30)
    marie = shop.visitor("Marie")
    assert marie.shown("turnover") == "€18.50"
    shop.relay.stop()
    path = views_of(shop)
    if how == "lost":
        shutil.rmtree(path.parent)
    elif how == "damaged":
        path.write_bytes(b"\x5a" * path.stat().st_size)
    elif how == "another database":
        shutil.copy(shop.data.access, path)
    else:
        with closing(OfficeDatabase(path, VIEWS_APPLICATION_ID)) as database:
            database.write("UPDATE view_version SET version = 1")
    port = int(shop.web.rsplit(":", 1)[1])
    with LocalRelay(shop.data.root, port=port):
        assert marie.shown("turnover") == "€18.50"
        assert "CM-19" in marie.page("/catalogue")


def test_views_of_a_log_that_was_put_back_are_made_again(selling):
    """The relay's file is older than the views: what they knew more is not shown."""
    assert selling.visitor("Marie").shown("turnover") == "€18.50"  # The views are there.
    with closing(OfficeDatabase(views_of(selling), VIEWS_APPLICATION_ID)) as database:
        database.write("UPDATE view_shop SET seq = seq + 1000")
        database.write("UPDATE view_ticket SET ttc = 1")
    from crdtsync_server import LocalRelay

    selling.relay.stop()
    port = int(selling.web.rsplit(":", 1)[1])
    with LocalRelay(selling.data.root, port=port):
        assert selling.visitor("Marie").shown("turnover") == "€18.50"


def test_a_shop_in_which_nobody_has_an_account_is_not_filed(make_shop):
    shop = make_shop()
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    till.sync(30)
    assert not views_of(shop).exists()


class Counted:
    """An office's shop of which only the name is asked, and that counts how often a room is painted."""

    def __init__(self, shop):
        self.log = type("Log", (), {"shop": shop})
        self.painted = 0

    def at_one_look(self):
        return nullcontext()


@pytest.mark.parametrize("pages", [1, 50])
async def test_a_change_is_computed_once_however_many_pages_are_open(pages):
    import asyncio

    shop = Counted(b"s" * 16)

    def paint(office, language):
        office.painted += 1
        return f"{language} {office.painted}"

    live = Live({"today": paint})
    listeners = [live.join(b"s" * 16, "today", "fr", f"session {number}") for number in range(pages)]
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert shop.painted == 1
    assert {(listener.newest.number, listener.newest.html) for listener in listeners} == {(1, "fr 1")}
    other = live.join(b"o" * 16, "today", "fr", "another shop")
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert other.newest is None
    for listener in listeners:
        live.leave(listener)
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    assert shop.painted == 2


@pytest.mark.parametrize("pages", [1, 50])
async def test_pages_that_open_at_once_cost_one_painting_and_are_told_what_came_since(pages):
    import asyncio

    now_s = 0.0
    shop = Counted(b"s" * 16)

    def paint(office, language):
        office.painted += 1
        return f"sales {office.painted}"

    live = Live({"today": paint}, now_s=lambda: now_s)
    joined = []
    for number in range(pages):
        joined.append(live.join(shop.log.shop, "today", "fr", f"session {number}"))
        assert live.first(shop, "today", "fr").html == "sales 1"
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert {listener.newest.html for listener in joined} == {"sales 2"}
    now_s = 10.0
    live.join(shop.log.shop, "today", "fr", "later")
    assert live.first(shop, "today", "fr").html == "sales 3"
    await asyncio.sleep(0)
    assert {listener.newest.html for listener in joined} == {"sales 3"}


async def test_a_page_that_opens_after_nobody_looked_is_painted_anew():
    shop = Counted(b"s" * 16)
    texts = iter(["before the sale", "after the sale"])
    live = Live({"today": lambda office, language: next(texts)}, now_s=lambda: 0.0)
    listener = live.join(shop.log.shop, "today", "fr", "one")
    assert live.first(shop, "today", "fr").html == "before the sale"
    live.leave(listener)
    live.tell(shop, by_commit=True)
    live.join(shop.log.shop, "today", "fr", "one")
    assert live.first(shop, "today", "fr").html == "after the sale"


async def test_a_session_that_ended_is_told_nothing_more_also_while_sales_pour_in():
    import itertools

    now_s, is_welcome = 0.0, True
    shop = Counted(b"s" * 16)
    numbers = itertools.count()
    live = Live({"today": lambda office, language: f"sales {next(numbers)}"}, now_s=lambda: now_s)
    listener = live.join(shop.log.shop, "today", "fr", "one")

    async def asked():
        return is_welcome

    stream = live.events(listener, live.first(shop, "today", "fr"), asked)
    assert b"sales 0" in await anext(stream)
    is_welcome = False
    told = 0
    while told < 100:
        now_s += 5.0
        listener.newest = live.paint(shop, "today", "fr")
        listener.news.set()
        if await anext(stream, None) is None:
            break
        told += 1
    assert told <= 2


async def test_a_slow_page_misses_states_and_keeps_the_newest():
    import asyncio

    shop = Counted(b"s" * 16)
    live = Live({"today": lambda office, language: "\n".join(["a"] * next(numbers))})
    numbers = iter(range(1, 10))
    listener = live.join(shop.log.shop, "today", "en", "one")
    for _ in range(5):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
        await asyncio.sleep(0)
    assert (listener.newest.number, listener.newest.html) == (5, "a\na\na\na\na")


async def test_a_room_with_a_page_for_each_thing_tells_each_page_of_its_own():
    import asyncio

    shop = Counted(b"s" * 16)
    live = Live(
        {"register": lambda office, language, about: f"{about} in {language}"},
        moves_alone=frozenset({"register"}),
    )
    one = live.join(shop.log.shop, "register/0a/owner", "fr", "one")
    other = live.join(shop.log.shop, "register/0b/staff", "en", "two")
    await asyncio.to_thread(live.tell, shop, by_commit=False)
    await asyncio.sleep(0)
    assert (one.newest.html, other.newest.html) == ("0a/owner in fr", "0b/staff in en")
    assert one.newest.event.startswith(b"event: register\n")


@pytest.mark.parametrize("mistake", [ZeroDivisionError, DamagedStore])
async def test_a_page_that_cannot_be_painted_keeps_no_other_from_its_news(mistake):
    import asyncio

    shop = Counted(b"s" * 16)

    def paint(office, language, about):
        if about == "bad":
            raise mistake("it cannot be shown")
        return about

    live = Live({"register": paint}, moves_alone=frozenset({"register"}))
    pages = {str(number): f"register/{number}" for number in range(20)}
    joined = {about: live.join(shop.log.shop, room, "en", about) for about, room in pages.items()}
    live.join(shop.log.shop, "register/bad", "en", "bad")
    with nullcontext() if mistake is ZeroDivisionError else pytest.raises(DamagedStore):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert {about: one.newest and one.newest.html for about, one in joined.items()} == {
        about: about for about in pages
    }


async def test_a_page_that_cannot_be_painted_any_more_is_not_left_with_what_was_so():
    """Its stream ends: the page says that its figures do not move, and asks again."""
    import asyncio

    shop, texts = Counted(b"s" * 16), iter(["everything is here"])

    def paint(office, language):
        found = next(texts, None)
        if found is None:
            raise DamagedStore("the disk is gone")
        return found

    async def is_welcome():
        return True

    live = Live({"today": paint, "alerts": lambda office, language: "all is well"})
    listener = live.join(shop.log.shop, "today", "en", "one")
    other = live.join(shop.log.shop, "alerts", "en", "two")
    first = live.first(shop, "today", "en")
    stream = live.events(listener, first, is_welcome)
    assert b"everything is here" in await anext(stream)
    with pytest.raises(DamagedStore):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
    async with asyncio.timeout(10):
        assert [said async for said in stream] == []
    assert live._listeners == {other}
    assert not other.is_over
    with pytest.raises(DamagedStore):
        live.first(shop, "today", "en")


def test_no_page_is_painted_for_what_is_no_device_of_the_shop(selling, monkeypatch):
    marie, joined = selling.visitor("Marie"), []
    monkeypatch.setattr(Live, "join", lambda live, *about: joined.append(about))
    assert marie.get(f"/live/register/{'00' * 16}").status_code == 404
    assert joined == []
    assert marie.get(f"/live/register/{selling.till.identity.device.hex()}").status_code == 503
    assert len(joined) == 1


async def test_one_shop_leaves_room_for_the_pages_of_others():
    live = Live({})
    assert all(live.join(b"s", "today", "en", str(number)) for number in range(PAGES_PER_SHOP_MAX))
    assert live.join(b"s", "today", "en", "one more") is None
    assert live.join(b"o", "today", "en", "another shop") is not None


async def test_no_more_pages_than_there_is_room_for():
    live = Live({})
    assert all(live.join(b"s", "today", "en", "one") for _ in range(8))
    assert live.join(b"s", "today", "en", "one") is None
    assert live.join(b"s", "today", "en", "two") is not None
    live.close()
    assert live.join(b"s", "today", "en", "three") is None


def test_today_asks_the_views_the_same_number_of_questions_however_much_was_sold(selling, monkeypatch):
    from crdtsync.storage.view_queries import ViewQueries
    from crdtsync_server.dashboard.today import figures_of

    asked = []
    run = ViewQueries.ask
    monkeypatch.setattr(
        ViewQueries, "ask", lambda self, sql, **values: asked.append(sql) or run(self, sql, **values)
    )
    counts = []
    with closing(SqliteStore(selling.data.store)) as store:
        office = OfficeShop(
            store, selling.id, selling.folder / "views", selling.access, selling.till.replica.clock, bytes
        )
        with closing(office):
            for _ in range(3):
                asked.clear()
                figures_of(office)
                counts.append(len(asked))
                for _ in range(20):
                    selling.till.sell(["CM-19"], ["card"])
                selling.till.sync(30)
    assert len(set(counts)) == 1


def test_a_day_is_read_once_while_the_past_is_filed_and_again_when_more_was_sold(selling, monkeypatch):
    from crdtsync_server.dashboard import shop as shop_module
    from crdtsync_server.dashboard.today import figures_of

    made = []
    day_views = shop_module.DayViews
    monkeypatch.setattr(shop_module, "DayViews", lambda log, day: made.append(day) or day_views(log, day))
    monkeypatch.setattr(OfficeShop, "lags_far", True)
    with closing(SqliteStore(selling.data.store)) as store:
        office = OfficeShop(
            store, selling.id, selling.folder / "views", selling.access, selling.till.replica.clock, bytes
        )
        with closing(office):
            before = figures_of(office).total.sales
            read = len(made)
            assert figures_of(office).total.sales == before
            assert len(made) == read
            selling.till.sell(["CM-19"], ["card"])
            selling.till.sync(30)
            assert figures_of(office).total.sales == before + 1
            assert len(made) == 2 * read


async def test_pages_of_many_registers_that_are_open_look_at_the_devices_once(selling, monkeypatch):
    from crdtsync_server.dashboard import shop as shop_module

    looks = []
    monkeypatch.setattr(
        shop_module, "device_states", lambda log, **how: looks.append(log) or device_states(log, **how)
    )
    pages = {f"page-{number}": lambda office, _: str(len(office.device_states())) for number in range(12)}
    live = Live(pages)
    with closing(SqliteStore(selling.data.store)) as store:
        office = OfficeShop(
            store, selling.id, selling.folder / "views", selling.access, selling.till.replica.clock, bytes
        )
        with closing(office):
            for room in pages:
                assert live.join(selling.id, room, "en", f"who looks at {room}") is not None
            live.tell(office, by_commit=True)
            assert len(looks) == 1
            live.tell(office, by_commit=True)
            assert len(looks) == 2
            office.device_states()
            office.device_states()
            assert len(looks) == 4


def test_what_a_register_is_complete_to_follows_the_log(selling):
    with closing(SqliteStore(selling.data.store)) as store:
        office = OfficeShop(
            store, selling.id, selling.folder / "views", selling.access, selling.till.replica.clock, bytes
        )
        with closing(office):
            for _ in range(3):
                ticket = selling.till.sell(["CM-19"], ["card"])
                selling.till.sync(30)
                for _ in range(2):
                    states = {state.certificate.name: state for state in office.device_states()}
                    assert states["Caisse 1"].complete.number == ticket.number


def test_a_disk_that_does_not_answer_leaves_pages_with_a_calm_answer(selling, monkeypatch):
    marie = selling.visitor("Marie")

    def fail(shop, day=None, **_):
        raise StorageError("the disk does not answer")

    monkeypatch.setattr("crdtsync_server.dashboard.rooms.today.figures_of", fail)
    answer = marie.get("/today")
    assert answer.status_code == 503
    assert "Selling and synchronising go on" in answer.text
    assert "disk does not answer" not in answer.text


def test_filing_rests_while_more_and_more_comes_in():
    """So that the interpreter is the relay's nine tenths of the time."""
    assert office_module.REST_FACTOR >= 10


async def test_a_state_that_was_painted_before_the_first_one_is_not_shown_after_it():
    shop = Counted(b"s" * 16)
    live = Live({"today": lambda office, language: next(texts)})
    texts = iter(["old", "first", "new"])
    listener = live.join(shop.log.shop, "today", "en", "one")
    old, first = live.paint(shop, "today", "en"), live.paint(shop, "today", "en")
    listener.newest = old
    listener.news.set()
    stream = live.events(listener, first, lambda: None)
    assert b"first" in await anext(stream)
    listener.newest = live.paint(shop, "today", "en")
    assert b"new" in await anext(stream)
    live.close()
    assert [event async for event in stream] == []


def test_a_page_that_fails_stops_neither_others_nor_the_filing(selling, monkeypatch):
    marie = selling.visitor("Marie")
    with monkeypatch.context() as patched:
        patched.setattr(OfficeShop, "device_states", lambda shop: 1 / 0)
        assert marie.get("/registers").status_code == 500
    assert marie.get("/registers").status_code == 200
    selling.till.sell(["CM-19"], ["card"])
    selling.till.sync(30)
    wait_until(lambda: marie.shown("turnover") == "€37.00")


async def test_a_delivery_recorded_at_the_desk_is_stock_on_a_till(selling):
    """The office's thread, as pages ask it: beside a relay that serves, which notices what was written."""
    office = Office(selling.data, SystemClock(), system_random)
    office.start()
    try:
        written = await office.record(selling.id, "move", DELIVERY, by="M1", request_id="form 1")
        again = await office.record(selling.id, "move", DELIVERY, by="M1", request_id="form 1")
        shown = await office.ask(selling.id, lambda shop: shop.queries.moved("CM-19"))
        with pytest.raises(InvalidSale):
            await office.record(selling.id, "sale", {"lines": []}, by="M1")
    finally:
        await office.stop()
    assert (written.entry.facts.n, again.entry.link) == (2, written.entry.link)
    assert shown == 11_000
    selling.till.sync(30)
    assert selling.till.stock.level("CM-19").quantity == 11_000
    assert selling.till.verify().findings == ()
    assert [one.says for one in selling.till.status().copied] == []


async def test_the_desk_is_no_machine_of_the_shop(selling):
    office = Office(selling.data, SystemClock(), system_random)
    office.start()
    try:
        await office.record(selling.id, "move", DELIVERY, by="M1")
    finally:
        await office.stop()
    assert [
        one.certificate.name for one in device_states(selling.store.shop(selling.id), is_served=True)
    ] == ["Caisse 1"]
    selling.till.sync(30)
    status = selling.till.status()
    assert (status.state, status.concerns) == ("synced", ())
