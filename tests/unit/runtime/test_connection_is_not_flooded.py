"""A device that sends without waiting for acknowledgements is not read faster than the disk takes it."""

import asyncio
from types import SimpleNamespace

import pytest

from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.codec import encode
from crdtsync.protocol.messages import Records
from crdtsync.protocol.session import Session, State
from crdtsync.runtime.committing.work import Outcome
from crdtsync.runtime.syncing.connection import Connection

RECORD = b"E" + bytes(999)


class EndlessSocket:
    """A peer that always has one more frame."""

    def __init__(self):
        self.taken = 0

    async def receive(self):
        start = START if self.taken == 0 else Position(self.taken, bytes([1] * 32))
        self.taken += 1
        to = Position(self.taken, bytes([1] * 32))
        await asyncio.sleep(0)
        return encode(Records(start, to, (self.taken,), (RECORD,)))


@pytest.fixture
def connection(monkeypatch):
    counted = len(RECORD) + limits.UNSTORED_RECORD_BYTES
    monkeypatch.setattr(limits, "UNSTORED_BYTES_MAX", 10 * counted)
    work = []
    home = SimpleNamespace(now_ms=lambda: 0, committer=SimpleNamespace(submit=work.append))
    session = Session(connecting=False, nonce=bytes(16), sign=lambda *_: bytes(64), now_ms=0)
    session.state, session.peer = (
        State.LIVE,
        SimpleNamespace(shop=bytes(16), log_id=bytes(16), device=bytes(16)),
    )
    made = Connection(home, EndlessSocket(), session)
    made.certificate = SimpleNamespace(role="register", public=b"")
    made.work = work
    return made


async def let_it_run():
    for _ in range(300):
        await asyncio.sleep(0)


async def test_reading_stops_while_nothing_is_stored_and_goes_on_after(connection):
    reading = asyncio.create_task(connection._receive())
    await let_it_run()
    assert connection._socket.taken == 10
    first = connection.work[0]
    first.done(Outcome(stored=[(delivery.number, ()) for delivery in first.deliveries]))
    await let_it_run()
    assert connection._socket.taken == 11
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


class Listened(EndlessSocket):
    """The same peer, on a socket that tells when something has come."""

    def listen(self, came):
        self.came = came
        return True

    def receive_now(self):
        start = START if self.taken == 0 else Position(self.taken, bytes([1] * 32))
        self.taken += 1
        to = Position(self.taken, bytes([1] * 32))
        return encode(Records(start, to, (self.taken,), (RECORD,)))

    async def send(self, frame):
        """Its challenge is all that it says."""

    async def close(self, code, reason):
        self.closed = code


async def test_what_has_come_already_is_one_piece_of_work_and_reading_goes_on_when_it_is_stored(connection):
    socket = Listened()
    heard = Connection(connection.home, socket, connection.session)
    heard.certificate = connection.certificate
    running = asyncio.create_task(heard.run())
    await let_it_run()
    socket.came()
    [first] = connection.work
    assert (len(first.deliveries), socket.taken) == (10, 10)
    first.done(Outcome(stored=[(delivery.number, ()) for delivery in first.deliveries]))
    await let_it_run()
    assert [len(work.deliveries) for work in connection.work] == [10, 10]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert socket.closed == 1000
