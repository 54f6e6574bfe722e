from crdtsync.protocol.intervals import common, count, difference, joined, overlaps, subtract


def test_what_is_taken_out_of_the_middle_leaves_both_ends():
    assert subtract([(1, 10)], (4, 6)) == [(1, 3), (7, 10)]


def test_what_is_taken_at_the_edges_leaves_the_rest():
    assert subtract([(1, 3), (5, 8)], (3, 5)) == [(1, 2), (6, 8)]


def test_the_order_of_work_is_kept():
    assert subtract([(90, 99), (1, 50)], (10, 10)) == [(90, 99), (1, 9), (11, 50)]


def test_only_the_common_numbers_are_common():
    assert common([(1, 50), (60, 70), (90, 99)], [(40, 91)]) == [(40, 50), (60, 70), (90, 91)]


def test_what_is_not_common_is_left():
    assert difference([(1, 50), (60, 70)], [(1, 3), (40, 65)]) == [(4, 39), (66, 70)]


def test_neighbours_do_not_overlap():
    assert not overlaps([(1, 3), (7, 9)], (4, 6))


def test_one_common_number_is_an_overlap():
    assert overlaps([(1, 3), (7, 9)], (9, 12))


def test_every_number_is_counted():
    assert count([(1, 1), (5, 9)]) == 6


def test_neighbours_become_one_interval():
    assert joined([(5, 6), (1, 2), (3, 4), (9, 9)], 10) == [(1, 6), (9, 9)]


def test_too_many_intervals_are_joined_over_the_smallest_gaps():
    assert joined([(1, 1), (10, 10), (12, 12), (30, 30)], 3) == [(1, 1), (10, 12), (30, 30)]


def test_one_interval_holds_everything_if_it_must():
    assert joined([(1, 1), (10, 10), (30, 30)], 1) == [(1, 30)]


def test_nothing_joins_to_nothing():
    assert joined([], 5) == []
