import json
import re
from dataclasses import asdict, replace
from threading import Thread
from typing import Any

import msgpack
import pytest
from msgpack import fallback

from crdtsync.errors import DamagedStore, IntegrityDefect
from crdtsync.model import chain
from crdtsync.model.chain import (
    CLOCK_STEP_CODE,
    ChainHead,
    Moment,
    Shop,
    advance,
    business_day,
    clock_step,
    next_body,
    rebuild,
    series_of,
    start,
    ticket_counter,
    ticket_number,
)
from crdtsync.model.drawer import build_cash, build_open
from crdtsync.model.entry import Entry, Head, first_prev, is_series
from crdtsync.model.jet import build_jet
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.period import Period
from crdtsync.model.ticket import build_abandon, build_print, build_training
from crdtsync.testing.till import TERRINE, WINE, MemoryOwner, MemoryTill


def day_of_every_kind() -> MemoryTill:
    """A till that made two entries of every kind."""
    till = MemoryTill()
    for _ in range(2):
        till.append("open", build_open(15000))
        sale = till.sell(WINE, TERRINE)
        till.refund(sale, {2: 1000})
        till.append("abandon", build_abandon([WINE], reason="client parti"))
        till.append("cash", build_cash("out", 2000, reason="monnaie"))
        till.append("print", build_print(sale, 1))
        till.append("move", build_move([Moved("cm-2019-75", 12000, "delivery")]))
        till.append("count", build_count({"cm-2019-75": 11000}, cut={till.end.chain: till.end.n}))
        till.append("train", build_training("sale", {"ttc": 5}))
        till.append("jet", build_jet(170))
        till.close()
        till.close(level="month")
        till.close(level="year")
    return till


TILL = day_of_every_kind()
KINDS = sorted({entry.kind for entry in TILL.entries} - {"register"})


def entries_of(kind: str) -> list[Entry]:
    return [entry for entry in TILL.entries if entry.kind == kind]


def test_entries_follow_one_another_without_a_gap() -> None:
    assert [entry.facts.n for entry in TILL.entries] == list(range(1, len(TILL.entries) + 1))
    assert [entry.facts.prev for entry in TILL.entries[1:]] == [entry.link for entry in TILL.entries[:-1]]
    assert {entry.facts.chain for entry in TILL.entries} == {TILL.entries[0].link}


@pytest.mark.parametrize("kind", KINDS)
def test_two_entries_of_every_kind_are_counted(kind: str) -> None:
    assert [entry.body["n"] for entry in entries_of(kind)] == list(range(1, len(entries_of(kind)) + 1))
    assert len(entries_of(kind)) >= 2


def test_sales_and_refunds_share_one_series_of_numbers() -> None:
    numbers = [entry.body["num"] for entry in TILL.entries if entry.kind in ("sale", "refund")]
    assert numbers == ["01-26-000001", "01-26-000002", "01-26-000003", "01-26-000004"]


def test_grand_totals_follow_sales_and_refunds_only() -> None:
    totals = [(e.kind, e.body["gt"]["real"], e.body["gt"]["abs"]) for e in TILL.entries if "gt" in e.body]
    first, second = (1850, 3240), (3700, 6480)
    assert totals == [
        *[("sale", 2545, 2545), ("refund", *first), ("close", *first), ("close", *first), ("close", *first)],
        *[
            ("sale", 4395, 5785),
            ("refund", *second),
            ("close", *second),
            ("close", *second),
            ("close", *second),
        ],
    ]


def test_training_has_numbers_of_its_own_and_its_mode() -> None:
    assert [e.body["num"] for e in entries_of("train")] == ["X-01-26-000001", "X-01-26-000002"]
    assert {(e.kind == "train") == (e.body["mode"] == "train") for e in TILL.entries} == {True}


def test_a_head_is_rebuilt_from_the_entries() -> None:
    assert rebuild(TILL.entries) == TILL.head
    assert rebuild([]) is None


def test_a_head_survives_the_disk() -> None:
    again = ChainHead.from_bytes(TILL.end.to_bytes())
    assert again == TILL.end
    assert again.to_bytes() == TILL.end.to_bytes()


def test_two_threads_pack_their_heads_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packer that is written in Python, as where msgpack was not compiled, is interrupted by others."""
    whole, others = TILL.end.to_bytes(), list[bytes]()
    another = Thread(target=lambda: others.append(TILL.end.to_bytes()))
    asked = []

    class Interrupted(fallback.Packer):
        def _pack(self, *given: Any, **also: Any) -> None:
            asked.append(given)
            if len(asked) == 3:
                another.start()
                another.join()
            super()._pack(*given, **also)

    monkeypatch.setattr(msgpack, "Packer", Interrupted)
    monkeypatch.setattr(chain, "_idle_packers", [Interrupted()])
    assert (TILL.end.to_bytes(), others) == (whole, [whole])
    assert len(asked) > 3


def old_spelling(head: ChainHead) -> bytes:
    """As a head was kept before: JSON, with names, without what is empty or zero."""
    value = {
        "chain": head.chain.hex(),
        "author": head.author.hex(),
        "link": head.link.hex(),
        "n": head.n,
        "ts_ms": head.ts_ms,
        "bd": head.bd,
        "series": head.series,
        "counts": dict(head.counts),
        "ticket": head.ticket,
        "gt": [head.gt_real, head.gt_abs],
        "periods": [old_period(period) for period in (head.day, head.month, head.year)],
        "closings": {level: [link.hex(), z] for level, (link, z) in head.closings.items()},
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def old_period(period: Period) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(period).items() if value and name != "rates"}
    rates = [[*key, *amounts] for key, amounts in period.rates.items()]
    return kept | {"end": period.end} | ({"rates": rates} if rates else {})


def test_a_head_that_was_kept_as_json_is_read() -> None:
    assert ChainHead.from_bytes(old_spelling(TILL.end)) == TILL.end
    assert TILL.end.closings


PACKED = msgpack.unpackb(TILL.end.to_bytes())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        old_spelling(TILL.end).replace(b'"gt"', b'"gx"'),
        b'{"periods":[1]}',
        re.sub(rb'"closings":\{.*?\}', b'"closings":[]', old_spelling(TILL.end)),
        b"\x90",
        TILL.end.to_bytes()[:-1],
        TILL.end.to_bytes() + b"\0",
        msgpack.packb(PACKED[:-1]),
        msgpack.packb([1, *PACKED[1:]]),
        msgpack.packb([b"short", *PACKED[1:]]),
        msgpack.packb([*PACKED[:-2], PACKED[-2][:2], PACKED[-1]]),
        msgpack.packb([*PACKED[:-2], [*PACKED[-2][:2], []], PACKED[-1]]),
        msgpack.packb([*PACKED[:-1], [["day"]]]),
    ],
)
def test_a_damaged_head_is_named(data: bytes) -> None:
    with pytest.raises(DamagedStore, match="head"):
        ChainHead.from_bytes(data)


def test_other_chains_name_this_one_by_its_head() -> None:
    assert TILL.end.known == Head(TILL.entries[0].link, TILL.entries[-1].link, len(TILL.entries))


def test_a_register_begins_with_what_names_its_chain() -> None:
    moment = Moment(5, 60, "2026-11-24")
    shop = Shop(b"\2" * 16, "Cave", siret="12345678200010", tva="FR11123456782", naf="4725Z")
    head = Head(b"\3" * 32, b"\4" * 32, 9)
    body = start(b"\1" * 16, b"\5" * 33, shop, series="07", nonce=b"\6" * 16, moment=moment, heads=[head])
    assert body["prev"] == first_prev(b"\1" * 16).hex()
    numbers = {"siret": "12345678200010", "tva": "FR11123456782", "naf": "4725Z"}
    assert body["shop"] == {"id": "02" * 16, "name": "Cave"} | numbers
    assert Shop(b"\2" * 16, "Cave").to_json() == {"id": "02" * 16, "name": "Cave"}
    assert body["op"] == "system"
    assert body["heads"] == [{"chain": "03" * 32, "link": "04" * 32, "seq": 9}]
    assert (body["nonce"], body["series"], body["cur"], body["seq"]) == ("06" * 16, "07", "EUR", 1)
    assert "chain" not in body


def test_an_entry_that_does_not_follow_is_refused() -> None:
    till = MemoryTill()
    till.sell()
    with pytest.raises(IntegrityDefect, match="does not follow"):
        advance(till.head, till.entries[-1])
    with pytest.raises(IntegrityDefect, match="first"):
        advance(None, till.entries[-1])


def test_a_number_that_was_skipped_is_never_given_again() -> None:
    till = MemoryTill()
    body = till.sell().body
    till.seal({**body, "prev": till.end.link.hex(), "seq": till.end.n + 1, "n": 2, "num": "01-26-000005"})
    assert till.sell().body["num"] == "01-26-000006"


def test_a_number_that_is_none_counts_as_one() -> None:
    till = MemoryTill()
    till.sell()
    body = till.sell().body
    till.seal({**body, "prev": till.end.link.hex(), "seq": till.end.n + 1, "n": 3, "num": "7"})
    assert till.end.ticket == 3
    assert till.sell().body["num"] == "01-26-000004"


def test_the_chain_of_an_owner_has_no_series() -> None:
    assert MemoryOwner().end.series == ""


class TestClock:
    def at(self, till: MemoryTill, back_ms: int) -> Moment:
        return replace(till.moment, ts_ms=till.end.ts_ms - back_ms)

    def test_a_small_step_back_is_clamped(self) -> None:
        till = MemoryTill()
        moment = self.at(till, 1999)
        assert clock_step(till.end, moment) is None
        assert next_body(till.end, "jet", build_jet(80), moment)["ts"] == till.end.ts_ms

    def test_a_larger_step_back_is_recorded_first(self) -> None:
        till = MemoryTill()
        moment = self.at(till, 2000)
        payload = clock_step(till.end, moment)
        assert payload == {
            "code": CLOCK_STEP_CODE,
            "data": {"from": till.end.ts_ms, "to": moment.ts_ms},
        }
        with pytest.raises(ValueError, match="clock"):
            next_body(till.end, "sale", {"ttc": 1}, moment)
        note = till.append("jet", payload, ts_ms=moment.ts_ms)
        assert note.body["ts"] == moment.ts_ms
        assert clock_step(till.end, moment) is None

    def test_only_a_technical_event_tells_that_the_clock_went_back(self) -> None:
        till = MemoryTill()
        with pytest.raises(ValueError, match="clock"):
            next_body(till.end, "tasting", {"code": CLOCK_STEP_CODE}, self.at(till, 2000))
        with pytest.raises(ValueError, match="clock"):
            next_body(till.end, "jet", build_jet(80), self.at(till, 2000))

    def test_the_business_day_is_not_taken_back(self) -> None:
        till = MemoryTill()
        with pytest.raises(ValueError, match="business day"):
            next_body(till.end, "jet", build_jet(80), replace(till.moment, bd="2026-11-23"))

    def test_a_payload_has_no_common_fields(self) -> None:
        till = MemoryTill()
        with pytest.raises(ValueError, match=r"common fields: \['n', 'seq'\]"):
            next_body(till.end, "jet", {"code": 80, "seq": 7, "n": 1}, till.moment)


DAYS: list[tuple[str | None, str, str | None, str, bool]] = [
    # head, clock, trusted -> business day, question?
    ("2026-11-24", "2026-11-24", None, "2026-11-24", False),
    ("2026-11-24", "2026-11-25", None, "2026-11-25", False),
    ("2026-11-24", "2026-11-26", None, "2026-11-24", True),
    ("2026-11-24", "2026-11-26", "2026-11-24", "2026-11-24", True),
    ("2026-11-24", "2026-11-26", "2026-11-25", "2026-11-26", False),
    ("2026-11-24", "2026-12-24", "2026-12-24", "2026-12-24", False),
    ("2026-11-24", "2026-11-28", "2026-11-25", "2026-11-24", True),
    ("2026-11-24", "2031-11-24", "2026-11-24", "2026-11-24", True),
    ("2026-11-24", "2026-11-23", None, "2026-11-24", False),
    ("2026-11-24", "2026-11-22", None, "2026-11-24", True),
    ("2026-11-20", "2026-11-21", "2026-11-24", "2026-11-21", True),
    ("2026-12-31", "2027-01-01", None, "2027-01-01", False),
    (None, "2026-11-24", None, "2026-11-24", False),
    (None, "2026-11-24", "2026-11-24", "2026-11-24", False),
    (None, "2031-11-24", "2026-11-24", "2026-11-24", True),
    (None, "2001-01-01", "2026-11-24", "2001-01-01", True),
    ("9999-12-31", "9999-12-31", None, "9999-12-31", False),
]


@pytest.mark.parametrize(("head", "clock", "trusted", "day", "asks"), DAYS)
def test_the_business_day_moves_by_itself_one_day_at_most(
    head: str | None, clock: str, trusted: str | None, day: str, asks: bool
) -> None:
    found, question = business_day(head, clock, trusted)
    assert (found, question is not None) == (day, asks)


def test_the_question_names_both_days() -> None:
    _, question = business_day("2026-11-24", "2031-05-01", None)
    assert question is not None
    assert "2026-11-24" in question
    assert "2031-05-01" in question


def test_a_series_of_its_own_follows_from_the_device() -> None:
    assert is_series(series_of(TILL.author))
    assert series_of(TILL.author) != series_of(MemoryTill("till 2").author)
    assert series_of(bytes.fromhex("7a1d3c5e9b0f42688d21c6e4f0a39b57")) == "PIOTYX"


@pytest.mark.parametrize(
    ("num", "counter"),
    [
        ("01-26-000001", 1),
        ("K7Q-26-1234567", 1234567),
        ("01-26-x", 0),
        ("", 0),
        ("01-2-1", 0),
        ("01-26-" + "9" * 16, 0),
        ("01-26-" + "9" * 15, 999_999_999_999_999),
        ("caisse-26-000005", 0),
        ("01-261000005", 0),
        ("01-26-٣٤", 0),
        ("01-26-", 0),
    ],
)
def test_the_counter_of_a_ticket_number(num: str, counter: int) -> None:
    assert ticket_counter(num) == counter


def test_numbers_have_six_digits_or_more() -> None:
    assert ticket_number("01", "2026-11-24", 7) == "01-26-000007"
    assert ticket_number("01", "2027-01-01", 1234567) == "01-27-1234567"


def test_the_counter_goes_on_over_new_year() -> None:
    till = MemoryTill()
    numbers: list[Any] = [till.sell(bd=day).body["num"] for day in ("2026-12-31", "2027-01-01")]
    assert numbers == ["01-26-000001", "01-27-000002"]


def test_a_register_that_leaves_a_chain_says_where() -> None:
    left = MemoryTill().end.known
    till = MemoryTill("till 2")
    plain = till.entries[0].body
    body = start(
        till.author,
        till.key.public,
        Shop(bytes.fromhex(plain["shop"]["id"]), plain["shop"]["name"]),
        series=plain["series"],
        nonce=bytes.fromhex(plain["nonce"]),
        moment=Moment(plain["ts"], plain["tz"], plain["bd"], plain["op"]),
        follows=left,
    )
    assert body == plain | {"follows": left.to_json()}
