"""Giving goods back at the till: in part, the rest, and no more."""

import pytest

from crdtsync.till.baskets import LINES_MAX
from tests.till.conftest import tickets
from tests.till.test_selling import bought


def test_a_ticket_is_given_back_in_part_then_the_rest_and_no_more(clerk, shop):
    address = bought(clerk, "3*CM-19", "EAU")
    request = clerk.hidden("request", f"{address}/refund")
    fields = {"means": "card", "reason": "bouchonné", "request": request, "line-1": "1", "line-2": "0"}
    first = clerk.post(f"{address}/refund", **fields)
    again = clerk.post(f"{address}/refund", **fields)
    assert first.headers["location"] == again.headers["location"]
    assert "Given back" in clerk.page(first.headers["location"])
    refund = tickets(shop.register())[0]
    assert (refund.total_minor, refund.reason) == (-1850, "bouchonné")
    page = clerk.page(f"{address}/refund")
    assert 'name="line-1" aria-label="How many come back: Crozes-Hermitage 2019" value="2"' in page
    request = clerk.hidden("request", f"{address}/refund")
    answer = clerk.post(f"{address}/refund", means="card", request=request, **{"line-1": "3"})
    assert "said=refund" in answer.headers["location"]
    clerk.post(f"{address}/refund", means="cash", request=request, **{"line-1": "2", "line-2": "1"})
    assert sum(one.total_minor for one in tickets(shop.register())) == 0
    assert "/refund" not in clerk.page(address)


@pytest.mark.parametrize(
    ("field", "text"), [("line-1", "abc"), ("line-1", "0,00001"), ("reason", "cass\u0007é")]
)
def test_what_cannot_be_read_in_a_refund_is_said_as_that_and_stands_there_still(clerk, shop, field, text):
    address = bought(clerk, "3*CM-19")
    request = clerk.hidden("request", f"{address}/refund")
    typed = {"line-1": "2", "reason": "bouchonné", field: text}
    answer = clerk.post(f"{address}/refund", means="cheque", request=request, **typed)
    assert answer.status_code == 422
    assert "could not be read" in answer.text
    assert all(f'value="{one}"' in answer.text for one in typed.values())
    assert '<option value="cheque" selected>' in answer.text
    assert len(tickets(shop.register())) == 1


def test_the_ticket_of_another_register_is_given_back_here(shop, clerk):
    number = shop.register().sell(["CM-19"], ["card"]).number
    answer = clerk.get(f"/tickets?number={number}")
    assert answer.status_code == 303
    assert "Give back" in clerk.page(answer.headers["location"])


def test_a_ticket_that_nobody_knows(clerk):
    assert "is known on this register" in clerk.page("/tickets?number=99-99-000001")
    assert clerk.get("/ticket/" + "0" * 64).status_code == 404
    assert clerk.get("/ticket/x").status_code == 404


def test_the_largest_basket_can_be_given_back(clerk, shop):
    sold = shop.register().sell(["EAU"] * LINES_MAX, ["card"])
    address = f"/ticket/{sold.link.hex()}"
    request = clerk.hidden("request", f"{address}/refund")
    lines = {f"line-{number}": "1" for number in range(1, LINES_MAX + 1)}
    answer = clerk.post(f"{address}/refund", means="card", request=request, reason="", **lines)
    assert "said=paid" in answer.headers["location"]
    assert tickets(shop.register())[0].total_minor == -sold.total_minor
