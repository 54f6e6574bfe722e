import pytest

from crdtsync.errors import UnexpectedMessage
from crdtsync.ids import START, Position
from crdtsync.protocol import limits
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.messages import Ack, Cut, Pack, Records, Want
from crdtsync.protocol.work import Delivery
from crdtsync.testing.talk import at


class Shelf:
    """An inbound half, with what it says and what it wants on disk."""

    def __init__(self, *, at_once=True):
        self.said = []
        self.deliveries = []
        self.inbound = Inbound(self.said.append, self.deliveries.append)
        self.inbound.acknowledge_at_once = at_once

    def told(self):
        self.inbound.acknowledge_stored()
        said, self.said[:] = list(self.said), []
        return said

    def store(self):
        for delivery in list(self.inbound.under_way):
            self.inbound.on_stored(delivery.number)


def records(start, to, *seqs, fills=None, size=10):
    return Records(at(start), at(to), seqs, tuple(b"E".ljust(size, b".") for _ in seqs), fills)


def test_records_go_to_the_disk_with_the_cursor_that_they_reach():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 2, 4))
    record = b"E........."
    assert shelf.deliveries == [Delivery(1, START, at(5), ((2, record), (4, record)), size=20)]


def test_an_advance_without_records_moves_the_cursor():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5))
    shelf.store()
    assert shelf.told() == [Ack(at(5))]


def test_what_was_stored_together_is_acknowledged_once():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.inbound.on_records(records(5, 9, 9))
    shelf.store()
    assert shelf.told() == [Ack(at(9))]
    assert shelf.told() == []


def test_nothing_is_acknowledged_before_it_is_on_disk():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.inbound.acknowledge(now=True)
    assert shelf.told() == []


def test_what_is_on_disk_is_acknowledged():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.inbound.on_records(records(5, 9, 9))
    shelf.inbound.on_stored(1)
    assert shelf.told() == [Ack(at(5))]


def test_a_register_acknowledges_when_it_has_stored_enough():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_records(records(0, 5, 5, size=limits.ACK_EVERY_BYTES // 2 - 1))
    shelf.inbound.on_records(records(5, 9, 9, size=limits.ACK_EVERY_BYTES // 2 + 1))
    shelf.inbound.on_stored(1)
    assert shelf.told() == []
    shelf.inbound.on_stored(2)
    assert shelf.told() == [Ack(at(9))]


def test_a_register_acknowledges_now_and_then_what_it_has():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.store()
    shelf.inbound.acknowledge(now=True)
    shelf.inbound.acknowledge(now=True)
    assert shelf.told() == [Ack(at(5))]


def test_what_was_held_before_is_not_acknowledged_again():
    shelf = Shelf()
    shelf.inbound.start(at(5), ())
    shelf.inbound.acknowledge(now=True)
    assert shelf.told() == []


def test_deliveries_are_stored_in_their_order():
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.inbound.on_records(records(5, 9, 9))
    with pytest.raises(AssertionError):
        shelf.inbound.on_stored(2)


def test_bytes_that_are_not_on_disk_yet_flood_until_they_are_stored(monkeypatch):
    monkeypatch.setattr(limits, "UNSTORED_BYTES_MAX", 1000)
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5, 5, size=700))
    assert not shelf.inbound.is_flooded
    shelf.inbound.on_pack(Pack(at(5), at(9), bytes(300)))
    assert shelf.inbound.is_flooded
    shelf.store()
    assert not shelf.inbound.is_flooded


def test_frames_without_records_flood_too(monkeypatch):
    monkeypatch.setattr(limits, "UNSTORED_FRAMES_MAX", 2)
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 5))
    shelf.inbound.on_records(records(5, 9))
    assert shelf.inbound.is_flooded


@pytest.mark.parametrize(
    "message",
    [
        records(4, 9, 9),
        records(6, 9, 9),
        Records(Position(5, bytes(32)), at(9), (9,), (b"E",)),
        records(5, 4),
        Records(at(5), Position(5, bytes(32)), (), ()),
        Pack(at(4), at(9), b"packed"),
        Pack(at(5), at(3), b"packed"),
    ],
)
def test_what_does_not_continue_is_refused(message):
    shelf = Shelf()
    shelf.inbound.start(at(5), ())
    with pytest.raises(UnexpectedMessage):
        (shelf.inbound.on_pack if isinstance(message, Pack) else shelf.inbound.on_records)(message)
    assert shelf.deliveries == []


@pytest.mark.parametrize(
    "message",
    [
        records(5, 9, 5, 9),
        records(5, 9, 9, 10),
        records(5, 5, 6),
        records(5, 5, 2, 3, fills=(3, 5)),
        records(5, 5, 3, 5, fills=(3, 4)),
    ],
)
def test_records_that_do_not_lie_where_their_frame_says_are_refused(message):
    shelf = Shelf()
    shelf.inbound.start(at(5), ())
    with pytest.raises(UnexpectedMessage):
        shelf.inbound.on_records(message)


def test_a_repair_may_bring_any_row_told_before():
    shelf = Shelf()
    shelf.inbound.start(at(5), ())
    shelf.inbound.on_records(records(5, 5, 1, 5))
    assert [seq for seq, _ in shelf.deliveries[0].records] == [1, 5]


def test_a_record_over_its_limit_does_not_keep_the_others_back():
    """Admission refuses it; to end the connection would end all synchronising of that register for good."""
    shelf = Shelf()
    shelf.inbound.on_records(records(0, 2, 1, 2, size=limits.RECORD_BYTES_MAX + 1))
    assert len(shelf.deliveries[0].records) == 2


# -- a cut, and what is wanted after it --------------------------------------------------------------------


def wanting(*intervals, to=100):
    shelf = Shelf(at_once=False)
    shelf.inbound.start(at(to), intervals)
    shelf.inbound.want_more()
    return shelf


def test_a_cut_is_stored_with_everything_that_is_still_wanted():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_cut(Cut(at(100), ((90, 100), (20, 30)), (1, 25), (b"Eowner", b"Ecertificate")))
    [delivery] = shelf.deliveries
    assert delivery.cursor == at(100)
    assert delivery.records == ((1, b"Eowner"), (25, b"Ecertificate"))
    assert delivery.cut == ((20, 24), (26, 30), (90, 100), (31, 89), (2, 19))
    assert delivery.first == ((20, 24), (26, 30), (90, 100))


def test_what_matters_at_once_is_asked_for_first():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_cut(Cut(at(100), ((90, 100), (20, 30))))
    assert shelf.told() == [Want(20, 30), Want(90, 100)]


def test_history_is_asked_for_when_all_that_matters_at_once_is_stored_and_not_what_came_with_it():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_cut(Cut(at(100), ((90, 100), (20, 30))))
    shelf.store()
    shelf.inbound.on_pack(Pack(at(100), at(100), b"packed", (10, 40)))
    shelf.inbound.on_records(records(100, 100, 91, fills=(90, 100)))
    shelf.told()
    shelf.inbound.on_stored(2)
    assert shelf.told() == []
    shelf.store()
    assert shelf.told() == [Want(41, 89), Want(1, 9)]


def test_after_a_new_beginning_nothing_of_a_cut_before_comes_first():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_cut(Cut(at(100), ((90, 100),)))
    shelf.inbound.start(at(100), ((1, 50), (90, 100)))
    shelf.told()
    shelf.inbound._asked.clear()
    shelf.inbound.want_more()
    assert shelf.told() == [Want(1, 50), Want(90, 100)]


def test_how_much_of_what_matters_at_once_is_left_is_known():
    shelf = Shelf(at_once=False)
    assert shelf.inbound.first_left(at(100)) == 100
    shelf.inbound.on_cut(Cut(at(100), ((90, 100), (20, 30))))
    assert shelf.inbound.first_left(at(100)) == 100, "nothing of it is on the disk yet"
    shelf.store()
    assert shelf.inbound.first_left(at(100)) == 22
    shelf.inbound.on_records(records(100, 100, fills=(20, 30)))
    shelf.store()
    assert shelf.inbound.first_left(at(100)) == 11
    shelf.inbound.restart()
    shelf.store()
    assert shelf.inbound.first_left(at(0)) == 0


def test_intervals_that_overlap_are_wanted_once():
    shelf = Shelf(at_once=False)
    shelf.inbound.on_cut(Cut(at(10), ((5, 8), (6, 10))))
    assert shelf.inbound.wanted == [(5, 10), (1, 4)]


@pytest.mark.parametrize("shelf", [Shelf(at_once=True), wanting(to=5)])
def test_a_cut_is_only_for_a_register_that_starts(shelf):
    with pytest.raises(UnexpectedMessage):
        shelf.inbound.on_cut(Cut(at(100), ()))


@pytest.mark.parametrize("cut", [Cut(START, ()), Cut(at(100), (), (101,), (b"E",))])
def test_a_cut_of_nothing_or_beyond_itself_is_refused(cut):
    with pytest.raises(UnexpectedMessage):
        Shelf(at_once=False).inbound.on_cut(cut)


def test_a_long_interval_is_asked_for_in_pieces_a_few_at_a_time():
    size = limits.WANT_SEQS
    shelf = wanting((1, 5 * size), to=5 * size)
    assert shelf.told() == [Want(1, size), Want(size + 1, 2 * size)]


def test_short_intervals_are_asked_for_many_at_a_time():
    intervals = [(10 * n, 10 * n) for n in range(1, 100)]
    assert len(wanting(*intervals, to=1000).told()) == limits.WANTS_UNDER_WAY_MAX


def test_the_next_piece_is_asked_for_once_one_is_on_disk():
    size = limits.WANT_SEQS
    shelf = wanting((1, 5 * size), to=5 * size)
    shelf.told()
    shelf.inbound.on_records(records(5 * size, 5 * size, 1, fills=(1, size)))
    assert shelf.told() == []
    shelf.store()
    assert shelf.told() == [Want(2 * size + 1, 3 * size)]


def test_what_was_answered_is_wanted_no_more():
    shelf = wanting((90, 100), (1, 50))
    shelf.inbound.on_records(records(100, 100, 90, fills=(90, 95)))
    shelf.store()
    assert shelf.inbound.wanted == [(96, 100), (1, 50)]
    assert shelf.deliveries[0].fills == (90, 95)


def test_everything_is_quiet_once_nothing_is_wanted():
    shelf = wanting((90, 100))
    shelf.inbound.on_pack(Pack(at(100), at(100), b"packed", (80, 100)))
    assert not shelf.inbound.is_quiet
    shelf.store()
    assert shelf.inbound.is_quiet


def test_an_answer_that_a_pack_has_given_already_does_no_harm():
    """The peer answers every want; a pack may have reached into the next one before that was asked."""
    shelf = wanting((1, 50))
    shelf.inbound.on_pack(Pack(at(100), at(100), b"packed", (1, 60)))
    shelf.store()
    shelf.inbound.on_pack(Pack(at(100), at(100), b"packed", (40, 60)))
    shelf.store()
    assert shelf.inbound.is_quiet


def test_an_answered_interval_moves_no_cursor():
    shelf = wanting((1, 50))
    with pytest.raises(UnexpectedMessage):
        shelf.inbound.on_records(records(100, 101, 1, fills=(1, 50)))


# -- beginning again ---------------------------------------------------------------------------------------


def test_to_begin_again_goes_to_the_disk_first():
    shelf = Shelf()
    shelf.inbound.start(at(100), ((1, 50),))
    shelf.inbound.restart()
    assert shelf.deliveries == [Delivery(1, at(100), START, restart=True)]
    assert shelf.inbound.is_restarting
    shelf.inbound.on_records(records(0, 5, 5))
    assert shelf.deliveries[1].start == START


def test_what_comes_after_beginning_again_is_acknowledged_from_the_beginning():
    shelf = Shelf()
    shelf.inbound.start(at(100), ())
    shelf.inbound.restart()
    shelf.inbound.on_records(records(0, 5, 5))
    shelf.store()
    assert (shelf.told(), shelf.inbound.is_restarting) == ([Ack(at(5))], False)


def test_a_connection_on_which_nothing_came_has_not_begun_and_wants_nothing():
    shelf = Shelf()
    shelf.inbound.want_more()
    assert (shelf.inbound.has_begun, shelf.told()) == (False, [])
    shelf.inbound.on_records(records(0, 5, 5))
    assert shelf.inbound.has_begun is True
