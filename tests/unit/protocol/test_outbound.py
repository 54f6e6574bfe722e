import pytest

from crdtsync.errors import UnexpectedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.codec import decode, encode
from crdtsync.protocol.messages import Ack, Pack, Records
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.slab import Portion, Slab
from crdtsync.protocol.work import ReadRequest
from crdtsync.testing.talk import at

COVERED = {b"c" * 32: [(1, 5)]}


class Desk:
    """An outbound half, with what it sends and what it asks to read."""

    def __init__(self, end=0, *, held_back=False):
        self.sent = []
        self.out = Outbound(self.sent.append)
        self.out.end = at(end)
        self.out.held_back = held_back

    def supply(self, to, *seqs, size=10, now_ms=0):
        self.out.supply(at(to), [(seq, b"Erecord %d" % seq) for seq in seqs], size, now_ms)

    def told(self):
        said, self.sent[:] = list(self.sent), []
        return said


def records(start, to, *seqs, fills=None):
    return Records(at(start), at(to), seqs, tuple(b"Erecord %d" % seq for seq in seqs), fills)


def test_an_empty_log_asks_to_read_nothing():
    assert Desk().out.next_read() is None


def test_a_log_of_which_no_end_was_told_asks_to_read_nothing():
    out = Outbound(print)
    out.held_back = False
    assert (out.next_read(), out.is_quiet) == (None, True)


def test_nothing_is_read_before_it_is_known_what_the_peer_holds():
    assert Desk(9, held_back=True).out.next_read() is None


def test_the_log_is_read_from_where_the_peer_has_it():
    desk = Desk(9)
    desk.out.start(at(4))
    assert desk.out.next_read() == ReadRequest(4, limits.BATCH_BYTES, packs=True)


def test_one_read_at_a_time():
    desk = Desk(9)
    desk.out.next_read()
    assert desk.out.next_read() is None


def test_rows_that_nobody_asked_for_are_an_error_of_the_driver():
    with pytest.raises(AssertionError):
        Desk(9).supply(5, 5)


def test_a_frame_says_from_where_to_where_with_what_was_skipped():
    desk = Desk(9)
    desk.out.next_read()
    desk.supply(5, 2, 4)
    assert desk.told() == [records(0, 5, 2, 4)]


def test_frames_follow_one_another():
    desk = Desk(9)
    for to in (5, 9):
        desk.out.next_read()
        desk.supply(to, to)
    assert desk.told() == [records(0, 5, 5), records(5, 9, 9)]


def test_skipped_rows_travel_with_the_next_record():
    desk = Desk(9)
    desk.out.next_read()
    desk.supply(5)
    desk.out.next_read()
    desk.supply(9, 9)
    assert desk.told() == [records(0, 9, 9)]


def test_skipped_rows_wait_for_company_since_the_first_of_them():
    desk = Desk(9)
    for to, now_ms in ((5, 70), (9, 90)):
        desk.out.next_read()
        desk.supply(to, now_ms=now_ms)
    assert (desk.out.advance_since_ms, desk.told()) == (70, [])


def test_an_advance_tells_of_skipped_rows_alone():
    desk = Desk(9)
    desk.out.next_read()
    desk.supply(9)
    desk.out.advance()
    assert desk.told() == [records(0, 9)]
    assert (desk.out.advance_since_ms, desk.out.in_flight_bytes) == (None, 0)


def test_what_was_skipped_of_the_past_is_told_at_once():
    """A register that reconnects need not wait for a second to hear that it has everything."""
    desk = Desk(9)
    desk.out.catch_up_to = 9
    desk.out.next_read()
    desk.supply(9)
    assert desk.told() == [records(0, 9)]


def test_a_pack_goes_as_it_is():
    desk = Desk(9)
    desk.out.next_read()
    desk.out.supply_pack(at(8), b"packed")
    assert desk.told() == [Pack(START, at(8), b"packed")]
    assert desk.out.next_read() == ReadRequest(8, limits.BATCH_BYTES, packs=True)


def test_no_pack_is_asked_for_while_skipped_rows_are_untold():
    desk = Desk(9)
    desk.out.next_read()
    desk.supply(5)
    assert desk.out.next_read() == ReadRequest(5, limits.BATCH_BYTES, packs=False)


# -- acknowledgements --------------------------------------------------------------------------------------


def sending(*ends, size=10):
    desk = Desk(max(ends))
    for end in ends:
        desk.out.next_read()
        desk.supply(end, end, size=size)
    return desk


def test_an_acknowledgement_counts():
    desk = sending(3, 7)
    assert desk.out.on_ack(Ack(at(3)))
    assert (desk.out.acked, desk.out.in_flight_bytes) == (at(3), 10)


def test_an_acknowledgement_covers_what_went_before():
    desk = sending(3, 7)
    assert desk.out.on_ack(Ack(at(7)))
    assert (desk.out.is_quiet, desk.out.is_stalled, desk.out.in_flight_bytes) == (True, False, 0)


def test_an_acknowledgement_that_came_before_is_no_news():
    desk = sending(3, 7)
    desk.out.on_ack(Ack(at(7)))
    assert not desk.out.on_ack(Ack(at(3)))
    assert desk.out.acked == at(7)


@pytest.mark.parametrize("position", [at(8), at(5), Position(7, bytes(32)), Position(3, at(7).h)])
def test_an_acknowledgement_of_what_was_never_told_counts_for_nothing(position):
    desk = sending(3, 7)
    with pytest.raises(UnexpectedMessage):
        desk.out.on_ack(Ack(position))
    assert desk.out.acked == START


def test_a_slow_peer_is_sent_no_more_than_the_bound():
    desk = sending(3, size=limits.IN_FLIGHT_BYTES_MAX)
    desk.out.end = at(9)
    assert desk.out.next_read() is None
    desk.out.on_ack(Ack(at(3)))
    assert desk.out.next_read() is not None


def test_what_is_under_way_can_stall():
    assert sending(3).out.is_stalled


def test_what_is_under_way_is_not_quiet():
    assert not sending(3).out.is_quiet


def test_what_is_held_back_is_not_quiet():
    assert not Desk(held_back=True).out.is_quiet


# -- what the peer's heads cover ---------------------------------------------------------------------------


def test_what_is_covered_is_left_out_up_to_the_end_as_it_was_then():
    desk = Desk(9)
    desk.out.cover(COVERED, repair=False)
    desk.out.end = at(12)
    assert desk.out.next_read() == ReadRequest(0, limits.BATCH_BYTES, 9, covered=COVERED)
    desk.supply(9, 8)
    assert desk.out.next_read() == ReadRequest(9, limits.BATCH_BYTES, packs=True)


def repairing():
    desk = sending(9)
    desk.out.on_ack(Ack(at(9)))
    desk.told()
    desk.out.cover(COVERED, repair=True)
    return desk


def test_a_repair_reads_everything_that_was_ever_told_again():
    desk = repairing()
    expected = ReadRequest(0, limits.BATCH_BYTES, 9, skip_origin=False, covered=COVERED)
    assert (desk.out.next_read(), desk.out.is_quiet) == (expected, False)


def test_a_repair_moves_no_cursor():
    desk = repairing()
    desk.out.next_read()
    desk.supply(4, 2)
    desk.out.next_read()
    desk.supply(9)
    assert desk.told() == [records(9, 9, 2)]
    assert desk.out.is_quiet


def test_a_repair_that_begins_anew_leaves_nothing_out():
    desk = repairing()
    desk.out.next_read()
    desk.supply(4, 2)
    desk.out.next_read()
    desk.out.cover(COVERED, repair=True)
    desk.supply(9, 8)
    assert desk.out.next_read().after == 0


def test_rows_that_were_read_before_a_repair_are_no_part_of_it():
    desk = sending(9)
    desk.out.end = at(12)
    desk.out.next_read()
    desk.out.cover(COVERED, repair=True)
    desk.told()
    desk.supply(12, 12)
    assert desk.told() == [records(9, 12, 12)]
    assert desk.out.next_read().after == 0


# -- what is sent once more --------------------------------------------------------------------------------


def sending_again(*seqs):
    desk = sending(9)
    desk.out.on_ack(Ack(at(9)))
    desk.told()
    desk.out.send_again(seqs)
    return desk


def test_rows_are_sent_again_whoever_they_came_from():
    desk = sending_again(3, 4)
    expected = ReadRequest(2, limits.BATCH_BYTES, 4, skip_origin=False)
    assert (desk.out.is_quiet, desk.out.next_read()) == (False, expected)


def test_rows_are_sent_again_piece_by_piece_and_move_no_cursor():
    desk = sending_again(3, 4, 5, 8)
    reads = []
    for to, *seqs in ((4, 3, 4), (5,), (8, 8)):
        request = desk.out.next_read()
        reads.append((request.after, request.until))
        desk.supply(to, *seqs)
    assert reads == [(2, 5), (4, 5), (7, 8)]
    assert desk.told() == [records(9, 9, 3, 4), records(9, 9, 8)]
    assert desk.out.is_quiet


def test_no_more_is_sent_again_while_the_last_is_under_way():
    desk = sending_again(3)
    desk.out.send_again([7])
    desk.out.next_read()
    desk.supply(3, 3)
    assert desk.out.next_read() is None


def test_only_what_the_peer_was_told_of_is_sent_again():
    request = sending_again(9, 10).out.next_read()
    assert (request.after, request.until) == (8, 9)


# -- one frame for many peers ------------------------------------------------------------------------------


def test_rows_in_a_list_that_changes_are_sent_as_they_are_now():
    rows = [(1, b"Eone")]
    first, second = Desk(1), Desk(1)
    for desk in (first, second):
        desk.out.next_read()
        desk.out.supply(at(1), rows, 4, 0)
        rows[0] = (1, b"Etwo")
    assert second.told() == [Records(START, at(1), (1,), (b"Etwo",))]


def test_what_a_commit_brought_is_one_frame_for_all_peers_that_are_at_the_same_place():
    rows = Portion(Slab(1, [b"Eone", b"Etwo"]))
    frames = []
    for _ in range(2):
        desk = Desk(end=2)
        desk.out.next_read()
        desk.out.supply(at(2), rows, 8, 0)
        frames.append(encode(*desk.told()))
    assert frames[0] is frames[1]


def test_the_same_rows_from_another_place_are_another_frame():
    rows = Portion(Slab(3, [b"Eone", b"Etwo"]))
    starts = []
    for start in (1, 2):
        desk = Desk(end=4)
        desk.out.start(at(start))
        desk.out.next_read()
        desk.out.supply(at(4), rows, 8, 0)
        starts.append(decode(encode(*desk.told())).start)
    assert starts == [at(1), at(2)]


def test_of_a_commit_that_a_peer_sent_itself_it_is_told_with_the_next_record():
    desk = Desk(end=1)
    desk.out.next_read()
    desk.out.supply(at(1), Portion(Slab(1, [b"Eone"]), (0,)), 0, 70)
    assert (desk.told(), desk.out.advance_since_ms) == ([], 70)
