"""A lost register is restored over a line that is cut on the way: what a cut costs is less than one frame.

The figures are scaled down: a frame has 16 KB here, and a pack on the relay's disk several of them, as a pack
of pictures has with the real ones. Bytes are counted where they go over the line, and a cut comes after so
many of them, so that neither depends on how fast the machine is.
"""

from contextlib import suppress

import pytest

from crdtsync import Register
from crdtsync.errors import LinkError
from crdtsync.protocol import limits
from crdtsync.protocol.session import Session
from crdtsync.runtime.committing import batches, upkeep
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.runtime.syncing import answer
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.line import FaultyLine
from crdtsync_server.local import LocalRelay, opened
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SALES, PACK_ROWS = 2400, 1100
FRAME, BATCH = 16 << 10, 2 << 10
OPENING = 2_000
"""What opens a connection, and the heads of the frames."""

ATTEMPTS_MAX = 100


@pytest.fixture
def small_frames(monkeypatch):
    for module, values in {
        limits: {
            "FRAME_BYTES_MAX": FRAME,
            "PART_BYTES": FRAME // 2,
            "BATCH_BYTES": BATCH,
            "CUT_ROWS_MIN": 100,
        },
        answer: {"PACK_BLOB_MAX": FRAME - 256, "PACKED_BYTES_MIN": 256, "PACKED_BYTES_MAX": FRAME // 2},
        batches: {"KEPT_ROWS_MIN": PACK_ROWS // 2},
    }.items():
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)
    small = UpkeepLimits(pack_rows=PACK_ROWS, loose_rows=40)
    monkeypatch.setattr(upkeep, "UpkeepLimits", lambda: small)


@pytest.fixture
def lost(tmp_path, small_frames):
    """A relay that has all of a register that is at the bottom of the canal; most of it in large packs."""
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        with Register.join(tmp_path / "old", relay.url, relay.pairing_code(), name="Caisse 1") as old:
            old.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            for _ in range(SALES):
                old.sell(["CM-19"], ["card"])
            old.sync(60)
            identity = old.identity
            numbers = {row.number for row in old.sales(rows_max=SALES)}
        store = SqliteStore(tmp_path / "relay" / "relay.sqlite")
        wait_until(lambda: store.shop(identity.shop).pack_at(2 * PACK_ROWS), "the relay packs nothing")
        pack_bytes = len(store.shop(identity.shop).pack_at(PACK_ROWS).blob)
        store.close()
        assert pack_bytes > 4 * FRAME
        yield Lost(relay, tmp_path, identity, numbers)


class Lost:
    """A lost register, and how it is restored."""

    def __init__(self, relay, folder, identity, numbers):
        self.relay, self.folder, self.identity, self.numbers = relay, folder, identity, numbers
        self._restored = 0

    def restored(self, received, *, every_bytes=0, cuts=0):
        """Restore it until everything is there: bytes that went over the line, how many of them in vain."""
        self._restored += 1
        received.clear()
        with opened(self.folder / "relay") as (access, _):
            shop = self.identity.shop
            code = access.issue_code(shop, "register", replaces=self.identity.device).code.format()
        folder = self.folder / f"new-{self._restored}"
        with FaultyLine(self.relay.url) as line:
            with Register.join(folder, line.url, code, name="") as new:
                before = line.bytes_down
                line.break_after(every_bytes, times=cuts)
                for _ in range(ATTEMPTS_MAX):
                    with suppress(LinkError):
                        new.sync(60)
                        if new.status().history_left is None:
                            break
                assert {row.number for row in new.sales(rows_max=SALES)} == self.numbers
                assert new.verify().findings == ()
                self.identity = new.identity
            carried = line.bytes_down - before
            assert line.cuts == cuts
            return carried, carried - received.frames_bytes + received.again_bytes


class Received:
    """What the connecting end was sent: the bytes of whole frames, and of those that brought a record that
    one before them had brought already.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        self.frames_bytes = self.again_bytes = 0
        self._seqs = set()

    def take(self, delivery):
        seqs = {seq for seq, _ in batches.rows_of(delivery)}
        if seqs & self._seqs:
            self.again_bytes += delivery.size
        self._seqs |= seqs


@pytest.fixture
def received(monkeypatch):
    received, receive, deliver = Received(), Session.receive, Session._deliver

    def count_frame(session, frame, now_ms):
        received.frames_bytes += len(frame) if session.connecting else 0
        receive(session, frame, now_ms)

    def count_records(session, delivery):
        if session.connecting:
            received.take(delivery)
        deliver(session, delivery)

    monkeypatch.setattr(Session, "receive", count_frame)
    monkeypatch.setattr(Session, "_deliver", count_records)
    return received


def test_without_a_cut_nothing_is_sent_twice(lost, received):
    carried, again = lost.restored(received)
    assert carried > 10 * FRAME
    assert again < OPENING


def test_one_cut_wherever_it_comes_costs_less_than_a_frame(lost, received):
    whole, _ = lost.restored(received)
    for part in (0.2, 0.4, 0.6, 0.8):
        _, again = lost.restored(received, every_bytes=int(whole * part), cuts=1)
        assert again < FRAME + OPENING, part


def test_twenty_cuts_on_the_way_cost_less_than_a_frame_each(lost, received):
    whole, _ = lost.restored(received)
    _, again = lost.restored(received, every_bytes=whole // 21, cuts=20)
    assert again < 20 * (FRAME + OPENING)
