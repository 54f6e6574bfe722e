import threading

import pytest
from pycrdt import Map


def test_what_another_process_recorded_is_told_by_poll(till, same_till):
    seen = []
    till.observe(seen.append)
    assert not till.poll()
    ticket = same_till.sell(["CM-19"], ["card"])
    with same_till.document("x/notes").transaction() as doc:
        doc.get("m", type=Map)["a"] = "1"
    assert till.poll()
    [change] = seen
    assert [sold.number for sold in change.tickets] == [ticket.number]
    assert "x/notes" in change.documents
    assert not till.poll()


def test_an_observer_that_went_is_told_nothing(till, same_till):
    seen = []
    stop = till.observe(seen.append)
    stop()
    same_till.sell(["CM-19"], ["card"])
    assert till.poll()
    assert seen == []


def test_poll_waits_for_something_to_come(till, folder, clock):
    from crdtsync.runtime.register.register import Register
    from crdtsync.testing.clock import seeded_bytes

    till.observe(lambda _: None)
    till.poll()

    def sell():
        with Register.open(folder, clock=clock, random_bytes=seeded_bytes(8)) as other:
            other.sell(["CM-19"], ["card"])

    seller = threading.Thread(target=sell)
    seller.start()
    assert till.poll(timeout_s=60)
    seller.join()


def test_an_observer_that_raises_takes_nothing_from_the_others_nor_from_what_is_recorded(till, same_till):
    heard = []

    def fail(change):
        raise ValueError("a bug of the till program")

    till.observe(fail)
    till.observe(lambda change: heard.extend(ticket.number for ticket in change.tickets))
    number = same_till.sell(["CM-19"], ["card"]).number
    with pytest.raises(ValueError, match="a bug of the till"):
        till.poll()
    assert heard == [number]
    assert not till.poll(), "it is told once"
    assert [row.number for row in till.sales()] == [number]
