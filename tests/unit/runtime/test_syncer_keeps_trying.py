"""A till goes on trying whatever its relay does, but where a person must act, and says which it is."""

import asyncio
import itertools

import pytest

from crdtsync.errors import AccessDenied, LinkClosed, RelayUnreachable, RoleTaken, WrongRelayKey
from crdtsync.protocol import backoff
from crdtsync.protocol.codec import encode
from crdtsync.protocol.messages import Challenge, HeadsWanted
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.runtime.folder.role import sync_role
from crdtsync.runtime.syncing import background
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.storage.sqlite import SqliteStore

RELAY = Relay("ws://relay", b"\x02" * 33, b"relay-log-id-001")


class Answer:
    """A relay that says these frames, and then closes or is silent."""

    def __init__(self, *frames, code=None):
        self.frames = list(frames)
        self.code = code
        self.closed = asyncio.Event()
        self.close_code = None
        self.is_there = True

    async def send(self, frame):
        return None

    async def receive(self):
        if self.frames:
            return self.frames.pop(0)
        if self.code is None:
            await self.closed.wait()
            raise LinkClosed("gone", code=1006)
        raise LinkClosed("the relay closed", code=self.code)

    async def close(self, code, reason):
        self.close_code = code
        self.closed.set()

    async def answers(self, timeout_s):
        return self.is_there

    def abandon(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(backoff, "FIRST_MS", 1)
    monkeypatch.setattr(backoff, "MAX_MS", 1)


@pytest.fixture
def enrolled(till):
    with till.replica.store.transaction():
        save_relay(till.replica.log, RELAY)
    return till


@pytest.fixture
def make_syncer(enrolled, folder, clock):
    made = []

    def make(connect):
        file = folder / "register.sqlite"
        syncer = Syncer(
            open_store=lambda: SqliteStore(file),
            identity=enrolled.identity,
            key=enrolled.replica.key,
            clock=clock,
            random=enrolled.replica.random_bytes,
            connect=connect,
            store_file=file,
        )
        made.append(syncer)
        return syncer

    yield make
    for syncer in made:
        syncer.close()


def answering(*answers):
    """What each attempt meets, the last one for ever; and how many there were."""
    attempts = []
    forever = itertools.chain(answers, itertools.repeat(answers[-1]))

    async def connect(url):
        answer = next(forever)
        attempts.append(answer)
        if isinstance(answer, Exception):
            raise answer
        made = answer()
        attempts[-1] = made
        return made

    return connect, attempts


GARBAGE = [
    lambda: Answer(b"\xc1\xc1"),
    lambda: Answer(encode(HeadsWanted())),
    lambda: Answer(encode(Challenge(1, bytes(16))), code=4400),
    lambda: Answer(code=4401),
    lambda: Answer(code=4402),
    lambda: Answer(code=4403),
    lambda: Answer(code=1000),
    lambda: Answer(code=1002),
    RelayUnreachable("nobody answers"),
    ValueError("a fault of ours"),
]


@pytest.mark.parametrize("answer", GARBAGE)
async def test_no_nonsense_of_a_relay_stops_a_till_for_ever(make_syncer, answer):
    stop = asyncio.Event()
    silent = lambda: stop.set() or Answer()  # noqa: E731
    connect, attempts = answering(answer, answer, answer, silent)
    await asyncio.wait_for(make_syncer(connect).run(stop), 20)
    assert len(attempts) == 4


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (AccessDenied("the relay refuses it"), AccessDenied),
        (WrongRelayKey("another relay"), WrongRelayKey),
    ],
)
async def test_what_a_person_must_mend_ends_it_and_is_told_by_status(make_syncer, enrolled, answer, kind):
    connect, attempts = answering(answer)
    with pytest.raises(kind):
        await asyncio.wait_for(make_syncer(connect).run(asyncio.Event()), 20)
    status = enrolled.status()
    assert len(attempts) == 1
    assert (status.state, status.link_trouble.is_over) == ("attention", True)
    assert status.link_trouble.message in status.concerns[-1]


async def test_a_relay_that_is_not_reached_is_told_with_since_when(make_syncer, enrolled, clock):
    since_ms = clock.now_ms()
    stop = asyncio.Event()
    connect, _ = answering(RelayUnreachable("no route"), lambda: stop.set() or Answer())
    await asyncio.wait_for(make_syncer(connect).run(stop), 20)
    trouble = enrolled.status().link_trouble
    assert (trouble.message, trouble.since_ms, trouble.is_over) == ("no route", since_ms, False)
    assert enrolled.status().state == "offline"


async def test_trouble_with_another_relay_is_forgotten(make_syncer, enrolled):
    connect, _ = answering(AccessDenied("the relay refuses it"))
    with pytest.raises(AccessDenied):
        await asyncio.wait_for(make_syncer(connect).run(asyncio.Event()), 20)
    with enrolled.replica.store.transaction():
        save_relay(enrolled.replica.log, Relay("ws://other", b"\x03" * 33, None))
    assert enrolled.status().link_trouble is None


async def test_trying_once_ends_with_the_first_failure(make_syncer):
    connect, attempts = answering(lambda: Answer(b"\xc1"))
    with pytest.raises(Exception, match="no message"):
        await asyncio.wait_for(make_syncer(connect).sync_once(10), 20)
    assert len(attempts) == 1


async def wait_until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("occasion", ["sync", "network", "person", "sale"])
async def test_a_waiting_till_tries_again_when_something_happens(
    make_syncer, enrolled, folder, monkeypatch, occasion
):
    monkeypatch.setattr(backoff, "FIRST_MS", 3_600_000)
    monkeypatch.setattr(backoff, "MAX_MS", 3_600_000)
    monkeypatch.setattr("crdtsync.runtime.syncing.reconnecting.HURRY_S", 0.01)
    stop = asyncio.Event()
    connect, attempts = answering(RelayUnreachable("nobody answers"))
    syncer = make_syncer(connect)
    running = asyncio.create_task(syncer.run(stop))
    await wait_until(lambda: syncer.error is not None)
    if occasion == "sync":
        with sync_role(folder), pytest.raises(RoleTaken):
            background.sync_once(folder, lambda: make_syncer(connect), timeout_s=1)
    elif occasion == "network":
        syncer._network._changed()
    elif occasion == "person":
        syncer.try_now()
    else:
        enrolled.sell(["CM-19"], ["card"])
    await wait_until(lambda: len(attempts) >= 2)
    stop.set()
    await asyncio.wait_for(running, 20)


async def test_a_machine_that_slept_gives_its_connection_up_at_once(make_syncer):
    stop = asyncio.Event()
    connect, attempts = answering(lambda: Answer(encode(Challenge(1, bytes(16)))))
    syncer = make_syncer(connect)
    running = asyncio.create_task(syncer.run(stop))
    await wait_until(lambda: attempts and syncer.connection is not None)
    slept = iter([True])
    syncer._sleep.has_slept = lambda: next(slept, False)
    syncer._wake.set()
    await wait_until(lambda: len(attempts) >= 2)
    stop.set()
    await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_connection_that_leads_nowhere_after_a_change_of_network_is_given_up(make_syncer, is_there):
    stop = asyncio.Event()
    connect, attempts = answering(lambda: Answer(encode(Challenge(1, bytes(16)))))
    syncer = make_syncer(connect)
    running = asyncio.create_task(syncer.run(stop))
    await wait_until(lambda: attempts and syncer.connection is not None)
    attempts[0].is_there = is_there
    syncer._network_changed()
    await syncer._probe
    assert attempts[0].closed.is_set() == (not is_there)
    stop.set()
    await asyncio.wait_for(running, 20)
