"""That a register was cut off, or is refused, is believed of nobody but its relay: anybody on a line can
close a connection with any code and any words.
"""

from dataclasses import replace

import pytest

from crdtsync import Register
from crdtsync.errors import AccessDenied, LinkClosed
from crdtsync.ids import START
from crdtsync.protocol.codec import decode, frames
from crdtsync.protocol.messages import CAPABILITIES, REFUSALS, REFUSES, Hello
from crdtsync.protocol.session import Session
from crdtsync.runtime.syncing import ending, refusal, syncer
from crdtsync.runtime.syncing.link import open_link
from crdtsync.testing.clock import ManualClock, seeded_bytes
from crdtsync.testing.talk import Talk, hello, me
from crdtsync_server.home import RelayHome
from crdtsync_server.local import LocalRelay
from crdtsync_server.open import opened


class OnTheLine:
    """Somebody between a register and its relay: after so many frames he hangs up in the relay's name, or he
    changes with which words the relay does.
    """

    def __init__(self, link, code, reason, *, after=None):
        self._link, self._left = link, after
        self._closing = LinkClosed(f"the peer closed ({code}: {reason})", code=code, reason=reason)

    async def receive(self):
        if self._left == 0:
            raise self._closing
        try:
            frame = await self._link.receive()
        except LinkClosed as error:
            raise (self._closing if self._left is None else error) from None
        if self._left is not None:
            self._left -= 1
        return frame

    def __getattr__(self, name):
        if name in ("send_now", "receive_now", "listen"):  # Nothing goes past this one.
            raise AttributeError(name)
        return getattr(self._link, name)


@pytest.fixture
def relay(tmp_path):
    with LocalRelay(tmp_path / "relay", shop="Cave") as relay:
        yield relay


@pytest.fixture
def till(relay, tmp_path):
    with Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Caisse 1") as till:
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        till.sync(60)
        yield till


@pytest.fixture
def on_the_line(monkeypatch):
    def sits(*what, **how):
        async def connect(url, **more):
            return OnTheLine(await open_link(url, **more), *what, **how)

        monkeypatch.setattr(syncer, "open_link", connect)

    return sits


def told(till):
    trouble = till.status().link_trouble
    return trouble.is_over, trouble.is_cut_off


@pytest.mark.parametrize("after", [0, 1, 2, 3], ids=["at once", "challenge", "hello", "what follows"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [(4401, refusal.CUT_OFF), (4403, refusal.CUT_OFF), (4403, refusal.SHOP_UNKNOWN), (4401, "")],
)
def test_who_has_not_proved_to_be_the_relay_cuts_nobody_off(
    till, on_the_line, monkeypatch, code, reason, after
):
    till.sell(["CM-19"], ["card"])
    on_the_line(code, reason, after=after)
    with pytest.raises(LinkClosed, match="has not proved it"):
        till.sync(60)
    assert told(till) == (False, False)
    assert till.status().state == "offline"
    monkeypatch.undo()
    till.sync(60)
    assert (till.status().pending.sales, till.status().link_trouble) == (0, None)


def test_the_relay_itself_is_believed(till, tmp_path):
    with opened(tmp_path / "relay") as (access, store):
        access.revoke(store, till.identity.shop, till.identity.device, "stolen")
    with pytest.raises(AccessDenied, match="was revoked"):
        till.sync(60)
    assert told(till) == (True, True)


@pytest.fixture
def without_the_shop(relay, till, tmp_path):
    """The same relay, which has lost the shop and the owner's key."""
    port = int(relay.url.rpartition(":")[2])
    relay.stop()
    for file in [*(tmp_path / "relay").glob("*.sqlite*"), *(tmp_path / "relay" / "keys").glob("*.owner")]:
        file.unlink()
    with LocalRelay(tmp_path / "relay", shop="Bar", port=port):
        yield till


def test_a_refusal_that_is_proved_ends_it(without_the_shop):
    with pytest.raises(AccessDenied, match=refusal.SHOP_UNKNOWN):
        without_the_shop.sync(60)
    assert told(without_the_shop) == (True, False)


@pytest.mark.parametrize("code", [4401, 4403])
def test_a_refusal_that_somebody_passes_on_with_other_words_cuts_nobody_off(
    without_the_shop, on_the_line, code
):
    on_the_line(code, refusal.CUT_OFF)
    with pytest.raises(LinkClosed, match="has not proved it"):
        without_the_shop.sync(60)
    assert told(without_the_shop) == (False, False)


def test_a_relay_of_before_that_proves_no_refusal_is_tried_again(without_the_shop, monkeypatch):
    monkeypatch.setattr(RelayHome, "who_refuses", lambda home, peer: None)
    with pytest.raises(LinkClosed, match="has not proved it"):
        without_the_shop.sync(60)
    assert told(without_the_shop) == (False, False)


class Spoiler:
    """Somebody between a register and its relay who changes the signature of the register's hello."""

    def __init__(self, link):
        self._link = link

    async def send(self, frame):
        message = decode(frame)
        if isinstance(message, Hello):
            [frame] = frames(replace(message, signature=bytes(63) + b"\1"))
        await self._link.send(frame)

    def __getattr__(self, name):
        if name in ("send_now", "receive_now", "listen"):  # Nothing goes past this one.
            raise AttributeError(name)
        return getattr(self._link, name)


def test_who_spoils_a_hello_on_its_way_gets_no_proof_of_a_refusal_for_it(till, monkeypatch):
    async def connect(url, **more):
        return Spoiler(await open_link(url, **more))

    monkeypatch.setattr(syncer, "open_link", connect)
    with pytest.raises(LinkClosed, match="has not proved it") as refused:
        till.sync(60)
    assert refusal.KEY_NOT_PROVED in str(refused.value)
    assert refused.value.hint == refusal.refusal_hint(refusal.KEY_NOT_PROVED)
    assert told(till) == (False, False)
    monkeypatch.undo()
    till.sync(60)
    assert till.status().state == "synced"


def judging(said):
    talk = Talk(connecting=False)
    talk.hear(said)
    talk.ready()
    return talk


def test_who_is_refused_learns_that_it_is_and_nothing_of_the_shop():
    talk = judging(hello())
    bare = me(capabilities=(REFUSES,))
    [frame] = ending.say_who_refuses(talk.session, hello(capabilities=CAPABILITIES), bare)
    said = decode(frame)
    assert isinstance(said, Hello)
    assert said.capabilities == (REFUSES,)


def test_who_does_not_understand_it_is_told_nothing():
    talk = judging(hello())
    known = tuple(one for one in CAPABILITIES if one != REFUSALS)
    assert ending.say_who_refuses(talk.session, hello(capabilities=known), me()) == []
    assert ending.say_who_refuses(talk.session, hello(capabilities=CAPABILITIES), None) == []


class _Home(RelayHome):
    """What a relay says without a socket or a loop."""

    def now_ms(self):
        return 0

    def mend_later(self, damage):
        raise AssertionError("nothing is damaged")


def test_what_the_relay_says_of_itself_to_whom_it_refuses_is_nothing():
    home = _Home(None, bytes(16), ManualClock(), seeded_bytes(4))
    said = home.who_refuses(hello())
    assert (said.end, said.software, said.certificate, said.wanted) == (START, "", b"", ())
    assert said.log_id != home.who_refuses(hello()).log_id


def test_an_end_that_accepts_takes_every_close_as_it_comes():
    session = Session(connecting=False, nonce=bytes(16), sign=lambda *_: bytes(64), now_ms=0)
    error = LinkClosed("gone", code=4403)
    assert ending.ending(error, session, is_proved=False) == (error, 4403)
