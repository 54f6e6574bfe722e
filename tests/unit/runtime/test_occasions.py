"""The network has changed, the machine has slept: what a till takes for a reason to try its relay."""

import asyncio
import socket
import struct

import pytest

from crdtsync.runtime.syncing import occasions
from crdtsync.runtime.syncing.occasions import SLEPT_S, NetworkWatch, SleepWatch, is_news, sleep_clock_s

NEW_LINK, NEW_ADDRESS, GONE_ADDRESS, NEW_ROUTE = 16, 20, 21, 24


def told(*kinds, body=b"12345678"):
    return b"".join(struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body for kind in kinds)


@pytest.mark.parametrize("kind", [NEW_ADDRESS, NEW_ROUTE])
def test_a_new_address_or_route_is_news(kind):
    assert is_news(told(kind))
    assert is_news(told(GONE_ADDRESS, kind, body=b"odd"[:2] + b"ab"))


@pytest.mark.parametrize("data", [b"", told(NEW_LINK), told(GONE_ADDRESS), b"\0" * 64, b"\xff" * 15])
def test_nothing_else_is(data):
    assert not is_news(data)


@pytest.fixture
async def kernel(monkeypatch):
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    monkeypatch.setattr(occasions, "_open_netlink", lambda: ours)
    yield kernels
    kernels.close()


async def test_the_kernels_word_is_passed_on(kernel):
    changed = asyncio.Event()
    watch = NetworkWatch(changed.set)
    watch.start()
    kernel.send(told(GONE_ADDRESS))
    kernel.send(told(NEW_ROUTE))
    await asyncio.wait_for(changed.wait(), 5)
    watch.stop()
    watch.stop()


async def test_a_system_that_does_not_tell_is_no_fault(monkeypatch):
    monkeypatch.setattr(occasions, "_open_netlink", lambda: None)
    watch = NetworkWatch(lambda: None)
    watch.start()
    watch.stop()


async def test_this_system_lets_itself_be_asked():
    watch = NetworkWatch(lambda: None)
    watch.start()
    watch.stop()


def test_a_machine_that_slept_has_slept_once():
    slept_s = [100.0, 100.001, 100.001 + SLEPT_S, 100.002 + SLEPT_S]
    watch = SleepWatch(iter(slept_s).__next__)
    assert [watch.has_slept() for _ in range(3)] == [False, True, False]


def test_a_clock_that_was_set_back_is_no_sleep():
    watch = SleepWatch(iter([100.0, 100.0 - 3600]).__next__)
    assert not watch.has_slept()


def test_the_clock_of_sleep_stands_still_while_one_is_awake():
    before_s = sleep_clock_s()
    assert sleep_clock_s() - before_s < 0.5
