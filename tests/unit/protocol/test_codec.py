from dataclasses import replace
from itertools import product
from pathlib import Path

import msgpack
import pytest

from crdtsync.errors import MalformedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import codec, limits
from crdtsync.protocol.codec import decode, encode, frames
from crdtsync.protocol.messages import (
    Certificates,
    Cut,
    Enrol,
    Heads,
    HeldRun,
    Part,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    Want,
)
from crdtsync.testing.messages import one_of_each

GOLDEN = [line.split() for line in (Path(__file__).parent / "frames.txt").read_text().splitlines()[1:]]
EXAMPLES = {type(message).__name__: message for message in one_of_each()}
LINK = bytes(32)
PLACE = Position(5, LINK)


def altered(name, place, value):
    """The frame of an example with one field replaced."""
    fields = msgpack.unpackb(encode(EXAMPLES[name]))
    fields[place] = value
    return msgpack.packb(fields)


@pytest.mark.parametrize(("name", "frame"), GOLDEN)
def test_a_frame_is_written_as_it_always_was(name, frame):
    assert encode(EXAMPLES[name]).hex() == frame


@pytest.mark.parametrize(("name", "frame"), GOLDEN)
def test_a_frame_from_the_field_is_understood(name, frame):
    assert decode(bytes.fromhex(frame)) == EXAMPLES[name]


def test_there_is_a_golden_frame_of_every_kind():
    assert [bytes.fromhex(frame)[1] for _, frame in GOLDEN] == list(codec._DECODERS)


def test_what_a_hello_says_is_read_back_to_the_signature():
    hello = decode(encode(EXAMPLES["Hello"]))
    assert (hello.body, hello.signature) == (EXAMPLES["Hello"].body, EXAMPLES["Hello"].signature)


def test_a_hello_without_a_body_gets_one():
    assert encode(replace(EXAMPLES["Hello"], body=b"")) == encode(EXAMPLES["Hello"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_prefix_of_a_frame_is_refused(name):
    frame = encode(EXAMPLES[name])
    for length in range(len(frame)):
        with pytest.raises(MalformedMessage):
            decode(frame[:length])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_frame_with_bytes_behind_it_is_refused(name):
    with pytest.raises(MalformedMessage):
        decode(encode(EXAMPLES[name]) + b"\0")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_flipped_bit_makes_another_message_or_none(name):
    frame = encode(EXAMPLES[name])
    for bit in range(8 * len(frame)):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            found = decode(bytes(flipped))
        except MalformedMessage:
            continue
        assert decode(encode(found)) == found


OF_EVERY_TYPE = (None, True, -1, 2**63, 1.5, "text", b"", b"\1" * 17, [], [[]], [1], {}, {"a": 1})


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_field_of_another_type_is_refused_or_read_back_as_it_is(name):
    for place, value in product(range(1, len(msgpack.unpackb(encode(EXAMPLES[name])))), OF_EVERY_TYPE):
        frame = altered(name, place, value)
        try:
            found = decode(frame)
        except MalformedMessage:
            continue
        assert encode(found) == frame, (place, value)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_field_too_many_is_refused(name):
    with pytest.raises(MalformedMessage, match="fields"):
        decode(msgpack.packb([*msgpack.unpackb(encode(EXAMPLES[name])), 0]))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if len(encode(EXAMPLES[name])) > 2])
def test_a_field_too_few_is_refused(name):
    with pytest.raises(MalformedMessage, match="fields"):
        decode(msgpack.packb(msgpack.unpackb(encode(EXAMPLES[name]))[:-1]))


@pytest.mark.parametrize(
    "frame", [b"", b"\x90", b"\xc0", b"\x01", b"\x91\xa1a", b"\x91\xc3", b"\x91\x00", b"\x91\x13", b"\xc1"]
)
def test_what_begins_with_no_known_type_is_no_message(frame):
    with pytest.raises(MalformedMessage):
        decode(frame)


@pytest.mark.parametrize(
    "head",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\x92\x0f\xc6\xff\xff\xff\xff",
        b"\x92\x0a\xdd\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x05",
    ],
)
def test_a_length_that_is_only_declared_costs_nothing(head):
    with pytest.raises(MalformedMessage):
        decode(head + b"\0" * 64)


@pytest.mark.parametrize("depth", [10, 500, 600, 1000, 100_000])
def test_deep_nesting_is_refused(depth):
    with pytest.raises(MalformedMessage):
        decode(b"\x91" * depth + b"\x90")


@pytest.mark.parametrize("depth", [500, 600, 1000])
def test_deep_nesting_inside_a_presence_is_refused(depth):
    with pytest.raises(MalformedMessage):
        decode(b"\x92\x0e\x81\xa1a" + b"\x91" * depth + b"\x90")


def test_a_megabyte_of_empty_lists_is_refused_before_it_is_built():
    lists = b"\xdc\x20\x00" + b"\x90" * 8192
    with pytest.raises(MalformedMessage, match="is no message"):
        decode(b"\xdc\x00\x80\x05" + lists * 127)


@pytest.mark.parametrize(
    "extension", [b"\xd4\x05\x00", b"\xc7\x00\x05", b"\xc7\x00\xff", b"\xd6\xff\0\0\0\0"]
)
def test_extension_types_are_refused(extension):
    with pytest.raises(MalformedMessage, match="is no message"):
        decode(b"\x92\x0e\x81\xa1a" + extension)


# -- bounds of each message --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("Challenge", 1, -1),
        ("Challenge", 2, bytes(15)),
        ("Hello", 1, b"\xc1"),
        ("Hello", 1, msgpack.packb([1] * 15)),
        ("Hello", 1, msgpack.packb([1] * 16)),
        ("Hello", 1, bytes(2048)),
        ("Hello", 2, bytes(63)),
        ("Certificates", 1, ["text"]),
        ("Records", 5, [8]),
        ("Records", 5, [8, 0]),
        ("Records", 5, [8, 2**53]),
        ("Records", 6, [b"Esale", b""]),
        ("Records", 7, [5, 4]),
        ("Records", 7, [0, 4]),
        ("Records", 7, [4]),
        ("Records", 7, [4, 5, 6]),
        ("Records", 7, None),
        ("Records", 7, 0),
        ("Ack", 1, 2**53 + 1),
        ("Ack", 2, bytes(31)),
        ("Refused", 1, [[9, LINK, "bad-signature", "reason"]]),
        ("Refused", 1, [[9, LINK, "c" * 41, "reason", False]]),
        ("Refused", 1, [[9, LINK, "code", "r" * 401, False]]),
        ("Refused", 1, [[9, LINK, "code", "nul\0", False]]),
        ("Heads", 1, [[LINK, 1, 5]]),
        ("Heads", 1, [[LINK, 0, 5, []]]),
        ("Heads", 1, [[LINK, 6, 5, []]]),
        ("Heads", 1, [[LINK, 1, 5, [[6, LINK]]]]),
        ("Heads", 1, [[LINK, 2, 5, [[1, LINK]]]]),
        ("Heads", 1, [[LINK, 1, 5, [[4, LINK], [4, LINK]]]]),
        ("Heads", 1, [[LINK, 1, 5, [[3, LINK], [4, LINK]]]]),
        ("Heads", 1, [[LINK, 1, 5, [[3]]]]),
        ("Heads", 1, [[LINK, 1, 99, [[n, LINK] for n in range(90, 65, -1)]]]),
        ("Want", 1, 200),
        ("Want", 1, 0),
        ("Presence", 1, {b"name": 1}),
        ("Presence", 1, {"list": [1]}),
        ("Presence", 1, {"float": 0.5}),
        ("Presence", 1, {"much": "x" * limits.PRESENCE_BYTES_MAX}),
        ("Presence", 1, {str(n): n for n in range(65)}),
        ("Enrol", 2, bytes(limits.ENROL_BOX_BYTES_MAX + 1)),
        ("Offer", 4, bytes(32)),
    ],
)
def test_a_field_out_of_its_bounds_is_refused(name, place, value):
    with pytest.raises(MalformedMessage):
        decode(altered(name, place, value))


@pytest.mark.parametrize(
    "message",
    [
        Records(START, PLACE, tuple(range(1, 8194)), (b"E",) * 8193),
        Certificates((b"",) * 8193),
        Refused((RefusedRecord(1, LINK, "code", "", False),) * 1001),
        Heads((HeldRun(LINK, 1, 1, ()),) * 5001),
        Cut(PLACE, ((1, 1),) * 1025),
    ],
)
def test_more_items_than_a_message_may_have_are_refused(message):
    with pytest.raises(MalformedMessage):
        decode(encode(message))


@pytest.mark.parametrize(
    "message",
    [
        Records(START, Position(8192, LINK), tuple(range(1, 8193)), (b"E",) * 8192),
        Certificates((b"",) * 8192),
        Refused((RefusedRecord(1, LINK, "c" * 40, "é" * 400, False),) * 1000),
        Heads((HeldRun(LINK, 1, 2**53, tuple((n, LINK) for n in range(24, 0, -1))),) * 5000),
        Cut(PLACE, ((1, 2),) * 1024, tuple(range(1, 8193)), (b"E",) * 8192),
        Presence({str(n): n for n in range(64)}),
        Enrol(LINK, bytes(limits.ENROL_BOX_BYTES_MAX)),
        Want(1, 2**53),
    ],
)
@pytest.mark.slow
def test_as_much_as_a_message_may_have_is_read(message):
    assert decode(encode(message)) == message


def test_a_long_reason_is_cut_where_it_is_written():
    told = Refused((RefusedRecord(1, LINK, "code", "r" * 1000, True),))
    assert decode(encode(told)).refusals[0].reason == "r" * 400


# -- parts ------------------------------------------------------------------------------------------------


def test_what_fits_travels_in_one_frame():
    assert list(frames(Want(1, 2))) == [encode(Want(1, 2))]


def test_what_does_not_fit_travels_in_parts_of_full_size_and_a_rest():
    message = Records(START, PLACE, (5,), (b"C" + bytes(2 * limits.FRAME_BYTES_MAX),))
    parts = [decode(frame) for frame in frames(message)]
    assert [len(part.data) for part in parts[:-1]] == [limits.PART_BYTES] * (len(parts) - 1)
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert decode(b"".join(part.data for part in parts)) == message


def test_no_frame_is_longer_than_a_frame_may_be():
    message = Part(bytes(limits.PART_BYTES), True)
    assert len(encode(message)) <= limits.FRAME_BYTES_MAX


def test_the_largest_state_fits_in_a_message():
    message = Records(START, PLACE, (5,), (b"C" + bytes(limits.STATE_BYTES_MAX - 1),))
    assert len(encode(message)) < limits.MESSAGE_BYTES_MAX
    assert decode(encode(message)) == message


@pytest.mark.parametrize("bad", ["\x00", "\x1b[2J", "\u202e", "\n", "\udcff"])
def test_a_reason_that_quotes_a_bad_record_does_nothing_to_a_terminal_and_ends_no_connection(bad):
    said = Refused((RefusedRecord(1, LINK, "malformed", f"the name {bad} is none", held=False),))
    [read] = decode(encode(said)).refusals
    assert read.reason.isprintable()
    assert read.reason.startswith("the name \N{REPLACEMENT CHARACTER}")


def test_a_reason_in_french_is_read_as_it_was_written():
    said = Refused(
        (RefusedRecord(1, LINK, "malformed", "« prix\N{NO-BREAK SPACE}: 12\u202f€ »", held=False),)
    )
    assert decode(encode(said)) == said


def test_a_reason_from_a_peer_that_cleans_nothing_is_cleaned():
    frame = altered("Refused", 1, [[1, LINK, "malformed", "\x1b[2J", False]])
    assert decode(frame).refusals[0].reason == "\N{REPLACEMENT CHARACTER}[2J"


def spoken_by(*more):
    """The hello of an end whose body has these elements after the first sixteen."""
    body = msgpack.packb([*msgpack.unpackb(EXAMPLES["Hello"].body)[:16], *more])
    return decode(altered("Hello", 1, body))


def test_a_hello_that_names_no_capabilities_has_none():
    assert spoken_by().capabilities == ()


def test_capabilities_that_nobody_here_knows_are_no_fault():
    assert spoken_by(["documents", "telepathy"]).capabilities == ("documents", "telepathy")


def test_what_a_later_version_says_in_a_hello_beyond_that_is_no_fault():
    assert spoken_by(["documents"], {}, 7).capabilities == ("documents",)


@pytest.mark.parametrize("capabilities", [7, "documents", [7], ["x"] * 33, ["x" * 41]])
def test_capabilities_are_a_short_list_of_short_names(capabilities):
    with pytest.raises(MalformedMessage):
        spoken_by(capabilities)
