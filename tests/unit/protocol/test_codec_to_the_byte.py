"""Each bound of a message from both sides, and what is encoded once for a whole shop."""

from dataclasses import replace

import msgpack
import pytest

from crdtsync.errors import MalformedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import codec, limits
from crdtsync.protocol.codec import decode, encode, frames
from crdtsync.protocol.messages import (
    About,
    Documents,
    Excerpt,
    Heads,
    HeldRun,
    Pack,
    Presence,
    Records,
)
from crdtsync.protocol.slab import Portion, Slab
from crdtsync.testing.messages import one_of_each

EXAMPLES = {type(message).__name__: message for message in one_of_each()}
LINK = bytes(32)
PLACE = Position(5, LINK)


def altered(name, place, value):
    fields = msgpack.unpackb(encode(EXAMPLES[name]))
    fields[place] = value
    return msgpack.packb(fields)


def spoken(body):
    """The hello of an end that says this: a list of elements, or bytes as they are."""
    return altered("Hello", 1, body if isinstance(body, bytes) else msgpack.packb(body))


def said(place=None, value=None, *more):
    """The elements of the example's hello, with one replaced and with more behind them."""
    elements = msgpack.unpackb(EXAMPLES["Hello"].body)
    if place is not None:
        elements[place] = value
    return [*elements, *more]


def padded(length):
    """A hello whose body has that many bytes."""
    return said(None, None, [], b"x" * (length - len(msgpack.packb(said(None, None, []))) - 3))


# -- what a hello may hold ---------------------------------------------------------------------------------


def test_a_hello_says_what_its_end_is_capable_of():
    hello = replace(EXAMPLES["Hello"], body=b"", capabilities=("documents", "packs"))
    assert decode(encode(hello)).capabilities == ("documents", "packs")


def test_a_hello_is_passed_on_with_the_bytes_that_were_signed():
    frame = spoken(said(None, None, ["documents"], 7))
    assert encode(decode(frame)) == frame


@pytest.mark.parametrize(
    "body",
    [
        said()[:16],
        said(None, None, [], *range(15)),
        said(6, b""),
        said(10, b""),
        padded(2047),
    ],
    ids=["no more than must be", "32 elements", "no cursor", "no certificate", "2047 bytes"],
)
def test_a_hello_at_its_bounds_is_read(body):
    assert decode(spoken(body)).body == msgpack.packb(body)


@pytest.mark.parametrize(
    "body",
    [
        said()[:15],
        said(None, None, [], *range(16)),
        said(6, b"?"),
        said(10, b"?"),
        padded(2048),
        said(None, None, [], {"a": 1}),
        msgpack.packb(said(None, None, [], 0))[:-1] + b"\xc7\x00\x05",
        b"\x05",
    ],
    ids=[
        "an element too few",
        "33 elements",
        "one byte of a cursor",
        "one byte of a certificate",
        "2048 bytes",
        "a map",
        "an extension type",
        "a number alone",
    ],
)
def test_a_hello_beyond_its_bounds_is_refused(body):
    with pytest.raises(MalformedMessage):
        decode(spoken(body))


# -- what other messages may hold --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        Records(START, Position(2**53, LINK), (2**53,), (b"E",)),
        Records(START, PLACE, (5,), (b"E",), fills=(3, 4)),
        Heads((HeldRun(LINK, 7, 7, ()),)),
        Heads((HeldRun(LINK, 7, 7, ((7, LINK),)),)),
        Presence({}),
        Presence({"m": "x" * (limits.PRESENCE_BYTES_MAX - 6)}),
        Documents(About.CONTENTS, (("x" * 100, LINK),)),
    ],
)
def test_a_message_at_its_bounds_is_read(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "frame",
    [
        altered("Records", 6, [b"Esale", "text"]),
        altered("Heads", 1, [[LINK, 1, 5, [7]]]),
        altered("Presence", 1, {"name": 1, b"name": 1}),
        altered("Presence", 1, {"whole": 1, "float": 0.5}),
        encode(Presence({"m": "x" * (limits.PRESENCE_BYTES_MAX - 5)})),
        altered("Certificates", 1, [b"sealed", "text"]),
        encode(Documents(About.CONTENTS, (("x" * 101, LINK),))),
        encode(Pack(START, PLACE, bytes(limits.MESSAGE_BYTES_MAX + 1), None)),
    ],
    ids=[
        "a record that is text",
        "a mark that is a number",
        "one name of bytes",
        "one value with a fraction",
        "a presence of 4097 bytes",
        "one certificate that is text",
        "a document's name of 101 characters",
        "more bytes than a message has",
    ],
)
def test_a_message_beyond_its_bounds_is_refused(frame):
    with pytest.raises(MalformedMessage):
        decode(frame)


def test_a_quarter_of_a_million_maps_in_one_another_are_refused_before_they_are_built():
    maps = b"\x80"
    for _ in range(3):
        maps = b"\xde\x00\x40" + b"".join(b"\xa1" + bytes([48 + n]) + maps for n in range(64))
    with pytest.raises(MalformedMessage, match="is no message"):
        decode(b"\x92\x0e" + maps)


@pytest.mark.parametrize(("frame_bytes", "allowed"), [(0, 24_576), (80, 24_586)])
def test_a_frame_holds_three_values_a_record_and_one_for_eight_bytes(frame_bytes, allowed):
    codec._Budget(frame_bytes).spend([None] * (allowed - 1))
    with pytest.raises(ValueError, match="too many"):
        codec._Budget(frame_bytes).spend([None] * allowed)


# -- frames ------------------------------------------------------------------------------------------------


def framed(length):
    """A message whose frame has that many bytes."""
    message = Pack(START, PLACE, bytes(length), None)
    return replace(message, blob=bytes(2 * length - len(encode(message))))


def test_what_fits_to_the_byte_travels_in_one_frame():
    message = framed(limits.FRAME_BYTES_MAX)
    assert list(frames(message)) == [encode(message)]


def test_what_fills_its_parts_to_the_byte_says_with_the_last_one_that_it_is():
    parts = [decode(frame) for frame in frames(framed(3 * limits.PART_BYTES))]
    assert [(len(part.data), part.last) for part in parts] == [
        (limits.PART_BYTES, False),
        (limits.PART_BYTES, False),
        (limits.PART_BYTES, True),
    ]


BROUGHT = (b"Eone", b"Etwo" * 100, b"Ethree" * 20_000, b"E")


def excerpt(left_out=(), *, first=3, start=START, to=PLACE, records=BROUGHT):
    return Excerpt(start, to, Portion(Slab(first, records), left_out))


@pytest.mark.parametrize(
    "left_out",
    [(), (0,), (1,), (3,), (0, 1), (1, 2), (0, 3), (1, 3), (0, 1, 2), (0, 2, 3)],
    ids=lambda places: f"without {list(places)}",
)
@pytest.mark.parametrize("first", [1, 2, 200, 2**40])
def test_an_excerpt_is_read_as_the_records_that_were_not_left_out(left_out, first):
    message = excerpt(left_out, first=first)
    seqs = tuple(first + place for place in range(4) if place not in left_out)
    records = tuple(record for place, record in enumerate(BROUGHT) if place not in left_out)
    assert encode(message) == encode(Records(START, PLACE, seqs, records))
    assert tuple(message.rows) == tuple(zip(seqs, records, strict=True))
    assert len(message.rows) == len(seqs)
    assert message.rows[-1] == (seqs[-1], records[-1])


@pytest.mark.parametrize("count", [15, 16, 17, 300, 0xFFFF, 0x10000])
def test_an_excerpt_of_many_records_is_to_the_byte_what_records_are(count):
    """Of more than one frame has it goes as parts; its bytes are the same."""
    records = [b"E"] * count
    left_out = tuple(range(5, count, 7))
    seqs = tuple(sorted(set(range(1, count + 1)) - {place + 1 for place in left_out}))
    frame = encode(Records(START, PLACE, seqs, (b"E",) * len(seqs)))
    assert encode(excerpt(left_out, first=1, records=records)) == frame


def test_what_a_commit_brought_is_encoded_once_for_every_register():
    one = excerpt()
    assert encode(one) is encode(replace(one))


@pytest.mark.parametrize("change", [{"start": PLACE}, {"to": Position(6, LINK)}], ids=["start", "to"])
def test_what_is_told_from_another_place_has_a_frame_of_its_own(change):
    one = excerpt()
    encode(one)
    other = replace(one, **change)
    read = decode(encode(other))
    assert (read.start, read.to, read.records) == (other.start, other.to, BROUGHT)
