"""Two tills that do not hear each other give one bottle back twice: it is found when they meet."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.returns import Place, Returns
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import Line, build_refund
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill, in_cash

SIX_BOTTLES = replace(WINE, quantity_thousandths=6000)


def checked(
    entries: Iterable[Entry], held: Iterable[Entry] | None = None
) -> list[tuple[str, str | None, str]]:
    """Code, ticket number and message of what is found among these entries."""
    entries = list(entries)
    returns = Returns()
    for entry in entries:
        returns.add(entry)
    here = entries if held is None else list(held)

    def find(place: Place) -> list[Entry]:
        return [e for e in here if (e.facts.chain, e.facts.n) == (place.chain, place.n)]

    return [(defect.code, defect.num, defect.message) for defect in returns.check(find)]


def given_back(till: MemoryTill, sale: Entry, quantity: int, **knowing: Any) -> Entry:
    """A refund of line 1 by a till that knows only the refunds it is told of."""
    known = knowing.get("knowing", [])
    paid = round(sale.body["lines"][0]["ttc"] * quantity / sale.body["lines"][0]["qty"])
    payload = build_refund(sale, known, in_cash(-paid), reason="retour", quantities={1: quantity})
    return till.append("refund", payload)


def strange(till: MemoryTill, sale: Entry, **changes: Any) -> Entry:
    """A refund that the till's software wrote otherwise than it should."""
    refund = till.refund(sale, {1: 1000})
    return read_entry(seal({**refund.body, **changes}, till.key))


def test_what_was_sold_may_come_back_in_parts_on_several_tills() -> None:
    till, other = MemoryTill(), MemoryTill("Caisse 2", series="02")
    sale = till.sell(SIX_BOTTLES, TERRINE)
    first = given_back(other, sale, 2000)
    given_back(till, sale, 4000, knowing=[first])
    assert checked([*till.entries, *other.entries]) == []


def test_one_bottle_given_back_on_two_tills_is_found_at_the_later_refund() -> None:
    till, other = MemoryTill(), MemoryTill("Caisse 2", series="02")
    sale = till.sell()
    given_back(till, sale, 1000)
    other.append("jet", {"code": 80, "data": {}})
    other.append("jet", {"code": 80, "data": {}})
    given_back(other, sale, 1000)
    found = ("refund", "02-26-000001", "line 1 of ticket 01-26-000001: 2 given back, 1 sold")
    assert checked([*till.entries, *other.entries]) == [found]
    assert checked([*other.entries, *reversed(till.entries), *other.entries], till.entries) == [found]


def test_tills_that_round_apart_are_no_defect() -> None:
    """Six corks for ten cents: each is worth 1.67, and six tills give two cents for one."""
    till = MemoryTill()
    sale = till.sell(Line("bouchon", "Bouchons", 10, 2000, quantity_thousandths=6000, discount_minor=50))
    tills = [MemoryTill(f"Caisse {n}", series=f"{n}") for n in range(6)]
    refunds = [given_back(other, sale, 1000) for other in tills]
    assert -sum(refund.body["ttc"] for refund in refunds) == 12
    assert checked([*till.entries, *refunds]) == []


def test_more_money_than_was_paid_is_found_though_the_bottles_fit() -> None:
    till = MemoryTill()
    sale = till.sell(SIX_BOTTLES)
    line = {**till.refund(sale, {1: 6000}).body["lines"][0], "disc": 0}
    dear = strange(MemoryTill("Caisse 2"), sale, lines=[{**line, "ttc": -11101, "disc": 1}])
    [(code, _, message)] = checked([sale, dear])
    assert (code, message) == ("refund", "line 1 of ticket 01-26-000001: 111.01 given back, 111.00 paid")


EMPTIES = replace(DEPOSIT, quantity_thousandths=-2000)


def test_containers_that_were_taken_back_once_are_given_out_again_once() -> None:
    """A sale may take empties back; a refund of it gives them out again."""
    till, other = MemoryTill(), MemoryTill("Caisse 2", series="02")
    sale = till.sell(EMPTIES, WINE)
    till.refund(sale, {1: 2000})
    assert checked(till.entries) == []
    other.refund(sale, {1: 1000})
    [(_, _, message)] = checked([*till.entries, *other.entries])
    assert message == "line 1 of ticket 01-26-000001: 3 given back, 2 sold"


def test_more_money_taken_for_containers_than_was_given_is_found() -> None:
    till = MemoryTill()
    sale = till.sell(EMPTIES)
    line = till.refund(sale).body["lines"][0]
    dear = strange(MemoryTill("Caisse 2"), sale, lines=[{**line, "ttc": 6001}])
    [(_, _, message)] = checked([sale, dear])
    assert message == "line 1 of ticket 01-26-000001: -60.01 given back, -60.00 paid"
    fair = strange(MemoryTill("Caisse 3"), sale, lines=[{**line, "ttc": 5999}])
    assert checked([sale, fair]) == []


def test_what_was_given_away_is_no_money_to_give_back() -> None:
    till = MemoryTill()
    sale = till.sell(WINE, replace(TERRINE, unit_price_minor=0))
    till.refund(sale, {1: 1000})
    assert checked(till.entries) == []


LINE = MemoryTill().refund(MemoryTill().sell(), None).body["lines"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": 2}, "ticket 01-26-000001 has no line 2"),
        ({"vat": 550}, "line 1 of ticket 01-26-000001 was sold at another rate of VAT"),
        ({"vc": "Z"}, "line 1 of ticket 01-26-000001 was sold at another rate of VAT"),
    ],
)
def test_a_refund_takes_back_what_the_ticket_says(change: dict[str, Any], message: str) -> None:
    till = MemoryTill()
    sale = till.sell()
    assert checked([sale, strange(till, sale, lines=[{**LINE, **change}])]) == [
        ("refund", "01-26-000002", message)
    ]


def test_only_a_sale_is_given_back() -> None:
    till = MemoryTill()
    refund = till.refund(till.sell())
    ref = {"chain": till.end.chain.hex(), "seq": refund.facts.n, "link": refund.link.hex()}
    again = strange(MemoryTill("Caisse 2"), till.sell(), ref=ref)
    assert checked([*till.entries, again])[0][2] == "a refund was given back, not a sale"


def test_a_sale_that_makes_no_sense_is_not_given_back() -> None:
    till = MemoryTill()
    sale = till.sell()
    odd = read_entry(seal({**sale.body, "lines": "none"}, till.key))
    ref = {"chain": till.end.chain.hex(), "seq": odd.facts.n, "link": odd.link.hex()}
    assert checked([odd, strange(till, sale, ref=ref)])[0][2] == "the sale that it names makes no sense"


@pytest.mark.parametrize("wrong", [{"seq": 1}, {"seq": "2"}, {"chain": 5}, {"chain": "zz"}])
def test_a_refund_that_names_another_place_is_found(wrong: dict[str, Any]) -> None:
    till = MemoryTill()
    sale = till.sell()
    refund = till.refund(sale)
    astray = read_entry(seal({**refund.body, "ref": {**refund.body["ref"], **wrong}}, till.key))
    assert checked([*till.entries[:2], astray])[0][2].startswith("it names no sale")


def test_a_refund_that_names_another_place_hides_nothing() -> None:
    till = MemoryTill()
    sale = till.sell()
    refund = till.refund(sale)
    astray = read_entry(seal({**refund.body, "ref": {**refund.body["ref"], "seq": 1}}, till.key))
    twice = strange(MemoryTill("Caisse 2"), sale)
    assert len(checked([*till.entries, astray, twice])) == 2


def test_of_a_sale_that_is_not_here_nothing_can_be_said() -> None:
    till = MemoryTill()
    sale = till.sell()
    refunds = [till.refund(sale), strange(MemoryTill("Caisse 2"), sale)]
    assert checked(refunds, held=[]) == []


def test_entries_that_cannot_be_read_and_other_kinds_are_passed_over() -> None:
    till = MemoryTill()
    sale = till.sell()
    refund = till.refund(sale).body
    odd = [seal({**refund, **part}, till.key) for part in ({"lines": "none"}, {"ref": {"link": "zz"}})]
    assert checked([sale, *map(read_entry, odd)]) == []
