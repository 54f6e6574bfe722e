"""Yjs documents of two replicas are compared by their records, then by their content, and mended."""

import asyncio
from dataclasses import replace

import pytest

from crdtsync.ids import Item, record_digest, update_record
from crdtsync.protocol import limits
from crdtsync.protocol.messages import About, Documents, DocumentsDigest
from crdtsync.runtime.committing.compacting import plan_compaction
from crdtsync.runtime.syncing.comparison import NOTHING, DocumentDigests, DocumentReader, content_digest
from crdtsync.storage.log import Cursor
from crdtsync.storage.memory import MemoryDisk, MemoryStore
from crdtsync.testing.stepped import SHOP, SteppedShop
from crdtsync.testing.yjs_bytes import HALF_A_CHARACTER, NAME, update


@pytest.fixture
def shop():
    """Two registers in step, which have written three records each."""
    shop = SteppedShop(2)
    for _ in range(3):
        shop.registers[0].write("catalogue")
        shop.registers[1].write("x/notes")
    shop.registers[0].sell()
    shop.settle()
    return shop


def digests(replica):
    return DocumentDigests(replica.log)


def miss_what_comes(shop, replica, write):
    """The relay writes something, and the replica counts it as held although it is not on its disk."""
    shop.hang_up(replica)
    record = write()
    store = MemoryStore(replica.disk)
    with store.transaction():
        store.shop(SHOP).set_cursor(shop.relay.log.log_id, Cursor(shop.relay.log.end))
    shop.settle()
    assert record not in replica.records()
    return record


def compare(shop):
    """A minute later; a tick more for those who first have to tell of rows that they left out."""
    shop.pass_time(limits.COMPARE_EVERY_MS)
    shop.settle()
    shop.pass_time(250)
    shop.settle()


def spoken(monkeypatch, kind):
    """How many messages of that kind are sent from now on."""
    from crdtsync.protocol import session

    sent = []
    genuine = session.frames

    def counted(message):
        if isinstance(message, kind):
            sent.append(message)
        return genuine(message)

    monkeypatch.setattr(session, "frames", counted)
    return sent


# -- digests -----------------------------------------------------------------------------------------------


def test_replicas_in_step_have_equal_digests(shop):
    assert len({digests(replica).held().root for replica in shop.replicas}) == 1


def test_what_is_made_of_entries_is_not_compared_as_a_document(shop):
    assert set(digests(shop.relay).held().digests) == {"catalogue", "x/notes"}


def test_a_digest_follows_every_record(shop):
    known = digests(shop.relay)
    before = known.held().digests
    shop.relay.write("catalogue")
    shop.relay.sell()
    after = known.held().digests
    assert before["x/notes"] == after["x/notes"]
    assert after == digests(shop.relay).held().digests != before


def test_a_digest_is_right_after_more_news_than_are_read_on(shop, monkeypatch):
    monkeypatch.setattr("crdtsync.runtime.syncing.comparison.ROWS_READ_ON_MAX", 1)
    known = digests(shop.relay)
    known.held()
    for _ in range(3):
        shop.relay.write("catalogue")
    assert known.held() == digests(shop.relay).held()


def test_a_document_that_did_not_change_is_not_read_again(shop, monkeypatch):
    known = digests(shop.relay)
    held, contents = known.held(), known.contents(["catalogue"])
    monkeypatch.setattr(known.log, "document_records", None)
    shop.registers[0].sell()
    assert (known.held().digests, known.contents(["catalogue"])) == (held.digests, contents)


def test_content_is_the_same_in_any_order_and_compacted(shop):
    records = [record for _, record in shop.relay.log.document_records("catalogue")]
    compaction = plan_compaction(shop.relay.log, "catalogue", records_min=2)
    assert content_digest(reversed(records)) == content_digest(records)
    assert content_digest([compaction.state.record]) == content_digest(records)


def test_content_without_one_record_is_another(shop):
    records = [record for _, record in shop.relay.log.document_records("catalogue")]
    assert content_digest(records[:-1]) != content_digest(records)


def test_an_update_that_waits_for_another_counts(shop):
    first, _, third = (record for _, record in shop.relay.log.document_records("catalogue"))
    assert content_digest([first]) != content_digest([first, third])


def test_a_document_of_which_the_engine_makes_nonsense_is_known_by_its_records():
    broken, other = (update_record("x/broken", data) for data in (HALF_A_CHARACTER, update(NAME, client=7)))
    assert content_digest([broken, other]) == content_digest([other, broken])
    assert len({content_digest(records) for records in ([broken], [other], [broken, other])}) == 3


def test_nothing_is_held_of_a_document_that_is_not_there(shop):
    assert digests(shop.relay).contents(["x/nobody"]) == {"x/nobody": NOTHING}


def test_nobody_is_told_of_a_ledger_by_asking_for_it_as_a_document(shop):
    ledger = next(row.name for row in shop.relay.log.documents() if row.name.startswith("ledger/"))
    assert digests(shop.relay).contents([ledger]) == {ledger: NOTHING}
    assert digests(shop.relay).seqs([ledger]) == []


# -- mending -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", ["catalogue", "x/notes", "x/of-nobody-yet"])
def test_a_record_that_went_missing_is_noticed_and_sent_again(shop, document):
    register = shop.registers[1]
    record = miss_what_comes(shop, register, lambda: shop.relay.write(document))
    compare(shop)
    assert record in register.records()
    assert len({digests(replica).held().root for replica in shop.replicas}) == 1


def test_what_both_ends_lack_of_each_other_is_sent_both_ways(shop):
    register = shop.registers[1]
    theirs = miss_what_comes(shop, register, lambda: shop.relay.write("catalogue"))
    mine = register.write("catalogue")
    store = MemoryStore(shop.relay.disk)
    shop.hang_up(register)
    with store.transaction():
        store.shop(SHOP).set_cursor(register.log.log_id, Cursor(register.log.end))
    shop.settle()
    assert mine not in shop.relay.records()
    compare(shop)
    assert theirs in register.records()
    assert mine in shop.relay.records()


def test_nothing_is_listed_while_documents_are_equal(shop, monkeypatch):
    sent = spoken(monkeypatch, Documents)
    compare(shop)
    assert sent == []


def test_a_peer_that_does_not_know_of_documents_is_told_nothing_of_them(shop, monkeypatch):
    for wire in shop.live_wires():
        for end in wire.ends:
            hello = end.connection.session.peer
            end.connection.session.peer = replace(hello, capabilities=())
    sent = spoken(monkeypatch, DocumentsDigest)
    compare(shop)
    assert sent == []


def test_a_document_that_one_end_has_compacted_is_left_as_it_is(shop, monkeypatch):
    register = shop.registers[1]
    assert register.compact("catalogue", 10) or shop.relay.compact("catalogue", 10)
    sent = spoken(monkeypatch, Documents)
    shop.settle()
    compare(shop)
    compare(shop)
    before = [replica.log.end for replica in shop.replicas]
    compare(shop)
    assert [replica.log.end for replica in shop.replicas] == before
    assert [message.about for message in sent].count(About.CONTENTS) <= 2 * len(shop.registers)


def test_what_sending_does_not_mend_is_not_sent_for_ever(shop, monkeypatch):
    register = shop.registers[1]
    record = miss_what_comes(shop, register, lambda: shop.relay.write("catalogue"))
    genuine = DocumentDigests.contents

    def always_another(self, names):
        found = genuine(self, names)
        if self.log.log_id == register.log.log_id:
            found = {name: record_digest(record) for name in found}
        return found

    monkeypatch.setattr(DocumentDigests, "contents", always_another)
    monkeypatch.setattr(DocumentDigests, "held", _never_equal(DocumentDigests.held))
    again = []
    genuine_seqs = DocumentDigests.seqs
    monkeypatch.setattr(
        DocumentDigests, "seqs", lambda self, names: again.append(list(names)) or genuine_seqs(self, names)
    )
    for _ in range(4):
        compare(shop)
    at_once = len(again)
    compare(shop)
    assert len(again) == at_once
    assert any("catalogue" in wire.near.connection.session.comparing.unmended for wire in shop.live_wires())


def test_what_is_equal_again_is_no_trouble(shop):
    for wire in shop.live_wires():
        wire.near.connection.session.comparing.unmended = frozenset({"catalogue"})
    compare(shop)
    compare(shop)
    assert not any(wire.near.connection.session.comparing.unmended for wire in shop.live_wires())


def _never_equal(genuine):
    def held(self):
        found = genuine(self)
        return type(found)(found.end_seq, {**found.digests, "catalogue": self.log.log_id * 2})

    return held


def test_a_closing_is_compared_at_once(shop, monkeypatch):
    sent = spoken(monkeypatch, DocumentsDigest)
    for wire in shop.live_wires():
        wire.near.connection.session.comparing.compare_soon()
    for _ in range(6):
        shop.pass_time(limits.DIGEST_EVERY_MS // 4)
        shop.settle()
    assert len(sent) >= len(shop.registers)


# -- the thread --------------------------------------------------------------------------------------------


@pytest.fixture
def disk():
    disk = MemoryDisk()
    store = MemoryStore(disk)
    record = update_record("x/notes", b"\0\0")
    with store.transaction():
        store.create_shop(SHOP, bytes(16)).append(Item(record, "x/notes", record_digest(record)))
    return disk


async def test_questions_are_answered_on_the_loop(disk):
    reader = DocumentReader(lambda: MemoryStore(disk))
    answered = asyncio.get_running_loop().create_future()
    reader.ask(SHOP, DocumentDigests.held, answered.set_result)
    held = await answered
    reader.close()
    assert (held.end_seq, list(held.digests)) == (1, ["x/notes"])


async def test_a_shop_that_is_gone_is_no_answer(disk):
    reader = DocumentReader(lambda: MemoryStore(disk))
    answered = []
    reader.ask(b"another shop....", DocumentDigests.held, answered.append)
    reader.close()
    await asyncio.sleep(0)
    assert answered == []
