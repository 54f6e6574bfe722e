"""A session until it is live: who says what, and what is signed."""

import pytest

from crdtsync.errors import (
    LinkClosed,
    UnexpectedMessage,
    UnsupportedVersion,
)
from crdtsync.protocol import limits
from crdtsync.protocol.codec import encode_hello_body
from crdtsync.protocol.messages import (
    CAPABILITIES,
    Certificates,
    CertificatesWanted,
    Challenge,
    Hello,
    Presence,
)
from crdtsync.protocol.session import State
from crdtsync.testing.messages import one_of_each
from crdtsync.testing.talk import MINE, RELAY, THEIRS, Talk, at, hello, me


def test_who_accepts_speaks_first():
    assert Talk(connecting=False).said() == [Challenge(limits.VERSION, b"n" * 16)]


def test_who_connects_waits_to_be_asked():
    assert Talk(me=me()).said() == []


def test_the_answer_to_a_challenge_is_a_hello_signed_for_it():
    talk = Talk(me=me(end=at(9), cursor=at(4)))
    talk.hear(Challenge(1, b"c" * 16))
    [said] = talk.said()
    assert said == hello(
        device=me().device,
        log_id=MINE,
        end=at(9),
        cursor_log=THEIRS,
        cursor=at(4),
        is_relay=False,
        capabilities=CAPABILITIES,
    )
    assert talk.signed == [("hello-connect", b"c" * 16 + said.body)]
    assert said.signature == b"s" * 64


def test_a_hello_must_be_signed_for_the_challenge():
    talk = Talk(connecting=False)
    talk.hear(hello())
    assert talk.ready().judge == hello()
    assert talk.session.signed_by_peer() == ("hello-connect", b"n" * 16 + hello().body, bytes(64))


def test_who_accepts_signs_both_hellos(relay):
    talk = relay(drained=False)
    said = next(message for message in talk.said() if isinstance(message, Hello))
    assert talk.signed == [("hello-accept", b"n" * 16 + hello(is_relay=False).body + said.body)]


def test_the_answering_hello_must_be_signed_for_both_hellos():
    talk = Talk(me=me())
    talk.hear(Challenge(1, b"c" * 16))
    [mine] = talk.said()
    talk.hear(hello())
    expected = b"c" * 16 + encode_hello_body(mine) + hello().body
    assert talk.session.signed_by_peer() == ("hello-accept", expected, bytes(64))


@pytest.mark.parametrize("state", [State.AWAIT_HELLO, State.LIVE])
def test_there_is_nothing_to_judge_before_a_hello_or_after_it(state, in_state):
    with pytest.raises(AssertionError):
        in_state(state).session.signed_by_peer()


def test_a_session_cannot_say_hello_for_nobody():
    with pytest.raises(AssertionError):
        Talk().hear(Challenge(1, b"c" * 16))


def test_an_unknown_certificate_is_asked_for(in_state):
    talk = in_state(State.JUDGING)
    talk.said()
    talk.session.want_certificates()
    assert talk.said() == [CertificatesWanted()]


def test_certificates_are_shown_to_the_judge_of_the_hello(in_state):
    talk = in_state(State.JUDGING)
    talk.ready()
    talk.hear(Certificates((b"owner", b"till")))
    ready = talk.ready()
    assert (ready.judge, ready.certificates) == (hello(), (b"owner", b"till"))


def test_a_register_that_is_not_known_shows_its_certificates():
    talk = Talk(me=me())
    talk.hear(Challenge(1, b"c" * 16))
    talk.said()
    talk.hear(CertificatesWanted())
    assert talk.ready().certificates_wanted
    talk.session.send_certificates([b"owner", b"till"])
    assert talk.said() == [Certificates((b"owner", b"till"))]


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_not_spoken(version):
    with pytest.raises(UnsupportedVersion):
        Talk(me=me()).hear(Challenge(version, bytes(16)))
    with pytest.raises(UnsupportedVersion):
        Talk(connecting=False).hear(hello(version=version))


ALLOWED = {
    State.AWAIT_CHALLENGE: {Challenge},
    State.AWAIT_HELLO: {Hello, CertificatesWanted},
    State.JUDGING: {Certificates},
    State.LIVE: {type(m) for m in one_of_each()}
    - {Challenge, Hello, CertificatesWanted, Certificates}
    - {type(m) for m in one_of_each() if type(m).__name__ in ("Offer", "Enrol", "Enrolled")},
}
OUT_OF_PLACE = [
    (state, message) for state in ALLOWED for message in one_of_each() if type(message) not in ALLOWED[state]
]


@pytest.mark.parametrize(("state", "message"), OUT_OF_PLACE)
def test_a_message_out_of_its_place_is_refused(state, message, in_state):
    with pytest.raises(UnexpectedMessage, match="has no place"):
        in_state(state).hear(message)


@pytest.mark.parametrize("state", [State.AWAIT_CHALLENGE, State.AWAIT_HELLO, State.JUDGING])
def test_nobody_waits_for_a_hello_for_ever(state, in_state):
    talk = in_state(state)
    talk.pass_time(limits.HELLO_TIMEOUT_MS)
    with pytest.raises(LinkClosed) as caught:
        talk.pass_time(1)
    assert caught.value.code == 4508


def test_a_refusal_is_proved_by_a_hello_of_who_refuses_and_then_nothing_is_heard():
    talk = Talk(connecting=False)
    talk.hear(hello(is_relay=False))
    talk.ready()
    talk.session.refuse(me(is_relay=True, device=RELAY))
    [said] = talk.said()
    assert (said.device, said.signature) == (RELAY, b"s" * 64)
    assert talk.signed == [("hello-accept", b"n" * 16 + hello(is_relay=False).body + said.body)]
    talk.hear(Presence({"pending": 3}))
    assert talk.ready().presence is None
