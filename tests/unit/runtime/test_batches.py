"""What the packs of one transaction are unpacked to is bounded, whoever sent them, however small they are."""

import asyncio
from contextlib import closing

import pytest

from crdtsync.errors import MalformedRecord
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.committing.admission import Admission
from crdtsync.runtime.committing.batches import bounded, history_apart, rows_of
from crdtsync.runtime.committing.committer import Committer
from crdtsync.runtime.committing.work import Work
from crdtsync.storage.pack import encode_pack, unpacked_cost
from crdtsync.storage.sqlite import SqliteStore

SHOP = b"s" * 16


def bomb(record_bytes, rows=1):
    return encode_pack([(seq, b"u" + bytes(record_bytes)) for seq in range(1, rows + 1)], level=1)


def work(blob=b"", *, peer=b"p" * 16, fills=None, seq=1):
    at = Position(seq, bytes(32))
    return Work(
        SHOP, peer, "register", lambda outcome: None, [Delivery(1, START, at, blob=blob, fills=fills)]
    )


@pytest.mark.parametrize("peers", [1, 8])
def test_packs_that_wait_are_unpacked_a_bounded_number_at_a_time(peers):
    blob = bomb(6 << 20)
    assert len(blob) < 4096
    batch = [work(blob, peer=bytes([number % peers]) * 16) for number in range(16)]
    parts = bounded(batch)
    assert [one for part in parts for one in part] == batch
    for part in parts:
        unpacked = sum(len(record) for one in part for _, record in rows_of(one.deliveries[0]))
        assert unpacked <= limits.UNPACKED_AT_ONCE_BYTES_MAX


def test_a_pack_of_rows_that_are_next_to_nothing_costs_what_the_rows_cost():
    blob = bomb(0, rows=65_536)
    assert unpacked_cost(blob) > 8 << 20
    assert len(bounded([work(blob)] * 4)) == 4


def test_what_is_no_pack_costs_its_bytes_and_does_not_stop_the_others():
    batch = [work(b"no pack at all"), work(bomb(100)), work()]
    assert bounded(batch) == [batch]


def test_history_is_stored_by_itself():
    past = work(bomb(100), fills=(1, 1))
    sale = work()
    assert bounded([sale, past, sale]) == [[sale], [past], [sale]]
    assert bounded([past]) == [[past]]


def test_what_waits_between_packs_of_the_past_is_stored_together():
    """Today of a shop with four tills came to a new register in five transactions, an fsync each."""
    past, sales = work(bomb(100), fills=(1, 1)), [work(seq=number) for number in range(1, 4)]
    assert bounded([past, *sales, past]) == [[past], sales, [past]]
    assert bounded([*sales, past, past, sales[0]]) == [sales, [past], [past], [sales[0]]]


def test_packs_of_the_past_that_came_in_one_read_are_stored_each_by_itself():
    """Two of them in one piece of work were stored row by row, and never became packs again."""
    sale, past = work().deliveries[0], work(bomb(100), fills=(1, 1)).deliveries[0]
    also, refused = print, [object()]
    one = work()
    one.deliveries, one.also, one.refused = [sale, sale, past, past, sale], also, refused
    parts = history_apart(one)
    assert [part.deliveries for part in parts] == [[sale, sale], [past], [past], [sale]]
    assert [part.also for part in parts] == [None, None, None, also]
    assert [part.refused for part in parts] == [[], [], [], refused]
    for deliveries in ([], [sale, sale], [past]):
        one.deliveries = deliveries
        assert history_apart(one) == [one]


def test_a_pack_that_says_that_it_becomes_too_large_is_refused_before_it_is():
    with pytest.raises(MalformedRecord, match="over the limit of 16777216"):
        rows_of(work(bomb(17 << 20)).deliveries[0])


async def test_packs_that_go_into_several_transactions_are_all_stored_in_their_order(tmp_path):
    path = tmp_path / "store.sqlite"
    with closing(SqliteStore(path)) as store, store.transaction():
        store.create_shop(SHOP, b"l" * 16)
    growths, outcomes = [], []

    class Told:
        def committed(self, grown, seconds, error):
            growths.append(error)

    admission = Admission(SHOP)
    committer = Committer(lambda: SqliteStore(path), lambda _: admission, Told(), lambda: 0, lambda: 0.0)
    for seq in range(1, 4):
        before = START if seq == 1 else Position(seq - 1, bytes(32))
        blob = encode_pack([(seq, bytes([seq]) * (9 << 20))], level=1)
        delivery = Delivery(seq, before, Position(seq, bytes(32)), blob=blob)
        committer.submit(Work(SHOP, b"p" * 16, "register", outcomes.append, [delivery]))
    committer.start()  # All of it waits by now: without a bound it would be one transaction.
    await committer.stop()
    await asyncio.sleep(0)
    assert growths == [None] * 3
    assert [number for outcome in outcomes for number, _ in outcome.stored] == [1, 2, 3]
    with closing(SqliteStore(path)) as store:
        log = store.shop(SHOP)
        assert log.cursor(b"p" * 16).position.seq == 3
        assert [refusal.seq for refusal in log.refusals_given(b"p" * 16)] == [1, 2, 3]
