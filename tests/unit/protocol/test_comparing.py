"""The comparing half by itself: what is asked, what is told, and how often."""

import pytest

from crdtsync.errors import MessageTooBig, UnexpectedMessage
from crdtsync.ids import START
from crdtsync.protocol import limits
from crdtsync.protocol.comparing import Comparing
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.messages import (
    About,
    Digest,
    Documents,
    DocumentsDigest,
    Heads,
    HeadsWanted,
    HeldRun,
    Records,
)
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.work import Ready
from crdtsync.testing.talk import NOW_MS, at

RUN = HeldRun(b"c" * 32, 1, 5, ((5, b"l" * 32),))
DIGEST = b"g" * 32
CATALOGUE, STOCK, PRICES = (("catalogue", DIGEST), ("stock", DIGEST), ("prices", DIGEST))


class Desk:
    """Two quiet ends that are in step, as one of them sees it."""

    def __init__(self, *, end=START, now_ms=NOW_MS):
        self.sent = []
        self.is_in_step = True
        self.outbound = Outbound(self.sent.append)
        self.outbound.end = end
        self.outbound.held_back = False
        self.outbound.start(end)
        inbound = Inbound(self.sent.append, print)
        self.comparing = Comparing(self.sent.append, self.outbound, inbound, lambda: self.is_in_step, now_ms)

    def pass_time(self, ms):
        self.comparing.now_ms += ms
        self.comparing.tick()

    def ready(self):
        ready = Ready()
        self.comparing.collect(ready, has_room=True)
        return ready

    def told(self):
        said, self.sent[:] = list(self.sent), []
        return said


def test_at_first_nothing_was_heard_nothing_differs_and_nobody_asked():
    desk = Desk()
    assert (desk.comparing.digests_heard, desk.comparing.unmended) == (0, frozenset())
    assert desk.ready() == Ready()


# -- heads -------------------------------------------------------------------------------------------------


def test_an_end_may_repair_as_often_as_it_finds_cause_itself():
    desk = Desk()
    for _ in range(2):
        desk.comparing.repair()
        desk.comparing.on_heads(Heads(()))
        desk.ready()
        desk.comparing.cover({})
    assert desk.told() == [HeadsWanted()] * 2


def test_nothing_is_repaired_while_everything_is_held_back():
    desk = Desk()
    desk.outbound.held_back = True
    desk.comparing.repair()
    assert desk.told() == []


def test_heads_are_taken_once():
    desk = Desk()
    desk.comparing.repair()
    desk.comparing.on_heads(Heads((RUN,)))
    with pytest.raises(UnexpectedMessage):
        desk.comparing.on_heads(Heads((RUN,)))


def test_heads_may_name_as_many_runs_as_the_bound_says_and_no_more(monkeypatch):
    monkeypatch.setattr(limits, "HEADS_RUNS_MAX", 2)
    desk = Desk()
    desk.comparing.repair()
    desk.comparing.on_heads(Heads((RUN, RUN), last=False))
    with pytest.raises(MessageTooBig):
        desk.comparing.on_heads(Heads((RUN,)))


# -- digests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now_ms", [0, NOW_MS])
def test_what_must_not_be_wrong_for_long_is_compared_at_once(now_ms):
    desk = Desk(now_ms=now_ms)
    desk.comparing.compare_soon()
    desk.pass_time(0)
    assert desk.ready().digest_due


def test_what_was_compared_at_once_is_not_compared_ever_after():
    desk = Desk()
    desk.comparing.compare_soon()
    desk.pass_time(0)
    desk.ready()
    desk.pass_time(limits.DIGEST_EVERY_MS)
    assert not desk.ready().digest_due


@pytest.mark.parametrize(
    ("ms", "is_due"), [(limits.DIGEST_EVERY_MS - 1, False), (limits.DIGEST_EVERY_MS, True)]
)
def test_what_is_urgent_twice_is_compared_once_a_second(ms, is_due):
    desk = Desk()
    desk.comparing.compare_soon()
    desk.pass_time(0)
    desk.ready()
    desk.comparing.compare_soon()
    desk.pass_time(ms)
    assert desk.ready().digest_due is is_due


def test_the_peer_is_told_of_all_rows_before_it_is_asked_to_compare():
    desk = Desk()
    desk.outbound.end = desk.outbound.sent = at(9)
    desk.pass_time(limits.COMPARE_EVERY_MS)
    assert desk.told() == [Records(START, at(9), (), ())]
    assert not desk.ready().digest_due
    desk.pass_time(0)
    assert desk.ready().digest_due


HALF_MS = limits.COMPARE_EVERY_MS // 2


@pytest.mark.parametrize(("ms", "is_due"), [(HALF_MS - 1, False), (HALF_MS, True)])
def test_a_digest_is_answered_with_ours_unless_that_was_told_just_now(ms, is_due):
    desk = Desk()
    desk.pass_time(ms)
    desk.comparing.on_digest(Digest(DIGEST, 0))
    ready = desk.ready()
    assert (ready.digest, ready.digest_due) == (Digest(DIGEST, 0), is_due)
    assert desk.comparing.digests_heard == 1


def test_who_is_not_in_step_looks_at_no_digest():
    desk = Desk()
    desk.is_in_step = False
    desk.comparing.on_digest(Digest(DIGEST, 0))
    assert (desk.ready().digest, desk.comparing.digests_heard) == (None, 0)


# -- documents ---------------------------------------------------------------------------------------------


def test_a_digest_of_documents_says_where_our_log_ends():
    desk = Desk(end=at(9))
    desk.comparing.send_documents_digest(DIGEST)
    assert desk.told() == [DocumentsDigest(DIGEST, 9)]


@pytest.mark.parametrize(
    ("about", "answer"), [(About.RECORDS, About.CONTENTS), (About.CONTENTS, About.CONTENTS_TOO)]
)
def test_a_list_of_documents_may_be_answered_with_the_next_one(about, answer):
    desk = Desk()
    desk.comparing.send_documents(about, [CATALOGUE])
    desk.comparing.on_documents(Documents(answer, (CATALOGUE,)))
    assert desk.told() == [Documents(about, (CATALOGUE,))]
    assert desk.ready().documents == [Documents(answer, (CATALOGUE,))]


@pytest.mark.parametrize("answer", About)
def test_the_last_list_of_documents_is_not_answered(answer):
    desk = Desk()
    desk.comparing.send_documents(About.CONTENTS_TOO, [CATALOGUE])
    with pytest.raises(UnexpectedMessage):
        desk.comparing.on_documents(Documents(answer, ()))


def test_a_list_of_many_documents_is_told_in_several_messages(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENTS_PER_MESSAGE_MAX", 2)
    desk = Desk()
    desk.comparing.send_documents(About.RECORDS, [CATALOGUE, STOCK, PRICES, CATALOGUE])
    assert desk.told() == [
        Documents(About.RECORDS, (CATALOGUE, STOCK), last=False),
        Documents(About.RECORDS, (PRICES, CATALOGUE), last=True),
    ]


def test_whoever_holds_no_document_says_so_in_one_message(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENTS_PER_MESSAGE_MAX", 1)
    desk = Desk()
    desk.comparing.send_documents(About.RECORDS, [])
    assert desk.told() == [Documents(About.RECORDS, ())]


def test_a_list_may_have_as_many_documents_as_the_bound_says(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENTS_MAX", 2)
    desk = Desk()
    desk.comparing.send_documents_digest(DIGEST)
    desk.comparing.on_documents(Documents(About.RECORDS, (CATALOGUE, STOCK)))
    assert desk.ready().documents == [Documents(About.RECORDS, (CATALOGUE, STOCK))]


@pytest.mark.parametrize(
    ("ms", "reads"), [(limits.REPAIR_EVERY_MS - 1, False), (limits.REPAIR_EVERY_MS, True)]
)
def test_rows_are_sent_once_more_when_the_time_of_a_repair_has_passed(ms, reads):
    desk = Desk(end=at(9))
    desk.comparing.send_again([2])
    desk.outbound.next_read()
    desk.outbound.supply(at(2), [(2, b"U")], 1, NOW_MS)
    desk.pass_time(ms)
    desk.comparing.send_again([2])
    assert (desk.outbound.next_read() is not None) is reads


# -- whether something is due --------------------------------------------------------------------------------


def heads_were_told(desk):
    desk.comparing.repair()
    desk.comparing.on_heads(Heads((RUN,)))


def documents_were_told(desk):
    desk.comparing.send_documents_digest(DIGEST)
    desk.comparing.on_documents(Documents(About.RECORDS, (CATALOGUE,)))


@pytest.mark.parametrize(
    "happens",
    [
        heads_were_told,
        documents_were_told,
        lambda desk: desk.comparing.on_digest(Digest(DIGEST, 0)),
        lambda desk: desk.comparing.on_documents_digest(DocumentsDigest(DIGEST, 0)),
    ],
    ids=["heads", "documents", "digest", "digest of documents"],
)
def test_what_the_peer_tells_is_for_the_driver_once(happens):
    desk = Desk()
    assert (desk.comparing.is_asked, desk.comparing.is_idle) == (False, True)
    happens(desk)
    assert (desk.comparing.is_asked, desk.comparing.is_idle) == (True, False)
    desk.ready()
    assert (desk.comparing.is_asked, desk.comparing.is_idle) == (False, True)


def test_who_is_to_tell_a_digest_is_not_idle():
    desk = Desk()
    desk.comparing.compare_soon()
    desk.pass_time(0)
    assert (desk.comparing.is_asked, desk.comparing.is_idle) == (False, False)


def test_who_has_heads_to_tell_is_not_idle_until_the_last_is_told(monkeypatch):
    monkeypatch.setattr(limits, "RUNS_PER_MESSAGE_MAX", 2)
    desk = Desk()
    desk.comparing.on_heads_wanted(HeadsWanted())
    assert not desk.comparing.is_idle
    desk.ready()
    desk.comparing.supply_heads([RUN, RUN])
    assert not desk.comparing.is_idle
    desk.ready()
    assert desk.comparing.is_idle
    assert desk.told() == [Heads((RUN, RUN), last=False), Heads((), last=True)]


# -- whether the last digest was another one -----------------------------------------------------------------


def test_a_difference_that_the_peers_digest_showed_stands_until_it_tells_another():
    desk = Desk()
    assert desk.comparing.differs is False
    desk.comparing.repair(is_wanted_by_peer=True)
    assert desk.comparing.differs is True
    desk.comparing.repair()
    assert desk.comparing.differs is True
    desk.comparing.on_digest(Digest(DIGEST, 0))
    assert desk.comparing.differs is False


def test_who_repairs_of_itself_has_found_no_difference():
    desk = Desk()
    desk.comparing.repair()
    assert desk.comparing.differs is False


def test_digests_that_were_told_are_counted_one_by_one():
    """By the number of the next one it is known whether what was asked for is compared."""
    desk = Desk()
    desk.comparing.send_digest(DIGEST)
    assert (desk.comparing.digests_told, desk.told()) == (1, [Digest(DIGEST, 0)])
