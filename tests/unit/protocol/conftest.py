"""Sessions to speak to: a register that has met a relay, a relay that a register has met."""

from collections.abc import Callable

import pytest

from crdtsync.protocol.session import State
from crdtsync.testing.talk import Talk, hello, live, me

MakeTalk = Callable[..., Talk]


def _peer(facts):
    return {name[5:]: facts.pop(name) for name in list(facts) if name.startswith("peer_")}


@pytest.fixture
def register() -> MakeTalk:
    """A register that has met a relay. What the relay's hello says has names that begin with ``peer_``."""

    def make(*, refused=(), fits=True, **facts):
        peer = _peer(facts)
        return live(me=me(**facts), peer=hello(**peer), fits=fits, refused=refused)

    return make


@pytest.fixture
def relay() -> MakeTalk:
    """A relay that a register has met."""

    def make(*, refused=(), fits=True, drained=True, **facts):
        peer = _peer(facts)
        return live(
            connecting=False,
            me=me(is_relay=True, **facts),
            peer=hello(**{"is_relay": False, **peer}),
            fits=fits,
            refused=refused,
            drained=drained,
        )

    return make


@pytest.fixture
def in_state(register) -> MakeTalk:
    """A session in that state."""

    def make(state):
        if state is State.LIVE:
            return register()
        talk = Talk(connecting=state is State.AWAIT_CHALLENGE, me=me())
        if state is State.JUDGING:
            talk.hear(hello())
        return talk

    return make
