"""A wish that a device synchronises is kept until the device says that it is done, or until it is too old."""

from types import SimpleNamespace

import pytest

from crdtsync.protocol.messages import SyncTold
from crdtsync.testing.clock import ManualClock
from crdtsync_server.shops.wishes import LASTS_MS, Wish, Wishes, read_wish, write_wish
from tests.unit.server.test_contacts import States

SHOP, DEVICE = b"s" * 16, b"d" * 16


class Device:
    """A connection of the device, and what it was asked."""

    def __init__(self, *, can_ask=True, takes_only=False, room=8):
        self.asked, self.said, self.room, self.pumped = [], [], room, 0
        self.takes_only = takes_only
        asking = SimpleNamespace(can_ask=can_ask, ask=self.ask, take_answers=self.take_answers)
        peer = SimpleNamespace(shop=SHOP, device=DEVICE)
        self.session = SimpleNamespace(peer=peer, asking=asking)

    def ask(self, wish):
        if wish in self.asked or len(self.asked) >= self.room:
            return False
        self.asked.append(wish)
        return True

    def take_answers(self):
        said, self.said = self.said, []
        return said

    def pump(self):
        self.pumped += 1


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def log():
    return States()


@pytest.fixture
def wishes(clock, log):
    return Wishes(clock.now_ms, lambda shop: log)


def wish(log, clock, number=1):
    made = Wish(bytes([number]) * 16, "Marie", clock.now_ms())
    write_wish(log, DEVICE, made)
    return made


def saved(wishes, log):
    for write in wishes.due().values():
        write(log)
    return read_wish(log, DEVICE)


def test_where_nothing_was_asked_nothing_is_said(wishes, log):
    device = Device()
    wishes.met(device)
    wishes.look([device])
    assert (device.asked, read_wish(log, DEVICE), wishes.due()) == ([], None, {})


def test_a_device_that_comes_is_asked_and_what_it_says_is_kept(wishes, log, clock):
    made, device = wish(log, clock), Device()
    assert made.state(clock.now_ms()) == "waits"
    wishes.met(device)
    assert device.asked == [made.id]
    clock.at_ms += 1000
    device.said = [SyncTold(made.id, is_done=False)]
    wishes.look([device])
    heard = saved(wishes, log)
    assert (heard.state(clock.now_ms()), heard.heard_ms) == ("heard", made.at_ms + 1000)
    clock.at_ms += 1000
    device.said = [SyncTold(made.id, is_done=True)]
    wishes.look([device])
    done = saved(wishes, log)
    assert (done.by, done.heard_ms, done.done_ms) == ("Marie", made.at_ms + 1000, made.at_ms + 2000)
    assert done.state(clock.now_ms() + LASTS_MS) == "done"
    again = Device()
    wishes.met(again)
    assert again.asked == []


def test_one_that_heard_and_was_gone_is_asked_again(wishes, log, clock):
    made, device = wish(log, clock), Device()
    wishes.met(device)
    device.said = [SyncTold(made.id, is_done=False)]
    wishes.listen(device)
    assert saved(wishes, log).state(clock.now_ms()) == "heard"
    again = Device()
    wishes.met(again)
    assert again.asked == [made.id]


def test_what_a_device_said_before_it_left_is_kept(wishes, log, clock):
    made, device = wish(log, clock), Device()
    wishes.met(device)
    device.said = [SyncTold(made.id, is_done=False), SyncTold(made.id, is_done=True)]
    wishes.listen(device)
    assert saved(wishes, log).state(clock.now_ms()) == "done"


@pytest.mark.parametrize("how", [{"can_ask": False}, {"takes_only": True}])
def test_an_old_device_and_one_that_was_cut_off_are_not_asked(wishes, log, clock, how):
    wish(log, clock)
    device = Device(**how)
    wishes.met(device)
    wishes.look([device])
    assert device.asked == []


def test_a_wish_that_is_too_old_is_asked_no_more(wishes, log, clock):
    made, device = wish(log, clock), Device(room=0)
    wishes.met(device)
    clock.at_ms += LASTS_MS
    assert made.state(clock.now_ms()) == "expired"
    device.room = 8
    wishes.look([device])
    assert device.asked == []


def test_a_device_that_could_not_be_asked_is_asked_at_the_next_look(wishes, log, clock):
    made, device = wish(log, clock), Device(room=0)
    wishes.met(device)
    assert device.asked == []
    device.room = 8
    wishes.look([device])
    assert (device.asked, device.pumped) == ([made.id], 1)


def test_of_two_wishes_the_answer_to_the_newer_one_counts(wishes, log, clock):
    old, device = wish(log, clock), Device()
    wishes.met(device)
    new = wish(log, clock, 2)
    wishes.met(device)
    device.said = [SyncTold(old.id, is_done=False)]
    wishes.look([device])
    assert saved(wishes, log) == new
    device.said = [SyncTold(new.id, is_done=False)]
    wishes.look([device])
    assert saved(wishes, log).state(clock.now_ms()) == "heard"


def test_an_answer_to_an_older_wish_is_none_to_a_newer_one(wishes, log, clock):
    old, device = wish(log, clock), Device()
    wishes.met(device)
    device.said = [SyncTold(old.id, is_done=False), SyncTold(old.id, is_done=True)]
    wishes.look([device])
    assert saved(wishes, log).state(clock.now_ms()) == "done"
    new = wish(log, clock, 2)
    assert read_wish(log, DEVICE) == new
