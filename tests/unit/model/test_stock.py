from hypothesis import given
from hypothesis import strategies as st

from crdtsync.model.stock import Count, Movement, level

A, B = b"a" * 32, b"b" * 32


def moved(n, delta, chain=A):
    return Movement("CM-19", chain, n, delta)


def counted(n, quantity, cut, *, chain=A, at_ms=0, name=b"x"):
    return Count("CM-19", chain, n, name * 32, at_ms, quantity, cut)


def quantity(counts, movements):
    return level("CM-19", counts, movements).quantity


def test_without_a_count_stock_is_the_sum_of_movements():
    assert quantity([], [moved(1, 12000), moved(2, -3000), moved(1, -2000, B)]) == 7000


def test_a_count_stands_for_everything_before_it():
    assert quantity([counted(3, 5000, {A: 2})], [moved(1, 12000), moved(2, -1000), moved(4, -1000)]) == 4000


def test_a_sale_that_was_made_before_the_count_and_arrives_later_is_not_subtracted_again():
    assert quantity([counted(3, 5000, {B: 9})], [moved(8, -1000, B), moved(10, -2000, B)]) == 3000


def test_a_sale_of_a_register_that_whoever_counted_never_heard_of_counts():
    assert quantity([counted(3, 5000, {})], [moved(1, -1000, B)]) == 4000


def test_ones_own_earlier_movements_are_known_to_a_count():
    assert quantity([counted(3, 5000, {})], [moved(1, -1000), moved(2, -1000), moved(4, -1000)]) == 4000


def test_a_count_that_knew_of_another_replaces_it_whatever_the_clocks_say():
    early = counted(1, 5000, {}, chain=B, at_ms=9_000_000, name=b"e")
    late = counted(3, 7000, {B: 1}, at_ms=1, name=b"l")
    assert level("CM-19", [early, late], []) == level("CM-19", [late, early], [])
    assert quantity([early, late], []) == 7000
    assert not level("CM-19", [early, late], []).disputed


def test_of_counts_that_did_not_know_each_other_the_later_is_used_and_the_difference_is_shown():
    one = counted(1, 5000, {}, chain=B, at_ms=1, name=b"1")
    two = counted(1, 7000, {}, chain=A, at_ms=2, name=b"2")
    found = level("CM-19", [one, two], [])
    assert (found.quantity, found.disputed, found.counted_at_ms) == (7000, True, 2)


def test_stock_that_nobody_counted_is_not_disputed():
    found = level("CM-19", [], [moved(1, 12000)])
    assert (found.quantity, found.counted_at_ms, found.disputed) == (12000, None, False)


def test_a_count_that_claims_to_know_itself_stands():
    assert quantity([counted(3, 5000, {A: 9})], [moved(8, -1000), moved(10, -2000)]) == 3000


def test_two_counts_of_one_number_from_a_forked_register_are_shown_as_a_difference():
    one, two = counted(3, 5000, {}, name=b"1"), counted(3, 7000, {}, name=b"2", at_ms=1)
    assert level("CM-19", [one, two], []).disputed


def test_counts_that_did_not_know_each_other_and_agree_are_no_dispute():
    one = counted(1, 7000, {}, chain=B, at_ms=1, name=b"1")
    two = counted(1, 7000, {}, chain=A, at_ms=2, name=b"2")
    assert not level("CM-19", [one, two], []).disputed


def test_counts_that_claim_to_have_known_each_other_lose_nothing():
    one = counted(1, 5000, {A: 9}, chain=B, at_ms=1, name=b"1")
    two = counted(1, 7000, {B: 9}, chain=A, at_ms=2, name=b"2")
    assert quantity([one, two], []) == 7000


def test_more_can_be_sold_than_was_there():
    assert quantity([], [moved(1, 1000), moved(2, -3000)]) == -2000


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(-5000, 5000), st.sampled_from([A, B])), max_size=8),
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 5000), st.integers(0, 9)), max_size=3),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(movements, counts, chance):
    rows = [moved(*row) for row in movements]
    counting = [
        counted(n, quantity, {B: known}, at_ms=i, name=bytes([i]))
        for i, (n, quantity, known) in enumerate(counts)
    ]
    expected = level("CM-19", counting, rows)
    chance.shuffle(rows)
    chance.shuffle(counting)
    assert level("CM-19", counting, rows) == expected
