"""The head of a log in SQLite: what is known of it in memory while others write, and when it is written."""

import pytest

from crdtsync.errors import DamagedStore
from crdtsync.ids import Position
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.records import made_up_update

SHOP = b"s" * 16


@pytest.fixture
def neighbour(till):
    """Another process at the same file: give it the till first."""
    opened = []

    def open_beside(desk):
        opened.append(SqliteStore(desk.path))
        return opened[0]

    yield open_beside
    opened[0].close()


def asked_for_anew(statements):
    """Whether the runs of chains or the totals of documents were read."""
    # Names are: a row has only their numbers.
    return [sql for sql in statements if "runs, crc FROM chain" in sql or "records, " in sql]


def written_heads(statements):
    return [sql for sql in statements if sql.startswith("UPDATE shop")]


def look(desk):
    return desk.log.end, desk.log.runs(desk.chain.chain), desk.log.document(desk.items[0].document)


# -- following what others appended ------------------------------------------------------------------------


@pytest.mark.parametrize("sales", [1, 2, 13, 17, 20, 29])
def test_what_others_append_is_counted_and_the_rest_is_not_read_again(till, neighbour, sales):
    desk = till(sales)
    look(desk)
    other = neighbour(desk)
    for _ in range(3):
        desk.append(desk.chain.entry(), store=other)
        with desk.statements() as statements:
            seen = look(desk)
        assert not asked_for_anew(statements)
        assert seen[0] == other.shop(SHOP).end
        sales += 1
        assert (seen[1][0].hi, seen[2].records, seen[2].last_seq) == (sales, sales, sales)


def test_where_others_appended_nothing_nothing_is_read_again(till, neighbour):
    desk = till(20)
    look(desk)
    other = neighbour(desk)
    with other.transaction():
        other.shop(SHOP).set_state("head", b"value")
    with desk.statements() as statements:
        look(desk)
    assert not asked_for_anew(statements)


def test_what_others_appended_is_looked_for_once(till, neighbour):
    desk = till(20)
    desk.append(desk.chain.entry(), store=neighbour(desk))
    look(desk)
    with desk.statements() as statements:
        look(desk)
    assert {sql.split()[0] for sql in statements} == {"BEGIN", "PRAGMA", "COMMIT"}


def test_after_an_undone_transaction_what_others_append_is_counted_again(till, neighbour):
    desk = till(20)
    desk.append(made_up_update("x/a", b"one"))
    with pytest.raises(ZeroDivisionError), desk.store.transaction():
        desk.log.append(desk.chain.entry())
        _ = 1 / 0
    look(desk)
    desk.append(made_up_update("x/a", b"two"), store=neighbour(desk))
    with desk.statements() as statements:
        assert look(desk)[0].seq == 22
    assert not asked_for_anew(statements)


def test_a_log_that_others_packed_to_its_end_is_read_anew(till, neighbour):
    desk = till(16)
    end = desk.log.end
    with desk.store.transaction():
        desk.log.rotate_log_id(b"m" * 16)
    other = neighbour(desk)
    with other.transaction():
        assert other.shop(SHOP).pack(16, 99)
    assert desk.log.end == end
    desk.append(desk.chain.entry())
    assert [(run.lo, run.hi) for run in desk.log.runs()] == [(1, 17)]


def test_where_the_newest_row_is_not_what_it_was_all_is_read_anew(till, neighbour):
    desk = till(5)
    desk.rot("DELETE FROM record WHERE pos & 0xffff = 5")
    other = neighbour(desk)
    desk.append(made_up_update("x/a", b"one"), store=other)
    assert desk.log.end == other.shop(SHOP).end
    assert desk.log.runs()[0].hi == 4


@pytest.mark.parametrize("seq", [2, 4, 5])
def test_a_row_of_ours_that_rots_is_noticed_while_the_log_is_open(till, seq):
    desk = till(5)
    desk.rot("UPDATE record SET bytes = x'45' WHERE pos & 0xffff = ?", seq)
    with pytest.raises(DamagedStore) as damage:
        _ = desk.log.end
    assert damage.value.seq == seq


# -- a head that is damaged --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", ["DELETE FROM shop", "UPDATE shop SET log_id = zeroblob(16)", "UPDATE shop SET seq = seq + 1"]
)
def test_a_head_that_is_lost_or_changed_is_told_as_damage(till, loss):
    desk = till(3)
    desk.rot(loss)
    with pytest.raises(DamagedStore, match="the head of the log is damaged") as damage:
        _ = desk.log.end
    assert damage.value.shop == SHOP


@pytest.mark.parametrize("column", ["records", "records_bytes", "last_seq"])
def test_totals_that_were_changed_are_told_as_damage(till, column):
    desk = till(1)
    desk.rot(f"UPDATE document SET {column} = {column} + 1")
    desk.reopen()
    with pytest.raises(DamagedStore, match="the totals of ledger"):
        desk.log.document(desk.items[0].document)


@pytest.mark.parametrize("loss", ["crc = crc + 1", "runs = zeroblob(length(runs))", "link = zeroblob(32)"])
def test_runs_that_were_changed_are_told_as_damage(till, loss):
    desk = till(1)
    desk.rot(f"UPDATE chain SET {loss}")
    desk.reopen()
    with pytest.raises(DamagedStore, match="what is held of chain"):
        desk.log.runs()


def test_where_it_is_lost_whose_rows_are_our_own_none_is_appended(till):
    desk = till(2)
    desk.rot("DELETE FROM origin")
    desk.reopen()
    with pytest.raises(DamagedStore):
        desk.append(desk.chain.entry())


def test_a_log_whose_head_was_found_damaged_within_a_transaction_gives_no_other_end(till):
    desk = till(3)
    desk.execute("UPDATE shop SET crc = crc + 1")
    with desk.store.transaction(), pytest.raises(DamagedStore):
        desk.log.set_damaged_apart(2, at_ms=1)
    with pytest.raises(DamagedStore):
        _ = desk.log.end


def test_who_passes_over_a_head_that_is_damaged_commits_nothing(till):
    desk = till(3)
    with pytest.raises(DamagedStore, match="the head of the log"), desk.store.transaction():
        desk.log.append(desk.chain.entry())
        desk.execute("UPDATE shop SET crc = crc + 1")
        with pytest.raises(DamagedStore):
            desk.log.set_damaged_apart(2, at_ms=1)
    assert desk.log.end.seq == 3


# -- writing it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sales", [1, 16, 17, 30, 33])
def test_who_opens_a_log_and_sells_writes_no_head_before_sixteen_rows(till, sales):
    desk = till(sales)
    on_disk = desk.store.connection.execute("SELECT seq FROM shop").fetchone()[0]
    desk.reopen()
    with desk.statements() as statements:
        for _ in range(on_disk + 15 - sales):
            desk.append(desk.chain.entry())
        assert not written_heads(statements)
        desk.append(desk.chain.entry())
        assert len(written_heads(statements)) == 1
    assert desk.log.end == Position(on_disk + 16, desk.log.hash_at(on_disk + 16))


def test_with_the_head_are_written_the_runs_and_totals_that_changed_since(till):
    desk = till(17)
    with desk.statements() as statements:
        for number in range(16):
            desk.append(made_up_update("x/a", b"%d" % number))
    assert len(written_heads(statements)) == 1
    assert [sql.split()[1] for sql in statements if sql.startswith("UPDATE")] == ["shop", "document"]


def test_what_tells_others_of_smaller_totals_has_the_same_name_in_every_version(till):
    desk = till(1)
    desk.append(made_up_update("x/a", b"one"))
    state = made_up_update("x/a", b"state", state=True)
    for _ in range(2):
        with desk.store.transaction():
            desk.log.compact(state, [2])
    assert desk.store.connection.execute("SELECT key FROM state").fetchall() == [("recounted",)]
