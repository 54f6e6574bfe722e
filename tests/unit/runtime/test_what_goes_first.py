"""What a new register is sent first, products and today, does not grow with the age of the shop."""

from dataclasses import replace

from crdtsync.runtime.syncing.answer import supply_cut
from crdtsync.storage.memory import MemoryStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP, LOG = b"shop-of-the-tests"[:16], b"our-own-log-id-1"
FIRST, SECOND, THIRD = ("0a" * 16, "0b" * 16, "0c" * 16)


class Asked:
    """A session that is supplied with a cut."""

    def supply_cut(self, end, first, certificates):
        self.end, self.first = end, [seq for seq, _ in first]
        self.certificates = certificates


def cut_of(store):
    asked = Asked()
    supply_cut(asked, store.shop(SHOP))
    return asked


def sold(device, *days):
    """Sales of a till, one on each of these days."""
    sales = MadeUpChain(int(device, 16) % 97).entries(len(days))
    return [replace(sale, document=f"ledger/{device}/{day}") for sale, day in zip(sales, days, strict=True)]


def store_with(*items, store=None):
    store = store or MemoryStore()
    with store.transaction():
        log = store.create_shop(SHOP, LOG)
        for item in items:
            log.append(item)
    return store


def test_products_and_the_newest_day_go_first():
    store = store_with(
        made_up_update("catalogue", b"a"),
        *sold(FIRST, "2026-11-29", "2026-11-30", "2026-12-01", "2026-12-01"),
        *sold(SECOND, "2026-11-30"),
        *sold(THIRD, "2026-11-30", "2026-12-01"),
        made_up_update("catalogue", b"b"),
        made_up_update("x/notes", b"c"),
    )
    cut = cut_of(store)
    assert (cut.first, cut.end.seq) == ([1, 9, 4, 5, 8], 10)


def test_of_a_shop_that_sold_nothing_the_products_go_first():
    assert cut_of(store_with()).first == []
    assert cut_of(store_with(made_up_update("x/notes", b"c"), made_up_update("catalogue", b"a"))).first == [2]


def test_for_a_cut_not_every_day_is_looked_at(tmp_path, monkeypatch):
    days = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    store = store_with(
        *sold(FIRST, *days), *sold(SECOND, *days), store=SqliteStore(tmp_path / "relay.sqlite")
    )
    wanted, looked_at = cut_of(store).first, []
    row, rows = store.database.row, store.database.rows
    monkeypatch.setattr(store.database, "row", lambda *sql: looked_at.append(1) or row(*sql))
    monkeypatch.setattr(
        store.database, "rows", lambda *sql: looked_at.extend(found := list(rows(*sql))) or found
    )
    assert cut_of(store).first == wanted == [len(days), 2 * len(days)]
    assert len(looked_at) < 50
    store.close()
