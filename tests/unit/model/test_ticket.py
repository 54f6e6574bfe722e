from dataclasses import replace
from typing import Any

import pytest

from crdtsync.errors import InvalidAmount, InvalidSale, NotRefundable
from crdtsync.model.entry import Entry
from crdtsync.model.ticket import (
    Line,
    Payment,
    amount_due,
    build_abandon,
    build_print,
    build_refund,
    build_sale,
    build_training,
    due_of,
    plain_text,
    reference,
    refund_lines,
    totals_of,
    with_change,
)
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryTill, in_cash

TWO_WINES = replace(WINE, quantity_thousandths=2000)


def with_body(entry: Entry, body: dict[str, Any]) -> Entry:
    return Entry(entry.sealed, body, entry.facts)


CARD = "card"


def paid_by_card(*lines: Line) -> tuple[Payment, ...]:
    return (Payment(CARD, due_of(lines)),)


def test_a_sale_of_two_rates_has_the_totals_of_the_published_example() -> None:
    sale = build_sale([TWO_WINES, TERRINE], with_change(4395, [Payment("cash", 5000)]))
    assert sale["vat"] == [
        {"vat": 2000, "vc": "N", "ttc": 3700, "ht": 3083, "tva": 617},
        {"vat": 550, "vc": "R1", "ttc": 695, "ht": 659, "tva": 36},
    ]
    assert (sale["ttc"], sale["rnd"], sale["deliv"]) == (4395, "rate-half-up/1", "none")
    assert sale["pay"] == [{"m": "cash", "amt": 5000}, {"m": "change", "amt": -605}]
    assert [(line["i"], line["ttc"], line["ht"]) for line in sale["lines"]] == [
        (1, 3700, 3083),
        (2, 695, 659),
    ]


def test_a_ticket_keeps_what_was_said_of_the_goods() -> None:
    line = replace(WINE, label="Chateauneuf bla\u0302nc", extra={"gtin": "3760000000017", "vol": 750})
    [written] = build_sale([line], paid_by_card(line))["lines"]
    assert (written["label"], written["gtin"], written["vol"]) == ("Chateauneuf blânc", "3760000000017", 750)


def test_a_deposit_is_paid_and_is_no_turnover() -> None:
    sale = build_sale([WINE, DEPOSIT], paid_by_card(WINE, DEPOSIT))
    assert (sale["ttc"], sale["oos"], amount_due(sale)) == (1850, 3000, 4850)
    assert [rate["ttc"] for rate in sale["vat"]] == [1850]


def test_a_container_taken_back_is_paid_out() -> None:
    back = replace(DEPOSIT, quantity_thousandths=-1000)
    assert build_sale([back], [Payment("cash", -3000)])["oos"] == -3000
    assert amount_due(build_sale([WINE, back], [Payment("cash", -1150)])) == -1150


def test_a_discount_on_the_ticket_leaves_deposits_alone() -> None:
    lines = [WINE, DEPOSIT, TERRINE]
    sale = build_sale(lines, [Payment(CARD, due_of(lines) - 500)], ticket_discount_minor=500)
    assert [line["disc"] for line in sale["lines"]] == [363, 0, 137]
    assert sale["ttc"] == 1850 + 695 - 500


def test_a_discount_may_be_a_cent() -> None:
    sale = build_sale([WINE, TERRINE], [Payment(CARD, 2544)], ticket_discount_minor=1)
    assert [line["disc"] for line in sale["lines"]] == [1, 0]


def test_everything_may_be_given_away() -> None:
    sale = build_sale([WINE], [], ticket_discount_minor=1850)
    assert (sale["ttc"], sale["pay"]) == (0, [])


def test_further_fields_go_into_the_entry() -> None:
    sale = build_sale([WINE], paid_by_card(WINE), extra={"req": "r-1"}, delivered="email")
    assert (sale["req"], sale["deliv"]) == ("r-1", "email")


def test_the_highest_rate_comes_first_and_of_one_rate_the_classes_in_order() -> None:
    lines = [TERRINE, replace(WINE, vat_class="S"), WINE]
    rates = build_sale(lines, paid_by_card(*lines))["vat"]
    assert [(rate["vat"], rate["vc"]) for rate in rates] == [(2000, "N"), (2000, "S"), (550, "R1")]


CENT = replace(WINE, unit_price_minor=1)
BAD_PAYMENTS: list[tuple[Line, list[Payment], str]] = [
    (WINE, [], r"come to 0\.00, to be paid is 18\.50"),
    (WINE, [Payment(CARD, 1849)], r"come to 18\.49"),
    (WINE, [Payment("shells", 1850)], "no means of payment 'shells'"),
    (WINE, [Payment(CARD, 1850), Payment("cash", 0)], "cash of 0.00 has no place"),
    (WINE, [Payment(CARD, 1900), Payment("cash", -50)], "cash of -0.50 has no place"),
    (WINE, [Payment(CARD, 1800), Payment("change", 50)], "change of 0.50 has no place"),
    (WINE, [Payment(CARD, 1900), Payment("change", -50)], "more change than cash"),
    (WINE, [Payment("cash", 10), Payment(CARD, 1890), Payment("change", -50)], "more change than cash"),
    (WINE, [Payment("change", 1850)], "change of 18.50 has no place"),
    (WINE, [Payment(CARD, 1850, reference="a\tb")], "a reference is 1 to 64"),
    (WINE, [Payment(CARD, 1850, reference="x" * 65)], "a reference is 1 to 64"),
    (CENT, [Payment(CARD, 2), Payment("cash", -1)], "cash of -0.01 has no place"),
]


@pytest.mark.parametrize(("line", "payments", "message"), BAD_PAYMENTS)
def test_payments_that_are_not_the_price_are_no_sale(
    line: Line, payments: list[Payment], message: str
) -> None:
    with pytest.raises(InvalidSale, match=message):
        build_sale([line], payments)


def test_the_change_may_be_all_the_cash() -> None:
    payments = [Payment(CARD, 1850), Payment("cash", 50), Payment("change", -50)]
    assert len(build_sale([WINE], payments)["pay"]) == 3


def test_a_payment_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidAmount):
        build_sale([WINE], [Payment(CARD, 10**12)])


@pytest.mark.parametrize(
    "means", ["cash", "card", "cheque", "transfer", "voucher", "account", "titre", "other"]
)
def test_a_sale_is_paid_by_any_means_of_the_trade(means: str) -> None:
    assert build_sale([WINE], [Payment(means, 1850)])["pay"] == [{"m": means, "amt": 1850}]


def test_what_is_sold_by_the_piece_says_so() -> None:
    line = Line("tb-01", "Tire-bouchon", 990, 2000)
    assert build_sale([line], paid_by_card(line))["lines"][0]["unit"] == "pce"


def test_the_terminals_reference_is_kept() -> None:
    sale = build_sale([WINE], [Payment(CARD, 1850, reference="A-4711")])
    assert sale["pay"] == [{"m": "card", "amt": 1850, "ref": "A-4711"}]
    assert build_sale([WINE], [Payment(CARD, 1850, reference="x" * 64)])["pay"][0]["ref"] == "x" * 64


def test_change_is_given_from_cash_only() -> None:
    assert with_change(1850, [Payment("cash", 2000)])[1:] == (Payment("change", -150),)
    assert with_change(1850, [Payment("cash", 1850)]) == (Payment("cash", 1850),)
    assert with_change(1850, [Payment(CARD, 2000)]) == (Payment(CARD, 2000),)
    assert with_change(1850, [Payment(CARD, 1850), Payment("cash", 50)])[2:] == (Payment("change", -50),)
    assert with_change(1850, [Payment("cash", 1851)])[1:] == (Payment("change", -1),)
    assert with_change(1850, [Payment(CARD, 1849), Payment(CARD, 50), Payment("cash", 48)])[3:] == ()


@pytest.mark.parametrize("discount", [-1, 1851])
def test_a_discount_on_the_ticket_is_at_most_the_ticket(discount: int) -> None:
    with pytest.raises(InvalidSale, match="discount"):
        build_sale([WINE], [], ticket_discount_minor=discount)


def test_a_ticket_is_delivered_in_a_known_way() -> None:
    with pytest.raises(InvalidSale, match="delivered"):
        build_sale([WINE], paid_by_card(WINE), delivered="pigeon")


def test_an_abandoned_sale_keeps_its_lines_and_amount() -> None:
    payload = build_abandon([WINE, TERRINE], reason="client parti")
    assert (payload["ttc"], len(payload["lines"]), payload["reason"]) == (2545, 2, "client parti")
    assert "pay" not in payload


@pytest.mark.parametrize("reason", ["", "x" * 201])
def test_a_sale_is_abandoned_for_a_reason(reason: str) -> None:
    with pytest.raises(InvalidSale, match="the reason is 1 to 200"):
        build_abandon([WINE], reason=reason)
    assert build_abandon([WINE], reason="x" * 200)["reason"] == "x" * 200


def test_a_copy_says_what_it_copies_and_its_rank() -> None:
    sale = MemoryTill().sell()
    payload = build_print(sale, 2)
    assert payload == {"rank": 2, "deliv": "print", "ref": reference(sale)}


def test_training_says_what_it_imitates() -> None:
    assert build_training("sale", {"ttc": 5}) == {"what": "sale", "ttc": 5}


def test_a_reference_to_an_entry_without_number_has_none() -> None:
    assert "num" not in reference(MemoryTill().entries[0])


@pytest.mark.parametrize("text", ["", "a\x00", "\x85", "\ud800", "x" * 11])
def test_plain_text_has_no_control_characters(text: str) -> None:
    with pytest.raises(InvalidSale):
        plain_text(text, "a text", 10)


def test_totals_are_computed_again_from_the_lines_alone() -> None:
    sale = build_sale([TWO_WINES, TERRINE, DEPOSIT], paid_by_card(TWO_WINES, TERRINE, DEPOSIT))
    again = totals_of(sale["lines"])
    assert again == {name: sale[name] for name in again}


class TestRefunds:
    def test_a_refund_of_everything_is_the_sale_turned_round(self) -> None:
        till = MemoryTill()
        sale = till.sell(TWO_WINES, TERRINE, DEPOSIT)
        refund = till.refund(sale)
        for name in ("ttc", "oos"):
            assert refund.body[name] == -sale.body[name]
        for name in ("ttc", "ht", "qty", "disc"):
            assert [line[name] for line in refund.body["lines"]] == [
                -line[name] for line in sale.body["lines"]
            ]

    def test_a_refund_names_the_original(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        ref = till.refund(sale).body["ref"]
        assert ref == {
            "chain": sale.facts.chain.hex(),
            "till": till.author.hex(),
            "seq": 2,
            "link": sale.link.hex(),
            "num": "01-26-000001",
        }

    def test_parts_of_a_discounted_line_come_to_the_line(self) -> None:
        till = MemoryTill()
        sale = till.sell(replace(WINE, quantity_thousandths=3000, discount_minor=100))
        parts = [till.refund(sale, {1: 1000}).body["ttc"] for _ in range(3)]
        assert parts == [-1817, -1816, -1817]
        assert sum(parts) == -sale.body["ttc"]

    def test_what_is_left_is_refunded_by_default(self) -> None:
        till = MemoryTill()
        sale = till.sell(TWO_WINES, TERRINE)
        till.refund(sale, {1: 1000, 2: 1000})
        [line] = till.refund(sale).body["lines"]
        assert (line["of"], line["qty"]) == (1, -1000)

    def test_refunds_of_other_tickets_do_not_count(self) -> None:
        till = MemoryTill()
        first, second = till.sell(), till.sell()
        till.refund(first)
        assert till.refund(second).body["ttc"] == -1850

    def test_the_last_thousandth_comes_back_too(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        till.refund(sale, {1: 998})
        till.refund(sale, {1: 1})
        [line] = till.refund(sale).body["lines"]
        assert (line["qty"], till.end.gt_real) == (-1, 0)

    def test_lines_come_back_in_the_order_of_the_ticket(self) -> None:
        till = MemoryTill()
        sale = till.sell(WINE, TERRINE, DEPOSIT)
        lines = till.refund(sale, {3: 1000, 1: 1000, 2: 1000}).body["lines"]
        assert [(line["i"], line["of"]) for line in lines] == [(1, 1), (2, 2), (3, 3)]

    def test_what_was_given_away_comes_back_without_a_payment(self) -> None:
        till = MemoryTill()
        sale = till.sell(ticket_discount_minor=1850)
        refund = build_refund(sale, [], [], reason="retour", delivered="print")
        assert (refund["ttc"], refund["pay"], refund["deliv"]) == (0, [], "print")

    def test_a_refusal_says_how_much_is_left(self) -> None:
        till = MemoryTill()
        sale = till.sell(TWO_WINES)
        with pytest.raises(NotRefundable, match=r"2\.001 asked for, 2 left"):
            till.refund(sale, {1: 2001})
        unheard = [MemoryTill(name).refund(sale) for name in ("till 2", "till 3")]
        with pytest.raises(NotRefundable, match="1 asked for, 0 left"):
            refund_lines(sale, unheard, {1: 1000})

    def test_nothing_is_refunded_twice(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        till.refund(sale)
        with pytest.raises(NotRefundable, match="already"):
            till.refund(sale)
        with pytest.raises(NotRefundable, match="1 asked for, 0 left"):
            till.refund(sale, {1: 1000})

    @pytest.mark.parametrize("quantities", [{2: 1000}, {1: 1001}, {1: 0}, {1: -1}])
    def test_no_more_is_refunded_than_was_sold(self, quantities: dict[int, int]) -> None:
        till = MemoryTill()
        sale = till.sell()
        with pytest.raises(NotRefundable):
            till.refund(sale, quantities)

    def test_only_a_sale_is_refunded(self) -> None:
        till = MemoryTill()
        refund = till.refund(till.sell())
        with pytest.raises(NotRefundable, match="only a sale"):
            till.refund(refund)

    def test_a_ticket_that_makes_no_sense_is_not_refunded(self) -> None:
        till = MemoryTill()
        body = {**till.sell().body, "lines": "none"}
        with pytest.raises(NotRefundable, match="no sense"):
            refund_lines(with_body(till.entries[-1], body), [], None)

    def test_a_refund_that_makes_no_sense_caps_nothing(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        refund = till.refund(sale)
        strange = with_body(refund, {**refund.body, "ref": 5})
        assert len(refund_lines(sale, [strange], None)) == 1

    def test_a_container_taken_back_by_mistake_is_given_again(self) -> None:
        till = MemoryTill()
        sale = till.sell(WINE, replace(DEPOSIT, quantity_thousandths=-3000))
        refund = till.refund(sale, {2: 1000})
        assert (refund.body["oos"], refund.body["lines"][0]["qty"]) == (3000, 1000)

    def test_a_change_of_means_moves_no_goods(self) -> None:
        till = MemoryTill()
        sale = till.sell()
        swap = [Payment("cash", -1850), Payment(CARD, 1850)]
        payload = build_refund(sale, [], swap, reason="carte acceptée", quantities={})
        assert (payload["lines"], payload["ttc"]) == ([], 0)
        with pytest.raises(NotRefundable, match="nothing"):
            build_refund(sale, [], [], reason="rien", quantities={})

    def test_a_cent_is_paid_out_and_nothing_is_taken_for_it(self) -> None:
        till = MemoryTill()
        sale = till.sell(CENT)
        with pytest.raises(InvalidSale, match=r"card of 0\.01 has no place"):
            build_refund(sale, [], [Payment("cash", -2), Payment(CARD, 1)], reason="retour")
        assert till.refund(sale).body["pay"] == [{"m": "cash", "amt": -1}]

    def test_a_thousandth_that_was_sold_comes_back(self) -> None:
        till = MemoryTill()
        sale = till.sell(replace(WINE, quantity_thousandths=1), replace(DEPOSIT, quantity_thousandths=-1))
        assert [(line["qty"], line["ttc"]) for line in till.refund(sale).body["lines"]] == [(-1, -2), (1, 3)]

    @pytest.mark.parametrize(
        "payments", [[Payment("cash", 1850)], [], [Payment("cash", -1851), Payment(CARD, 1)]]
    )
    def test_a_refund_is_paid_out(self, payments: list[Payment]) -> None:
        sale = MemoryTill().sell()
        with pytest.raises(InvalidSale):
            build_refund(sale, [], payments, reason="retour")

    @pytest.mark.parametrize("reason", ["", "x" * 201])
    def test_a_refund_needs_a_reason(self, reason: str) -> None:
        sale = MemoryTill().sell()
        with pytest.raises(InvalidSale, match="the reason is 1 to 200"):
            build_refund(sale, [], in_cash(-1850), reason=reason)
        assert build_refund(sale, [], in_cash(-1850), reason="x" * 200)
