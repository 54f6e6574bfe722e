"""Connections have a time of their own: the wall clock of a till is set now and then, by hours."""

from types import SimpleNamespace

import pytest

from crdtsync.errors import RelayUnreachable
from crdtsync.runtime.clock import system_random
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.syncing.syncer import Syncer
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import HOUR_MS


@pytest.fixture
def syncer(tmp_path, clock):
    with Register.init(tmp_path, name="Caisse 1", clock=clock) as register:
        made = Syncer(
            open_store=lambda: SqliteStore(tmp_path / "register.sqlite"),
            identity=register.identity,
            key=register.replica.key,
            clock=clock,
            random=system_random,
        )
        yield made
        made.close()


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_setting_the_clock_of_a_till_does_not_make_its_relay_look_silent(syncer, clock, step_ms):
    before_ms = syncer.now_ms()
    clock.pass_ms(step_ms)
    assert 0 <= syncer.now_ms() - before_ms < HOUR_MS // 2


def test_a_hello_says_what_the_wall_clock_says(syncer, clock):
    clock.pass_ms(HOUR_MS)
    assert syncer.me(None).time_ms == clock.at_ms


def test_a_connection_that_came_back_leaves_no_error_behind(syncer):
    syncer.error = RelayUnreachable("no route")
    syncer.went_live(SimpleNamespace(session=SimpleNamespace(peer=None)))
    assert syncer.error is None
