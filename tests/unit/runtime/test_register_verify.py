import apsw
import pytest
from pycrdt import Doc, Map

from crdtsync.errors import InvalidName
from crdtsync.ids import Item, entry_record, record_digest, split_update_record, update_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.register.register import Register
from crdtsync.storage.log import Refusal
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.till import MemoryOwner, MemoryTill


def receive(till, entries):
    with till.replica.store.transaction():
        for entry in entries:
            record = entry_record(entry.sealed)
            till.replica.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def codes(till):
    return sorted(finding.code for finding in till.verify().findings)


def test_what_a_register_made_itself_holds(till):
    till.open_day(10000)
    till.refund(till.sell(["CM-19"], ["card"]).number)
    till.close_day()
    found = till.verify()
    assert (found.findings, found.records) == ((), till.end.seq)
    assert (found.entries, found.chains) == (7, 2)


def test_a_chain_without_a_certificate_is_named(till):
    receive(till, MemoryTill("Caisse 2").entries)
    assert codes(till) == ["key"]


def test_a_missing_entry_is_named(till):
    till.sell(["CM-19"], ["card"])
    other = MemoryTill("Caisse 2")
    other.sell()
    other.sell()
    receive(till, [other.entries[0], other.entries[2]])
    assert "gap" in codes(till)


def test_an_end_that_another_entry_names_and_that_is_missing_is_named(till):
    other = MemoryTill("Caisse 2")
    other.sell()
    witness = MemoryTill("Caisse 3", heads=[other.end.known])
    receive(till, [other.entries[0], *witness.entries])
    tails = [finding for finding in till.verify().findings if finding.code == "tail"]
    assert [finding.seq for finding in tails] == [2]


def test_a_bottle_that_two_registers_gave_back_is_named(till):
    other, third = MemoryTill("Caisse 2", series="02"), MemoryTill("Caisse 3", series="03")
    sale = other.sell()
    other.refund(sale)
    third.refund(sale)
    receive(till, [*other.entries, *third.entries])
    [finding] = [finding for finding in till.verify().findings if finding.code == "refund"]
    assert finding.message == "line 1 of ticket 02-26-000001: 2 given back, 1 sold"


def change_on_disk(folder, old, new):
    connection = apsw.Connection(str(folder / STORE))
    connection.execute(
        "UPDATE record SET bytes = CAST(replace(CAST(bytes AS TEXT), ?, ?) AS BLOB)"
        " WHERE CAST(bytes AS TEXT) LIKE '%' || ? || '%'",
        (old, new, old),
    )
    connection.close()


@pytest.fixture
def damaged(folder, clock):
    """A register of whose three sales the first was changed behind its back."""
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(5)) as till:
        number = till.sell(["CM-19"], ["card"]).number
        till.sell(["TER-01"], ["card"])
        till.sell(["TER-01"], ["card"])
    change_on_disk(folder, f'"num":"{number}"', f'"num":"{number[:-1]}9"')
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(6)) as till:
        yield till


def test_a_sale_that_was_changed_on_the_disk_is_set_apart_and_selling_goes_on(damaged):
    assert damaged.status().apart == 1
    assert damaged.sell(["CM-19"], ["card"]).number.endswith("-000004")
    assert len(damaged.sales()) == 3


def test_that_a_sale_was_changed_on_the_disk_stands_in_the_chain_and_is_found(damaged):
    assert "jet" in {fact["kind"] for fact in damaged.inspect(damaged.status().documents[-1].name)}
    assert "gap" in codes(damaged)


def test_documents_are_listed_and_entries_found_by_number_link_and_ticket(till):
    ticket = till.sell(["CM-19"], ["card"])
    documents = {row["document"]: row for row in till.inspect()}
    [name] = [name for name in documents if name.startswith("ledger/")]
    assert documents[name]["records"] == 2
    assert [fact["kind"] for fact in till.inspect(name)] == ["register", "sale"]
    for key in (ticket.number, "2", ticket.link.hex()[:8]):
        [fact] = till.inspect(name, key)
        assert (fact["link"], fact["body"]["num"]) == (ticket.link.hex(), ticket.number)


def test_a_key_that_is_not_there_is_told(till):
    with pytest.raises(InvalidName):
        till.inspect("owner", "nothing")
    with pytest.raises(InvalidName):
        till.inspect("catalogue", "NOPE")
    with pytest.raises(InvalidName):
        till.inspect("nowhere")


def test_a_product_is_inspected_by_its_sku(till):
    facts = till.inspect("catalogue", "CM-19")
    assert facts
    assert all(fact["key"].startswith("CM-19/") for fact in facts)


def test_a_document_of_ones_own_is_inspected_whatever_its_types(till):
    from pycrdt import Array, Map, Text

    with till.document("x/notes").transaction() as doc:
        doc.get("text", type=Text).insert(0, "Bonjour")
        doc.get("list", type=Array).append("rouge")
        doc.get("map", type=Map)["a"] = "1"
    facts = {(fact["root"], fact["key"]): fact["value"] for fact in till.inspect("x/notes")}
    assert facts == {("text", "0"): "Bonjour", ("list", "0"): ["rouge"], ("map", "a"): "1"}


def test_what_was_set_apart_is_shown_with_its_bytes_and_its_reason(till):
    refusal = Refusal(9, b"d" * 32, "unknown-device", "no certificate", held=True)
    with till.replica.store.transaction():
        till.replica.log.refuse(b"relay-log-id-001", refusal, b"Ebytes", 1)
    [row] = till.quarantine.rows()
    assert (row.by, row.code, row.reason) == ("here", "unknown-device", "no certificate")
    assert row.record == b"Ebytes"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE view_day SET ttc = 0",
        "UPDATE view_day_payment SET amount = amount - 1",
        "UPDATE view_day_vat SET tva = 0",
        "DELETE FROM view_ticket WHERE number LIKE '%000002'",
        "UPDATE view_ticket SET ttc = 1",
        "UPDATE view_line SET label = 'Water'",
        "UPDATE view_payment SET means = 'cash'",
        "UPDATE view_movement SET delta = -1",
        "UPDATE view_closing SET ttc = 1",
        "UPDATE view_chain SET device = x'00000000000000000000000000000000'",
        "UPDATE view_device SET revoked = 1",
        "INSERT INTO view_day SELECT shop, '2026-11-01', chain, 1, 0, 500, 0, 0, 0, 0, 0 FROM view_day",
    ],
)
def test_a_report_that_shows_something_else_than_the_entries_is_found_and_made_again(folder, clock, change):
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(7)) as till:
        till.sell(["CM-19"], ["card"])
        till.sell(["TER-01"], ["card"])
        till.close_day()
        till.sales()
        before = till.report("2026-11-24"), till.sales(), till.stock.levels()
    connection = apsw.Connection(str(folder / STORE))
    connection.execute(change)
    connection.close()
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(8)) as till:
        assert codes(till) == ["views"]
        assert (till.report("2026-11-24"), till.sales(), till.stock.levels()) == before
        assert codes(till) == []


def test_a_ticket_that_names_one_line_twice_is_no_fault_of_the_reports(till):
    other = MemoryTill("Caisse 2", series="02")
    sale = other.sell()
    line = sale.body["lines"][0]
    odd = read_entry(seal({**sale.body, "lines": [line, {**line, "qty": 2000}]}, other.key))
    receive(till, [other.entries[0], odd])
    assert "views" not in codes(till)


def test_entries_set_apart_as_damaged_are_no_fault_of_the_reports(till, folder, clock):
    till.sell(["CM-19"], ["card"])
    till.sales()
    with till.replica.store.transaction():
        till.replica.log.set_damaged_apart(till.end.seq, clock.now_ms())
    assert "views" not in codes(till)


def test_a_price_that_was_lost_because_another_device_wrote_as_the_same_client_is_named(till):
    """Both replicas hold both records, and each shows the one that came first."""
    client = till.replica.catalogue.doc.client_id
    twin = Doc(client_id=client)
    for _, record in till.replica.log.document_records("catalogue"):
        twin.apply_update(split_update_record(record)[1])
    sent = []
    subscription = twin.observe(lambda event: sent.append(event.update))
    twin.get("products", type=Map)["XX/name"] = "Twin"
    till.products.set("CM-19", price_minor=2000)
    record = update_record("catalogue", sent[0])
    with till.replica.store.transaction():
        till.replica.log.append(Item(record, "catalogue", record_digest(record)))
    del subscription
    [found] = [finding for finding in till.verify().findings if finding.code == "twice"]
    assert (found.place, found.seq) == ("catalogue", till.end.seq)


def test_two_chains_that_number_their_tickets_in_one_series_are_named(till):
    owner = MemoryOwner()
    others = [owner.enrol("Caisse 2", series="02"), owner.enrol("Caisse 3", series="02")]
    for other in others:
        other.sell()
        receive(till, other.entries)
    receive(till, owner.entries)
    clashes = {
        finding.place for finding in till.verify().findings if "chains issue tickets" in finding.message
    }
    assert clashes == {"Caisse 2", "Caisse 3"}
    assert any(
        "Caisse 2 and Caisse 3 number their tickets in one series, 02" in concern
        or "Caisse 3 and Caisse 2 number their tickets in one series, 02" in concern
        for concern in till.status().concerns
    )


def test_registers_with_series_of_their_own_are_no_clash(till):
    for number in ("02", "03"):
        other = MemoryTill(f"Caisse {number}", series=number)
        other.sell()
        receive(till, other.entries)
    assert not any("series" in concern for concern in till.status().concerns)
    assert not any("chains issue tickets" in finding.message for finding in till.verify().findings)
