"""Records, acknowledgements and packs."""

import pytest

from crdtsync.errors import (
    UnexpectedMessage,
)
from crdtsync.ids import START
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode
from crdtsync.protocol.messages import (
    Ack,
    Cut,
    Records,
    Want,
)
from crdtsync.protocol.work import Delivery, ReadRequest
from crdtsync.testing.talk import at


def test_a_sale_goes_out_as_soon_as_the_log_grows(register):
    talk = register()
    talk.session.log_grew(at(1))
    assert talk.ready().to_read == ReadRequest(0, limits.BATCH_BYTES, packs=True)
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    assert talk.said() == [Records(START, at(1), (1,), (b"Esale",))]


def test_a_log_does_not_shrink(register):
    talk = register(end=at(9), peer_cursor=at(9))
    talk.session.log_grew(at(4))
    assert talk.session.outbound.end == at(9)


def test_an_acknowledgement_is_to_be_written_down(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.hear(Ack(at(1)))
    assert talk.ready().acknowledged == at(1)


def test_an_acknowledgement_that_is_no_news_is_not(register):
    talk = register(end=at(1))
    talk.session.supply(at(1), [(1, b"Esale")], 5)
    talk.hear(Ack(at(1)))
    talk.ready()
    talk.hear(Ack(at(1)))
    assert talk.ready().acknowledged is None


def test_a_relay_acknowledges_what_it_has_stored_and_not_before(relay):
    talk = relay(peer_end=at(1))
    talk.hear(Records(START, at(1), (1,), (b"Esale",)))
    ready = talk.ready()
    assert ready.to_send == []
    talk.store_all(ready)
    assert talk.said() == [Ack(at(1))]


def test_a_register_acknowledges_at_the_next_tick(register):
    talk = register(peer_end=at(1))
    talk.hear(Records(START, at(1), (1,), (b"Esale",)))
    talk.store_all(talk.ready())
    assert talk.said() == []
    talk.pass_time(1)
    assert talk.said() == [Ack(at(1))]


def test_a_cut_is_taken_by_a_register_that_starts(register):
    talk = register(peer_end=at(100))
    talk.hear(Cut(at(100), ((90, 100),)))
    ready = talk.ready()
    assert ready.to_persist[0].cut == ((90, 100), (1, 89))
    assert [decode(frame) for frame in ready.to_send] == [Want(90, 100)]


def test_a_relay_refuses_a_cut(relay):
    with pytest.raises(UnexpectedMessage):
        relay().hear(Cut(at(100), ()))


def test_a_pack_is_sent_for_the_rows_that_it_holds(register, relay):
    talk = relay(end=at(9))
    talk.session.supply_pack(at(9), b"packed")
    [pack] = talk.said()
    assert (pack.start, pack.to, pack.blob) == (START, at(9), b"packed")
    other = register(peer_end=at(9))
    other.hear(pack)
    assert other.ready().to_persist == [Delivery(1, START, at(9), blob=b"packed", size=6)]


def test_skipped_rows_are_told_of_after_a_while(register):
    talk = register()
    talk.session.log_grew(at(3))
    talk.ready()
    talk.session.supply(at(3), [], 0)
    talk.pass_time(limits.ADVANCE_AFTER_MS - 1)
    assert talk.said() == []
    talk.pass_time(1)
    assert talk.said() == [Records(START, at(3), (), ())]
