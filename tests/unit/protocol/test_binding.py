"""On a line without TLS frames are bound to the hellos: what somebody in between does to one is found out."""

import msgpack
import pytest

from crdtsync.errors import MalformedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol.binding import Line as Frames
from crdtsync.protocol.binding import frame_keys, public_key, tag
from crdtsync.protocol.codec import decode, encode, encode_hello_body, frames
from crdtsync.protocol.limits import TAG_BYTES
from crdtsync.protocol.messages import Ack, Presence, Records
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Standing
from crdtsync.runtime.syncing.address import leaves_this_machine
from crdtsync.testing.talk import MINE, THEIRS, at, hello, me

ONE, OTHER = b"\x01" * 32, b"\x02" * 32
SALE = b"E a sale"


def sign(purpose, payload):
    return b"s" * 64


class Line:
    """A register and its relay, and whoever is in between: frames go over as the test lets them."""

    def __init__(self, *, register=ONE, relay=OTHER):
        mine = me(end=at(1))
        theirs = me(is_relay=True, log_id=THEIRS, cursor_log=MINE)
        self.register = Session(
            connecting=True, nonce=b"", sign=sign, now_ms=0, me=mine, exchange_seed=register
        )
        self.relay = Session(connecting=False, nonce=b"n" * 16, sign=sign, now_ms=0, exchange_seed=relay)
        self.to_register(*self.from_relay())
        self.to_relay(*self.from_register())
        self.heard = [self.relay.take_ready().judge]
        self.relay.admit(Standing(theirs, cursor_fits=True))
        first, *rest = self.from_relay()
        self.to_register(first)
        self.heard.append(self.register.take_ready().judge)
        self.register.admit(Standing(mine, cursor_fits=True))
        self.to_register(*rest)
        self.to_relay(*self.from_register())

    def from_relay(self):
        return self.relay.take_ready().to_send

    def from_register(self):
        return self.register.take_ready().to_send

    def to_relay(self, *sent):
        for frame in sent:
            self.relay.receive(frame, 0)

    def to_register(self, *sent):
        for frame in sent:
            self.register.receive(frame, 0)

    def a_sale_goes_out(self):
        """The frame with it, as it goes over the line."""
        self.register.supply(at(1), [(1, SALE)], len(SALE))
        [frame] = self.from_register()
        return frame


def test_a_sale_goes_over_it_and_is_acknowledged():
    line = Line()
    assert line.register.line.is_bound
    assert line.relay.line.is_bound
    frame = line.a_sale_goes_out()
    assert decode(frame[:-TAG_BYTES]) == Records(START, at(1), (1,), (SALE,))
    line.to_relay(frame)
    [delivery] = line.relay.take_ready().to_persist
    line.relay.stored(delivery.number)
    line.to_register(*line.from_relay())
    assert line.register.take_ready().acknowledged == at(1)


def test_an_acknowledgement_that_somebody_made_up_counts_nowhere():
    line = Line()
    line.a_sale_goes_out()  # And never reaches the relay.
    for forged in (encode(Ack(at(1))), encode(Ack(at(1))) + bytes(TAG_BYTES)):
        with pytest.raises(MalformedMessage):
            line.to_register(forged)
    assert line.register.take_ready().acknowledged is None


def test_without_the_binding_it_would():
    """What can be done to two ends of which one is of an older version."""
    line = Line(relay=b"")
    line.a_sale_goes_out()
    line.to_register(encode(Ack(at(1))))
    assert line.register.take_ready().acknowledged == at(1)


def changed(sent, seen):
    return [bytes([sent[0][0], sent[0][1] ^ 1]) + sent[0][2:]]


def tag_changed(sent, seen):
    return [sent[0][:-1] + bytes([sent[0][-1] ^ 1])]


def cut_short(sent, seen):
    return [sent[0][:-TAG_BYTES]]


def sent_twice(sent, seen):
    return [sent[0], sent[0]]


def first_left_out(sent, seen):
    return [sent[1]]


def exchanged(sent, seen):
    return [sent[1], sent[0]]


def turned_round(sent, seen):
    return [seen[0]]


def empty(sent, seen):
    return [b""]


@pytest.mark.parametrize(
    "attack",
    [changed, tag_changed, cut_short, sent_twice, first_left_out, exchanged, turned_round, empty],
    ids=lambda attack: attack.__name__,
)
def test_what_somebody_in_between_does_to_a_frame_ends_the_connection(attack):
    line = Line()
    for number in (1, 2):
        line.register.send_presence({"pending": number})
        line.relay.send_presence({"slowed": number})
    sent, seen = line.from_register(), line.from_relay()
    assert [decode(frame[:-TAG_BYTES]) for frame in sent] == [
        Presence({"pending": 1}),
        Presence({"pending": 2}),
    ]
    with pytest.raises(MalformedMessage, match="in between"):
        line.to_relay(*attack(sent, seen))


def test_a_frame_of_another_connection_is_none_of_this_one():
    before, line = Line(register=b"\x03" * 32), Line()
    before.relay.send_presence({"slowed": True})
    with pytest.raises(MalformedMessage):
        line.to_register(*before.from_relay())


@pytest.mark.parametrize(("register", "relay"), [(b"", OTHER), (ONE, b""), (b"", b"")])
def test_where_an_end_does_not_know_of_it_frames_go_as_they_always_did(register, relay):
    line = Line(register=register, relay=relay)
    assert (line.register.line.is_bound, line.relay.line.is_bound) == (False, False)
    assert decode(line.a_sale_goes_out()) == Records(START, at(1), (1,), (SALE,))


def test_who_was_not_asked_says_no_key_and_who_connects_says_one():
    for asked in (b"", public_key(OTHER)):
        assert Frames(ONE, connecting=True).exchange_key(asked) == public_key(ONE)
        assert Frames(b"", connecting=True).exchange_key(asked) == b""
        assert Frames(b"", connecting=False).exchange_key(asked) == b""
    assert Frames(ONE, connecting=False).exchange_key(b"") == b""
    assert Frames(ONE, connecting=False).exchange_key(public_key(OTHER)) == public_key(ONE)


def test_frames_are_numbered_from_one_in_each_direction():
    line = Frames(ONE, connecting=True)
    line.bind(public_key(OTHER), b"challenge, hello, hello")
    there, back = frame_keys(ONE, public_key(OTHER), b"challenge, hello, hello")
    assert line.tagged([b"a", b"b"]) == [b"a" + tag(there, 1, b"a"), b"b" + tag(there, 2, b"b")]
    assert line.tagged([b"c"]) == [b"c" + tag(there, 3, b"c")]
    assert [line.opened(one + tag(back, number, one)) for number, one in ((1, b"x"), (2, b"y"))] == [
        b"x",
        b"y",
    ]


def test_the_keys_are_in_what_the_hellos_sign():
    """So that nobody in between can take one out, and have two ends of today talk as older ones do."""
    bare = hello()
    with_key = encode_hello_body(hello(exchange_key=public_key(ONE)))
    assert with_key != encode_hello_body(bare)
    line = Line()
    assert public_key(ONE) in line.heard[0].body
    assert public_key(OTHER) in line.heard[1].body


def test_of_a_hello_that_is_proved_what_proved_it_is_not_kept():
    """A relay has thousands of them."""
    line = Line()
    for heard, end in zip(line.heard, (line.relay, line.register), strict=True):
        assert end.is_live
        assert (end.peer.body, end.peer.signature, end.peer.exchange_key, end.peer.nonce) == (b"",) * 4
        assert (end.peer.shop, end.peer.device, end.peer.end) == (heard.shop, heard.device, heard.end)
        assert end.peer.capabilities == heard.capabilities


def test_a_hello_of_a_later_version_may_say_something_else_in_that_place():
    for value in (b"short", 7, None):
        body = encode_hello_body(hello(exchange_key=public_key(ONE)))
        assert body.endswith(b"\xc4\x20" + public_key(ONE))
        fields = [*msgpack.unpackb(body)[:-1], value]
        frame = msgpack.packb([2, msgpack.packb(fields), bytes(64)])
        assert decode(frame).exchange_key == b""


@pytest.mark.parametrize("no_key", [bytes(32), b"\x01" + bytes(31)])
def test_a_point_of_small_order_is_no_key(no_key):
    with pytest.raises(MalformedMessage):
        frame_keys(ONE, no_key, b"hellos")


def test_a_message_in_parts_has_a_tag_on_each():
    line = Line()
    large = Records(START, Position(1, bytes(32)), (1,), (bytes(3 << 20),))
    assert len(line.register.line.tagged(list(frames(large)))) == 7


def test_the_frozen_vectors():
    """For whoever writes the other end: seeds 01…01 and 02…02, hellos "challenge, hello, hello"."""
    assert public_key(ONE).hex() == VECTORS["public of the connecting end"]
    assert public_key(OTHER).hex() == VECTORS["public of the accepting end"]
    there, back = frame_keys(ONE, public_key(OTHER), b"challenge, hello, hello")
    assert (there, back) == frame_keys(OTHER, public_key(ONE), b"challenge, hello, hello")
    assert (there.hex(), back.hex()) == (VECTORS["key to the accepting end"], VECTORS["key back"])
    assert tag(there, 1, b"frame").hex() == VECTORS["tag of frame 1, 'frame'"]
    assert tag(there, 2, b"frame").hex() == VECTORS["tag of frame 2, 'frame'"]


@pytest.mark.parametrize(
    ("url", "leaves"),
    [
        ("ws://192.168.1.20:8765", True),
        ("http://relay.local", True),
        ("relay.local:8765", True),
        ("ws://[fe80::1]:8765", True),
        ("ws://127.0.0.1:8765", False),
        ("ws://127.9.9.9", False),
        ("ws://[::1]:8765", False),
        ("http://localhost:8765", False),
        ("wss://192.168.1.20", True),
        ("https://relay.example", True),
        ("wss://localhost:8765", False),
    ],
)
def test_frames_are_bound_on_every_line_that_leaves_this_machine(url, leaves):
    """With TLS too: who has a certificate for a wrong address can pass all on to the right relay."""
    assert leaves_this_machine(url) is leaves


VECTORS = {
    "public of the connecting end": "a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209",
    "public of the accepting end": "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59",
    "key to the accepting end": "bca03b33c46b8bd560ad059774adac862e46d4a7d51c2946621c49a436d0ecec",
    "key back": "6d8218070aeefea1848c0eb04998e41ccad4565bdb78707c0ed1915d6304d900",
    "tag of frame 1, 'frame'": "5a34a1c3591ea5e2d61c4efc6fb150ce",
    "tag of frame 2, 'frame'": "1ee5642fec975314e705eb7af51736cd",
}
