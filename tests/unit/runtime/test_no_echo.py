"""What came from the relay is not sent back to it, whoever notices first that it is on the disk."""

import asyncio

import pytest

from crdtsync.ids import START
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Delivery
from crdtsync.runtime.clock import system_random
from crdtsync.runtime.syncing.connection import Connection
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.storage.sqlite import SqliteStore


class Line:
    """A line on which nothing comes."""

    async def send(self, frame):
        return None

    async def receive(self):
        await asyncio.Event().wait()

    async def close(self, code, reason):
        return None


@pytest.fixture
def syncer(till, folder, clock):
    made = Syncer(
        open_store=lambda: SqliteStore(folder / "register.sqlite"),
        identity=till.identity,
        key=till.replica.key,
        clock=clock,
        random=system_random,
    )
    yield made
    made.close()


def test_while_what_a_relay_brought_is_being_stored_it_is_not_told_of_growth(syncer, till):
    session = Session(connecting=True, nonce=bytes(16), sign=lambda purpose, data: bytes(64), now_ms=0)
    connection = Connection(syncer, Line(), session)
    till.sell(["CM-19"], ["card"])
    before = session.outbound.end
    session.inbound.under_way.append(Delivery(1, START, START))
    syncer._tell_growth(connection)
    assert session.outbound.end == before
    session.inbound.under_way.clear()
    syncer._tell_growth(connection)
    assert session.outbound.end == till.end
    assert till.end.seq > before.seq


def test_what_another_process_sold_meanwhile_is_told_with_the_next_commit(syncer, till):
    session = Session(connecting=True, nonce=bytes(16), sign=lambda purpose, data: bytes(64), now_ms=0)
    session.state = session.state.LIVE
    syncer.connection = Connection(syncer, Line(), session)
    session.inbound.under_way.append(Delivery(1, START, START))
    till.sell(["CM-19"], ["card"])
    syncer._look()
    assert session.outbound.end.seq == 0
    session.inbound.under_way.clear()
    syncer.committed([], 0.0, None)
    assert session.outbound.end == till.end
    syncer.connection = None


def test_a_closing_that_is_made_while_a_relay_brings_much_is_seen_when_that_is_stored(syncer, till):
    session = Session(connecting=True, nonce=bytes(16), sign=lambda purpose, data: bytes(64), now_ms=0)
    syncer.connection = Connection(syncer, Line(), session)
    session.inbound.under_way.append(Delivery(1, START, START))
    till.sell(["CM-19"], ["card"])
    till.close_day()
    assert not syncer.has_new_closing()
    session.inbound.under_way.clear()
    assert syncer.has_new_closing()
    assert not syncer.has_new_closing(), "once"
    session.inbound.under_way.append(Delivery(1, START, START))
    till.sell(["CM-19"], ["card"])
    till.close_day()
    syncer.connection = None
    assert syncer.has_new_closing(), "the line broke meanwhile"
