"""A device that is enrolled to look on."""

import pytest

from crdtsync import Register
from crdtsync.errors import UsageError
from crdtsync.model.ticket import Line
from crdtsync_server import LocalRelay

WINE = Line("CM-19", "Crozes-Hermitage 2019", 1850, 2000)

RECORDING = {
    "sell": lambda display: display.sell([WINE], ["card"]),
    "open the day": lambda display: display.open_day(),
    "close the day": lambda display: display.close_day(),
    "read the day": lambda display: display.x_report(),
    "count": lambda display: display.stock.count({"CM-19": 1000}),
    "add a product": lambda display: display.products.add("X", name="X", price_minor=1, vat_rate=2000),
}


@pytest.fixture(scope="module")
def display(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    with LocalRelay(folder / "relay", shop="Cave") as relay:
        with Register.join(folder / "till", relay.url, relay.pairing_code(), name="Till 1") as till:
            till.sell([WINE], ["card"])
            till.sync(60)
        code = relay.pairing_code(role="display")
        with Register.join(folder / "display", relay.url, code, name="Window") as display:
            display.sync(60)
            yield display


def test_a_display_shows_what_was_sold_and_says_that_nothing_is_pending(display):
    status = display.status()
    assert (status.state, status.pending.records, status.concerns) == ("synced", 0, ())
    assert [row.ttc for row in display.sales()] == [1850]
    assert display.verify().findings == ()


@pytest.mark.parametrize("what", RECORDING)
def test_a_display_records_nothing_that_nobody_would_take(display, what):
    with pytest.raises(UsageError, match="enrolled to look on"):
        RECORDING[what](display)
    assert display.status().pending.records == 0
