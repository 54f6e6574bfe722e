import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from crdtsync.model import returns, verify
from crdtsync.model.certificate import Directory
from crdtsync.model.drawer import build_open
from crdtsync.model.entry import Entry, Head, read_entry
from crdtsync.model.jet import build_jet
from crdtsync.model.sealed import join, seal, split
from crdtsync.model.signature import PrivateKey
from crdtsync.model.ticket import build_abandon, build_training
from crdtsync.model.verify import CODES, Defect, verify_chain
from crdtsync.testing.till import DEPOSIT, TERRINE, WINE, MemoryOwner, MemoryTill


def two_days() -> MemoryTill:
    till = MemoryTill()
    for day in ("2026-11-24", "2026-11-25"):
        till.append("open", build_open(15000), bd=day)
        sale = till.sell(WINE, TERRINE, DEPOSIT)
        till.refund(sale, {2: 1000})
        till.append("abandon", build_abandon([WINE], reason="client parti"))
        till.append("train", build_training("sale", {"ttc": 5}))
        till.append("tasting", {"glasses": 3})
        till.sell()
        till.close(counted_minor=5)
    till.close(level="month")
    till.close(level="year")
    return till


def defects(till: MemoryTill, entries: Iterable[bytes] | None = None, **options: Any) -> list[Defect]:
    found = verify_chain(till.end.chain, till.sealed if entries is None else entries, **options)
    return list(found)


def codes(till: MemoryTill, entries: Iterable[bytes] | None = None, **options: Any) -> list[tuple[str, int]]:
    return [(defect.code, defect.seq) for defect in defects(till, entries, **options)]


def rewritten(till: MemoryTill, n: int, /, **changes: Any) -> list[bytes]:
    """The chain with entry ``n`` written again by the till itself, and all after it sealed anew."""
    return all_rewritten(till, {n: changes})


def all_rewritten(till: MemoryTill, changes: Mapping[int, Mapping[str, Any]]) -> list[bytes]:
    """As ``rewritten``, for several entries by their number."""
    first = min(changes)
    sealed = till.sealed[: first - 1]
    renamed: dict[str, str] = {}
    for entry in till.entries[first - 1 :]:
        body = {**entry.body, "prev": read_entry(sealed[-1]).link.hex()}
        if "plink" in body:
            body["plink"] = renamed.get(body["plink"], body["plink"])
        body |= changes.get(entry.facts.n, {})
        sealed.append(seal({name: value for name, value in body.items() if value is not None}, till.key))
        renamed[entry.link.hex()] = read_entry(sealed[-1]).link.hex()
    return sealed


def numbers(till: MemoryTill, kind: str) -> list[int]:
    return [entry.facts.n for entry in till.entries if entry.kind == kind]


TILL = two_days()


def test_a_genuine_chain_has_no_defect() -> None:
    assert defects(TILL) == []
    assert defects(TILL, known=[TILL.end.known]) == []


def test_a_genuine_chain_of_an_owner_has_no_defect() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    owner.revoke(till)
    assert list(verify_chain(owner.end.chain, owner.sealed, directory=owner.directory)) == []


def test_a_chain_of_a_certified_key_has_no_defect() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    assert codes(till, directory=owner.directory) == []
    assert codes(till, directory=Directory(owner.author)) == [("key", 1)]


def test_a_series_that_was_not_allotted_is_named() -> None:
    owner = MemoryOwner()
    till = MemoryTill("till 1", shop=owner.shop, series="07")
    owner.certify(till)
    assert codes(till, directory=owner.directory) == []
    owner.certify(till, series="08")
    [defect] = defects(till, directory=owner.directory)
    assert (defect.code, defect.seq) == ("number", 1)
    assert defect.message == "its tickets are of series 07, its certificate says 08"


def test_an_empty_chain_has_no_defect() -> None:
    assert codes(TILL, []) == []


@pytest.mark.parametrize("n", range(2, len(TILL.entries) + 1))
def test_a_change_of_one_byte_names_the_entry(n: int) -> None:
    body, text = split(TILL.sealed[n - 1])
    changed = [
        *TILL.sealed[: n - 1],
        join(body.replace(b'"op":"u-lea"', b'"op":"u-leb"'), text),
        *TILL.sealed[n:],
    ]
    assert codes(TILL, changed)[0] == ("signature", n)


def test_a_changed_beginning_is_no_entry_of_the_chain() -> None:
    body, text = split(TILL.sealed[0])
    changed = [join(body.replace(b"u-lea", b"u-leb"), text), *TILL.sealed[1:]]
    assert codes(TILL, changed)[:3] == [("chain", 1), ("key", 2), ("gap", 2)]


def test_bytes_that_are_no_entry_are_named_by_their_hash() -> None:
    changed = [*TILL.sealed[:4], b"garbage", *TILL.sealed[5:]]
    found = defects(TILL, changed)
    assert [(defect.code, defect.seq) for defect in found[:2]] == [("malformed", 0), ("gap", 6)]


def test_garbage_at_the_end_is_seen() -> None:
    assert codes(TILL, [*TILL.sealed, b"garbage"]) == [("malformed", 0)]


def test_an_entry_of_another_chain_is_not_counted_in() -> None:
    other = MemoryTill("till 2").sell()
    assert codes(TILL, [*TILL.sealed[:5], other.sealed, *TILL.sealed[5:]]) == [("chain", 2)]


def test_the_end_can_be_dropped_unseen_only_where_nobody_else_knew_it() -> None:
    shortened = TILL.sealed[:-2]
    assert codes(TILL, shortened) == []
    [tail] = defects(TILL, shortened, known=[TILL.end.known])
    assert (tail.code, tail.seq, tail.link) == ("tail", TILL.end.n, TILL.end.link)


def test_heads_of_other_chains_say_nothing_of_this_one() -> None:
    assert codes(TILL, known=[Head(b"\1" * 32, b"\2" * 32, 999)]) == []


def test_another_entry_than_the_one_known_elsewhere_is_named() -> None:
    known = Head(TILL.end.chain, b"\2" * 32, 5)
    assert codes(TILL, known=[known]) == [("witness", 5)]


def test_two_entries_that_changed_places_are_named() -> None:
    swapped = [*TILL.sealed[:3], TILL.sealed[4], TILL.sealed[3], *TILL.sealed[5:]]
    assert codes(TILL, swapped)[0] == ("gap", 5)


def fork(till: MemoryTill, n: int) -> Entry:
    """Another version of entry ``n``, as an old copy of the disk would make it."""
    return read_entry(seal({**till.entries[n - 1].body, "op": "u-max"}, till.key))


def test_both_branches_of_a_fork_are_named_and_followed() -> None:
    other = fork(TILL, 5)
    next_body = {**TILL.entries[5].body, "prev": other.link.hex()}
    branch = [other.sealed, seal(next_body, TILL.key)]
    sealed = [*TILL.sealed[:5], branch[0], TILL.sealed[5], branch[1], *TILL.sealed[6:]]
    found = codes(TILL, sealed)
    assert found == [("fork", 5), ("fork", 5), ("fork", 6), ("fork", 6)]


def test_the_same_entry_twice_is_no_fork() -> None:
    assert codes(TILL, [data for data in TILL.sealed for _ in range(2)]) == []


def test_a_fork_after_a_gap_is_followed() -> None:
    other = fork(TILL, 7)
    sealed = [*TILL.sealed[:4], TILL.sealed[6], other.sealed, *TILL.sealed[7:]]
    assert codes(TILL, sealed) == [("gap", 7), ("fork", 7), ("fork", 7)]


def test_an_entry_sealed_after_another_one_is_named() -> None:
    changed = seal({**TILL.entries[4].body, "prev": "0" * 64}, TILL.key)
    found = codes(TILL, [*TILL.sealed[:4], changed, *TILL.sealed[5:]])
    assert found == [("link", 5), ("link", 6)]


def test_a_signature_of_another_key_is_named() -> None:
    thief = PrivateKey.from_seed(b"thief")
    changed = seal(TILL.entries[-1].body, thief)
    assert codes(TILL, [*TILL.sealed[:-1], changed]) == [("signature", TILL.end.n)]


def test_a_device_in_anothers_chain_is_named() -> None:
    changed = seal({**TILL.entries[-1].body, "till": "0" * 32}, TILL.key)
    assert codes(TILL, [*TILL.sealed[:-1], changed]) == [("chain", TILL.end.n)]


SALE_N = numbers(TILL, "sale")[1]
SALE = TILL.entries[SALE_N - 1].body
REFUND_N = numbers(TILL, "refund")[0]
ABANDON_N = numbers(TILL, "abandon")[0]
TRAIN_N = numbers(TILL, "train")[0]
OPEN_N = numbers(TILL, "open")[0]
CLOSE_N = numbers(TILL, "close")[0]
CLOSE = TILL.entries[CLOSE_N - 1].body
MONTH_N = numbers(TILL, "close")[2]

LIES: list[tuple[int, dict[str, Any], list[str]]] = [
    (SALE_N, {"lines": [{**SALE["lines"][0], "ttc": 1}]}, ["totals"]),
    (SALE_N, {"lines": [{**SALE["lines"][0], "i": 7}]}, ["totals"]),
    (SALE_N, {"lines": [{**SALE["lines"][0], "disc": 50}]}, ["totals"]),
    (SALE_N, {"vat": []}, ["totals"]),
    (SALE_N, {"oos": 5}, ["totals", "payment"]),
    (SALE_N, {"oos": 0}, ["totals"]),
    (SALE_N, {"pay": [{"m": "cash", "amt": 1}]}, ["payment"]),
    (SALE_N, {"num": "01-26-000009"}, ["number"]),
    (SALE_N, {"num": "01-26-000002"}, ["number"]),
    (SALE_N, {"num": "7"}, ["number"]),
    (SALE_N, {"gt": {"real": 0, "abs": 0}}, ["grand-total"]),
    (SALE_N, {"n": 1}, ["count"]),
    (REFUND_N, {"n": 2}, ["count"]),
    (SALE_N, {"mode": "train"}, ["form"]),
    (SALE_N, {"rnd": "round/9"}, ["form"]),
    (SALE_N, {"lines": None}, ["form"]),
    (SALE_N, {"pay": [{"m": "cash", "amt": 1800}, {"m": "change", "amt": 50}]}, ["sign"]),
    (ABANDON_N, {"ttc": 7}, ["totals"]),
    (TRAIN_N, {"num": "01-26-000001"}, ["number"]),
    (TRAIN_N, {"num": "X-01-26-000007"}, ["number"]),
    (TRAIN_N, {"num": None}, ["number"]),
    (TRAIN_N, {"what": None}, ["form"]),
    (OPEN_N, {"amt": -15000}, ["sign"]),
    (CLOSE_N, {"counts": {"sale": 9}}, ["closing"]),
    (CLOSE_N, {"from": 2}, ["closing"]),
    (CLOSE_N, {"z": 2}, ["closing"]),
    (CLOSE_N, {"first": None}, ["closing"]),
    (CLOSE_N, {"plink": "0" * 64}, ["closing"]),
    (CLOSE_N, {"pay": []}, ["closing"]),
    (CLOSE_N, {"cash": {"expected": 1}}, ["closing"]),
    (CLOSE_N, {"cash": {**CLOSE["cash"], "gap": 1}}, ["closing"]),
    (CLOSE_N, {"cash": {"expected": CLOSE["cash"]["expected"], "gap": 1}}, ["closing"]),
    (CLOSE_N, {"gt": {"real": 1, "abs": 1}}, ["grand-total"]),
    (MONTH_N, {"cash": {"expected": 1}}, ["closing"]),
    (MONTH_N, {"to": 3}, ["closing"]),
    (MONTH_N, {"first": None, "last": None}, ["closing"]),
]


@pytest.mark.parametrize(("n", "change", "expected"), LIES)
def test_a_lie_that_the_till_signed_is_named_once(
    n: int, change: dict[str, Any], expected: list[str]
) -> None:
    """The closings after it, which sum it up, do not follow any more either; nothing else is touched."""
    found = codes(TILL, rewritten(TILL, n, **change))
    closings = [(code, seq) for code, seq in found if code == "closing" and seq > n]
    assert found == [*((code, n) for code in expected), *closings]


def test_a_sale_that_was_made_smaller_is_named_though_all_its_own_totals_fit() -> None:
    """The grand totals after it give it away, and the day's closing."""
    line = {**SALE["lines"][0], "pu": 1000, "ttc": 1000, "ht": 833}
    rate = {"vat": 2000, "vc": "N", "ttc": 1000, "ht": 833, "tva": 167}
    smaller = {"lines": [line], "vat": [rate], "ttc": 1000, "pay": [{"m": "cash", "amt": 1000}]}
    found = codes(TILL, rewritten(TILL, SALE_N, **smaller))
    assert found[0] == ("grand-total", SALE_N)
    assert {code for code, _ in found[1:]} == {"closing"}


TURNED_SALE = {
    "lines": [{**SALE["lines"][0], "qty": -1000, "ttc": -1850, "ht": -1542}],
    "vat": [{**SALE["vat"][0], "ttc": -1850, "ht": -1542, "tva": -308}],
    "ttc": -1850,
    "pay": [{"m": "cash", "amt": -1850}],
}


def test_a_sale_that_pays_money_out_is_named_though_its_totals_fit() -> None:
    found = codes(TILL, rewritten(TILL, SALE_N, **TURNED_SALE))
    assert found[:2] == [("sign", SALE_N), ("grand-total", SALE_N)]


def test_a_refund_that_takes_money_in_is_named_though_its_totals_fit() -> None:
    body = TILL.entries[REFUND_N - 1].body
    turned = {**SALE["lines"][0], "of": 1}
    taken = {"lines": [turned], "vat": SALE["vat"], "ttc": 1850, "pay": [{"m": "cash", "amt": 1850}]}
    assert body["ttc"] < 0
    assert ("sign", REFUND_N) in codes(TILL, rewritten(TILL, REFUND_N, **taken))


def test_a_time_that_goes_back_is_named_unless_it_was_noted() -> None:
    till = MemoryTill()
    before = till.end.ts_ms
    till.sell()
    assert codes(till, rewritten(till, 2, ts=before - 1)) == [("clock", 2)]
    till.append("jet", build_jet(1001), ts_ms=before - 10_000)
    till.sell()
    assert codes(till) == []


def test_after_a_gap_an_earlier_time_may_have_been_noted_in_it() -> None:
    till = MemoryTill()
    before = till.end.ts_ms
    till.append("jet", build_jet(1001), ts_ms=before - 10_000)
    till.sell()
    assert codes(till, [till.sealed[0], till.sealed[2]]) == [("gap", 3)]


def test_two_entries_of_one_millisecond_are_no_defect() -> None:
    till = MemoryTill()
    till.sell(ts_ms=till.end.ts_ms)
    till.sell(ts_ms=till.end.ts_ms)
    assert codes(till) == []


@pytest.mark.parametrize(("kind", "code"), [("jet", 80), ("tasting", 1001)])
def test_nothing_but_the_note_of_it_lets_the_time_go_back(kind: str, code: int) -> None:
    till = MemoryTill()
    before = till.end.ts_ms
    till.append(kind, {"code": code})
    [defect] = defects(till, rewritten(till, 2, ts=before - 5))
    assert (defect.code, defect.message) == ("clock", "the time goes back 5 ms")


def test_a_closing_of_a_day_without_tickets_names_none() -> None:
    till = MemoryTill()
    till.close()
    for field in ("first", "last", "plink"):
        value = "0" * 64 if field == "plink" else "01-26-000001"
        assert codes(till, rewritten(till, 2, **{field: value})) == [("closing", 2)]


class TestOneDefectIsNamedOnce:
    """What follows from a defect is taken as it comes, and what is wrong after that is found again."""

    def five_sales(self) -> MemoryTill:
        till = MemoryTill()
        for _ in range(5):
            till.sell()
        return till

    def test_counts_that_go_on_from_a_wrong_one(self) -> None:
        till = self.five_sales()
        assert codes(till, all_rewritten(till, {4: {"n": 2}, 5: {"n": 3}, 6: {"n": 4}})) == [("count", 4)]

    def test_ticket_numbers_that_go_on_from_a_wrong_one(self) -> None:
        till = self.five_sales()
        jump = {n: {"num": f"01-26-{n + 5:06d}"} for n in (4, 5, 6)}
        assert codes(till, all_rewritten(till, jump)) == [("number", 4)]
        again = {**jump, 6: {"num": "01-26-000099"}}
        assert codes(till, all_rewritten(till, again)) == [("number", 4), ("number", 6)]

    def test_a_ticket_number_that_is_none(self) -> None:
        till = self.five_sales()
        assert codes(till, all_rewritten(till, {4: {"num": "?"}})) == [("number", 4)]

    def test_a_business_day_that_goes_on_from_one_that_went_back(self) -> None:
        till = MemoryTill()
        for day in ("2026-11-25", "2026-11-25", "2026-11-25"):
            till.sell(bd=day)
        back = {n: {"bd": "2026-11-23"} for n in (3, 4)}
        assert codes(till, all_rewritten(till, back)) == [("day", 3)]

    def test_after_a_gap_counts_numbers_and_series_are_asked_for_again(self) -> None:
        till = self.five_sales()
        for change, code in (({"n": 2}, "count"), ({"num": "01-26-000099"}, "number")):
            changed = all_rewritten(till, {6: change})
            assert codes(till, [changed[0], *changed[3:]]) == [("gap", 4), (code, 6)]
        changed = all_rewritten(till, {4: {"num": "99-26-000003"}})
        assert codes(till, [changed[0], *changed[3:]]) == [("gap", 4), ("number", 4)]

    def test_months_and_years_after_a_gap_that_hides_the_end_of_a_day(self) -> None:
        till = MemoryTill()
        for _ in range(3):
            till.sell()
            till.close()
            till.close(level="month")
            till.close(level="year")
        assert codes(till, [till.sealed[0], *till.sealed[3:]]) == [("gap", 4)]
        assert codes(till, [till.sealed[0], *till.sealed[4:]]) == [("gap", 5)]
        assert codes(till, [till.sealed[0], *till.sealed[5:]]) == [("gap", 6)]


def test_without_its_beginning_any_certified_key_of_the_device_may_have_signed() -> None:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    till.sell()
    other = MemoryTill("till 2")
    other.author = till.author
    owner.certify(other)
    assert codes(till, till.sealed[1:], directory=owner.directory) == [("gap", 2)]


def test_a_business_day_that_goes_back_is_named_once() -> None:
    n = numbers(TILL, "sale")[-1]
    assert codes(TILL, rewritten(TILL, n, bd="2026-11-20")) == [("day", n)]
    assert codes(TILL, rewritten(TILL, 4, bd="2031-01-01"))[0][0] == "number"


def test_a_defect_names_the_ticket() -> None:
    defect, *_ = defects(TILL, rewritten(TILL, SALE_N, pay=[]))
    assert (defect.num, defect.seq) == (SALE["num"], SALE_N)
    assert defect.message == "1850 was to be paid, the payments come to 0"


def test_a_number_that_is_no_text_is_not_shown() -> None:
    defect, *_ = defects(TILL, rewritten(TILL, SALE_N, num=5))
    assert (defect.code, defect.num) == ("form", None)


def test_every_code_is_explained() -> None:
    text = inspect.getsource(verify) + inspect.getsource(returns)
    found = re.findall(r'(?:_defect|Defect)\("([a-z-]+)"', text)
    assert set(found) == CODES.keys()
