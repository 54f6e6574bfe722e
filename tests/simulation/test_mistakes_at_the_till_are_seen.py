"""Mistakes of a till that lose nothing and make no two copies differ: the simulation sees them all the same.

Each is planted, and short days are played until one fails, as it must soon.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from crdtsync.errors import UsageError
from crdtsync.model import arithmetic, chain, ticket, views
from crdtsync.runtime.committing import upkeep, writer
from crdtsync.runtime.register import days as register_days
from crdtsync.runtime.register import status as register_status
from crdtsync.runtime.register import stock as register_stock
from crdtsync.runtime.register import tickets as register_tickets
from crdtsync.testing.simulation.plan import SHORT, draw_plan
from crdtsync.testing.simulation.run import play

SEEDS = range(1, 25)
TWO_DAYS = replace(SHORT, days=2)


def rounds_down(monkeypatch):
    monkeypatch.setattr(arithmetic, "line_gross", lambda price, quantity: price * quantity // 1000)


def numbers_every_register_alike(monkeypatch):
    genuine = chain.ticket_number
    monkeypatch.setattr(chain, "ticket_number", lambda series, day, counter: genuine("01", day, counter))


def forgets_the_float(monkeypatch):
    monkeypatch.setattr(register_days, "build_open", lambda float_minor: {"amt": 0})


def takes_everything_for_cash(monkeypatch):
    genuine = ticket.build_sale

    def build(lines, payments, **how):
        body = genuine(lines, payments, **how)
        return body | {"pay": [payment | {"m": "cash"} for payment in body["pay"]]}

    monkeypatch.setattr(register_tickets.tickets, "build_sale", build)


def takes_a_discount_from_the_first_line(monkeypatch):
    monkeypatch.setattr(arithmetic, "apportion", lambda total, weights: [total, *(0 for _ in weights[1:])])


def forgets_the_change(monkeypatch):
    monkeypatch.setattr(register_tickets.tickets, "_payments", paid_without_change)
    monkeypatch.setattr(register_tickets.tickets, "with_change", lambda due_minor, payments: tuple(payments))


def paid_without_change(payments, due):
    return [{"m": payment.means, "amt": payment.amount_minor} for payment in payments]


def forgets_what_came_back_before(monkeypatch):
    monkeypatch.setattr(ticket, "refunded", lambda original, earlier: {})


def rounds_each_part_that_comes_back(monkeypatch):
    monkeypatch.setattr(
        arithmetic,
        "refund_share",
        lambda ttc, quantity, *, more_quantity, **_: ttc * more_quantity // quantity,
    )


def takes_deposits_for_turnover(monkeypatch):
    genuine = ticket.build_sale

    def build(lines, payments, **how):
        body = genuine(lines, payments, **how)
        return body | {"ttc": body["ttc"] + body.pop("oos", 0)}

    monkeypatch.setattr(register_tickets.tickets, "build_sale", build)


def pays_back_by_card(monkeypatch):
    genuine = ticket.build_refund

    def build(*what, **how):
        body = genuine(*what, **how)
        return body | {"pay": [payment | {"m": "card"} for payment in body["pay"]]}

    monkeypatch.setattr(register_tickets.tickets, "build_refund", build)


def closes_nothing(monkeypatch):
    monkeypatch.setattr(register_days.Days, "close", refuses)


def refuses(*_, **__):
    raise UsageError("not today")


def takes_nothing_back(monkeypatch):
    monkeypatch.setattr(register_tickets.Tickets, "refund", refuses)


def counts_nothing(monkeypatch):
    monkeypatch.setattr(register_stock.Stock, "count", refuses)


def takes_a_coin_with_each_sale(monkeypatch):
    genuine = register_tickets.Tickets.sell

    def sell(self, *what, **how):
        sold = genuine(self, *what, **how)
        self._replica.writer.write("cash", {"what": "out", "amt": -100, "reason": "change"})
        return sold

    monkeypatch.setattr(register_tickets.Tickets, "sell", sell)


def is_half_an_hour_ahead(monkeypatch):
    genuine = chain.next_body

    def body(head, kind, payload, moment, **how):
        made = genuine(head, kind, payload, moment, **how)
        return made | {"ts": made["ts"] + 1_800_000}

    monkeypatch.setattr(writer.chains, "next_body", body)


def shows_no_change(monkeypatch):
    genuine = register_tickets.Ticket.of.__func__

    def of(cls, entry, **how):
        return replace(genuine(cls, entry, **how), payments=())

    monkeypatch.setattr(register_tickets.Ticket, "of", classmethod(of))


def packs_nothing(monkeypatch):
    monkeypatch.setattr(upkeep._ShopUpkeep, "may_pack", False)


def always_calls_somebody(monkeypatch):
    monkeypatch.setattr(register_status, "_state", lambda *_: "attention")


def delivers_one_bottle(monkeypatch):
    genuine = register_stock.build_move

    def build(lines):
        body = genuine(lines)
        return body | {"lines": [line | {"qty": 1000} for line in body["lines"]]}

    monkeypatch.setattr(register_stock, "build_move", build)


def forgets_requests(monkeypatch):
    genuine = writer.Writer._made_for

    def made(self, request_id, kind):
        found = request_id and self._log.request(request_id)
        return None if found and found[1] < self._log.end.seq else genuine(self, request_id, kind)

    monkeypatch.setattr(writer.Writer, "_made_for", made)


def stops_the_clock(monkeypatch):
    genuine = chain.next_body

    def body(head, kind, payload, moment, **how):
        made = genuine(head, kind, payload, moment, **how)
        return made | {"ts": head.ts_ms or made["ts"]}

    monkeypatch.setattr(writer.chains, "next_body", body)


def stays_in_its_first_day(monkeypatch):
    monkeypatch.setattr(
        writer.chains, "business_day", lambda head_bd, local_date, trusted_date: (head_bd or local_date, None)
    )


def shows_refunds_as_sales(monkeypatch):
    genuine = views._common
    monkeypatch.setattr(
        views,
        "_common",
        lambda entry: genuine(entry) | ({"kind": "sale"} if entry.kind == "refund" else {}),
    )


def is_never_in_sync(monkeypatch):
    genuine = register_status._state

    def state(*facts):
        said = genuine(*facts)
        return "offline" if said == "synced" else said

    monkeypatch.setattr(register_status, "_state", state)


MISTAKES = {
    rounds_down: "what is recorded is what was asked",
    numbers_every_register_alike: "no ticket number is missing",
    forgets_the_float: "what is recorded is what was asked",
    takes_everything_for_cash: "it is paid as it was",
    takes_a_discount_from_the_first_line: "what is recorded is what was asked",
    forgets_the_change: "it is paid as it was",
    forgets_what_came_back_before: "a refund gives back what was paid",
    rounds_each_part_that_comes_back: "a refund gives back what was paid",
    takes_deposits_for_turnover: "deposits are no turnover",
    pays_back_by_card: "it is paid as it was",
    closes_nothing: "a day that was sold in is closed",
    takes_nothing_back: "nobody is refused without a cause",
    counts_nothing: "nobody is refused without a cause",
    takes_a_coin_with_each_sale: "what is asked is recorded once",
    is_half_an_hour_ahead: "an entry says when it was made",
    shows_no_change: "what is told is what is recorded",
    packs_nothing: "what is old is packed",
    always_calls_somebody: "who calls a person says why",
    delivers_one_bottle: "what is recorded is what was asked",
    forgets_requests: "asking again gives the same ticket",
    stops_the_clock: "an entry says when it was made",
    stays_in_its_first_day: "a sale belongs to its business day",
    shows_refunds_as_sales: "views equal a fold",
    is_never_in_sync: "at rest a register says that it is in sync",
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__.replace("_", " "))
def test_a_till_that_makes_a_mistake_is_found_out(monkeypatch, mistake):
    mistake(monkeypatch)
    for seed in SEEDS:
        size = TWO_DAYS if mistake is stays_in_its_first_day else SHORT
        failure = play(draw_plan(seed, size, sqlite_share=0)).failure
        if failure:
            assert failure.startswith(f"Broken: {MISTAKES[mistake]}")
            return
    pytest.fail(f"{SEEDS.stop - 1} short days, and nobody has seen it")


def test_the_page_says_how_many_there_are():
    page = Path(__file__).parents[2] / "docs/explanation/simulation.md"
    assert f"{len(MISTAKES)} mistakes are kept in" in page.read_text()
