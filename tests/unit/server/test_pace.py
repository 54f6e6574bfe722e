"""A device that floods its relay is read more slowly, and nobody else waits for it."""

from types import SimpleNamespace

import pytest

from crdtsync.ids import START, Position
from crdtsync.protocol.work import Delivery
from crdtsync.storage.pack import encode_pack
from crdtsync_server.serving import pace as pacing
from crdtsync_server.serving.pace import SLOWED_FOR_MS, Pace, device_of

FLOODER, NEIGHBOUR = (b"s" * 16, b"f" * 16), (b"s" * 16, b"n" * 16)


class Stopwatch:
    def __init__(self):
        self.ms = 5_000

    def __call__(self):
        return self.ms


@pytest.fixture
def now():
    return Stopwatch()


@pytest.fixture
def pace(now, monkeypatch):
    monkeypatch.setattr(pacing, "BURST_RECORDS", 1000)
    monkeypatch.setattr(pacing, "BURST_BYTES", 1 << 20)
    return Pace(now, records_per_s=100, bytes_per_s=100 << 10)


def frame(records, record_bytes=10):
    numbered = tuple((seq, bytes(record_bytes)) for seq in range(1, records + 1))
    return [Delivery(1, START, Position(records, bytes(32)), numbered, size=records * record_bytes)]


def pack(records, record_bytes):
    blob = encode_pack([(seq, b"u" * record_bytes) for seq in range(1, records + 1)], level=1)
    return [Delivery(1, START, Position(records, bytes(32)), blob=blob, size=len(blob))]


def test_what_a_till_brings_after_days_without_a_line_is_taken_at_once(pace):
    pace.came(FLOODER, frame(1000))
    assert pace.pause_s(FLOODER) == 0
    assert not pace.is_slowed(FLOODER)


@pytest.mark.parametrize(
    ("sent", "pause_s"),
    [
        (frame(1050), 0.5),
        (frame(12, 100 << 10), (1200 - 1024) / 100),
        (pack(1050, 10), 0.5),
        (pack(12, 100 << 10), (1200 - 1024) / 100),
    ],
    ids=["records", "bytes", "records in a pack", "bytes in a pack"],
)
def test_what_exceeds_it_makes_the_device_wait_for_just_so_long(pace, now, sent, pause_s):
    pace.came(FLOODER, sent)
    assert pace.pause_s(FLOODER) == pytest.approx(pause_s, rel=0.01)
    now.ms += round(pause_s * 1000) + 20
    assert pace.pause_s(FLOODER) == 0


def test_a_flood_is_read_at_the_rate_that_was_set_however_often_it_connects(pace, now):
    began_ms, records = now.ms, 0
    while now.ms - began_ms < 60_000:
        pace.came(FLOODER, frame(130))
        records += 130
        now.ms += round(pace.pause_s(FLOODER) * 1000) + 1
    assert records == pytest.approx(1000 + 60 * 100, rel=0.03)


def test_nobody_else_waits(pace):
    pace.came(FLOODER, frame(8000))
    pace.came(NEIGHBOUR, frame(10))
    assert pace.pause_s(FLOODER) > 60
    assert pace.pause_s(NEIGHBOUR) == 0


def test_frames_without_records_cost_nothing(pace):
    for _ in range(100_000):
        pace.came(FLOODER, [])
    assert pace.pause_s(FLOODER) == 0


def test_that_a_device_was_slowed_is_told_for_a_while_and_then_forgotten(pace, now):
    pace.came(FLOODER, frame(1100))
    now.ms += round(pace.pause_s(FLOODER) * 1000)
    assert pace.is_slowed(FLOODER)
    now.ms += SLOWED_FOR_MS
    pace.forget_idle()
    assert not pace.is_slowed(FLOODER)
    pace.came(FLOODER, frame(10))
    assert pace.pause_s(FLOODER) == 0


def test_who_is_forgotten_has_no_more_than_who_is_remembered(pace, now):
    pace.came(FLOODER, frame(1500))
    pace.forget_idle()
    assert pace.pause_s(FLOODER) > 0
    now.ms += 100_000
    pace.forget_idle()
    pace.came(FLOODER, frame(1050))
    assert pace.pause_s(FLOODER) == pytest.approx(0.5, rel=0.01)


def test_before_its_hello_a_connection_is_nobodys():
    assert device_of(SimpleNamespace(session=SimpleNamespace(peer=None))) == (b"", b"")
