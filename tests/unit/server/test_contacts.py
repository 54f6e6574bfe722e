from types import SimpleNamespace

import pytest

from crdtsync.ids import Position
from crdtsync_server.shops.contacts import (
    LAGGING_AFTER_MS,
    SAVE_EVERY_MS,
    SAVE_MOVED_EVERY_MS,
    SAVE_SAME_EVERY_MS,
    Contact,
    Contacts,
    read_contact,
)


class States:
    """The small state of a log."""

    def __init__(self):
        self.states = {}

    def state(self, key):
        return self.states.get(key)

    def set_state(self, key, value):
        self.states[key] = value


class Device:
    """A connection, as far as it is looked at."""

    def __init__(self, number=1):
        peer = SimpleNamespace(
            shop=b"s" * 16, device=bytes([number]) * 16, log_id=b"l" * 16, software="crdtsync/1"
        )
        self.outbound = SimpleNamespace(acked=Position(4, b""), end=Position(7, b""))
        self.asking = SimpleNamespace(can_ask=True)
        self.session = SimpleNamespace(peer=peer, is_live=True, outbound=self.outbound, asking=self.asking)
        self.presence = {
            "pending_sales": 2,
            "pending_amount_minor": 3700,
            "clock_offset_ms": "late",
            "log_end": 9,
        }


@pytest.fixture
def contacts(clock):
    return Contacts(clock.now_ms)


def written(contacts, live, **how):
    log = States()
    for write in contacts.due(live, **how).values():
        write(log)
    return log


def test_what_a_device_said_is_read_again_as_it_was(contacts, clock):
    log = written(contacts, [Device()])
    known = read_contact(log, b"\x01" * 16)
    assert known == Contact(
        *(b"l" * 16, clock.at_ms, 4, "crdtsync/1", 2, 3700, None, 9),
        connected=True,
        hears_wishes=True,
        generation="",
    )


def test_a_device_that_left_is_remembered_as_it_left(contacts, clock):
    device = Device()
    left_ms = clock.at_ms
    contacts.gone(device)
    clock.pass_ms(SAVE_EVERY_MS)
    known = read_contact(written(contacts, []), b"\x01" * 16)
    assert (known.at_ms, known.connected) == (left_ms, False)


def test_a_device_that_came_back_in_the_same_moment_is_here(contacts, clock):
    contacts.gone(Device())
    clock.pass_ms(SAVE_EVERY_MS)
    assert read_contact(written(contacts, [Device()]), b"\x01" * 16).connected


def test_a_device_that_was_never_here_is_not_known():
    assert read_contact(States(), b"\x01" * 16) is None


def test_a_device_that_does_nothing_costs_one_write_a_minute(contacts, clock):
    device, writes = Device(), 0
    for _ in range(4 * SAVE_SAME_EVERY_MS // SAVE_EVERY_MS):
        writes += len(contacts.due([device]))
        clock.pass_ms(SAVE_EVERY_MS)
    assert writes == 4


def test_between_two_looks_nothing_is_written_except_at_the_end(contacts):
    device = Device()
    contacts.due([device])
    device.outbound.acked = Position(7, b"")
    assert contacts.due([device]) == {}
    assert list(contacts.due([device], at_once=True)) == [b"s" * 16]


def test_that_a_device_came_or_left_is_written_within_a_second(contacts, clock):
    one, other = Device(1), Device(2)
    contacts.due([])
    contacts.came(one)
    clock.pass_ms(SAVE_MOVED_EVERY_MS)
    assert read_contact(written(contacts, [one]), b"\x01" * 16).connected
    contacts.gone(one)
    assert contacts.due([other]) == {}
    clock.pass_ms(SAVE_MOVED_EVERY_MS)
    assert not read_contact(written(contacts, [other]), b"\x01" * 16).connected


def test_what_a_device_says_in_the_moment_after_it_came_is_written_as_soon(contacts, clock):
    device = Device()
    said, device.presence = device.presence, {}
    contacts.due([])
    contacts.came(device)
    clock.pass_ms(SAVE_MOVED_EVERY_MS)
    assert read_contact(written(contacts, [device]), b"\x01" * 16).pending_sales is None
    device.presence = said
    clock.pass_ms(SAVE_MOVED_EVERY_MS)
    assert read_contact(written(contacts, [device]), b"\x01" * 16).pending_sales == 2


def test_a_device_that_says_nothing_is_waited_for_no_longer_than_any(contacts, clock):
    device = Device()
    device.presence = {}
    contacts.came(device)
    clock.pass_ms(SAVE_EVERY_MS)
    contacts.due([device])
    device.outbound.acked = Position(7, b"")
    clock.pass_ms(SAVE_MOVED_EVERY_MS)
    assert contacts.due([device]) == {}


def test_a_device_lags_when_it_has_not_caught_up_for_ten_seconds(contacts, clock):
    device = Device()
    assert contacts.look([device]) == 0
    clock.pass_ms(LAGGING_AFTER_MS)
    assert contacts.look([device]) == 1
    device.outbound.acked = device.outbound.end
    assert contacts.look([device]) == 0


def test_a_device_that_left_does_not_lag(contacts, clock):
    device = Device()
    contacts.look([device])
    contacts.gone(device)
    clock.pass_ms(LAGGING_AFTER_MS)
    assert contacts.look([]) == 0


def test_a_contact_of_another_version_is_read_as_far_as_it_is_known():
    known = Contact.from_bytes(b'{"log":"00","at_ms":5,"acknowledged":1,"software":"x","mood":"good"}')
    assert known == Contact(b"\x00", 5, 1, "x")
