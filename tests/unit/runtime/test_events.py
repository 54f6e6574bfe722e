"""Technical events: what happened to a register is recorded before its next entry, once."""

import shutil

import pytest

from crdtsync.ids import Item, entry_record
from crdtsync.model import jet
from crdtsync.model.entry import SOFTWARE, read_entry
from crdtsync.runtime.belonging.copies import begin_own_chain
from crdtsync.runtime.committing import events
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.link_trouble import LinkTrouble, save_link_trouble
from crdtsync.testing.clock import DAY_MS, HOUR_MS, seeded_bytes

RELAY = Relay("ws://127.0.0.1:1", b"\2" * 33, b"relay-log-id-001")


def recorded(till):
    """Code and data of the technical events of its present chain."""
    chain = till.replica.writer.head().chain
    entries = [read_entry(sealed) for _, sealed in till.replica.log.chain_entries(chain, 1, 1 << 20)]
    return [(entry.body["code"], entry.body["data"]) for entry in entries if entry.kind == "jet"]


def sell(till):
    return till.sell(["CM-19"], ["card"])


def receive(till, sealed):
    entry = read_entry(sealed)
    with till.replica.store.transaction():
        till.replica.log.append(Item(entry_record(sealed), entry.facts.document, entry.link, entry.facts))


def left(till):
    """As it leaves its chain when it finds out that its data was put back."""
    replica = till.replica
    before = replica.writer.head()
    with replica.store.transaction():
        begin_own_chain(replica.log, replica.identity, replica.key, replica.clock, replica.random_bytes)
    return before


def test_a_new_version_of_the_software_is_recorded_by_the_first_entry_that_it_makes(
    till, folder, clock, monkeypatch
):
    sell(till)
    assert recorded(till) == []
    monkeypatch.setattr(events, "SOFTWARE", "crdtsync 9.0.0")
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as updated:
        sell(updated)
        sell(updated)
        assert recorded(updated) == [(jet.SOFTWARE_CHANGED, {"before": SOFTWARE})]
        assert updated.verify().findings == ()


def test_a_chain_that_was_begun_because_a_copy_was_put_back_says_so(till, same_till):
    sell(till)
    before = left(till)
    sell(till)
    sell(same_till)  # Another process of the same register says nothing again.
    assert recorded(till) == [(jet.RESTORED, {"chain": before.chain.hex(), "seq": before.n})]
    assert till.verify().findings == ()


def test_where_there_are_two_versions_of_the_chain_that_was_left_a_fork_is_recorded(
    till, folder, clock, tmp_path
):
    shutil.copytree(folder, tmp_path / "copy")
    with Register.open(tmp_path / "copy", clock=clock) as copy:
        other = copy.sell(["TER-01"], ["card"])
        [theirs] = copy.replica.log.entry(other.chain, other.n)
    sell(till)
    before = till.replica.writer.head()
    receive(till, theirs)
    sell(till)
    assert till.replica.writer.head().chain != before.chain
    assert recorded(till) == [(jet.FORK, {"chain": before.chain.hex(), "seq": before.n})]


@pytest.mark.parametrize(("hours", "is_recorded"), [(23, False), (24, True), (60, True)])
def test_a_relay_that_is_not_reached_for_a_day_is_recorded_once(till, folder, clock, hours, is_recorded):
    since_ms = clock.now_ms()
    sell(till)
    trouble = LinkTrouble("nobody answers", "", since_ms, False, RELAY.public_key.hex())
    with till.replica.store.transaction():
        save_relay(till.replica.log, RELAY)
        save_link_trouble(till.replica.log, trouble)
    clock.pass_ms(hours * HOUR_MS)
    sell(till)
    sell(till)
    clock.pass_ms(2 * HOUR_MS if is_recorded else 1)
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as another:
        sell(another)
    expected = [(jet.RELAY_UNREACHABLE, {"since": since_ms})] if is_recorded else []
    assert recorded(till) == expected
    assert till.verify().findings == ()


def test_after_it_was_reached_the_next_day_without_it_is_recorded_too(till, clock):
    for _ in range(2):
        with till.replica.store.transaction():
            save_relay(till.replica.log, RELAY)
            trouble = LinkTrouble("nobody answers", "", clock.now_ms(), False, RELAY.public_key.hex())
            save_link_trouble(till.replica.log, trouble)
        clock.pass_ms(DAY_MS)
        sell(till)
        with till.replica.store.transaction():
            save_link_trouble(till.replica.log, None)
        clock.pass_ms(HOUR_MS)
        sell(till)
    assert [code for code, _ in recorded(till)] == [jet.RELAY_UNREACHABLE] * 2


def test_an_event_of_a_commit_that_failed_is_recorded_by_the_next(till, folder, clock, monkeypatch):
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as updated:
        monkeypatch.setattr(events, "SOFTWARE", "crdtsync 9.0.0")
        with pytest.raises(ZeroDivisionError):
            updated.replica.writer.write("tasting", lambda _: {"glasses": 1 // 0})
        assert recorded(updated) == []
        sell(updated)
        assert recorded(updated) == [(jet.SOFTWARE_CHANGED, {"before": SOFTWARE})]


def test_an_event_does_not_take_the_day_that_has_to_be_closed_with_it(till, folder, clock, monkeypatch):
    day = sell(till).business_day
    clock.pass_ms(DAY_MS)
    monkeypatch.setattr(events, "SOFTWARE", "crdtsync 9.0.0")
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as updated:
        assert sell(updated).business_day > day
        assert updated.report(day).complete
        assert updated.verify().findings == ()
        assert [code for code, _ in recorded(updated)] == [jet.SOFTWARE_CHANGED]
