"""The columns beside a pack: what a damaged disk returns in their place costs nothing and is named."""

import tracemalloc
from array import array

import pytest
import zstandard

from crdtsync.storage import pack_columns
from crdtsync.storage.pack import ROWS_MAX
from crdtsync.storage.pack_columns import PackColumns, PackedRow

ROWS = [(PackedRow(1, 1, n, 1, n, bytes(32)), n.to_bytes(32, "big")) for n in range(1, 40)]
SOUND = pack_columns.encode(pack_columns.from_rows(ROWS))


def test_a_flipped_bit_is_named_or_changes_nothing_and_takes_no_memory():
    named = 0
    tracemalloc.start()
    try:
        for place in range(len(SOUND)):
            for bit in range(8):
                damaged = bytearray(SOUND)
                damaged[place] ^= 1 << bit
                try:
                    columns = pack_columns.decode(bytes(damaged))
                except ValueError:
                    named += 1
                else:  # A bit of the compressed frame that means nothing.
                    assert pack_columns.encode(columns) == SOUND
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert named > 8 * len(SOUND) * 0.9
    assert peak_bytes < 16 << 20


def test_a_frame_that_states_more_than_a_pack_has_rows_for_is_not_unpacked():
    # 8 bytes of content size after a descriptor that announces them: 1 << 40 bytes.
    frame = b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\1\0\0"
    with pytest.raises(ValueError, match="a size that they cannot have"):
        pack_columns.decode(bytes(4) + frame)


def test_a_frame_with_a_huge_window_is_not_unpacked():
    # No single segment: a window of 2 GB for 256 bytes of content.
    frame = b"\x28\xb5\x2f\xfd\x40" + b"\xa8" + b"\0\0" + b"\1\0\0"
    assert zstandard.get_frame_parameters(frame).window_size == 1 << 31
    with pytest.raises(ValueError, match="a size that they cannot have"):
        pack_columns.decode(bytes(4) + frame)


@pytest.mark.slow
def test_the_columns_of_the_largest_pack_are_read():
    # Each row begins a branch of its own: nothing is larger.
    numbers = array("q", range(ROWS_MAX))
    prevs = {place: place.to_bytes(32, "big") for place in range(ROWS_MAX)}
    columns = PackColumns(numbers, numbers, numbers, numbers, numbers, prevs)
    again = pack_columns.decode(pack_columns.encode(columns))
    assert (again.documents, again.ns, again.prevs) == (numbers, numbers, prevs)
