"""A relay that acknowledges before its commit: the check that nothing acknowledged is missing must see it."""

import pytest

from crdtsync.runtime.committing.work import Outcome
from crdtsync.testing.stepped import SteppedShop
from crdtsync.testing.stepped_replica import SteppedCommitter


def acknowledged_and_missing(shop: SteppedShop) -> set[bytes]:
    """What the register counts as being on the relay's disk, and is not."""
    register, relay = shop.registers[0], shop.relay
    pending = {record for _, record in register.log.unacknowledged(relay.log.log_id)}
    return register.records() - pending - relay.records()


def crash_of_the_relay_after_a_sale() -> SteppedShop:
    shop = SteppedShop(registers=1)
    shop.settle()
    wire = next(iter(shop.live_wires()))
    shop.registers[0].sell()
    shop.registers[0].process.look()
    # The sale travels, the relay's answer travels back and is written down; the relay itself commits nothing.
    for _ in range(20):
        wire.send_all()
        while wire.deliver(wire.far) or wire.deliver(wire.near):
            pass
        shop.registers[0].process.steps.commit()
        shop.registers[0].process.steps.hand_back()
        shop.pass_time(250)
    shop.relay.crash()
    return shop


def test_a_relay_that_commits_first_leaves_the_sale_pending() -> None:
    assert acknowledged_and_missing(crash_of_the_relay_after_a_sale()) == set()


def test_a_relay_that_acknowledges_before_its_commit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    submit = SteppedCommitter.submit

    def submit_and_acknowledge(committer: SteppedCommitter, work) -> None:  # type: ignore[no-untyped-def]
        submit(committer, work)
        if committer._observer.replica.name == "relay":
            work.done(Outcome(stored=[(delivery.number, ()) for delivery in work.deliveries]))
            work.done = lambda _: None

    monkeypatch.setattr(SteppedCommitter, "submit", submit_and_acknowledge)
    assert len(acknowledged_and_missing(crash_of_the_relay_after_a_sale())) == 1
