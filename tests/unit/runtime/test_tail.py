"""The newest rows in memory give what the log would give."""

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.ids import Origin, Position
from crdtsync.runtime.syncing import tail as tails
from crdtsync.runtime.syncing.tail import PASSED_MAX, PASSED_ROWS_MIN, Row, Tail

PEER, OTHER = b"p" * 16, b"o" * 16
rows_of_a_commit = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([None, PEER, OTHER]), st.integers(1, 9)),
    min_size=1,
    max_size=5,
)


def made(commits):
    """Rows with numbers, by commit, and the places between them."""
    seq, made = 0, []
    for commit in commits:
        rows = []
        for size, log, number in commit:
            seq += 1
            rows.append(Row(seq, bytes([seq % 256]) * 32, b"r" * size, Origin(log, number) if log else None))
        made.append(rows)
    return made


def before(row):
    return Position(row.seq - 1, bytes([(row.seq - 1) % 256]) * 32 if row.seq > 1 else bytes(32))


@given(st.lists(rows_of_a_commit, min_size=1, max_size=12), st.integers(20, 400), st.integers(1, 100))
def test_reading_to_the_end_gives_every_row_but_those_of_the_peer_itself(commits, kept_bytes, bytes_max):
    tail, all_rows = Tail(Position(0, bytes(32)), kept_bytes), []
    for rows in made(commits):
        tail.extend(before(rows[0]), rows)
        all_rows += rows
    after = next(
        seq
        for seq in range(len(all_rows) + 1)
        if seq == len(all_rows) or tail.read(seq, bytes_max=1, skip_origin=None)
    )
    skip, read, expected = Origin(PEER, 5), [], []
    for row in all_rows[after:]:
        if row.origin is None or row.origin.log_id != PEER or row.origin.seq > 5:
            expected.append((row.seq, row.record))
    while after < tail.end.seq:
        batch = tail.read(after, bytes_max=bytes_max, skip_origin=skip)
        assert batch.start.seq == after < batch.to.seq
        assert batch.records_bytes == sum(len(record) for _, record in batch.records)
        assert len(batch.records) <= 1 or batch.records_bytes <= bytes_max
        read += batch.records
        after = batch.to.seq
    assert read == expected
    assert tail.end.seq == len(all_rows)


@given(st.lists(rows_of_a_commit, min_size=1, max_size=12), st.integers(20, 400))
def test_what_is_kept_is_bounded_and_ends_with_the_newest_row(commits, kept_bytes):
    tail = Tail(Position(0, bytes(32)), kept_bytes)
    for rows in made(commits):
        tail.extend(before(rows[0]), rows)
        kept = sum(len(row.record) for row in tail._rows)
        assert kept <= 2 * kept_bytes
        assert tail.read(rows[0].seq - 1, bytes_max=1, skip_origin=None) or kept_bytes < 200


def test_what_another_process_wrote_is_not_in_memory():
    tail = Tail(Position(0, bytes(32)), 1000)
    first, _, third = made([[(1, None, 1)], [(1, None, 1)], [(1, None, 1)]])
    tail.extend(Position(0, bytes(32)), first)
    tail.extend(before(third[0]), third)
    assert tail.read(0, bytes_max=100, skip_origin=None) is None
    assert tail.read(1, bytes_max=100, skip_origin=None) is None
    assert [seq for seq, _ in tail.read(2, bytes_max=100, skip_origin=None).records] == [3]


def test_a_log_under_another_id_is_read_from_disk_again():
    """A row may have been damaged there meanwhile: what the disk lost must not be sent from memory."""
    tail = Tail(Position(0, bytes(32)), 400)
    tail.belong_to(PEER)
    [rows] = made([[(5, None, 1), (6, None, 2)]])
    tail.extend(before(rows[0]), rows)
    tail.belong_to(PEER)
    assert tail.read(0, bytes_max=99, skip_origin=None) is not None
    tail.belong_to(OTHER)
    assert (tail.read(0, bytes_max=99, skip_origin=None), tail.end.seq) == (None, 2)


def much(log, first, count=PASSED_ROWS_MIN):
    """One commit of so many rows that came from a log, as the numbers from ``first`` on in it."""
    return [(1000, log, first + place) for place in range(count)]


def filled(*commits, kept_bytes=1000):
    """A tail that has forgotten the bytes of nearly all of these commits."""
    tail = Tail(Position(0, bytes(32)), kept_bytes)
    rows_of = made(commits)
    for rows in rows_of:
        tail.extend(before(rows[0]), rows)
    return tail, rows_of


def test_what_a_peer_brought_is_known_to_be_no_news_to_it_when_its_bytes_are_forgotten():
    tail, (first, second) = filled(much(PEER, 1), much(PEER, 65))
    read = tail.read(0, bytes_max=100, skip_origin=Origin(PEER, 128))
    assert read is not None
    assert (read.start, read.records, read.records_bytes) == (before(first[0]), (), 0)
    assert read.to == Position(second[-1].seq, second[-1].h)


def test_it_is_asked_of_the_disk_where_not_all_of_it_is_known_to_have_come_from_that_peer():
    """The place of the peer's log up to which this connection stored it, another log, one row of our own."""
    own_among_it = [*much(PEER, 1), (1000, None, 1)]
    for commit, skip in (
        (much(PEER, 1), Origin(PEER, 63)),
        (much(PEER, 1), Origin(OTHER, 64)),
        (much(PEER, 1), None),
        (own_among_it, Origin(PEER, 99)),
        (much(None, 1), Origin(PEER, 99)),
        (much(PEER, 1, count=2), Origin(PEER, 99)),
    ):
        tail, _ = filled(commit, much(OTHER, 1))
        assert tail.read(0, bytes_max=100, skip_origin=skip) is None
        assert tail.passed(0, skip) is None


def test_rows_are_passed_over_as_far_as_they_came_from_that_peer_and_no_further():
    tail, (first, second, _) = filled(much(PEER, 1), much(PEER, 65), much(OTHER, 1))
    assert tail.passed(0, Origin(PEER, 128)) == Position(second[-1].seq, second[-1].h)
    assert tail.passed(0, Origin(PEER, 127)) == Position(first[-1].seq, first[-1].h)
    assert tail.passed(64, Origin(PEER, 128)) == Position(second[-1].seq, second[-1].h)
    assert tail.passed(128, Origin(PEER, 128)) is None
    assert tail.passed(1, Origin(PEER, 128)) is None


def test_what_is_remembered_of_commits_is_bounded_and_gone_with_the_id_of_the_log():
    commits = [much(PEER, 1 + PASSED_ROWS_MIN * place) for place in range(PASSED_MAX + 2)]
    tail, _ = filled(*commits)
    skip = Origin(PEER, 1 << 40)
    assert tail.passed(0, skip) is tail.passed(PASSED_ROWS_MIN, skip) is None
    assert tail.passed(2 * PASSED_ROWS_MIN, skip) == tail.end
    tail.belong_to(b"another log")
    assert tail.passed(2 * PASSED_ROWS_MIN, skip) is None


@given(st.lists(rows_of_a_commit, min_size=1, max_size=12), st.integers(1, 9))
def test_nothing_is_passed_over_that_is_news_to_the_peer(commits, number):
    tail, skip, all_rows = Tail(Position(0, bytes(32)), 20), Origin(PEER, number), []
    rows_min, tails.PASSED_ROWS_MIN = tails.PASSED_ROWS_MIN, 1
    try:
        for rows in made(commits):
            tail.extend(before(rows[0]), rows)
            all_rows += rows
    finally:
        tails.PASSED_ROWS_MIN = rows_min
    for after in range(len(all_rows)):
        passed = tail.passed(after, skip)
        if passed is not None:
            assert passed == Position(all_rows[passed.seq - 1].seq, all_rows[passed.seq - 1].h)
            for row in all_rows[after : passed.seq]:
                assert row.origin is not None
                assert row.origin.log_id == PEER
                assert row.origin.seq <= number


def test_a_quiet_shop_takes_no_memory_and_goes_on_where_it_was():
    tail = Tail(Position(0, bytes(32)), 1000)
    first, second = made([[(5, PEER, 1), (6, None, 2)], [(7, None, 3)]])
    assert not tail.let_go()
    tail.extend(before(first[0]), first)
    assert not tail.let_go()
    assert tail.read(0, bytes_max=99, skip_origin=None) is not None
    assert tail.let_go()
    assert (tail.read(0, bytes_max=99, skip_origin=None), tail.end.seq) == (None, 2)
    assert not tail.let_go()
    tail.extend(before(second[0]), second)
    assert [seq for seq, _ in tail.read(2, bytes_max=99, skip_origin=None).records] == [3]
    assert not tail.let_go()
    assert tail.let_go()
