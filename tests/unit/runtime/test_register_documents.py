import gc
from weakref import ref

import psutil
import pytest
from pycrdt import Array, Doc, Map, Text

from crdtsync.errors import DamagedStore, InvalidName, RecordError, StorageError, UnknownProduct
from crdtsync.ids import Item, record_digest, update_record
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.faulty_store import damage_record
from crdtsync.testing.yjs_bytes import HALF_A_CHARACTER, NAME, update


def append(till, record, document="x/loyalty"):
    with till.replica.store.transaction():
        till.replica.log.append(Item(record, document, record_digest(record)))


def points(document, name="points"):
    return dict(document.doc.get(name, type=Map).items())


def test_what_is_written_in_a_transaction_is_there_for_other_processes(till, same_till):
    with till.document("x/loyalty").transaction() as doc:
        doc.get("points", type=Map)["c-17"] = "120"
    assert points(same_till.document("x/loyalty")) == {"c-17": "120"}


def test_one_transaction_is_one_record(till):
    before = till.end.seq
    with till.document("x/loyalty").transaction() as doc:
        for n in range(20):
            doc.get("points", type=Map)[f"c-{n}"] = "1"
    assert till.end.seq == before + 1


def test_a_transaction_that_changes_nothing_leaves_no_record(till):
    before = till.end
    with till.document("x/loyalty").transaction():
        pass
    assert till.end == before


def test_what_others_wrote_comes_in_on_refresh(till, same_till):
    here, there = till.document("x/loyalty"), same_till.document("x/loyalty")
    with there.transaction() as doc:
        doc.get("points", type=Map)["c-17"] = "120"
    assert points(here) == {}
    assert here.refresh()
    assert points(here) == {"c-17": "120"}
    assert not here.refresh()


def test_two_processes_that_write_at_once_lose_nothing(till, same_till):
    here, there = till.document("x/loyalty"), same_till.document("x/loyalty")
    with here.transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
    with there.transaction() as doc:
        doc.get("points", type=Map)["b"] = "2"
    here.refresh()
    assert points(here) == points(there) == {"a": "1", "b": "2"}


def test_two_processes_that_change_before_either_has_saved_lose_nothing(till, same_till):
    here, there = till.document("x/loyalty"), same_till.document("x/loyalty")
    here.doc.get("points", type=Map)["a"] = "1"
    there.doc.get("points", type=Map)["b"] = "2"
    for document in (here, there, here):
        document.save()
        document.refresh()
    assert points(here) == points(there) == {"a": "1", "b": "2"}


def test_a_transaction_that_raises_leaves_the_document_as_it_was(till):
    document = till.document("x/loyalty")
    before = till.end
    with pytest.raises(ZeroDivisionError), document.transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
        raise ZeroDivisionError
    assert (points(document), till.end) == ({}, before)


def test_a_change_that_no_replica_would_take_is_refused_here(till):
    document = till.document("x/loyalty")
    before = till.end
    with pytest.raises(RecordError), document.transaction() as doc:
        doc.get("points", type=Map)["a"] = "x" * 100_000
    assert (points(document), till.end) == ({}, before)


def test_a_document_that_cannot_be_read_after_a_failed_change_is_whole_again_when_it_is_used_next(till):
    document = till.document("x/loyalty")
    with document.transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
    read = till.replica.log.document_records

    def cannot_be_read(name):
        raise StorageError("the disk is away")

    till.replica.log.document_records = cannot_be_read
    with pytest.raises(ZeroDivisionError), document.transaction() as doc:
        doc.get("points", type=Map)["b"] = "2"
        raise ZeroDivisionError
    with pytest.raises(StorageError):
        document.doc  # noqa: B018
    with pytest.raises(StorageError), document.transaction():
        raise AssertionError("nothing is written into half a document")
    till.replica.log.document_records = read
    with document.transaction() as doc:
        doc.get("points", type=Map)["c"] = "3"
    assert points(document) == points(till.document("x/loyalty")) == {"a": "1", "c": "3"}


def test_products_are_there_and_written_when_a_price_failed_beside_a_damaged_one(till, same_till):
    """What the simulation found (seed 50330): the catalogue stayed empty, and stored nothing any more."""
    till.products.set("TER-01", price_minor=900)
    planned = till.end.seq
    till.sell(["CM-19"], ["card"])
    with pytest.raises(ZeroDivisionError), till.replica.catalogue.transaction():
        damage_record(till.replica.store, till.replica.log.shop, planned)
        raise ZeroDivisionError
    assert till.products.set("CM-19", price_minor=2100).price_minor == 2100
    assert same_till.products.get("CM-19").price_minor == 2100
    assert any("set apart" in concern for concern in till.status().concerns)


def test_a_product_whose_records_were_damaged_is_said_to_be_damaged_and_not_to_be_unknown(till):
    """What the simulation found (seed 50250)."""
    till.products.add("NEW-1", name="Gigondas", price_minor=1900, vat_rate=2000)
    added = till.end.seq
    till.products.add("NEW-2", name="Vacqueyras", price_minor=1700, vat_rate=2000)
    till.sell(["NEW-2"], ["card"])
    with pytest.raises(ZeroDivisionError), till.replica.catalogue.transaction():
        damage_record(till.replica.store, till.replica.log.shop, added)
        raise ZeroDivisionError
    with pytest.raises(DamagedStore, match="is damaged here"):
        till.products.set("NEW-1", price_minor=2100)
    assert till.sell(["NEW-1"], ["card"]).total_minor == 1900
    with pytest.raises(UnknownProduct):
        till.products.set("NEW-3", price_minor=2100)


def test_a_change_that_could_not_be_stored_is_not_in_the_document(till):
    document = till.document("x/loyalty")
    till.replica.store.connection.pragma("query_only", True)
    with pytest.raises(StorageError), document.transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
    till.replica.store.connection.pragma("query_only", False)
    assert points(document) == {}


def test_what_was_changed_outside_a_transaction_is_stored_by_save(till, same_till):
    document = till.document("x/loyalty")
    document.doc.get("points", type=Map)["a"] = "1"
    assert document.save() == 1
    assert points(same_till.document("x/loyalty")) == {"a": "1"}


def test_every_handle_has_a_client_id_of_its_own(till, folder, clock):
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(77)) as again:
        ids = {register.document("x/a").doc.client_id for register in (till, again) for _ in range(5)}
    assert len(ids) == 10


def test_any_type_of_the_format_can_be_kept(till, same_till):
    with till.document("x/notes").transaction() as doc:
        doc.get("text", type=Text).insert(0, "Bonjour")
        doc.get("list", type=Array).append("rouge")
    other = same_till.document("x/notes").doc
    assert (str(other.get("text", type=Text)), list(other.get("list", type=Array))) == ("Bonjour", ["rouge"])


@pytest.mark.parametrize("name", ["loyalty", "x/", "x/Loyalty", "catalogue", "owner", "ledger/x", "x/../a"])
def test_only_documents_of_ones_own_are_handed_out(till, name):
    with pytest.raises(InvalidName):
        till.document(name)


def test_an_update_that_the_engine_refuses_hides_nothing_else(till):
    bad = update_record("x/loyalty", b"\x01\x02garbage")
    with till.replica.store.transaction():
        till.replica.log.append(Item(bad, "x/loyalty", record_digest(bad)))
    with till.document("x/loyalty").transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
    document = till.document("x/loyalty")
    assert (points(document), document.refused) == ({"a": "1"}, [record_digest(bad)])
    assert [finding.code for finding in till.verify().findings] == ["update"]


def test_a_document_of_which_the_engine_makes_nonsense_does_not_hide_the_others(till):
    append(till, update_record("x/broken", HALF_A_CHARACTER), "x/broken")
    with till.document("x/loyalty").transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
    shown = {row.name: row.fingerprint for row in till.status(all_documents=True).documents}
    assert len(shown["x/broken"]) == len(shown["x/loyalty"]) == 64
    before = shown["x/broken"]
    append(till, update_record("x/broken", update(NAME, client=7)), "x/broken")
    shown = {row.name: row.fingerprint for row in till.status(all_documents=True).documents}
    assert shown["x/broken"] != before


def test_records_that_came_in_the_wrong_order_are_all_shown(till):
    author = Doc(client_id=7)
    updates: list[bytes] = []
    subscription = author.observe(lambda event: updates.append(event.update))
    items = author.get("points", type=Map)
    items["a"] = "1"
    with author.transaction():
        items["b"], items["a"] = "2", "3"
    author.unobserve(subscription)
    first, second = (update_record("x/loyalty", update) for update in updates)
    open_before = till.document("x/loyalty")

    append(till, second)
    assert open_before.refresh() is False
    assert (points(open_before), open_before.waiting) == ({}, 1)
    append(till, first)
    open_before.refresh()
    assert points(open_before) == points(till.document("x/loyalty")) == {"a": "3", "b": "2"}
    assert open_before.waiting == 0


def test_a_document_that_nobody_holds_is_freed(till):
    handle = till.document("x/notes")
    with pytest.raises(ZeroDivisionError):
        with handle.transaction():
            handle.doc.get("map", type=Map)["a"] = 1 / 0
    documents = [ref(handle), ref(handle.doc)]
    del handle
    gc.collect()
    assert [document() for document in documents] == [None, None]


def test_what_is_written_to_the_document_before_an_error_is_not_stored(till):
    handle = till.document("x/notes")
    before = handle.doc
    with pytest.raises(ZeroDivisionError):
        with handle.transaction():
            raise ZeroDivisionError
    before.get("map", type=Map)["a"] = 1
    assert (handle.save(), handle.doc is before) == (0, False)


def test_a_panic_of_the_engine_leaves_the_document_as_it_was_and_is_told_like_any_error(till):
    """It is no ``Exception``: whoever catches those alone keeps half of a change."""
    document = till.document("x/loyalty")
    before = till.end
    with pytest.raises(BaseException) as told, document.transaction() as doc:
        doc.get("points", type=Map)["a"] = "1"
        doc.get("points", type=Map)["b"] = 2**70
    assert not isinstance(told.value, Exception)
    assert (points(document), till.end) == ({}, before)
    with document.transaction() as doc:
        doc.get("points", type=Map)["c"] = "3"
    assert points(till.document("x/loyalty")) == {"c": "3"}


def test_a_long_list_that_was_written_piece_by_piece_is_loaded_in_little_memory(till):
    """The engine takes 800 MB for these in one piece."""
    author = Doc()
    updates: list[bytes] = []
    subscription = author.observe(lambda event: updates.append(event.update))
    visits = author.get("visits", type=Array)
    for number in range(6000):
        visits.append(str(number))
    author.unobserve(subscription)
    with till.replica.store.transaction():
        for made in updates:
            record = update_record("x/visits", made)
            till.replica.log.append(Item(record, "x/visits", record_digest(record)))
    before = psutil.Process().memory_info().rss
    document = till.document("x/visits")
    assert len(document.doc.get("visits", type=Array)) == 6000
    assert psutil.Process().memory_info().rss - before < 100 << 20
