"""A record among the newest is damaged on the disk while a till is open, and another process writes."""

import apsw
import pytest

from crdtsync.runtime.folder.replica import STORE
from crdtsync.runtime.register.register import Register
from crdtsync.testing.clock import seeded_bytes


@pytest.fixture
def damaged(till, folder, clock):
    """The till, open; what it sold second is damaged now, and the file was written to by somebody else."""
    for _ in range(3):
        till.sell(["CM-19"], ["card"])
    till.sales()
    connection = apsw.Connection(str(folder / STORE))
    connection.execute("UPDATE record SET bytes = zeroblob(20) WHERE pos = (SELECT max(pos) - 1 FROM record)")
    connection.close()
    return till


WORK = {
    "sell": lambda till: till.sell(["CM-19"], ["card"]),
    "refund": lambda till: till.refund(till.sales()[0].number),
    "close the day": lambda till: till.close_day(),
    "read the day": lambda till: till.x_report(),
    "list sales": lambda till: till.sales(),
    "report": lambda till: till.report("2026-11-24"),
    "ask for the status": lambda till: till.status(),
    "verify": lambda till: till.verify(),
    "change a price": lambda till: till.products.set("CM-19", price_minor=1900),
    "list products": lambda till: list(till.products.list()),
    "count stock": lambda till: till.stock.count({"CM-19": 5000}),
    "write a document": lambda till: till.document("x/notes").refresh(),
    "inspect": lambda till: till.inspect(),
}


@pytest.mark.parametrize("what", WORK)
def test_a_till_goes_on_beside_a_damaged_record_without_being_restarted(damaged, what):
    WORK[what](damaged)
    assert damaged.sell(["TER-01"], ["card"]).number.endswith(("05", "04"))
    assert any("set apart" in concern for concern in damaged.status().concerns)


def test_a_sale_beside_a_damaged_record_is_recorded_once(damaged, folder, clock):
    sold = damaged.sell(["TER-01"], ["card"], request_id="basket 4")
    with Register.open(folder, clock=clock, random_bytes=seeded_bytes(9)) as again:
        assert again.sell(["TER-01"], ["card"], request_id="basket 4").link == sold.link
        assert [row.link for row in again.sales()].count(sold.link) == 1
