"""Somebody between a register and its relay tells it that its sale is stored, and throws it away."""

import asyncio
import os
import threading
import urllib.request
from contextlib import closing, suppress

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from crdtsync import Register
from crdtsync.errors import CrdtsyncError
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.limits import TAG_BYTES
from crdtsync.protocol.messages import Ack, Records
from crdtsync.runtime.belonging.moving import move_register
from crdtsync.runtime.syncing import syncer
from crdtsync.storage.sqlite import SqliteStore
from crdtsync_server.local import LocalRelay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Between:
    """A program that sits on the line: it swallows sales, and acknowledges them in the relay's name."""

    def __init__(self, url):
        self._relay, self.forged = url, 0
        self._is_up, self._loop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._is_up.wait(60)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _run(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._serve, "127.0.0.1", 0, max_size=None, process_request=self._answer_other
        ) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._is_up.set()
            await self._end.wait()

    async def _answer_other(self, connection, request):
        """What is asked without a WebSocket he asks the relay, and passes the answer on."""
        if "Upgrade" in request.headers:
            return None
        url = self._relay.replace("ws:", "http:") + request.path
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=60).read())
        return Response(200, "OK", Headers({"content-length": str(len(answer))}), answer)

    async def _serve(self, till):
        try:
            async with connect(self._relay + till.request.path, max_size=None, proxy=None) as relay:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._up(till, relay))
                    group.create_task(self._down(relay, till))
        except* websockets.ConnectionClosed:
            pass

    async def _up(self, till, relay):
        async for frame in till:
            message = decode(frame) if not self._is_bound(frame) else decode(frame[:-TAG_BYTES])
            if isinstance(message, Records) and any(b'"kind":"sale"' in one for one in message.records):
                self.forged += 1
                forged = encode(Ack(message.to))
                await till.send(forged + bytes(TAG_BYTES) if self._is_bound(frame) else forged)
            else:
                await relay.send(frame)
        await relay.close()

    async def _down(self, relay, till):
        async for frame in relay:
            await till.send(frame)
        await till.close(relay.close_code or 1000)

    @staticmethod
    def _is_bound(frame):
        try:
            decode(frame)
        except Exception:
            return True
        return False


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        yield relay


def a_sale_over(relay, folder):
    """What the register shows as pending of it, whether the relay has it, and how often it was lied to."""
    with Between(relay.url) as between:
        with Register.join(folder, between.url, relay.pairing_code(), name="Caisse 1") as till:
            till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
            till.sync(60)
            ticket = till.sell(["CM-19"], ["card"])
            with suppress(CrdtsyncError):
                till.sync(60)
            pending, shop = till.status().pending.sales, till.identity.shop
    with closing(SqliteStore(folder.parent / "relay" / "relay.sqlite", read_only=True)) as store:
        is_there = any(run.hi_link == ticket.link for run in store.shop(shop).runs())
    return pending, is_there, between.forged


def test_what_the_relay_does_not_have_stays_pending_whatever_somebody_in_between_says(
    relay, tmp_path, monkeypatch
):
    monkeypatch.setattr(syncer, "leaves_this_machine", lambda url: True)
    pending, is_there, forged = a_sale_over(relay, tmp_path / "till")
    assert forged > 0
    assert (pending, is_there) == (1, False)


def test_a_register_moved_to_who_passes_all_on_to_its_relay_believes_him_nothing(
    relay, tmp_path, monkeypatch
):
    """The relay proves its key through him, and cannot know by which address it is reached. So the register
    goes there; that is what such an address costs: he reads, and can cut the line. He forges nothing.
    """
    monkeypatch.setattr(syncer, "leaves_this_machine", lambda url: True)
    folder = tmp_path / "till"
    with Register.join(folder, relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sync(60)
    with Between(relay.url) as between:
        move_register(folder, between.url, None, random_bytes=os.urandom)
        with Register.open(folder) as till:
            till.sell(["CM-19"], ["card"])
            with pytest.raises(CrdtsyncError):
                till.sync(60)
            assert till.status().pending.sales == 1
    assert between.forged > 0
    move_register(folder, relay.url, None, random_bytes=os.urandom)
    with Register.open(folder) as till:
        till.sync(60)
        assert till.status().pending.sales == 0


def test_on_this_machine_alone_frames_are_not_bound_and_he_would_be_believed(relay, tmp_path):
    """The same program where nobody can be in between: what the test above would see without the binding."""
    pending, is_there, forged = a_sale_over(relay, tmp_path / "till")
    assert forged > 0
    assert (pending, is_there) == (0, False)
