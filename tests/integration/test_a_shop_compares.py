"""What a register believes to have and has not is found by comparing: over real sockets, after a closing."""

import apsw
import pytest

from crdtsync import Register
from crdtsync.errors import RoleTaken
from crdtsync.storage.log import Cursor
from crdtsync.storage.schema import SEQ_MAX
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.local import LocalRelay
from tests.integration.conftest import wait_until


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        yield relay


def believe_to_have_all(register, tmp_path):
    """Let the register count as held what the relay has and it has not: a fault that no cursor shows."""
    store = SqliteStore(tmp_path / "relay" / "relay.sqlite")
    log = store.shop(register.identity.shop)
    end, log_id = log.end, log.log_id
    store.close()
    replica = register.replica
    with replica.store.transaction():
        replica.log.set_cursor(log_id, Cursor(end))


def damage_the_sale(register, number):
    """Change it on the register's disk, past the store; its seq."""
    log = register.replica.log
    documents = [row.name for row in log.documents() if row.name.startswith("ledger/")]
    rows = [row for name in documents for row in log.document_records(name)]
    [seq] = [seq for seq, record in rows if f'"num":"{number}"'.encode() in record]
    connection = apsw.Connection(str(register.replica.folder / "register.sqlite"))
    connection.set_busy_timeout(5000)  # Views are filed at the same time.
    connection.execute(
        "UPDATE record SET bytes = zeroblob(length(bytes)) WHERE (pos & ?) = ?", (SEQ_MAX, seq)
    )
    assert connection.changes() == 1
    connection.close()
    return seq


@pytest.mark.parametrize(
    "how", [pytest.param("once", marks=pytest.mark.slow), "begun after it", "running before it"]
)
def test_what_is_missing_is_found_after_a_closing(relay, tmp_path, how):
    with (
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a,
        Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as b,
    ):
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sync()
        b.sync()
        a.products.set("CM-19", name="Crozes-Hermitage 2019")
        number = a.sell(["CM-19"], ["card"]).number
        a.sync()
        believe_to_have_all(b, tmp_path)
        b.sell(["CM-19"], ["card"])
        b.sync()
        assert number not in [row.number for row in b.sales()]
        if how == "running before it":
            background = b.start_sync()
            wait_until(lambda: background.is_connected)
        b.close_day()
        if how == "once":
            b.sync()
        elif how == "begun after it":
            b.start_sync()
        wait_until(lambda: b.poll(0.1) or number in [row.number for row in b.sales()])
        b.replica.views.catch_up()
        assert number in [row.number for row in b.sales()]
        if how != "once":
            wait_until(lambda: _name(b) == "Crozes-Hermitage 2019")


def _name(register):
    register.poll()
    register.products.refresh()
    return register.products.get("CM-19").name


def test_the_button_wakes_a_process_that_waits(relay, tmp_path):
    with Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a:
        background = a.start_sync()
        wait_until(lambda: background.is_connected)
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sell(["CM-19"], ["card"])
        with pytest.raises(RoleTaken):
            a.sync()
        wait_until(lambda: a.status().pending.records == 0)


def test_progress_tells_what_is_really_to_be_sent(relay, tmp_path):
    with Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a:
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        a.sync()
        with Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as b:
            b.sync()
            told = []
            b.sync(progress=told.append)
    assert {progress.to_send for progress in told if progress.is_connected} <= {0}


def test_a_record_that_is_damaged_while_connected_comes_back_by_itself(relay, tmp_path):
    with (
        Register.join(tmp_path / "a", relay.url, relay.pairing_code(), name="Caisse 1") as a,
        Register.join(tmp_path / "b", relay.url, relay.pairing_code(), name="Caisse 2") as b,
    ):
        a.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        ticket = a.sell(["CM-19"], ["card"])
        a.sync()
        background = b.start_sync()
        log = b.replica.log
        wait_until(lambda: log.holds(ticket.link, ticket.chain, ticket.n))
        wait_until(lambda: background.is_connected)
        seq = damage_the_sale(b, ticket.number)
        with b.replica.store.transaction():  # And nothing else: no new entry whose sending would show it.
            assert log.set_damaged_apart(seq, b.replica.clock.now_ms())
        assert not log.holds(ticket.link, ticket.chain, ticket.n)
        wait_until(lambda: log.holds(ticket.link, ticket.chain, ticket.n))
        assert b.status().apart == 1
