"""A line of 1 KB/s that breaks again and again, and a shop with 20 MB of history, in virtual time.

It takes six hours of theirs. With real time and real sockets, at a smaller size, it is in
``tests/integration/test_slow_line.py``.
"""

from random import Random

import pytest
from pycrdt import Map

from crdtsync.model.ticket import Line
from crdtsync.protocol import limits
from crdtsync.runtime.committing.upkeep import UpkeepLimits
from crdtsync.testing.signatures import fast_signatures
from crdtsync.testing.simulation.shop import Shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

BYTES_PER_S = 1000
PHOTOS, PHOTO_BYTES = 340, 60_000
SALES, SALES_TODAY = 2200, 20
PING_S = 20
DAY_S = 24 * 3600
FRAME_BYTES = limits.BATCH_BYTES + limits.RECORD_BYTES_MAX
"""A frame is closed once it has reached its size, so that one more record may be in it."""

HELLO_BYTES = 4_000
"""What a connection says before the first record, and about the state of things."""

WINE = Line("cm-2019", "Crozes-Hermitage", 1850, 2000, "N")


@pytest.fixture(scope="module")
def shop():
    """A relay with 20 MB of history that nothing compresses, most of it in packs of 4 MB."""
    with (
        fast_signatures(),
        Shop(registers=1, seed=3, upkeep_limits=UpkeepLimits(pack_rows=600, loose_rows=300)) as shop,
    ):
        till, chance = shop.registers[0], Random(5)
        shop.run(30)
        for number in range(PHOTOS):
            with till.register.document(f"x/photo-{number}").transaction() as doc:
                doc.get("photo", type=Map)["jpeg"] = chance.randbytes(PHOTO_BYTES)
            for _ in range((SALES - SALES_TODAY) // PHOTOS):
                till.register.sell([WINE], ["card"])
        shop.settle(600)
        shop.run(60)
        shop.run(DAY_S)
        for _ in range(SALES_TODAY):
            till.register.sell([WINE], ["card"])
        shop.settle(600)
        yield shop


def records_bytes(log):
    return sum(row.records_bytes for row in log.documents())


class Join:
    """A new register that fetches everything, over a line that is cut after lives of so many seconds."""

    def __init__(self, shop, lives_s):
        self.shop, self.cuts, self.held = shop, 0, []
        self.register = shop.enrol()
        self.received, self._connection, self.today_at_s = 0, None, None
        self.began_us = shop.timeline.now_us
        relay_log = shop.relay.home.store.shop(shop.shop_id)
        self.records = relay_log.end.seq
        newest = max(row.name for row in relay_log.documents() if row.name.startswith("ledger/"))
        self.today = {record for _, record in relay_log.document_records(newest)}
        for life_s in lives_s:
            if self.live(life_s):
                return
            self.cut()
        raise AssertionError(f"not over after {self.cuts} cuts: {self.held[-5:]} of {self.records} records")

    @property
    def errors(self):
        """Why connections ended by themselves."""
        return [error for _, error in self.shop.errors if "silent" in str(error) or "answer" in str(error)]

    @property
    def took_s(self):
        return (self.shop.timeline.now_us - self.began_us) / 1_000_000

    def live(self, seconds):
        """One life of the line; whether everything is there."""
        until_us = self.shop.timeline.now_us + int(seconds * 1_000_000)
        while self.shop.timeline.now_us < until_us:
            self.shop.run(min(PING_S, (until_us - self.shop.timeline.now_us) / 1_000_000))
            self.ping()
            log = self.register.register.replica.log
            if self.today_at_s is None and self.today <= self.register.record_set():
                self.today_at_s = self.took_s
            connection = self.register.syncer.connection
            if (
                connection is not None
                and connection.session.is_in_step
                and not log.cursor(connection.session.peer.log_id).wanted
            ):
                self.count(connection)
                return True
        return False

    def ping(self):
        """WebSocket pings, which come through between the parts of a frame, are signs of life."""
        for wire in self.shop.network.wires_of(self.register):
            for end in wire.ends:
                end.connection.session.silence.sign_of_life(self.shop.timeline.now_ms)

    def cut(self):
        connection = self.register.syncer.connection
        for wire in self.shop.network.wires_of(self.register):
            self.shop.network.cut(wire)
        self.cuts += 1
        self.held.append(len(self.register.records()))
        if connection is not None:
            self.count(connection)

    def count(self, connection):
        """What came over that connection, each connection once."""
        if connection is not self._connection:
            self._connection = connection
            self.received += connection.bytes_received


@pytest.fixture(scope="module")
def whole(shop):
    """The bytes of it all over a line that never breaks."""
    shop.network.conditions.bytes_per_s = BYTES_PER_S
    join = Join(shop, [10 * 3600])
    assert join.received > 20_000_000
    assert join.errors == []
    # Not one byte that was not needed, and nothing is waited for.
    assert join.received < records_bytes(join.register.register.replica.log) * 1.02
    assert join.took_s < join.received / BYTES_PER_S * 1.05
    shop.lose(join.register)
    return join.received


def test_today_is_there_long_before_the_rest(shop, whole):
    shop.network.conditions.bytes_per_s = BYTES_PER_S
    join = Join(shop, [10 * 3600])
    assert join.today_at_s < 300 < join.took_s / 50
    shop.lose(join.register)


@pytest.mark.parametrize(("shortest_s", "longest_s"), [(300, 1500), (220, 400)])
def test_a_line_that_breaks_again_and_again_never_starts_over(shop, whole, shortest_s, longest_s):
    chance = Random(shortest_s)
    shop.network.conditions.bytes_per_s = BYTES_PER_S
    join = Join(shop, (chance.uniform(shortest_s, longest_s) for _ in range(400)))
    print(f"{join.cuts} cuts, {join.took_s / 3600:.1f} h, {join.received} bytes, {whole} without a cut")
    assert join.cuts > 15
    # A cut costs what it cut short, one message at most, and the beginning of the next connection. The first
    # one comes in the midst of a larger message; from then on history comes in small pieces.
    first_bytes = min(longest_s * BYTES_PER_S, limits.FRAME_BYTES_MAX)
    assert join.received < whole + first_bytes + join.cuts * (FRAME_BYTES + HELLO_BYTES)
    cuts_bytes = join.cuts * 2 * (FRAME_BYTES + HELLO_BYTES)
    assert join.took_s < (whole + first_bytes + cuts_bytes) / BYTES_PER_S * 1.1
    assert join.held == sorted(join.held)
    assert join.register.record_set() >= shop.registers[0].record_set()
    assert join.register.register.verify().findings == ()
    assert join.today_at_s < 900
    shop.lose(join.register)
