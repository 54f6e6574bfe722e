"""The drawer: it opens where cash comes or goes, and by a button, which is recorded."""

import os

import pytest

from crdtsync.model.entry import read_entry
from crdtsync.till.printing import PrinterAddress
from tests.till.conftest import tickets
from tests.till.test_selling import bought, ledger_of

PULSE = b"\x1bp"


@pytest.fixture
def pulses(tmp_path):
    """How often the drawer was opened so far."""
    return lambda: (tmp_path / "paper").read_bytes().count(PULSE) if (tmp_path / "paper").exists() else 0


def openings(shop):
    """The technical events that say that it was opened without a sale."""
    register = shop.register()
    records = register.replica.log.document_records(ledger_of(register))
    bodies = [read_entry(record[1:]).body for _, record in records]
    return [body["data"] for body in bodies if (body["kind"], body.get("code")) == ("jet", 170)]


def test_the_button_opens_it_and_the_ledger_says_so(shop, paper, pulses):
    clerk = shop.open_till(printer=paper)
    assert "Open the drawer" in clerk.page("/day")
    assert "said=drawer" in clerk.post("/drawer", reason="  change for  the baker ").headers["location"]
    assert "said=drawer" in clerk.post("/drawer").headers["location"]
    assert pulses() == 2
    assert openings(shop) == [{"reason": "change for the baker"}, {}]
    assert "is recorded" in clerk.page("/day?said=drawer")


@pytest.mark.parametrize("reason", ["e\u200d\u0301change", "\ufb1d" * 200, "\u202e\u0001"])
def test_it_opens_whatever_somebody_wrote(shop, paper, pulses, reason):
    clerk = shop.open_till(printer=paper)
    assert "said=drawer" in clerk.post("/drawer", reason=reason).headers["location"]
    assert (pulses(), len(openings(shop))) == (1, 1)


def test_without_a_printer_there_is_none_to_open_and_nothing_is_recorded(clerk, shop):
    assert "Open the drawer" not in clerk.page("/day")
    assert "said=no-printer" in clerk.post("/drawer").headers["location"]
    assert openings(shop) == []


def test_in_training_it_stays_closed(shop, paper, pulses):
    clerk = shop.open_till(printer=paper)
    clerk.post("/training", on="1")
    assert "said=training" in clerk.post("/drawer").headers["location"]
    clerk.take("EAU")
    clerk.pay("cash", delivered="print")
    assert (pulses(), openings(shop)) == (0, [])


def test_a_printer_that_does_not_work_is_told_and_the_opening_stays_recorded(shop, paper, tmp_path):
    (tmp_path / "paper").mkdir()
    clerk = shop.open_till(printer=paper)
    assert "said=no-drawer" in clerk.post("/drawer").headers["location"]
    assert openings(shop) == [{}]
    clerk.take("EAU")
    answer = clerk.pay("cash")
    assert "said=paid" in answer.headers["location"]
    assert "the drawer stays closed" in clerk.page(answer.headers["location"])


def test_cash_opens_it_whether_or_not_a_ticket_is_wanted_and_a_card_does_not(shop, paper, pulses):
    clerk = shop.open_till(printer=paper)
    clerk.take("EAU")
    clerk.pay("card")
    assert pulses() == 0
    bought(clerk, "EAU")
    clerk.take("EAU")
    clerk.pay("cash")
    assert pulses() == 1
    clerk.take("EAU")
    clerk.pay("cash", delivered="print")
    assert pulses() == 2
    assert openings(shop) == []  # The sale is the record.


def test_a_form_that_is_sent_twice_opens_it_once(shop, paper, pulses):
    clerk = shop.open_till(printer=paper)
    clerk.take("EAU")
    page = clerk.page("/pay")
    basket, step, due = (
        page.split(f'name="{name}" value="')[1].split('"')[0] for name in ("basket", "step", "due")
    )
    for _ in range(2):
        clerk.post("/pay", means="cash", basket=basket, step=step, due=due)
    assert pulses() == 1


def test_cash_that_is_given_back_put_in_or_taken_out_opens_it(shop, paper, pulses):
    clerk = shop.open_till(printer=paper)
    address = bought(clerk, "EAU")
    request = clerk.hidden("request", f"{address}/refund")
    for _ in range(2):
        clerk.post(f"{address}/refund", means="cash", request=request, **{"line-1": "1"})
    assert pulses() == 1
    request = clerk.hidden("request", "/day")
    for _ in range(2):
        clerk.post("/day/cash", what="in", amount="20", reason="change", request=request)
    assert pulses() == 2


def test_a_printer_that_hangs_is_waited_for_once(shop, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "printer")  # Nobody reads it: who opens it waits for ever.
    monkeypatch.setattr("crdtsync.till.printing.DRAWER_S", 0.2)
    monkeypatch.setattr("crdtsync.till.printing.STUCK_S", 0.1)
    monkeypatch.setattr("crdtsync.till.printing.CONNECT_S", 3600)
    clerk = shop.open_till(printer=PrinterAddress("file", str(tmp_path / "printer")))
    clerk.take("EAU")
    assert "printer=no-drawer" in clerk.pay("cash").headers["location"]
    clerk.take("EAU")
    assert "printer=failed" in clerk.pay("cash", delivered="print").headers["location"]
    assert len(tickets(shop.register())) == 2
