"""What nobody has any more is named: holes, ends that others name, and registers that did not come back."""

import pytest

from crdtsync.ids import entry_record
from crdtsync.model.certificate import build_revoke
from crdtsync.model.chain import Shop
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import join, split
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.storage.log import Refusal
from crdtsync.testing.clock import ManualClock, seeded_bytes
from crdtsync.testing.till import MemoryTill
from crdtsync_server.backups.missing import Missing, holes, missing_of, untold
from crdtsync_server.backups.restore import RESTORED, Restored
from crdtsync_server.backups.restored import begin_generation
from crdtsync_server.open import opened
from crdtsync_server.shops.contacts import Contact, Contacts
from crdtsync_server.shops.office_chain import enrol_office
from crdtsync_server.shops.owner import OwnerChain, owner_item
from tests.unit.server.test_contacts import Device


class Cave:
    """A relay with two registers, of whose entries some are stored."""

    def __init__(self, root):
        self.root = root
        with opened(root, create=True) as (access, store):
            self.id = access.create_shop(store, "Cave").id
            self.tills = []
            for name, series in (("Caisse 1", "01"), ("Caisse 2", "02")):
                till = MemoryTill(name, shop=Shop(self.id, "Cave"), series=series)
                secret = access.issue_code(self.id, "register").code.secret
                request = EnrolRequest(secret, till.author, name, till.key.public)
                access.enrol(store, request, "198.51.100.7")
                self.tills.append(till)

    def store(self, entries):
        with opened(self.root) as (_, store), store.transaction():
            for entry in entries:
                store.shop(self.id).append(owner_item(entry))

    def hold(self, *entries):
        with opened(self.root) as (_, store), store.transaction():
            for entry in entries:
                refusal = Refusal(entry.facts.n, entry.link, "revoked", "cut off", True)
                store.shop(self.id).refuse(b"l" * 16, refusal, entry_record(entry.sealed), 5)

    def log(self, look):
        with opened(self.root) as (_, store):
            return look(store.shop(self.id))

    def put_back(self, *contacts):
        """As a restore at time 1000, from a backup in which these devices were seen."""
        with opened(self.root) as (_, store), store.transaction():
            log = store.shop(self.id)
            log.set_state(RESTORED, Restored(1000, 500, log.end.seq, log.log_id).to_bytes())
            for till, at_ms, sales in contacts:
                contact = Contact(b"l" * 16, at_ms, 0, "crdtsync", sales, 1850 * sales)
                log.set_state(f"contact/{till.author.hex()}", contact.to_bytes())


@pytest.fixture
def cave(tmp_path):
    return Cave(tmp_path / "relay")


def test_where_everything_is_nothing_is_missed(cave):
    for till in cave.tills:
        till.sell()
        cave.store(till.entries)
    assert cave.log(missing_of) == cave.log(holes) == []


def test_a_hole_is_named_with_the_tickets_around_it(cave):
    one, two = cave.tills
    tickets = [two.sell() for _ in range(5)]
    cave.store([*one.entries, *two.entries[:2], two.entries[-1]])
    [found] = cave.log(missing_of)
    assert (found.sort, found.name, found.first, found.last) == ("hole", "Caisse 2", 3, 5)
    assert (found.after, found.before) == (tickets[0].body["num"], tickets[4].body["num"])
    assert cave.log(holes) == [found]


def test_a_chain_whose_beginning_is_missing_has_a_hole_there(cave):
    _, two = cave.tills
    two.sell()
    cave.store(two.entries[1:])
    [found] = cave.log(missing_of)
    assert (found.sort, found.first, found.last, found.after) == ("hole", 1, 1, None)


def test_a_ticket_that_a_refund_names_is_missed(cave):
    one, two = cave.tills
    tickets = [two.sell() for _ in range(4)]
    one.refund(tickets[3])
    cave.store([*one.entries, *two.entries[:2]])
    [found] = cave.log(missing_of)
    assert (found.sort, found.name, found.first, found.last) == ("tail", "Caisse 2", 3, 5)
    assert (found.number, found.after) == (tickets[3].body["num"], tickets[0].body["num"])
    assert found.named_by == f"refund {one.entries[-1].body['num']} of Caisse 1"
    assert cave.log(holes) == []


def test_of_a_chain_of_which_nothing_is_left_the_name_is_not_known(cave):
    one, two = cave.tills
    one.refund(two.sell())
    cave.store(one.entries)
    [found] = cave.log(missing_of)
    assert (found.sort, found.device, found.first, found.last) == ("tail", b"", 1, 2)


def test_the_heads_that_a_revocation_names_are_missed(cave):
    one, two = cave.tills
    for _ in range(3):
        two.sell()
    cave.store([*one.entries, *two.entries[:2]])
    with opened(cave.root) as (access, store):
        log, key = store.shop(cave.id), access.keys.owner_key(cave.id)
        payload = build_revoke(two.author, [two.end.known], reason="stolen")
        entry = OwnerChain.read(log).next_entry("revoke", payload, key, ManualClock())
    cave.store([entry])
    [found] = cave.log(missing_of)
    assert (found.sort, found.name, found.first, found.last) == ("tail", "Caisse 2", 3, 4)
    assert found.named_by == "revoke 5 of the owner"


def test_a_register_that_did_not_come_back_is_named_with_what_it_had_pending(cave):
    one, two = cave.tills
    cave.store([*one.entries, *two.entries])
    assert cave.log(untold) == []
    cave.put_back((one, 1500, 0), (two, 400, 3))
    assert (
        cave.log(missing_of)
        == cave.log(untold)
        == [Missing("untold", two.author, "Caisse 2", last_contact_at_ms=400, sales=3, amount_minor=5550)]
    )


def test_a_register_that_never_was_here_is_named_too(cave):
    one, two = cave.tills
    cave.store([*one.entries, *two.entries])
    cave.put_back((one, 1500, 0))
    assert cave.log(untold) == [Missing("untold", two.author, "Caisse 2")]


def test_a_relay_that_was_put_back_twice_waits_for_its_registers_twice(cave):
    """The second time with a whole disk, of which nothing but its place tells."""
    one, two = cave.tills
    cave.store([*one.entries, *two.entries])
    cave.put_back((one, 1500, 0), (two, 1500, 0))
    assert cave.log(untold) == []
    with opened(cave.root) as (_, store), store.transaction():
        begin_generation(store.shop(cave.id), seeded_bytes(3), 2000)
    assert [found.name for found in cave.log(untold)] == ["Caisse 1", "Caisse 2"]


def test_a_clock_that_was_wrong_hides_no_register_that_did_not_come_back_and_makes_up_none(cave, clock):
    """Once it was a year ahead at the last contact before the restore, once at the restore itself."""
    one, two = cave.tills
    cave.store([*one.entries, *two.entries])

    def seen(till, at_ms):
        clock.set_ms(at_ms)
        contacts, device = Contacts(clock.now_ms), Device()
        device.session.peer.shop, device.session.peer.device = cave.id, till.author
        contacts.gone(device)
        with opened(cave.root) as (_, store), store.transaction():
            contacts.due([], at_once=True)[cave.id](store.shop(cave.id))

    seen(one, 9_000_000)
    seen(two, 400)
    cave.put_back()
    with opened(cave.root) as (_, store), store.transaction():
        begin_generation(store.shop(cave.id), seeded_bytes(3), 1000)
    assert [found.name for found in cave.log(untold)] == ["Caisse 1", "Caisse 2"]
    seen(two, 700)
    assert [found.name for found in cave.log(untold)] == ["Caisse 1"]


def test_the_back_office_is_no_register_that_did_not_come_back(cave):
    one, two = cave.tills
    with opened(cave.root) as (access, store):
        enrol_office(access, store, cave.id)
    cave.put_back((one, 1500, 0), (two, 1500, 0))
    assert cave.log(untold) == []


def test_what_is_on_hold_is_not_missing(cave):
    one, _ = cave.tills
    for _ in range(6):
        one.sell()
    *known, forged, held, approved = one.entries
    cave.store([*known[:-1], approved])
    body, _ = split(forged.sealed)
    cave.hold(known[-1], read_entry(join(body, split(held.sealed)[1])), held)
    [hole] = cave.log(holes)
    assert (hole.first, hole.last) == (5, 5)
    assert cave.log(missing_of) == [hole]


def test_of_an_end_that_is_on_hold_the_rest_is_missing(cave):
    one, two = cave.tills
    for _ in range(4):
        one.sell()
    cave.store([one.entries[0], two.entries[0]])
    cave.store([two.append("note", {"heads": [one.end.known.to_json()]})])
    cave.hold(one.entries[-1])
    [tail] = cave.log(missing_of)
    assert (tail.sort, tail.first, tail.last) == ("tail", 2, 4)
    cave.hold(*one.entries)
    assert cave.log(missing_of) == []


def test_an_entry_that_makes_no_sense_names_nothing(cave):
    one, _ = cave.tills
    one.append("odd", {"ref": 5})
    one.append("odd", {"ref": {"chain": "x"}})
    one.append("odd", {"cut": [1]})
    one.append("odd", {"heads": 3})
    cave.store(one.entries)
    assert cave.log(missing_of) == []
