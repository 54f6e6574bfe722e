"""What a device records until whoever has the owner's key elsewhere has signed."""

import pytest

from crdtsync.errors import SetupError
from crdtsync.ids import entry_record
from crdtsync.model.certificate import build_revoke
from crdtsync.model.chain import Shop
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.runtime.committing.admission import Admission, Rejection, entry_item
from crdtsync.runtime.committing.taking import take_records
from crdtsync.testing.till import MemoryTill
from crdtsync_server.shops.hold import approve, on_hold, recorded_here
from crdtsync_server.shops.owner import heads_of, owner_item
from crdtsync_server.shops.owner_keys import request_for, sign, take_answer
from tests.unit.server.conftest import ADDRESS


def sell(relay, till, count):
    """Sales that come to the relay."""
    new = [*(till.entries if len(till.entries) == 1 else []), *(till.sell() for _ in range(count))]
    with relay.store.transaction():
        for entry in new:
            relay.store.shop(relay.shop).append(entry_item(entry, entry_record(entry.sealed)))


def till_of(relay):
    """A register of the shop that has sold."""
    till = MemoryTill("till 1", shop=Shop(relay.shop, "Cave du Port"))
    request = EnrolRequest(relay.code(), till.author, till.name, till.key.public)
    relay.access.enrol(relay.store, request, ADDRESS)
    sell(relay, till, 3)
    return till


def answered(relay, key, revoked=(), approved=()):
    request = request_for(relay.access, relay.store, relay.shop, list(revoked), list(approved))
    answer, _ = sign(request, key, relay.clock)
    return take_answer(relay.access, relay.store, relay.shop, answer)


def held_by_a_new_register(relay):
    """What somebody holds who gets the relay's log, certificates first."""
    admission, log = Admission(relay.shop), relay.store.shop(relay.shop)
    records = [record for _, record in log.read(0, bytes_max=1 << 20).records]
    chain = [entry_record(entry.sealed) for entry in relay.chain.entries]
    verdicts = admission.judge([*chain, *records], "relay")
    return [one.code for one in verdicts if isinstance(one, Rejection)]


def test_what_a_device_sells_until_it_is_cut_off_elsewhere_is_held_by_nobody_in_the_end(relay):
    till, key = till_of(relay), relay.take_key_away()
    request = request_for(relay.access, relay.store, relay.shop, [(till.author, "sold")])
    sell(relay, till, 2)
    answer, _ = sign(request, key, relay.clock)
    take_answer(relay.access, relay.store, relay.shop, answer)
    assert held_by_a_new_register(relay) == ["revoked"] * 2
    [signed] = answered(relay, key)
    assert (signed.what, signed.name, signed.entries) == ("owner-approve", "till 1", 2)
    assert held_by_a_new_register(relay) == []
    assert answered(relay, key) == []
    assert relay.findings() == ()


def test_what_a_relay_took_before_it_heard_of_a_revocation_waits_for_a_person(relay):
    """It was put back from a backup, and who was cut off since came before who knows of it: what he brought
    was at the relay alone, on hold everywhere else, and on no list.
    """
    till, log = till_of(relay), relay.store.shop(relay.shop)
    heads = heads_of(log, till.author)
    sell(relay, till, 2)
    assert on_hold(log) == []
    with relay.store.transaction():
        key = relay.access.keys.owner_key(relay.shop, "")
        payload = build_revoke(till.author, heads, reason="stolen")
        log.append(owner_item(relay.chain.next_entry("revoke", payload, key, relay.clock)))
    [hold] = on_hold(log)
    assert (hold.device, hold.pending.sales, hold.approvable) == (till.author, 2, 2)
    assert [one.came_ms for one in hold.entries] == [None, None]
    assert held_by_a_new_register(relay) == ["revoked"] * 2
    approved = approve(relay.access, relay.store, relay.shop, hold.entries[:1], "its last sales")
    assert (approved.admitted.sales, len(approved.links), approved.left) == (1, 1, ())
    assert held_by_a_new_register(relay) == ["revoked"]
    approve(relay.access, relay.store, relay.shop, on_hold(log)[0].entries, "all of them")
    assert on_hold(log) == []
    assert held_by_a_new_register(relay) == []
    assert relay.findings() == ()


def test_with_the_owners_key_elsewhere_no_request_asks_for_that_by_itself(relay):
    """A thief's sales were in the next request, whatever that was for, as if recorded before he was cut off:
    to let in a new register was to let them in.
    """
    till, log = till_of(relay), relay.store.shop(relay.shop)
    revocation = build_revoke(till.author, heads_of(log, till.author), reason="stolen")
    revoked = relay.chain.next_entry(
        "revoke", revocation, relay.access.keys.owner_key(relay.shop, ""), relay.clock
    )
    relay.clock.pass_ms(3_600_000)
    relay.access.begin_generation(relay.store, relay.shop)
    sell(relay, till, 2)
    with relay.store.transaction():
        log.append(owner_item(revoked))
    key = relay.take_key_away()
    assert answered(relay, key) == []
    [hold] = on_hold(log)
    assert (hold.pending.sales, hold.approvable) == (2, 2)
    [signed] = answered(relay, key, approved=[(till.author, hold.approvable_links, "it was found again")])
    assert (signed.what, signed.entries) == ("owner-approve", 2)
    assert (on_hold(log), held_by_a_new_register(relay)) == ([], [])


def test_after_a_restore_what_is_recorded_until_the_answer_is_back_is_in_the_next_request(relay):
    relay.access.begin_generation(relay.store, relay.shop)
    till, key = till_of(relay), relay.take_key_away()
    request = request_for(relay.access, relay.store, relay.shop, [(till.author, "sold")])
    sell(relay, till, 2)
    answer, _ = sign(request, key, relay.clock)
    take_answer(relay.access, relay.store, relay.shop, answer)
    [signed] = answered(relay, key)
    assert (signed.what, signed.entries) == ("owner-approve", 2)
    assert held_by_a_new_register(relay) == []


def test_who_made_the_past_is_read_once(relay, monkeypatch):
    """Every page of the back office asks what waits for a person, and most runs end in a pack of long ago."""
    till, log = till_of(relay), relay.store.shop(relay.shop)
    others = [MemoryTill(f"till {number}", shop=Shop(relay.shop, "Cave du Port")) for number in (2, 3)]
    for other in others:
        sell(relay, other, 2)
    relay.access.revoke(relay.store, relay.shop, till.author, "stolen")
    read, entry = [], log.entry
    monkeypatch.setattr(log, "entry", lambda chain, n: read.append((chain, n)) or entry(chain, n))
    assert recorded_here(log, relay.chain.directory) == []
    assert {(other.entries[-1].facts.chain, 3) for other in others} <= set(read)
    read.clear()
    assert recorded_here(log, relay.chain.directory) == []
    assert read == []
    sell(relay, others[0], 1)
    assert recorded_here(log, relay.chain.directory) == []
    assert read == [(others[0].entries[-1].facts.chain, 4)]
    sell(relay, till, 2)
    assert [one.link for one in recorded_here(log, relay.chain.directory)] == [
        one.link for one in till.entries[-2:]
    ]


def test_a_device_that_sold_nothing_since_needs_no_approval(relay):
    till, key = till_of(relay), relay.take_key_away()
    answered(relay, key, [(till.author, "sold")])
    assert answered(relay, key) == []


def test_what_is_on_hold_is_let_in_by_a_key_that_is_kept_elsewhere(relay):
    till, key = till_of(relay), relay.take_key_away()
    answered(relay, key, [(till.author, "stolen")])
    late = [till.sell(), till.sell()]
    rows = list(enumerate((entry_record(one.sealed) for one in late), 1))
    taken = take_records(relay.store, Admission(relay.shop), b"s" * 16, "revoked", rows, 0)
    assert [one.code for one in taken.refused] == ["revoked"] * 2
    log = relay.store.shop(relay.shop)
    [hold] = on_hold(log)
    with pytest.raises(SetupError):
        relay.access.approve(relay.store, relay.shop, {till.author: hold.approvable_links}, "found again")
    [signed] = answered(relay, key, approved=[(till.author, hold.approvable_links[:1], "found again")])
    assert signed.entries == 1
    assert log.holds(late[0].link, late[0].facts.chain, late[0].facts.n)
    assert [one.digest for one in log.apart()] == [late[1].link]
