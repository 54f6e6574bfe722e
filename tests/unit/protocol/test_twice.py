import random

import pytest
from pycrdt import Array, Doc, Map, Text

from crdtsync.protocol.twice import WrittenOnce


class Device:
    """Writes into a document and keeps what it sends."""

    def __init__(self, client_id: int, *before: bytes) -> None:
        self.doc = Doc(client_id=client_id)
        for update in before:
            self.doc.apply_update(update)
        self.sent: list[bytes] = []
        self._subscription = self.doc.observe(lambda event: self.sent.append(event.update))

    def set(self, key: str, value: object) -> bytes:
        self.doc.get("products", type=Map)[key] = value
        return self.sent[-1]


def taken(updates: list[bytes]) -> list[tuple[int, int] | None]:
    written = WrittenOnce()
    return [written.add(update) for update in updates]


def test_two_that_write_as_one_client_are_found():
    start = Device(7).set("A/name", "Wine")
    one, other = Device(7, start), Device(7, start)
    assert taken([start, one.set("A/name", "Red wine"), other.set("B/name", "Cheese")]) == [
        None,
        None,
        (7, 1),
    ]


def test_the_same_value_under_another_key_is_something_else():
    assert taken([Device(7).set("A/name", "Wine"), Device(7).set("B/name", "Wine")]) == [None, (7, 0)]


def test_what_comes_again_says_the_same():
    device = Device(7)
    sent = [device.set("A/name", "Wine"), device.set("A/name", "Red wine")]
    assert set(taken([*sent, *sent, device.doc.get_update()])) == {None}


@pytest.mark.parametrize("seed", range(20))
def test_devices_that_write_as_themselves_never_write_twice(seed):
    chance = random.Random(seed)
    devices = [Device(number) for number in (3, 5, 9)]
    updates = []
    for _ in range(40):
        device = chance.choice(devices)
        text, array = device.doc.get("text", type=Text), device.doc.get("array", type=Array)
        act = chance.randrange(5)
        before = len(device.sent)
        if act == 0:
            text.insert(chance.randint(0, len(text)), chance.choice(["a", "bcd"]))
        elif act == 1 and len(text) > 2:
            del text[0]
        elif act == 2:
            array.insert(chance.randint(0, len(array)), chance.randrange(9))
        elif act == 3:
            device.set(chance.choice("AB"), chance.randrange(9))
        else:
            device.doc.apply_update(chance.choice(devices).doc.get_update())
            before = len(device.sent)
        updates += device.sent[before:]
        if chance.random() < 0.2:
            updates.append(device.doc.get_update())
    chance.shuffle(updates)
    assert set(taken(updates)) <= {None}
