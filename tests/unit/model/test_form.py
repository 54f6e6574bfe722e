from typing import Any

import pytest

from crdtsync.model.form import payload_problem, wrong_way
from crdtsync.model.ticket import build_abandon
from crdtsync.testing.till import WINE, MemoryTill

TILL = MemoryTill()
SALE = TILL.sell().body
REFUND = TILL.refund(TILL.entries[-1]).body
ABANDON = TILL.append("abandon", build_abandon([WINE], reason="x")).body
CLOSE = TILL.close(counted_minor=5).body


@pytest.mark.parametrize("entry", TILL.entries, ids=lambda entry: entry.kind)
def test_what_we_write_is_of_its_form(entry: Any) -> None:
    assert payload_problem(entry.body) is None


LINES = SALE["lines"]
BACK = REFUND["lines"]
TURNED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (SALE, {"lines": [{**LINES[0], "pu": -1}]}, "price"),
    (SALE, {"lines": [{**LINES[0], "qty": 0}]}, "line 1 goes"),
    (SALE, {"lines": [{**LINES[0], "qty": -1000}]}, "line 1 goes"),
    (SALE, {"lines": [{**LINES[0], "ttc": -1}]}, "line 1 goes"),
    (ABANDON, {"lines": [{**LINES[0], "qty": -1000}]}, "line 1 goes"),
    (REFUND, {"lines": [{**BACK[0], "qty": 1000}]}, "line 1 goes"),
    (REFUND, {"lines": [{**BACK[0], "ttc": 1}]}, "line 1 goes"),
    (SALE, {"pay": [{"m": "cash", "amt": 5}, {"m": "change", "amt": 1}]}, "change that was not handed back"),
    ({"kind": "open"}, {"amt": -1}, "a float below nothing"),
    (REFUND, {"lines": [{**BACK[0], "qty": 1}]}, "line 1 goes"),
    (SALE, {"lines": [{**LINES[0], "i": 1}, {**LINES[0], "i": 2, "qty": -1}]}, "line 2 goes"),
    ({"kind": "count"}, {"lines": [{"sku": "a", "qty": 5}, {"sku": "b", "qty": -1}]}, "less than nothing"),
    ({"kind": "cash"}, {"what": "in", "amt": -5}, "cash in of -5"),
    ({"kind": "cash"}, {"what": "out", "amt": 5}, "cash out of 5"),
    ({"kind": "cash"}, {"what": "deposit", "amt": 5}, "cash deposit of 5"),
    ({"kind": "cash"}, {"what": "in", "amt": 0}, "cash in of 0"),
    ({"kind": "count"}, {"lines": [{"sku": "a", "qty": -1}]}, "less than nothing was counted"),
]


@pytest.mark.parametrize(("body", "change", "message"), TURNED)
def test_what_goes_the_other_way_is_named(body: dict[str, Any], change: dict[str, Any], message: str) -> None:
    assert message in (wrong_way({**body, **change}) or "")


RIGHT: list[dict[str, Any]] = [
    *(entry.body for entry in TILL.entries),
    {"kind": "open", "amt": 0},
    {"kind": "cash", "what": "in", "amt": 5},
    {"kind": "cash", "what": "out", "amt": -5},
    {"kind": "count", "lines": [{"sku": "a", "qty": 0}]},
    {**SALE, "lines": [{**LINES[0], "ttc": 0, "pu": 0}]},
    {**SALE, "lines": [{**LINES[0], "qty": 1}]},
    {**REFUND, "lines": [{**BACK[0], "qty": -1, "ttc": 0}]},
    {**SALE, "pay": [{"m": "change", "amt": 0}]},
    {**SALE, "lines": [{**LINES[0], "vc": "O", "qty": -1000, "ttc": -1850}]},
    {**REFUND, "lines": [{**BACK[0], "vc": "O", "qty": 1000, "ttc": 1850}]},
    {**SALE, "pay": [{"m": "change", "amt": -5}, {"m": "cash", "amt": 5}]},
]


@pytest.mark.parametrize("body", RIGHT)
def test_what_goes_the_right_way_is_not_named(body: dict[str, Any]) -> None:
    assert wrong_way(body) is None


@pytest.mark.parametrize("vat_class", ["N", "R1", "R2", "Z", "S", "O"])
def test_a_line_of_every_class_of_vat_is_of_its_form(vat_class: str) -> None:
    assert payload_problem({**SALE, "lines": [{**LINES[0], "vc": vat_class}]}) is None


def test_an_unknown_kind_has_no_form() -> None:
    assert payload_problem({"kind": "tasting"}) is None


LINE = SALE["lines"][0]
BAD: list[tuple[dict[str, Any], str, Any]] = [
    *((SALE, name, None) for name in ("lines", "vat", "ttc", "pay", "num", "gt", "rnd")),
    (SALE, "ttc", True),
    (SALE, "oos", "1"),
    (SALE, "rnd", "round-half-even/1"),
    (SALE, "lines", {}),
    (SALE, "lines", [1]),
    (SALE, "lines", [{**LINE, "vat": 10_001}]),
    (SALE, "lines", [{**LINE, "vat": -1}]),
    (SALE, "lines", [{**LINE, "vc": "X"}]),
    (SALE, "lines", [{**LINE, "vc": 5}]),
    (SALE, "lines", [{**LINE, "vc": ["N"]}]),
    (SALE, "lines", [{**LINE, "qty": "1"}]),
    (SALE, "vat", [{**SALE["vat"][0], "ht": "1"}]),
    (SALE, "pay", [{"m": "cash"}]),
    (SALE, "gt", {"real": 1}),
    (SALE, "gt", 5),
    (REFUND, "lines", [LINE]),
    (REFUND, "ref", {}),
    (REFUND, "reason", None),
    (ABANDON, "lines", None),
    (CLOSE, "level", "week"),
    (CLOSE, "counts", {"sale": "1"}),
    (CLOSE, "counts", []),
    (CLOSE, "cash", {"expected": "1"}),
    (CLOSE, "cash", {"expected": 1, "counted": "1"}),
    ({"kind": "open"}, "amt", "1"),
    ({"kind": "cash", "amt": 1}, "what", "stolen"),
    ({"kind": "jet"}, "code", "80"),
    ({"kind": "move"}, "lines", [{"sku": "a"}]),
    ({"kind": "count", "lines": []}, "cut", {"a": "b"}),
    ({"kind": "count", "lines": []}, "cut", {"a": 5}),
    ({"kind": "count", "lines": []}, "cut", {"ab" * 32: "5"}),
    (REFUND, "ref", {"link": "AB" * 32}),
    ({"kind": "print", "rank": 1}, "ref", {}),
    ({"kind": "print", "ref": {"link": "ab" * 32}}, "rank", "1"),
    ({"kind": "train"}, "what", 5),
]


@pytest.mark.parametrize(("body", "field", "value"), BAD)
def test_a_field_of_another_form_is_named(body: dict[str, Any], field: str, value: Any) -> None:
    changed = {**body, field: value}
    if value is None:
        del changed[field]
    problem = payload_problem(changed)
    assert problem is not None
    assert repr(field) in problem
