"""What is sent over a WebSocket goes out at once or waits its turn; what has come is taken, in order."""

import asyncio

import pytest
from websockets.asyncio import messages
from websockets.asyncio.server import ServerConnection, serve

from crdtsync.errors import LinkClosed
from crdtsync.runtime.syncing.link import open_link
from crdtsync.testing.pair import socket_pair

WITHIN_S = 30


async def eventually(is_so):
    ends_s = asyncio.get_running_loop().time() + WITHIN_S
    while not is_so():
        assert asyncio.get_running_loop().time() < ends_s
        await asyncio.sleep(0)


class Ear:
    """Who takes what comes over a link, as a connection does."""

    def __init__(self, link):
        self.heard, self.ended = [], None
        self._link, self._new = link, asyncio.Event()
        self._taking = asyncio.create_task(self._take())

    async def _take(self):
        try:
            while True:
                self.heard.append(await self._link.receive())
                self._new.set()
        except LinkClosed as error:
            self.ended = error
            self._new.set()

    async def until(self, is_so):
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                self._new.clear()
                await self._new.wait()


async def test_who_waits_gets_what_comes_and_what_had_come_before():
    async with socket_pair() as (near, far):
        await far.send(b"before")
        assert await near.receive() == b"before"
        assert far.send_now([b"is taken", b"waits"])
        assert await near.receive() == b"is taken"
        ear = Ear(near)
        await ear.until(lambda: ear.heard)
        await far.send(b"after")
        await ear.until(lambda: len(ear.heard) == 2)
    assert ear.heard == [b"waits", b"after"]


async def test_what_came_before_the_end_is_taken_first_and_then_the_reason_is_told():
    async with socket_pair() as (near, far):
        ear = Ear(near)
        assert far.send_now([b"one", b"two"])
        await far.close(4403, "go away")
        await ear.until(lambda: ear.ended)
        assert near.send_now([b"too late"]) is False
        with pytest.raises(LinkClosed):
            await near.receive()
    assert (ear.heard, ear.ended.code) == ([b"one", b"two"], 4403)


async def test_frames_are_sent_at_once_in_their_order_unless_others_wait_to_be_sent():
    async with socket_pair() as (near, far):
        assert near.send_now([b"1", b"2"])
        assert near.send_now([bytes(1 << 20)] * 16)  # More than the sockets of the system take.
        assert not near.send_now([b"overtakes"])
        sending = asyncio.create_task(near.send(b"waits"))
        got = [await far.receive() for _ in range(19)]
        await sending
        assert near.send_now([b"3"])
        assert await far.receive() == b"3"
    assert [len(frame) for frame in got] == [1, 1, *[1 << 20] * 16, 5]


async def test_who_takes_nothing_is_sent_nothing_more_and_loses_nothing():
    async with socket_pair() as (near, far):
        for number in range(200):
            assert far.send_now([b"%d" % number]) or await far.send(b"%d" % number) is None
        await eventually(lambda: not near._socket.transport.is_reading())
        ear = Ear(near)
        await ear.until(lambda: len(ear.heard) == 200)
        assert near._socket.transport.is_reading()
    assert ear.heard == [b"%d" % number for number in range(200)]


async def served(handler, use):
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        link = await open_link(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        try:
            await use(link)
        finally:
            await link.close(1000, "")


async def test_a_message_in_pieces_is_one_frame():
    async def tell(socket: ServerConnection):
        await socket.send([b"in ", b"", b"pieces"])
        await socket.send(b"whole")
        await socket.wait_closed()

    async def use(link):
        assert [await link.receive(), await link.receive()] == [b"in pieces", b"whole"]

    await served(tell, use)


@pytest.mark.parametrize("text", ["text", ["text", " in pieces"]])
async def test_text_is_refused(text):
    async def tell(socket):
        await socket.send(text)
        await socket.wait_closed()

    async def use(link):
        with pytest.raises(LinkClosed, match="text") as refused:
            await link.receive()
        assert refused.value.code == 4400

    await served(tell, use)


async def test_a_message_of_endless_empty_pieces_ends_the_connection(monkeypatch):
    monkeypatch.setattr(messages, "MAX_FRAGMENTS", 8)

    async def tell(socket):
        await socket.send([b""] * 20)
        await socket.wait_closed()

    async def use(link):
        with pytest.raises(LinkClosed):
            await link.receive()

    await served(tell, use)
