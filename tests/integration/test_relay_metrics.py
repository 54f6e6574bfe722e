"""/metrics and `crdtsync-relay status`, held against what happened."""

import os
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from crdtsync.errors import PairingRefused
from crdtsync.ids import Item, entry_record, record_digest, update_record
from crdtsync.protocol.pairing import PairingCode
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.till import MemoryTill
from crdtsync_server.serving.metrics import RelayMetrics
from crdtsync_server.shops.contacts import read_contact
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "run-a-relay.md"


def eventually(read, wanted):
    """Reads until it is what is wanted, at most a minute; what was read last."""
    deadline_s = time.monotonic() + 60
    while (found := read()) != wanted and time.monotonic() < deadline_s:
        pass
    return found


@pytest.fixture
def till(relay, tmp_path):
    with relay.join(tmp_path / "till", "Caisse 1", relay.first_code) as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        yield till


def bring_what_no_relay_admits(till):
    """A sale of a device that nobody certified, and an update that is none, in the register's own log."""
    stranger = MemoryTill("stranger")
    entry = stranger.sell()
    update = update_record("x/loyalty", b"\xff" * 40)
    store = SqliteStore(till.config.data / "register.sqlite")
    with store.transaction():
        log = store.shop(till.identity.shop)
        log.append(Item(entry_record(entry.sealed), entry.facts.document, entry.link, entry.facts))
        log.append(Item(update, "x/loyalty", record_digest(update)))
    store.close()
    return entry.link, record_digest(update)


def offer_all(relay, till):
    """Synchronise until the relay has judged everything, and has heard what is pending of it."""

    def is_judged():
        return [(row["held"], row["refused"], row["pending_sales"]) for row in relay.status()["devices"]] == [
            (1, 1, 1)
        ]

    till.start_sync()
    wait_until(is_judged, "it is not judged")
    till.stop_sync()


def rows_made_by(till):
    """The register's own records, by their bytes."""
    store = SqliteStore(till.config.data / "register.sqlite")
    try:
        return [len(record) for _, record in store.shop(till.identity.shop).unacknowledged(None)]
    finally:
        store.close()


def test_what_is_admitted_refused_and_held_is_counted(relay, till):
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    own_rows = till.end.seq
    bring_what_no_relay_admits(till)
    offer_all(relay, till)
    found = relay.metrics()
    assert found['crdtsync_relay_refusals_total{code="unsafe-update"}'] == 1
    assert found['crdtsync_relay_holds_total{code="unknown-device"}'] == 1
    store = relay.open_store()
    log = store.shop(relay.shop)
    # What the relay's command line and its desk wrote is no record of a device: the owner's three entries.
    assert found["crdtsync_relay_records_total"] == log.end.seq - 3
    sizes = [row.records_bytes for row in log.documents() if row.name != "owner"]
    store.close()
    assert found["crdtsync_relay_record_bytes_total"] == sum(sizes)
    assert own_rows > 3


def test_commits_are_counted_with_their_time_and_size(relay, till):
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    found = relay.metrics()
    commits = found["crdtsync_relay_commits_total"]
    assert commits > 0
    assert found["crdtsync_relay_commit_seconds_count"] == commits
    assert found['crdtsync_relay_commit_seconds_bucket{le="+Inf"}'] == commits
    assert found["crdtsync_relay_commit_records_count"] == commits
    assert found["crdtsync_relay_commit_records_sum"] == found["crdtsync_relay_records_total"]
    assert 0 < found["crdtsync_relay_commit_seconds_sum"] < 20
    assert found["crdtsync_relay_commit_failures_total"] == 0


def test_connected_devices_and_what_they_have_pending_are_shown(relay, till):
    bring_what_no_relay_admits(till)
    till.start_sync()
    names = ("connections", "devices_connected", "devices_lagging", "devices_pending", "pending_sales")
    read = lambda: [relay.metrics()[f"crdtsync_relay_{name}"] for name in names]  # noqa: E731
    assert eventually(read, [1, 1, 0, 1, 1]) == [1, 1, 0, 1, 1]
    till.stop_sync()
    assert eventually(read, [0, 0, 0, 0, 0]) == [0, 0, 0, 0, 0]


def test_frames_and_bytes_are_those_of_the_devices(relay, till):
    till.sync(60)
    before = relay.metrics()
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    after = relay.metrics()
    grown = {
        name: after[name] - before[name] for name in before if "_frames_" in name and "_created" not in name
    }
    assert 2 < grown["crdtsync_relay_frames_received_total"] < 20
    assert 2 < grown["crdtsync_relay_frames_sent_total"] < 20
    assert 900 < grown["crdtsync_relay_frames_received_bytes_total"] < 5000
    assert 200 < grown["crdtsync_relay_frames_sent_bytes_total"] < 5000
    assert (
        after["crdtsync_relay_connections_opened_total"]
        == before["crdtsync_relay_connections_opened_total"] + 1
    )


def test_pairing_is_counted_by_its_result(relay, till, tmp_path):
    wrong = PairingCode.parse(relay.first_code)
    wrong = PairingCode(wrong.selector, "0" * len(wrong.verifier), wrong.fingerprint).format()
    for number, code in enumerate([wrong, relay.first_code]):
        with pytest.raises(PairingRefused):
            relay.join(tmp_path / f"other-{number}", "Caisse 2", code)
    found = relay.metrics()
    assert found['crdtsync_relay_pairing_attempts_total{result="enrolled"}'] == 1
    assert found['crdtsync_relay_pairing_attempts_total{result="refused"}'] == 2


def test_a_device_that_is_cut_off_is_closed_at_once_and_counted(relay, till):
    till.sell(["CM-19"], ["card"])
    background = till.start_sync()
    wait_until(lambda: background.is_connected)
    relay.command("revoke", relay.shop.hex(), "Caisse 1")
    closed = 'crdtsync_relay_closes_total{code="4401"}'
    assert eventually(lambda: relay.metrics().get(closed), 1) == 1
    # The relay counts when it sends the close, which the register has yet to read.
    wait_until(lambda: not background.is_connected)


def test_size_memory_and_version_are_those_of_the_process(relay, till):
    till.sync(60)

    def size():
        return sum(os.stat(f"{relay.folder}/relay.sqlite{end}").st_size for end in ("", "-wal"))

    # A moment after a register came or left the relay writes that down.
    wait_until(lambda: relay.metrics()["crdtsync_relay_store_bytes"] == size())
    found = relay.metrics()
    memory = psutil.Process(relay.process.pid).memory_info().rss
    assert found["crdtsync_relay_process_resident_memory_bytes"] == pytest.approx(memory, rel=0.2)
    assert found["crdtsync_relay_disk_free_bytes"] > 1 << 20
    assert found['crdtsync_relay_build_info{version="0.1.0"}'] == 1
    assert found["crdtsync_relay_healthy"] == 1
    assert found["crdtsync_relay_shops"] == 1


def test_a_shop_that_is_made_while_the_relay_runs_is_counted(relay):
    relay.command("shop", "create", "Bar")
    read = lambda: relay.metrics()["crdtsync_relay_shops"]  # noqa: E731
    assert eventually(read, 2) == 2


def test_every_metric_is_explained_to_whoever_runs_a_relay():
    text = HOW_TO.read_text()
    families = RelayMetrics().registry.collect()
    names = [family.name + "_total" * (family.type == "counter") for family in families]
    assert [
        name for name in names if "_process_" not in name and name.removesuffix("_build") not in text
    ] == []


# -- status --------------------------------------------------------------------------------------------------


def test_status_tells_when_a_device_was_here_and_how_far_it_is(relay, till):
    till.sell(["CM-19"], ["card"])
    till.start_sync()
    assert eventually(lambda: relay.status()["devices"][0]["behind"], 0) == 0
    [device] = relay.status()["devices"]
    store = relay.open_store()
    log = store.shop(relay.shop)
    mine = till.end.seq
    assert device["stored"] == log.cursor(bytes.fromhex(log_of(till))).position.seq == mine
    assert device["acknowledged"] == log.end.seq
    store.close()
    assert device["last_contact_at"].startswith("20")
    assert (device["pending_sales"], device["held"], device["refused"]) == (0, 0, 0)
    assert device["software"].startswith("crdtsync")


def log_of(till):
    store = SqliteStore(till.config.data / "register.sqlite")
    try:
        return store.shop(till.identity.shop).log_id.hex()
    finally:
        store.close()


def test_status_names_what_was_not_admitted_and_whose_it_was(relay, till):
    link, digest = bring_what_no_relay_admits(till)
    offer_all(relay, till)
    relay.stop()
    shop = relay.status()
    assert (shop["held"], shop["refused"], shop["damaged"]) == (1, 1, 0)
    assert [(one["digest"], one["code"], one["held"]) for one in shop["not_admitted"]] == [
        (link.hex(), "unknown-device", True),
        (digest.hex(), "unsafe-update", False),
    ]
    assert [(row["held"], row["refused"], row["pending_sales"]) for row in shop["devices"]] == [(1, 1, 1)]
    shown = relay.command("status")
    assert "1 held, 1 refused" in shown
    assert f"held {link.hex()[:8]}" in shown


def test_what_a_device_had_pending_when_it_spoke_last_is_not_shown_once_it_is_stored(relay, till):
    """A register that sells, sends and hangs up has no moment to say that nothing is pending any more."""
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    relay.stop()
    store = relay.open_store()
    log, device = store.shop(relay.shop), till.identity.device
    for log_end, pending in ((till.end.seq, (0, 0)), (till.end.seq + 1, (1, 1850))):
        contact = replace(
            read_contact(log, device), pending_sales=1, pending_amount_minor=1850, log_end=log_end
        )
        with store.transaction():
            log.set_state(f"contact/{device.hex()}", contact.to_bytes())
        [shown] = relay.status()["devices"]
        assert (shown["pending_sales"], shown["pending_amount_minor"]) == pending
    store.close()


def test_status_tells_how_far_signatures_are_checked(relay, till):
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    relay.stop()
    shop = relay.status()
    assert (shop["signatures_checked_to"], shop["signatures_bad"]) == (shop["log_end"], 0)
    assert f"signatures checked one by one up to record {shop['log_end']}" in relay.command("status")


def test_status_says_of_a_device_that_only_enrolled_that_it_was_never_here(relay, till):
    [device] = relay.status()["devices"]
    assert (device["last_contact_at"], device["stored"]) == (None, 0)
    assert device["behind"] == relay.status()["log_end"]
    assert "never" in relay.command("status")
