"""What a flat document holds, read without the engine: when it is told, and when only the engine can say."""

import pytest
from pycrdt import Doc, Map

from crdtsync.protocol.flat import flat_content
from crdtsync.protocol.scanner import scan_document
from crdtsync.testing.documents import ungrouped


class Device:
    """One that writes the map, and the updates of its transactions."""

    def __init__(self, client_id, *heard):
        self.doc = Doc(client_id=client_id)
        for update in heard:
            self.doc.apply_update(update)
        self.items = self.doc.get("products", type=Map)
        self.made = []
        self._subscription = self.doc.observe(lambda event: self.made.append(event.update))

    def puts(self, **entries):
        with self.doc.transaction():
            for key, value in entries.items():
                self.items[key] = value
        return self.made[-1]

    def drops(self, key):
        del self.items[key]
        return self.made[-1]


@pytest.fixture
def office():
    device = Device(5)
    device.puts(name="Crozes", colour="red", year=2019, sold=True)
    return device


WHOLE = {"name": "Crozes", "colour": "red", "year": 2019.0, "sold": True}


def told(*updates):
    return ungrouped(flat_content("products", updates))


def test_nothing_is_in_no_updates():
    assert told() == {}
    assert told(b"\0\0") == {}


def test_keys_that_are_written_once_are_told(office):
    content = told(*office.made)
    assert content == WHOLE
    assert [type(value) for value in content.values()] == [str, str, float, bool]


@pytest.mark.parametrize(
    "value", [0, -1, 63, 64, -64, 8191, 2**31, -(2**53) + 1, 0.1, -0.0, 1e300, None, True, False]
)
@pytest.mark.parametrize("key", ["k", "k" * 127, "k" * 128, "é" * 100])
def test_a_value_is_told_as_the_engine_has_it(value, key):
    device = Device(5)
    update = device.puts(**{key: value})
    content = told(update)
    assert (content, repr(content[key])) == (device.items.to_py(), repr(device.items.to_py()[key]))


@pytest.mark.parametrize(
    "spelled",
    [b"\0", b"\5", b"\x45", b"\x3f", b"\x80\1", b"\x81\x80\1", b"\x85\1", b"\xc5\x81\1", b"\xbf\xff\xff\x7f"],
)
def test_a_whole_number_as_a_browser_writes_it_is_told_as_the_engine_has_it(spelled):
    update = b"\1\1\5\0\x28\1\x08products\1k\1\x7d" + spelled + b"\0"
    reader = Device(9, update)
    assert told(update) == reader.items.to_py()
    assert type(told(update)["k"]) is type(reader.items.to_py()["k"])


@pytest.mark.parametrize("text", ["", "t" * 127, "t" * 128, "vin élevé 🍷" * 20])
def test_a_text_is_told_whatever_its_length(text):
    assert told(Device(5).puts(k=text)) == {"k": text}


@pytest.mark.parametrize("value", [b"bytes", 2**60 + 1])
def test_of_values_that_no_product_has_the_engine_is_asked(value):
    assert told(Device(5).puts(k=value)) is None


def test_what_was_written_over_is_told_as_it_is_now(office):
    office.puts(name="Crozes-Hermitage")
    office.puts(name="Crozes-Hermitage 2019", colour=None)
    assert told(*office.made) == {**WHOLE, "name": "Crozes-Hermitage 2019", "colour": None}
    assert told(office.doc.get_update()) == office.items.to_py()


def test_what_another_device_wrote_over_is_told(office):
    till = Device(3, *office.made)
    update = till.puts(name="Crozes 2019", price=1850)
    assert told(*office.made, update) == {**WHOLE, "name": "Crozes 2019", "price": 1850.0}
    assert told(till.doc.get_update()) == till.items.to_py()


def test_what_was_deleted_is_not_told_and_what_came_in_its_place_is(office):
    office.drops("name")
    assert told(*office.made) == {key: value for key, value in WHOLE.items() if key != "name"}
    assert told(office.doc.get_update()) == office.items.to_py()
    office.puts(name="again")
    assert told(*office.made)["name"] == "again"
    office.drops("name")
    assert "name" not in told(*office.made)
    assert told(office.doc.get_update()) == office.items.to_py()


def test_two_that_wrote_one_key_without_seeing_one_another_are_for_the_engine(office):
    other = Device(7)
    assert told(*office.made, other.puts(name="Cornas")) is None
    assert told(*office.made, Device(8).puts(kept="x")) == {**WHOLE, "kept": "x"}


def test_two_that_wrote_over_one_value_without_seeing_one_another_are_for_the_engine(office):
    first, second = (Device(client, *office.made).puts(name=f"by {client}") for client in (3, 4))
    assert told(*office.made, first, second) is None


def test_where_something_is_missing_the_engine_is_asked(office):
    office.puts(name="two")
    office.puts(name="three")
    first, second, third = office.made
    assert told(first, third) is None
    assert told(second) is None
    assert told(second, first) is None
    assert told(Device(3, first).puts(name="x")) is None
    assert told(Device(3, first).drops("name")) is None
    assert told(b"\1\1\5\0\xa8\7\0\1\x78\0") is None
    assert told(b"\1\1\5\0\xa8\7\0\1\x78\0", b"\1\1\7\0\x28\1\x08products\1k\1\x79\0") == {"k": True}


def test_what_comes_twice_is_for_the_engine(office):
    assert told(*office.made, *office.made) is None
    again = Device(5)
    assert told(*office.made, again.puts(other="x")) is None


def test_another_map_is_for_the_engine(office):
    assert flat_content("others", office.made) is None
    assert flat_content("product", office.made) is None


def test_a_state_and_what_came_after_it_are_told(office):
    state = office.doc.get_update()
    assert told(state, office.puts(name="later")) == {**WHOLE, "name": "later"}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_bytes_that_end_too_soon_are_for_the_engine(office, cut):
    assert told(office.made[0][:-cut]) is None


def test_two_values_or_none_under_one_key_are_for_the_engine():
    begin = b"\1\1\5\0\x28\1\x08products\1k"
    assert told(begin + b"\1\x78\0") == {"k": True}
    assert told(begin + b"\2\x78\x78\0") is None
    assert told(begin + b"\0\0") is None
    assert told(begin + b"\2\x78\0") is None
    assert told(begin + b"\1\x76\0") is None, "of a kind that no product has"


def test_what_took_the_place_of_another_and_is_gone_leaves_nothing_whether_or_not_that_is_said_of_both():
    update = b"\1\2\5\0\x28\1\x08products\1k\1\x78\xa1\5\0\1\0"
    assert told(update) == Device(9, update).items.to_py() == {}


def test_a_key_that_begins_gone_is_not_there():
    update = b"\1\1\5\0\x21\1\x08products\1k\1\0"
    assert told(update) == Device(9, update).items.to_py() == {}


@pytest.mark.parametrize(
    "update",
    [
        b"\1\1\5\0\x28\1\x08produits\1k\1\x78\0",
        b"\1\1\5\0\x21\1\x08produits\1k\1\0",
        b"\1\2\5\0\x28\1\x08products\1k\1\x78\xa4\5\0\0",
        b"\1\1\5\0\0",
        b"\1\1\5\0\x28\1\x08products\1\xe9\1\x78\0",
    ],
    ids=["a map of a name as long", "the same, gone", "a text in its place", "nothing", "no UTF-8"],
)
def test_what_looks_like_a_product_and_is_none_is_for_the_engine(update):
    assert told(update) is None


def test_what_was_written_over_again_and_again_is_told_from_a_state_too():
    device = Device(5)
    for vintage in range(2000, 2020):
        device.puts(year=vintage)
    state = device.doc.get_update()
    assert len(state) < 100, "what is gone lies together in it"
    assert told(state) == told(*device.made) == {"year": 2019.0}
    device.drops("year")
    assert told(device.doc.get_update()) == told(state, device.made[-1]) == {}
    device.puts(year=1)
    assert told(device.doc.get_update()) == told(state, *device.made[-2:]) == {"year": 1.0}


def test_a_key_that_begins_twice_is_for_the_engine_also_where_one_of_them_is_gone():
    gone, there = b"\x21\1\x08products\1k\1", b"\x28\1\x08products\1k\1\x78"
    assert told(b"\1\2\5\0" + gone + there + b"\0") is None
    assert told(b"\1\2\5\0" + there + gone + b"\0") is None


def test_items_that_replace_one_another_in_a_ring_are_for_the_engine():
    ring = b"\2\1\5\0\xa8\7\0\1\x78\1\7\0\xa8\5\0\1\x78\0"
    assert told(ring) is None


@pytest.mark.parametrize("info", [0x68, 0xE8, 0x08, 0x88, 0xA3, 0x00, 0x0A])
def test_any_other_block_is_for_the_engine(info):
    assert told(b"\1\1\5\0" + bytes([info]) + b"\1\x08products\1k\1\x78\0") is None


TWO_THOUSAND_MILLION = b"\xfe\xff\xff\xff\7"
GONE = b"\1\1\5\0\x21\1\x08products\1k"


@pytest.mark.parametrize("begin", [GONE, b"\1\1\5\0\xa1\7\0"])
def test_a_few_bytes_that_say_how_much_is_gone_are_for_the_engine(begin):
    update = begin + TWO_THOUSAND_MILLION + b"\0"
    assert scan_document("catalogue", update).blocks == 1, "any register can bring it"
    assert told(update) is None
    assert Device(9, update).items.to_py() == {}


def test_what_is_said_to_be_gone_again_and_again_is_for_the_engine_in_the_end():
    gone = GONE + b"\x80\x80\4\0"
    assert told(gone) == {}
    again = b"\0\1\5\1\0\x80\x80\4"
    assert scan_document("catalogue", again).blocks == 0
    assert told(gone, again) == {}
    assert told(gone, again, b"\0\1\5\1\0\1") is None
    assert told(gone, *[again] * 10_000) is None
