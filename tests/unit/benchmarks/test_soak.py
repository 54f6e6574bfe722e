"""What a soak complains of: seen in courses that are made up."""

import pytest

from benchmarks.soak import Course, Look


def course(*, rss=lambda part: 60.0, fds=lambda part: 20, wal=4.0, store=1.0):
    looks = [Look(float(n), rss(n / 30), fds(n / 30), wal, store) for n in range(30)]
    return Course("relay", tuple(looks))


def test_what_stays_as_it_is_is_no_complaint():
    assert course().complaints(rows=100) == []


def test_caches_that_fill_at_the_beginning_are_no_complaint():
    assert course(rss=lambda part: 30.0 + 60.0 * min(part, 0.3)).complaints(rows=100) == []


@pytest.mark.parametrize(
    ("grown", "said"),
    [
        (course(rss=lambda part: 60.0 + 90.0 * part), "memory grew by 30.0 MiB"),
        (course(fds=lambda part: 20 + int(30 * part)), "10 more file descriptors"),
        (course(wal=90.0), "a WAL of 90 MiB"),
    ],
)
def test_what_grows_is_named(grown, said):
    [complaint] = grown.complaints(rows=100)
    assert complaint.startswith("relay: ")
    assert said in complaint


def test_a_store_that_takes_too_much_for_each_record_is_named():
    assert course(store=100.0).complaints(rows=100) == []
    [complaint] = course(store=100.0).complaints(rows=20_000)
    assert "5243 bytes of store for each record" in complaint


def test_the_thirds_are_all_looks_once():
    found = course()
    parts = [found.third(number) for number in range(3)]
    assert sum(parts, ()) == found.looks
    assert [len(part) for part in parts] == [10, 10, 10]
