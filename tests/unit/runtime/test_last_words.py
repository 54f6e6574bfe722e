"""What a device said just before its connection ended is heard; what it brought then is not taken."""

import asyncio
import gc
import weakref
from types import SimpleNamespace

import pytest

from crdtsync.errors import LinkClosed
from crdtsync.ids import START, Position
from crdtsync.protocol.codec import encode
from crdtsync.protocol.messages import Presence, Records
from crdtsync.protocol.session import Session, State
from crdtsync.runtime.syncing.connection import Connection

ONE = Position(1, bytes([1] * 32))
BROUGHT = encode(Records(START, ONE, (1,), (b"E" + bytes(99),)))
NOTHING_PENDING = {"pending_sales": 0}


class LeavingSocket:
    """A peer whose last frames have come together with the end."""

    def __init__(self, *frames):
        self.frames = list(frames)

    def receive_now(self):
        if not self.frames:
            raise LinkClosed("the device is gone", code=1000)
        return self.frames.pop(0)

    async def receive(self):
        return self.receive_now()

    def listen(self, came):
        self.came = came
        return True

    async def send(self, frame):
        """Nobody is there."""

    async def close(self, code, reason):
        self.closed = code


def connected(socket):
    told, work = [], []
    home = SimpleNamespace(
        now_ms=lambda: 0,
        committer=SimpleNamespace(submit=work.append),
        presence=lambda _connection, facts: told.append(facts),
    )
    session = Session(connecting=False, nonce=bytes(16), sign=lambda *_: bytes(64), now_ms=0)
    session.state = State.LIVE
    session.peer = SimpleNamespace(shop=bytes(16), log_id=bytes(16), device=bytes(16))
    made = Connection(home, socket, session)
    made.certificate = SimpleNamespace(role="register")
    return made, told, work


@pytest.mark.parametrize("is_told", [True, False], ids=["a socket that tells", "a socket that is read"])
async def test_a_register_that_says_at_its_end_that_nothing_is_pending_is_heard(is_told):
    socket = LeavingSocket(encode(Presence(NOTHING_PENDING)), BROUGHT)
    if not is_told:
        socket.listen = lambda came: False
    connection, told, work = connected(socket)
    running = asyncio.create_task(connection.run())
    await asyncio.sleep(0)
    if is_told:
        socket.came()
    await asyncio.wait_for(running, 30)
    assert (connection.presence, told) == (NOTHING_PENDING, [NOTHING_PENDING])
    assert [delivery for one in work for delivery in one.deliveries] == []
    assert str(connection.error) == "the device is gone"


class BrokenForWriting(LeavingSocket):
    """A peer that takes nothing more, while what it said before is still to be read."""

    def __init__(self, *frames):
        super().__init__(*frames)
        self.is_broken = asyncio.Event()
        self.listen = lambda came: False

    async def receive(self):
        await self.is_broken.wait()
        return self.receive_now()

    async def send(self, frame):
        self.is_broken.set()
        raise LinkClosed("the connection broke", code=1006)


async def test_what_was_said_before_a_write_failed_is_read():
    socket = BrokenForWriting(encode(Presence(NOTHING_PENDING)))
    connection, told, _ = connected(socket)
    connection.session.send_presence({})
    await asyncio.wait_for(connection.run(), 30)
    assert told == [NOTHING_PENDING]
    assert str(connection.error) == "the device is gone"


async def test_a_connection_that_takes_nothing_and_says_nothing_ends(monkeypatch):
    monkeypatch.setattr("crdtsync.runtime.syncing.connection.LAST_WRITES_S", 0.01)
    socket = BrokenForWriting()
    socket.receive = asyncio.Event().wait
    connection, _, _ = connected(socket)
    connection.session.send_presence({})
    await asyncio.wait_for(connection.run(), 30)
    assert str(connection.error) == "the connection broke"


async def test_a_connection_that_has_ended_is_not_kept_for_a_write_that_failed():
    socket = BrokenForWriting(encode(Presence(NOTHING_PENDING)))
    connection, _, _ = connected(socket)
    connection.session.send_presence({})
    await asyncio.wait_for(connection.run(), 30)
    kept = weakref.ref(connection)
    del connection
    gc.collect()
    assert kept() is None
