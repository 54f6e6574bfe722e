import pytest

from crdtsync.errors import DamagedStore
from crdtsync.ids import Item, Position, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.messages import Presence
from crdtsync.runtime.committing.signature_checks import save_checks
from crdtsync.runtime.folder.identity import ClockOffset, Relay, save_clock_offset, save_relay
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.status import presence_of
from crdtsync.runtime.syncing.link_trouble import save_unmended
from crdtsync.storage.log import Refusal
from crdtsync.testing.clock import HOUR_MS, seeded_bytes
from crdtsync.testing.till import MemoryTill

RELAY_LOG = b"relay-log-id-001"


@pytest.fixture
def enrolled(till):
    """The register, as if it belonged to a relay that has everything so far."""
    with till.replica.store.transaction():
        save_relay(till.replica.log, Relay("ws://relay", b"\x02" * 33, RELAY_LOG))
    acknowledge_all(till)
    return till


def acknowledge_all(till, at_ms=1):
    log = till.replica.log
    with till.replica.store.transaction():
        log.set_acknowledged(RELAY_LOG, log.end, at_ms)


def receive(till, entries):
    with till.replica.store.transaction():
        for entry in entries:
            record = entry_record(entry.sealed)
            till.replica.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def pending(till):
    status = till.status()
    return status.pending.sales, status.pending.amount_minor


def test_a_register_that_never_met_a_relay_has_everything_pending(till):
    till.sell(["CM-19"], ["card"])
    till.sell(["TER-01"], ["card"])
    status = till.status()
    assert (status.state, status.pending.sales, status.pending.amount_minor) == ("alone", 2, 2545)
    assert status.pending.records == till.end.seq


def test_the_figures_are_the_same_whether_or_not_the_views_have_them(till):
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    behind = till.status()
    till.replica.views.catch_up()
    assert till.status() == behind


def test_a_register_is_up_to_date_when_the_relay_has_all_of_it(enrolled):
    enrolled.sell(["CM-19"], ["card"])
    acknowledge_all(enrolled, at_ms=77)
    status = enrolled.status()
    assert (status.state, status.pending.records, status.last_ack_at_ms) == ("synced", 0, 77)


def test_what_was_not_acknowledged_is_pending_in_sales_and_in_money(enrolled, clock):
    first_ms = clock.now_ms()
    enrolled.sell(["CM-19"], ["card"])
    clock.pass_ms(5000)
    enrolled.sell(["TER-01"], ["card"])
    status = enrolled.status()
    assert (status.pending.sales, status.pending.amount_minor) == (2, 2545)
    assert status.pending.oldest_at_ms == first_ms


def test_a_refund_is_pending_with_its_negative_amount(enrolled):
    sold = enrolled.sell(["CM-19"], ["card"])
    enrolled.refund(sold.number)
    assert pending(enrolled) == (2, 0)


def test_an_acknowledgement_taken_back_makes_sales_pending_again(enrolled):
    before = enrolled.end
    enrolled.sell(["CM-19"], ["card"])
    acknowledge_all(enrolled)
    with enrolled.replica.store.transaction():
        enrolled.replica.log.set_acknowledged(RELAY_LOG, before, 1)
    assert pending(enrolled) == (1, 1850)


def test_an_acknowledgement_of_another_history_counts_for_nothing(enrolled):
    enrolled.sell(["CM-19"], ["card"])
    with enrolled.replica.store.transaction():
        enrolled.replica.log.set_acknowledged(RELAY_LOG, Position(enrolled.end.seq, b"?" * 32), 1)
    assert pending(enrolled) == (1, 1850)


def test_under_a_new_log_id_everything_is_pending_again(enrolled):
    enrolled.sell(["CM-19"], ["card"])
    acknowledge_all(enrolled)
    with enrolled.replica.store.transaction():
        enrolled.replica.log.rotate_log_id(b"another-log-id-1")
    assert pending(enrolled) == (1, 1850)


def test_sales_of_a_neighbour_that_the_relay_may_not_have_are_told_apart(enrolled):
    neighbour = MemoryTill("Caisse 2")
    sale = neighbour.sell()
    receive(enrolled, neighbour.entries)
    enrolled.sell(["CM-19"], ["card"])
    status = enrolled.status()
    assert (status.pending_own.sales, status.pending_own.amount_minor) == (1, 1850)
    assert (status.pending_others.sales, status.pending_others.amount_minor) == (1, sale.body["ttc"])
    assert status.pending.sales == 2


def test_what_a_hostile_neighbour_says_its_tickets_come_to_fits_into_every_message(enrolled):
    """Else this register could not tell its relay what it has pending, and not synchronise."""
    neighbour = MemoryTill("Caisse 2")
    sale = neighbour.sell()
    huge = [
        read_entry(seal(sale.body | {"ttc": (1 << 53) - 1, "seq": n, "prev": sale.link.hex()}, neighbour.key))
        for n in range(3, 2103)
    ]
    receive(enrolled, [*neighbour.entries, *huge])
    told = presence_of(enrolled.replica.log, enrolled.identity.device)
    assert (told["pending_sales"], told["pending_amount_minor"]) == (2101, sale.body["ttc"])
    assert decode(encode(Presence(told))).facts == told
    assert pending(enrolled) == (2101, sale.body["ttc"])


def test_sales_that_wait_while_nothing_synchronises_are_offline(enrolled):
    enrolled.sell(["CM-19"], ["card"])
    assert (enrolled.status().state, enrolled.status().syncing) == ("offline", False)


def test_sales_that_wait_a_moment_while_a_process_synchronises_are_pending_and_then_offline(enrolled, clock):
    enrolled.sell(["CM-19"], ["card"])
    with sync_role(enrolled.replica.folder):
        assert (enrolled.status().state, enrolled.status().syncing) == ("pending", True)
        clock.pass_ms(HOUR_MS)
        assert enrolled.status().state == "offline"


def test_what_the_relay_refused_is_pending_and_needs_a_person(enrolled):
    enrolled.sell(["CM-19"], ["card"])
    seq = enrolled.end.seq
    acknowledge_all(enrolled)
    refusal = Refusal(seq, b"d" * 32, "bad-signature", "the signature does not hold", held=False)
    with enrolled.replica.store.transaction():
        enrolled.replica.log.set_refusals_received(RELAY_LOG, [refusal], complete=True)
    status = enrolled.status()
    assert (status.state, status.pending.sales, status.refused_by_relay) == ("attention", 1, 1)
    assert "the signature does not hold" in status.concerns[0]


def test_a_record_that_was_set_apart_here_needs_a_person(enrolled):
    refusal = Refusal(9, b"d" * 32, "unknown-device", "no certificate", held=True)
    with enrolled.replica.store.transaction():
        enrolled.replica.log.refuse(RELAY_LOG, refusal, b"Ebytes", 1)
    status = enrolled.status()
    assert (status.state, status.apart, status.held) == ("attention", 1, 1)


def test_a_clock_that_is_wrong_needs_a_person(enrolled, clock):
    with enrolled.replica.store.transaction():
        save_clock_offset(enrolled.replica.log, ClockOffset(-600_000, clock.now_ms()))
    status = enrolled.status()
    assert (status.state, status.clock_offset_ms) == ("attention", -600_000)


def test_two_versions_of_a_register_need_a_person(enrolled):
    neighbour, clone = MemoryTill("Caisse 2"), MemoryTill("Caisse 2")
    neighbour.sell()
    clone.sell(ts_ms=neighbour.moment.ts_ms + 60_000)
    receive(enrolled, [*neighbour.entries, clone.entries[-1]])
    acknowledge_all(enrolled)
    enrolled.replica.views.catch_up()
    assert any("two versions" in concern for concern in enrolled.status().concerns)


def written_otherwise(other, **changes):
    """The newest entry of a till as other software would have written it, and filed here."""
    return read_entry(seal({**other.entries[-1].body, **changes}, other.key))


def test_an_entry_of_today_that_cannot_be_so_needs_a_person(enrolled):
    other = MemoryTill("Caisse 2", series="02")
    other.sell()
    receive(enrolled, [other.entries[0], written_otherwise(other, vat=[])])
    acknowledge_all(enrolled)
    status = enrolled.status()
    assert status.state == "attention"
    [concern] = status.concerns
    assert "ticket 02-26-000001: vat: not what follows from the lines" in concern


def test_an_entry_of_today_that_makes_no_sense_needs_a_person(enrolled):
    other = MemoryTill("Caisse 2", series="02")
    other.sell()
    other.sell()
    odd = [read_entry(seal({**entry.body, "lines": "none"}, other.key)) for entry in other.entries[1:]]
    receive(enrolled, [other.entries[0], *odd])
    [concern] = enrolled.status().concerns
    assert "entry 2: it makes no sense (1 more today)" in concern


def test_what_was_wrong_on_a_day_long_past_does_not_hide_what_is_wrong_today(enrolled):
    other = MemoryTill("Caisse 2", series="02")
    other.sell()
    receive(enrolled, [other.entries[0], written_otherwise(other, ttc=1849, bd="2026-11-23")])
    assert enrolled.status().concerns == ()


def test_an_entry_that_its_author_did_not_sign_needs_a_person(enrolled):
    assert enrolled.status().signatures_checked_to == 0
    with enrolled.replica.store.transaction():
        save_checks(enrolled.replica.log, 7, [5])
    status = enrolled.status()
    assert (status.state, status.signatures_checked_to) == ("attention", 7)
    assert "1 stored entry is not signed" in " ".join(status.concerns)


def test_todays_documents_are_shown_and_all_when_asked(till):
    till.sell(["CM-19"], ["card"])
    till.replica.views.catch_up()
    shown = {row.name.split("/")[0]: row for row in till.status().documents}
    assert set(shown) == {"catalogue", "owner", "ledger"}
    assert (shown["ledger"].entries, len(shown["ledger"].fingerprint)) == (2, 64)
    assert [row.name for row in till.status(all_documents=True).documents] == sorted(
        row.name for row in till.replica.log.documents()
    )


def test_a_revoked_device_is_shown_as_such(till):
    till.replica.views.catch_up()
    [device] = till.status().devices
    assert (device.name, device.role, device.revoked) == ("Caisse 1", "register", False)


def test_a_document_that_cannot_be_mended_needs_a_person(enrolled):
    with enrolled.replica.store.transaction():
        save_unmended(enrolled.replica.log, {"catalogue"})
    assert enrolled.status().state == "attention"
    assert "catalogue differs" in enrolled.status().concerns[-1]
    with enrolled.replica.store.transaction():
        save_unmended(enrolled.replica.log, set())
    assert enrolled.status().concerns == ()


def test_a_sale_that_is_gone_from_the_end_of_the_disk_needs_a_person(enrolled, same_till):
    """Nobody can say whether the relay has it: so this is not "up to date"."""
    enrolled.sell(["CM-19"], ["card"])
    acknowledge_all(enrolled)
    enrolled.sell(["CM-19"], ["card"])
    enrolled.replica.store.connection.execute("DELETE FROM record WHERE pos = (SELECT max(pos) FROM record)")
    status = same_till.status()
    assert status.state == "attention"
    assert any("1 entry of this register is missing" in concern for concern in status.concerns)


@pytest.mark.parametrize("with_documents", [True, False])
@pytest.mark.parametrize("table", ["record", "pack"])
def test_damage_of_what_was_sold_today_is_found_by_every_status(enrolled, same_till, table, with_documents):
    enrolled.sell(["CM-19"], ["card"])
    store, log = enrolled.replica.store, enrolled.replica.log
    with store.transaction():
        while table == "pack" and log.pack(4, log.end.seq):
            continue
    acknowledge_all(enrolled)
    assert enrolled.status().apart == 0
    with store.transaction():
        store.connection.execute(
            f"UPDATE {table} SET bytes = zeroblob(length(bytes)) WHERE pos = (SELECT max(pos) FROM {table})"
        )
    # What a register has unpacked before it does not unpack again.
    status = same_till.status() if with_documents else enrolled.status(with_documents=False)
    assert status.apart
    assert any("set apart as refused or damaged" in concern for concern in status.concerns)


def test_a_pack_of_today_that_is_not_where_it_was_put_is_called_damaged(enrolled, folder, clock):
    """Its place is the one thing that no other table can say: this is told, and no traceback."""
    for _ in range(6):
        enrolled.sell(["CM-19"], ["card"])
    acknowledge_all(enrolled)
    store, log = enrolled.replica.store, enrolled.replica.log
    with store.transaction():
        while log.pack(4, log.end.seq):
            continue
    with store.transaction():
        store.connection.execute(
            "UPDATE pack SET pos = pos + 1 WHERE pos = (SELECT pos FROM pack ORDER BY pos LIMIT 1 OFFSET 1)"
        )
    with (
        Register.open(folder, clock=clock, random_bytes=seeded_bytes(3)) as again,
        pytest.raises(DamagedStore),
    ):
        again.status(with_documents=False)
