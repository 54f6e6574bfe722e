"""A register is cut off while it sells: its sales go into a hold, and a person lets them in."""

import json

import pytest

from crdtsync.errors import AccessDenied
from tests.integration.conftest import wait_until

WINE = "CM-19"


@pytest.fixture
def shop(relay, tmp_path):
    """A relay and two registers, open, with one product."""
    first = relay.join(tmp_path / "till-1", "Caisse 1", relay.first_code)
    first.products.add(WINE, name="Crozes-Hermitage 2019", price_minor=1850, vat_rate=2000)
    first.sync(20)
    second = relay.join(tmp_path / "till-2", "Caisse 2")
    second.sync(20)
    with first, second:
        yield relay, first, second


def relay_json(relay, *arguments):
    return json.loads(relay.command(*arguments, "--json"))


def test_a_register_that_is_cut_off_hands_over_what_it_sold_and_a_person_lets_it_in(shop):
    relay, first, second = shop
    first.sell([WINE], ["card"])
    first.sync(20)
    relay.command("revoke", relay.shop.hex(), "Caisse 1", "--reason", "stolen")
    first.sell([WINE, WINE], ["card"])
    with pytest.raises(AccessDenied, match="revoked"):
        first.sync(20)
    status = first.status()
    assert (status.pending.sales, status.pending.amount_minor) == (1, 3700)
    [hold] = relay_json(relay, "hold", "list", relay.shop.hex())
    assert (hold["name"], hold["tickets"], hold["amount_minor"], hold["codes"]) == (
        "Caisse 1",
        1,
        3700,
        ["revoked"],
    )
    second.sync(20)
    assert len(second.sales()) == 1
    told = relay_json(relay, "hold", "approve", relay.shop.hex(), "--device", "Caisse 1")
    assert (told["tickets"], told["amount_minor"], told["left"]) == (1, 3700, [])
    assert relay_json(relay, "hold", "list", relay.shop.hex()) == []
    second.sync(20)
    assert len(second.sales()) == 2
    with pytest.raises(AccessDenied, match="revoked"):
        first.sync(20)
    assert first.status().pending.records == 0


def test_a_register_that_is_connected_is_cut_off_within_a_second(shop):
    relay, first, _ = shop
    background = first.start_sync()
    wait_until(lambda: background.is_connected)
    relay.command("revoke", relay.shop.hex(), "Caisse 1")
    wait_until(lambda: not background.is_connected and background.error is not None)
