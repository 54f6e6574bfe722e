"""The back office follows the log by itself, and nothing that synchronises ever waits for it."""

import shutil
import threading
from contextlib import closing

import pytest

from crdtsync.errors import InvalidSale, StorageError
from crdtsync.model.movement import Moved, build_move
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.dashboard import office as office_module
from crdtsync_server.dashboard.database import VIEWS_APPLICATION_ID, OfficeDatabase
from crdtsync_server.dashboard.live import Live
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
    shop.till.sync(60)
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
            selling.till.sync(60)
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
    selling.till.sync(60)
    assert stuck.wait(60)
    selling.till.sell(["CM-19"], ["card"])
    selling.till.sync(60)
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
    till.sync(60)
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
    till.sync(60)
    assert not views_of(shop).exists()


def test_no_page_is_painted_for_what_is_no_device_of_the_shop(selling, monkeypatch):
    marie, joined = selling.visitor("Marie"), []
    monkeypatch.setattr(Live, "join", lambda live, *about: joined.append(about))
    assert marie.get(f"/live/register/{'00' * 16}").status_code == 404
    assert joined == []
    assert marie.get(f"/live/register/{selling.till.identity.device.hex()}").status_code == 503
    assert len(joined) == 1


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
                selling.till.sync(60)
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
            selling.till.sync(60)
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
                selling.till.sync(60)
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


def test_a_page_that_fails_stops_neither_others_nor_the_filing(selling, monkeypatch):
    marie = selling.visitor("Marie")
    with monkeypatch.context() as patched:
        patched.setattr(OfficeShop, "device_states", lambda shop: 1 / 0)
        assert marie.get("/registers").status_code == 500
    assert marie.get("/registers").status_code == 200
    selling.till.sell(["CM-19"], ["card"])
    selling.till.sync(60)
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
    selling.till.sync(60)
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
    selling.till.sync(60)
    status = selling.till.status()
    assert (status.state, status.concerns) == ("synced", ())
