"""The faulty line between two ends of a plain TCP connection. Nothing here waits for a time to pass."""

import asyncio
import contextlib
import threading

import pytest

from crdtsync.errors import UsageError
from crdtsync.testing.line import FaultyLine


@pytest.fixture
async def relay():
    """A server that sends back what it reads, and tells what it heard, read by read."""
    heard = asyncio.Queue()

    async def echo(reader, writer):
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(1000):
                heard.put_nowait(chunk)
                writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    server.heard = heard
    yield server
    server.close()


@pytest.fixture
async def line(relay):
    async with FaultyLine(relay.sockets[0].getsockname()[1]) as line:
        yield line


@pytest.fixture
async def connect(line):
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", int(line.url.rsplit(":", 1)[1]))
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()


async def test_a_line_that_was_told_nothing_passes_everything_on(line, connect):
    reader, writer = await connect()
    writer.write(b"x" * 5000)
    assert await reader.readexactly(5000) == b"x" * 5000
    assert (line.bytes_up, line.bytes_down, line.cuts) == (5000, 5000, 0)


async def test_a_cut_ends_the_connection_after_so_many_bytes(line, connect, relay):
    reader, writer = await connect()
    line.cut(bytes_left=3)
    writer.write(b"abcdef")
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    assert (await relay.heard.get(), line.cuts) == (b"abc", 1)


async def test_a_cut_ends_a_connection_on_which_nothing_passes(line, connect):
    reader, _ = await connect()
    line.cut(bytes_left=100)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_nobody_is_let_in_until_the_line_heals(line, connect):
    line.cut()
    reader, _ = await connect()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    line.heal()
    reader, writer = await connect()
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"


async def test_what_a_stall_held_back_comes_when_it_ends(line, connect, relay):
    reader, writer = await connect()
    line.stall("down")
    writer.write(b"one")
    assert (await relay.heard.get(), line.bytes_down) == (b"one", 0)
    line.heal()
    assert await reader.readexactly(3) == b"one"


async def test_what_falls_into_a_black_hole_never_comes(line, connect, relay):
    reader, writer = await connect()
    line.black_hole("down")
    writer.write(b"lost")
    assert await relay.heard.get() == b"lost"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), timeout=0.05)
    line.heal()
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_a_black_hole_of_one_direction_lets_the_other_through(line, connect, relay):
    _, writer = await connect()
    line.black_hole("down")
    writer.write(b"heard")
    assert await relay.heard.get() == b"heard"


async def test_a_delay_passes_everything_on_later(line, connect):
    loop = asyncio.get_running_loop()
    reader, writer = await connect()
    line.delay(0.02, "up")
    began_s = loop.time()
    writer.write(b"late")
    assert await reader.readexactly(4) == b"late"
    assert loop.time() - began_s >= 0.02


async def test_split_bytes_come_in_pieces_and_none_is_lost(line, connect, relay):
    reader, writer = await connect()
    line.split(1)
    writer.write(bytes(range(200)))
    assert await reader.readexactly(200) == bytes(range(200))
    assert relay.heard.qsize() > 1


async def test_a_relay_that_does_not_run_is_refused_to_whoever_connects():
    async with FaultyLine("ws://127.0.0.1:1/") as line:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(line.url.split(":")[2][:-1]))
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.transport.abort()


def test_on_a_thread_of_its_own_it_can_be_told_from_any_other():
    before = threading.active_count()
    with FaultyLine("ws://127.0.0.1:1") as line:
        line.stall()
        line.heal()
        assert line.url.startswith("ws://127.0.0.1:")
    assert threading.active_count() == before


def test_a_line_that_is_not_up_has_no_address_and_takes_no_faults():
    line = FaultyLine(1)
    for ask in (lambda: line.url, line.cut):
        with pytest.raises(UsageError):
            ask()


async def test_a_line_that_breaks_carries_so_much_of_each_connection_and_no_more(line, connect):
    line.break_after(3000)
    for number in (1, 2):
        reader, writer = await connect()
        writer.write(b"x" * 5000)
        with pytest.raises(asyncio.IncompleteReadError) as broken:
            try:
                await reader.readexactly(5000)
            except ConnectionResetError as error:
                raise asyncio.IncompleteReadError(b"", 5000) from error
        assert len(broken.value.partial) <= 3000
        assert (line.cuts, line.bytes_down) == (number, 3000 * number)
    line.heal()
    reader, writer = await connect()
    writer.write(b"x" * 5000)
    assert await reader.readexactly(5000) == b"x" * 5000


async def test_a_slow_line_takes_its_time_and_brings_everything(line, connect, monkeypatch):
    waited, sleep = [], asyncio.sleep

    async def no_time(delay_s):
        waited.append(delay_s)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", no_time)
    line.throttle(1000, "up")
    reader, writer = await connect()
    writer.write(b"x" * 5000)
    assert await reader.readexactly(5000) == b"x" * 5000
    assert sum(waited) == pytest.approx(5)
    assert max(waited) == pytest.approx(0.05)
