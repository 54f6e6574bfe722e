"""A shop with a past, over real sockets: what a new register gets is short, and whole."""

from contextlib import closing

import pytest

from crdtsync import Register
from crdtsync.protocol import limits
from crdtsync.runtime.committing import batches, upkeep
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.runtime.filing import filer, product_rows
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until

NAMES = [f"Crozes-Hermitage {1990 + year}" for year in range(30)]


@pytest.fixture
def small_limits(monkeypatch):
    """Packs of fifty rows, states of twenty updates: a short past is treated as a long one is."""
    small = UpkeepLimits(pack_rows=50, loose_rows=40, compact_records=20)
    monkeypatch.setattr(upkeep, "UpkeepLimits", lambda: small)
    monkeypatch.setattr(batches, "KEPT_ROWS_MIN", 25)


def wait_for_packs(path, shop):
    """Until the relay has packed what is old and compacted the catalogue; it does so when it is quiet."""
    store = SqliteStore(path)
    log = store.shop(shop)
    wait_until(lambda: log.pack_at(100) and log.document("catalogue").records == 1, "the relay packs nothing")
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("today_first", [False, True])
def test_a_new_register_gets_packs_and_one_state_and_nothing_is_missing(
    small_limits, tmp_path, monkeypatch, today_first
):
    monkeypatch.setattr(limits, "CUT_ROWS_MIN", 100 if today_first else 1 << 20)
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        with Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as old:
            old.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            for name in NAMES:
                old.products.set("CM-19", name=name)
            for _ in range(200):
                old.sell(["CM-19"], ["card"])
            old.sync()
            shop = old.identity.shop
        wait_for_packs(tmp_path / "relay" / "relay.sqlite", shop)
        with Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as new:
            new.sync()
            with closing(SqliteStore(tmp_path / "b" / "register.sqlite")) as store:
                assert bool(store.shop(shop).pack_at(100)) == today_first
                assert list(store.check()) == []
            assert new.products.get("CM-19").name == NAMES[-1]
            assert new.replica.log.document("catalogue").records == 1
            assert len(new.sales(rows_max=1000)) == 200
            assert new.verify().findings == ()
            assert new.status().state == "synced"


@pytest.mark.slow
def test_a_new_register_files_its_products_when_all_are_there(small_limits, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "CUT_ROWS_MIN", 100)
    monkeypatch.setattr(filer, "FIRST_WHOLE_S", 600.0)
    file, filed = product_rows.file_content, []

    def told(replica, *content):
        filed.append((replica.log.document("catalogue").records, file(replica, *content)))
        return filed[-1][1]

    monkeypatch.setattr(product_rows, "file_content", told)
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        with Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as old:
            for number in range(15):
                old.products.add(f"W-{number}", name=f"Wine {number}", price_minor=1850, vat_rate=2000)
                old.sell([f"W-{number}"] * 10, ["card"])
                for _ in range(9):
                    old.sell([f"W-{number}"], ["card"])
            old.sync()
            records = old.replica.log.document("catalogue").records
        filed.clear()
        with Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as new:
            sync = new.start_sync()
            # The thread beside it files them: nobody asks for one.
            wait_until(lambda: filed, "nobody files the products")
            wait_until(lambda: not sync.awaits_first, "what comes first does not come")
            assert filed == [(records, True)]
            assert [row.name for row in new.products.list()] == sorted(f"Wine {n}" for n in range(15))
