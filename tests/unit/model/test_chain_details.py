"""Details of a chain that nobody would miss until a register counts wrongly for it."""

from dataclasses import replace

from crdtsync.model.chain import ChainHead, clock_step, next_body
from crdtsync.model.jet import build_jet
from crdtsync.testing.till import MemoryTill


def test_an_entry_is_dated_by_the_clock_that_goes_on():
    till = MemoryTill()
    later = replace(till.moment, ts_ms=till.end.ts_ms + 5000)
    assert next_body(till.end, "jet", build_jet(80), later)["ts"] == till.end.ts_ms + 5000


def test_only_tickets_and_what_is_done_for_training_have_a_number_to_print():
    till = MemoryTill()
    assert "num" not in next_body(till.end, "jet", build_jet(80), till.moment)


def test_code_1001_says_that_the_clock_went_back():
    till = MemoryTill()
    step = clock_step(till.end, replace(till.moment, ts_ms=till.end.ts_ms - 5000))
    assert step is not None
    assert step["code"] == 1001


def test_only_a_closing_closes():
    till = MemoryTill()
    till.sell()
    till.append("tasting", {"level": "month"})
    assert (till.end.closings, till.end.day.ttc) == ({}, 1850)


def test_a_head_has_one_spelling_however_its_counts_came_about():
    till = MemoryTill()
    till.sell()
    till.close()
    backwards = dict(reversed(list(till.end.counts.items())))
    assert replace(till.end, counts=backwards).to_bytes() == till.end.to_bytes()


def test_a_head_of_which_no_series_is_said_has_none():
    assert ChainHead(b"c" * 32, b"d" * 16, b"l" * 32, 1, 0, "2026-11-24").series == ""
