"""From some transaction on the disk is full. What was promised holds once it is not any more."""

from contextlib import closing, suppress

import pytest

from crdtsync.errors import StorageError
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.faulty_store import open_faulty

TRANSACTIONS = range(4)


@pytest.mark.parametrize("taken", TRANSACTIONS)
def test_the_next_ticket_follows_the_last_one_wherever_the_disk_was_full(folder, clock, taken):
    register, store = open_faulty(folder, clock=clock, random_bytes=seeded_bytes(5))
    with closing(register):
        store.fail("full", after=taken)
        with suppress(StorageError):
            register.sell(["CM-19"], ["card"])
    with Register.open(folder, clock=clock) as till:
        till.sell(["CM-19"], ["card"])
        sold = [row.number[-6:] for row in reversed(till.sales())]
        assert sold == [f"{number:06}" for number in range(1, len(sold) + 1)]
        assert till.verify().findings == ()


@pytest.mark.parametrize("taken", TRANSACTIONS)
def test_every_sale_is_shown_wherever_the_disk_was_full_while_they_were_filed(till, folder, clock, taken):
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    register, store = open_faulty(folder, clock=clock, random_bytes=seeded_bytes(5))
    with closing(register):
        store.fail("full", after=taken)
        with suppress(StorageError):
            register.replica.views.catch_up()
    assert len(till.sales()) == 3
