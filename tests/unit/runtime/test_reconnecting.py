"""When to try the relay again, and when a person has to act first."""

import asyncio

import pytest

from crdtsync.errors import (
    AccessDenied,
    CrdtsyncError,
    DiskFull,
    InvalidName,
    LinkClosed,
    MalformedMessage,
    MessageTooBig,
    NoRegister,
    RelayUnreachable,
    StoreBusy,
    UnexpectedMessage,
    UnsupportedVersion,
    WrongRelayKey,
)
from crdtsync.protocol.backoff import FIRST_MS, MAX_MS
from crdtsync.runtime.syncing import reconnecting
from crdtsync.runtime.syncing.reconnecting import (
    AT_ONCE,
    HURRY_S,
    STEADY_S,
    Reconnecting,
    meaning,
    needs_person,
)

GONE = RelayUnreachable("nobody answers")


class Wait:
    """A wait on a clock of its own: ``after`` maps seconds to what happens then."""

    def __init__(self, monkeypatch, after, *, has_slept=lambda: False):
        self.now_s = 0.0
        self.after = dict(after)
        self.trying = Reconnecting(lambda: 0.0)
        self.has_slept = has_slept
        monkeypatch.setattr(reconnecting, "_either", self.pass_time)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now_s)

    async def pass_time(self, _stop, _occasion, timeout_s):
        due = sorted(at_s for at_s in self.after if at_s <= self.now_s + timeout_s)
        self.now_s = max(self.now_s, due[0]) if due else self.now_s + timeout_s
        for at_s in due[:1]:
            self.after.pop(at_s)(self)

    async def lasts_s(self, pause_s, stop=None):
        await self.trying.wait(stop or asyncio.Event(), pause_s, self.has_slept)
        return self.now_s


@pytest.mark.parametrize(
    "error",
    [
        GONE,
        LinkClosed("it broke", code=1006),
        LinkClosed("a fault of the relay's", code=4400),
        MalformedMessage("bytes that are no message"),
        UnexpectedMessage("no place for it"),
        MessageTooBig("too big"),
        DiskFull("no room"),
        StoreBusy("busy"),
        CrdtsyncError("an internal error"),
    ],
)
def test_what_may_be_gone_the_next_time_is_tried_again(error):
    assert not needs_person(meaning(error))


@pytest.mark.parametrize(
    "error",
    [
        AccessDenied("not a device of this shop"),
        WrongRelayKey("another relay"),
        UnsupportedVersion("version 9"),
        NoRegister("no relay"),
        InvalidName("no address"),
        LinkClosed("revoked", code=4401),
        LinkClosed("refused", code=4403),
        LinkClosed("another version", code=4426),
    ],
)
def test_what_only_a_person_can_mend_is_left_to_one(error):
    assert needs_person(meaning(error))


def test_each_failure_makes_the_pause_longer_up_to_a_bound():
    trying = Reconnecting(lambda: 0.0)
    pauses = [trying.pause_s(GONE, 0.0) for _ in range(10)]
    assert pauses[:3] == [FIRST_MS / 1000, 2 * FIRST_MS / 1000, 4 * FIRST_MS / 1000]
    assert pauses[-1] == MAX_MS / 1000


def test_after_a_connection_that_lasted_the_pauses_begin_anew():
    trying = Reconnecting(lambda: 0.0)
    for _ in range(10):
        trying.pause_s(GONE, 0.0)
    assert trying.pause_s(GONE, STEADY_S) == FIRST_MS / 1000


def test_after_a_new_log_id_one_connects_again_at_once_but_does_not_spin():
    trying = Reconnecting(lambda: 0.0)
    again = LinkClosed("under a new id", code=AT_ONCE)
    assert [trying.pause_s(again, 0.0) for _ in range(3)] == [0.0, FIRST_MS / 1000, 2 * FIRST_MS / 1000]


async def test_without_an_occasion_one_waits_as_long_as_said(monkeypatch):
    assert await Wait(monkeypatch, {}).lasts_s(10.5) == 10.5


async def test_a_sale_ends_a_long_wait_but_does_not_hammer_the_relay(monkeypatch):
    at_once = Wait(monkeypatch, {0.1: lambda wait: wait.trying.sold()})
    assert await at_once.lasts_s(10.0) == HURRY_S
    later = Wait(monkeypatch, {5.0: lambda wait: wait.trying.sold()})
    assert await later.lasts_s(10.0) == 5.0


async def test_a_sale_during_the_attempt_that_failed_ends_no_wait(monkeypatch):
    wait = Wait(monkeypatch, {})
    wait.trying.sold()
    assert await wait.lasts_s(10.0) == 10.0


@pytest.mark.parametrize("at_s", [0.1, 7.0])
async def test_a_person_or_a_new_network_ends_the_wait_at_once(monkeypatch, at_s):
    assert await Wait(monkeypatch, {at_s: lambda wait: wait.trying.try_now()}).lasts_s(10.0) == at_s


async def test_a_network_that_came_while_an_attempt_failed_ends_the_next_wait_once(monkeypatch):
    wait = Wait(monkeypatch, {})
    wait.trying.try_now()
    assert await wait.lasts_s(10.0) == 0.0
    assert await wait.lasts_s(10.0) == 10.0


async def test_a_machine_that_slept_while_waiting_tries_within_a_second(monkeypatch):
    wait = Wait(monkeypatch, {}, has_slept=iter([False, False, True]).__next__)
    assert await wait.lasts_s(10.0) == 2.0


async def test_going_offline_ends_the_wait(monkeypatch):
    stop = asyncio.Event()
    assert await Wait(monkeypatch, {3.0: lambda _: stop.set()}).lasts_s(10.0, stop) == 3.0


async def test_the_wait_ends_with_the_event_and_leaves_no_task_behind():
    trying = Reconnecting(lambda: 0.0)
    waiting = asyncio.create_task(trying.wait(asyncio.Event(), 600.0, lambda: False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    trying.try_now()
    await asyncio.wait_for(waiting, 5)
    assert asyncio.all_tasks() == {asyncio.current_task()}
