"""Poor lines: so slow that a frame takes longer than anybody waits for an answer, or broken again and again.

The figures are scaled down from 1 KB/s with 20 MB of history: what counts is that a frame takes several times
as long as the answer to a ping may, and that the line never lasts for a whole pack.
"""

import random
from contextlib import suppress

import pytest
from pycrdt import Map

from crdtsync import Register
from crdtsync.errors import LinkError
from crdtsync.protocol import limits
from crdtsync.runtime.committing import batches, upkeep
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.runtime.syncing import link
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.line import FaultyLine
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SALES = 1300
PACK_ROWS = 600
OVERHEAD_MAX = 1.5
"""Of what goes over the line in all, to what one transfer takes: the beginnings of what broke, the hellos."""


def photograph(till, name, seed):
    """A document of 60 KB that nothing compresses."""
    with till.document(f"x/{name}").transaction() as doc:
        doc.get("photo", type=Map)["jpeg"] = random.Random(seed).randbytes(30_000).hex()


@pytest.fixture
def impatient(monkeypatch):
    """Who hears nothing for some seconds gives up."""
    monkeypatch.setattr(link, "PING_EVERY_S", 0.3)
    monkeypatch.setattr(link, "SILENCE_S_MAX", 4.0)


@pytest.fixture
def small_packs(monkeypatch):
    """A past of an hour is packed as one of months is."""
    small = UpkeepLimits(pack_rows=PACK_ROWS, loose_rows=40)
    monkeypatch.setattr(upkeep, "UpkeepLimits", lambda: small)
    monkeypatch.setattr(batches, "KEPT_ROWS_MIN", PACK_ROWS // 2)


@pytest.fixture
def relay(tmp_path, small_packs):
    with LocalRelay(tmp_path / "relay", shop="Cave", ping_interval_s=1, ping_timeout_s=3) as relay:
        yield relay


@pytest.fixture
def line(relay):
    with FaultyLine(relay.url) as line:
        yield line


def carried(line, way):
    return line.bytes_down if way == "down" else line.bytes_up


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_line_on_which_a_frame_takes_longer_than_a_ping_may_carries_all_of_it(
    tmp_path, impatient, relay, line, way
):
    with (
        Register.join(tmp_path / "near", relay.url, relay.pairing_code(), name="Caisse 1") as near,
        Register.join(tmp_path / "far", line.url, relay.pairing_code(), name="Caisse 2") as far,
    ):
        sender, receiver = (near, far) if way == "down" else (far, near)
        for number in range(4):
            photograph(sender, f"photo-{number}", seed=number)
        size = sum(row.records_bytes for row in sender.replica.log.documents())
        assert size / 10 * 4.0 < limits.BATCH_BYTES, "a frame takes longer than four seconds"
        near.sync(60)
        line.throttle(size / 10, way)
        before, cuts = carried(line, way), line.cuts
        far.sync(120)
        assert (line.cuts, far.status().pending.records) == (cuts, 0)
        assert carried(line, way) - before < size * OVERHEAD_MAX
        near.sync(60)
        assert {f"x/photo-{number}" for number in range(4)} <= {
            row.name for row in receiver.replica.log.documents()
        }


@pytest.fixture
def packed(tmp_path, relay):
    """A register with a past, which the relay keeps in packs; what their sales are."""
    with Register.join(tmp_path / "old", relay.url, relay.pairing_code(), name="Caisse 1") as old:
        old.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        sold = {old.sell(["CM-19"], ["card"]).number for _ in range(SALES)}
        old.sync(60)
        shop = old.identity.shop
    store = SqliteStore(tmp_path / "relay" / "relay.sqlite")
    wait_until(lambda: store.shop(shop).pack_at(2 * PACK_ROWS), "the relay packs nothing")
    pack = store.shop(shop).pack_at(PACK_ROWS)
    store.close()
    return sold, len(pack.blob)


@pytest.mark.parametrize("today_first", [False, True], ids=["in order", "today first"])
def test_a_line_that_breaks_before_a_pack_is_over_brings_the_whole_past_and_never_starts_over(
    tmp_path, relay, line, packed, monkeypatch, today_first
):
    monkeypatch.setattr(limits, "CUT_ROWS_MIN", 100 if today_first else 1 << 20)
    sold, pack_bytes = packed
    with Register.join(tmp_path / "near", line.url, relay.pairing_code(), name="Caisse 2") as near:
        before = line.bytes_down
        near.sync(60)
        whole = line.bytes_down - before
    with Register.join(tmp_path / "far", line.url, relay.pairing_code(), name="Caisse 3") as far:
        before = line.bytes_down
        line.break_after(pack_bytes * 3 // 4)
        for _ in range(40):
            with suppress(LinkError):
                far.sync(60)
                break
        assert {row.number for row in far.sales(rows_max=10_000)} == sold
        assert line.cuts >= 3
        assert line.bytes_down - before < whole * OVERHEAD_MAX + line.cuts * pack_bytes / 2
        assert far.verify().findings == ()
