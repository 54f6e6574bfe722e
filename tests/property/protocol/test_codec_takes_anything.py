import msgpack
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import MalformedMessage
from crdtsync.protocol.codec import decode, encode
from crdtsync.testing.messages import messages

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=30,
)


def read(frame):
    try:
        return decode(frame)
    except MalformedMessage:
        return None


@given(messages)
def test_every_message_is_read_back_as_it_was(message):
    assert decode(encode(message)) == message


@given(st.binary(max_size=300))
def test_chance_makes_a_message_or_none(frame):
    found = read(frame)
    assert found is None or read(encode(found)) == found


@given(st.integers(1, 18), st.lists(values, max_size=8))
def test_any_fields_make_a_message_or_none(number, fields):
    found = read(msgpack.packb([number, *fields]))
    assert found is None or read(encode(found)) == found


@given(messages, st.data())
def test_a_damaged_frame_makes_a_message_or_none(message, data):
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    found = read(bytes(frame))
    assert found is None or read(encode(found)) == found


@given(messages, st.data())
def test_one_value_replaced_by_any_other_makes_a_message_or_none(message, data):
    fields = msgpack.unpackb(encode(message), strict_map_key=False)
    place = data.draw(st.integers(0, len(fields) - 1))
    fields[place] = data.draw(values)
    found = read(msgpack.packb(fields))
    assert found is None or read(encode(found)) == found
