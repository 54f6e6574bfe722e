"""Rows of the log in SQLite: what is missing or damaged among the newest, and what they are found by."""

import re
from dataclasses import replace

import pytest

from crdtsync.errors import DamagedStore
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import MadeUpChain, made_up_update

SHOP = b"s" * 16

LOSSES = [
    "DELETE FROM record WHERE pos & 0xffff = 4",
    "UPDATE record SET bytes = x'45' WHERE pos & 0xffff = 4",
]


@pytest.mark.parametrize("loss", LOSSES, ids=["missing", "damaged"])
def test_whoever_opens_a_log_is_told_which_of_the_newest_rows_is_lost(till, loss):
    desk = till(6)
    desk.execute(loss)
    desk.reopen()
    with pytest.raises(DamagedStore) as damage:
        _ = desk.log.end
    assert damage.value.seq == 4


@pytest.mark.parametrize("loss", LOSSES, ids=["missing", "damaged"])
def test_a_row_that_is_lost_among_the_newest_is_set_apart_and_the_others_count(till, loss):
    desk = till(6)
    desk.execute(loss)
    desk.reopen()
    assert desk.mend(4)
    desk.reopen()
    [document] = desk.log.documents()
    assert (document.records, document.last_seq, desk.log.end.seq) == (5, 6, 6)
    assert [(run.lo, run.hi) for run in desk.log.runs()] == [(1, 3), (5, 6)]


def test_what_others_wrote_lately_counts_after_a_till_s_row_was_set_apart(till):
    desk = till(1)
    desk.append(made_up_update("x/a", b"one"))
    desk.append(desk.chain.entry())
    desk.execute("UPDATE record SET bytes = x'45' WHERE pos & 0xffff = 3")
    desk.reopen()
    assert desk.mend(3)
    assert desk.log.document("x/a").records == 1


@pytest.mark.parametrize("column", ["digest", "origin_seq"])
def test_a_value_that_became_one_of_another_type_is_told_as_damage(till, column):
    desk = till(3)
    desk.let_types_rot("record")
    desk.execute(f"UPDATE record SET {column} = 'text' WHERE pos & 0xffff = 2")
    with pytest.raises(DamagedStore) as damage:
        list(desk.log.chain_entries(desk.chain.chain, 1, 3))
    assert damage.value.seq == 2


def test_damage_is_told_with_the_document_where_that_is_known(till):
    desk = till(3)
    desk.execute("UPDATE record SET bytes = x'45' WHERE pos & 0xffff = 2")
    desk.execute("DELETE FROM record WHERE pos & 0xffff = 3")
    document = re.escape(desk.items[0].document)
    with pytest.raises(DamagedStore, match=rf"record 2 \({document}\) of shop {SHOP.hex()} is damaged$"):
        desk.log.entry(desk.chain.chain, 2)
    with pytest.raises(DamagedStore, match=rf"record 3 of shop {SHOP.hex()} is damaged$"):
        list(desk.log.chain_entries(desk.chain.chain, 3, 3))


def test_a_document_whose_name_is_lost_is_told_as_damage(till):
    desk = till(3)
    desk.execute("DELETE FROM document")
    desk.reopen()
    with pytest.raises(DamagedStore, match="document with number"):
        _ = desk.log.end


def test_a_stretch_has_4096_rows_at_most(till):
    desk = till()
    desk.append(*desk.chain.entries(4097))
    assert desk.stretches() == 2


def test_another_chain_begins_a_stretch_though_its_numbers_go_on(till):
    desk = till(1)
    other = MadeUpChain(2)
    other.entry()
    second = replace(other.entry(), document=desk.items[0].document)
    desk.append(second)
    assert desk.stretches() == 2
    assert desk.log.entry(other.chain, 2) == (second.record[1:],)


def test_a_stretch_of_updates_goes_on_after_opening(till):
    desk = till()
    desk.append(made_up_update("x/a", b"one"))
    desk.reopen()
    desk.append(made_up_update("x/a", b"two"))
    assert desk.stretches() == 1


def test_a_stretch_does_not_go_on_over_what_another_process_wrote(till):
    desk = till(1)
    one, two = made_up_update("x/a", b"one"), made_up_update("x/a", b"two")
    desk.append(one)
    other = SqliteStore(desk.path)
    desk.append(made_up_update("x/b", b"three"), store=other)
    other.close()
    desk.append(two)
    assert [record for _, record in desk.log.document_records("x/a")] == [one.record, two.record]


def test_the_rows_of_a_shop_end_before_those_of_the_next_one(till):
    desk = till(3)
    with desk.store.transaction():
        desk.store.create_shop(b"t" * 16, b"m" * 16).append(made_up_update("x/a", b"one"))
    assert [seq for seq, _ in desk.log.chain_entries(desk.chain.chain, 1, 9)] == [1, 2, 3]


def test_a_full_stretch_does_not_go_on_after_opening(till):
    desk = till()
    desk.append(*desk.chain.entries(4096))
    desk.reopen()
    desk.append(desk.chain.entry())
    assert desk.stretches() == 2


def test_a_till_whose_numbers_are_not_those_of_the_rows_goes_on_after_opening(till):
    desk = till()
    desk.append(*[made_up_update("x/a", b"%d" % number) for number in range(2100)])
    desk.append(desk.chain.entry())
    desk.reopen()
    desk.append(desk.chain.entry())
    assert desk.stretches() == 2


def test_a_row_of_another_document_is_not_given_out_as_one_of_it(till):
    desk = till()
    desk.append(made_up_update("x/a", b"one"), made_up_update("x/b", b"two"))
    desk.execute("UPDATE stretch SET document = (SELECT document FROM stretch ORDER BY pos LIMIT 1)")
    with pytest.raises(DamagedStore) as damage:
        list(desk.log.document_records("x/a"))
    assert damage.value.seq == 2


def test_a_row_that_is_missing_among_those_of_its_document_is_told(till):
    desk = till(3)
    desk.execute("DELETE FROM record WHERE pos & 0xffff = 2")
    with pytest.raises(DamagedStore) as damage:
        list(desk.log.document_records(desk.items[0].document))
    assert damage.value.seq == 2


def test_the_rows_of_a_document_are_read_256_at_once(till):
    desk = till()
    desk.append(*[made_up_update("x/a", b"%d" % number) for number in range(600)])
    records = desk.log.document_records("x/a")
    seen = [next(records)[0]]
    desk.execute("UPDATE record SET bytes = x'45' WHERE pos & 0xffff IN (256, 257)")
    with pytest.raises(DamagedStore) as damage:
        seen.extend(seq for seq, _ in records)
    assert (seen[-1], damage.value.seq) == (256, 257)


def test_an_entry_that_is_held_and_is_not_found_any_more_is_not_appended_again(till):
    desk = till(3)
    desk.execute("DELETE FROM stretch")
    with pytest.raises(DamagedStore, match="entry 2 of a chain"):
        desk.append(desk.items[1])
    assert desk.log.end.seq == 3


def test_where_a_branch_was_lost_the_other_entry_of_that_number_is_found(till):
    desk = till(4)
    desk.append(desk.chain.after(desk.items[1].digest, n=3))
    desk.execute("UPDATE record SET bytes = x'45' WHERE pos & 0xffff = 5")
    assert desk.mend(5)
    assert desk.log.links_at(desk.chain.chain, 3) == [desk.items[2].digest]


def test_what_stands_behind_a_branch_is_not_taken_for_its_next_entry(till):
    desk = till(4)
    desk.append(desk.chain.after(desk.items[1].digest, n=3))
    desk.append(made_up_update("x/a", b"one"))
    assert desk.log.links_at(desk.chain.chain, 4) == [desk.items[3].digest]
