"""Rows that are gone or damaged beside the log: the register sells on, and says what it knows."""

import apsw
import pytest

from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.folder.replica import STORE, Replica
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Cursor
from crdtsync.testing.clock import seeded_bytes

RELAY_LOG = b"log-of-the-relay"


def changed(folder, sql):
    connection = apsw.Connection(str(folder / STORE))
    connection.execute(sql)
    assert connection.changes() > 0
    connection.close()


@pytest.fixture
def reopened(till, folder, clock):
    """Opens the register anew, after a change of its file. It has a relay that has two of its three sales."""
    for _ in range(2):
        till.sell(["CM-19"], ["card"])
    with till.replica.store.transaction():
        log = till.replica.log
        save_relay(log, Relay("ws://relay", bytes(33), RELAY_LOG))
        log.set_acknowledged(RELAY_LOG, log.end, clock.now_ms())
        log.set_cursor(RELAY_LOG, Cursor(log.end))
    till.sell(["TER-01"], ["card"])
    till.close()
    opened = []

    def reopen(sql):
        changed(folder, sql)
        opened.append(Register.open(folder, clock=clock, random_bytes=seeded_bytes(5)))
        return opened[-1]

    yield reopen
    for register in opened:
        register.close()


def test_where_the_acknowledgement_is_damaged_everything_is_pending(reopened):
    till = reopened("UPDATE acknowledged SET seq = seq + 1")
    assert (till.status().pending.sales, till.status().pending.amount_minor) == (3, 4395)


def test_where_the_cursor_is_damaged_there_is_none(reopened):
    assert reopened("UPDATE cursor SET seq = seq + 1").replica.log.cursor(RELAY_LOG) is None


@pytest.mark.parametrize(
    "change", ["DELETE FROM state WHERE key = 'head'", "UPDATE state SET value = x'7b7d' WHERE key = 'head'"]
)
def test_where_the_head_of_the_chain_is_damaged_numbers_go_on_as_they_would_have(reopened, change):
    till = reopened(change)
    assert till.sell(["CM-19"], ["card"]).number.endswith("-000004")
    assert till.close_day().total_minor == 3 * 1850 + 695
    assert till.verify().findings == ()


def test_who_makes_the_head_of_the_chain_again_undoes_no_sale_of_who_was_quicker(
    reopened, folder, clock, monkeypatch
):
    rebuilt, numbers = Replica._rebuilt_head, []

    def rebuild_slowly(replica):
        head = rebuilt(replica)
        if not numbers:
            numbers.append("")
            with Register.open(folder, clock=clock, random_bytes=seeded_bytes(6)) as quicker:
                numbers[0] = quicker.sell(["CM-19"], ["card"]).number
        return head

    monkeypatch.setattr(Replica, "_rebuilt_head", rebuild_slowly)
    till = reopened("DELETE FROM state WHERE key = 'head'")
    assert numbers[0].endswith("-000004")
    assert till.sell(["CM-19"], ["card"]).number.endswith("-000005")


def test_a_sale_that_is_gone_from_the_disk_hinders_no_other_and_is_told(reopened):
    till = reopened("DELETE FROM record WHERE pos = (SELECT max(pos) - 1 FROM record)")
    assert till.sell(["CM-19"], ["card"]).number.endswith("-000004")
    status = till.status()
    assert status.state == "attention"
    assert any("1 entry of this register is missing" in concern for concern in status.concerns)
    assert "gap" in {finding.code for finding in till.verify().findings}


def test_a_register_that_holds_all_its_entries_misses_none(till):
    till.sell(["CM-19"], ["card"])
    assert not any("missing" in concern for concern in till.status().concerns)
