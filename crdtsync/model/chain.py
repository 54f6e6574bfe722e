"""Chains: the next entry of a register, and the head from which it follows.

A head holds all that the next entry needs: number, link, counters, grand totals, the running periods. It is
stored in the transaction that stores its entry, and can be rebuilt from the entries by ``advance``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, Self

import orjson

from crdtsync.errors import DamagedStore, IntegrityDefect
from crdtsync.ids import ID_BYTES, LINK_BYTES
from crdtsync.model.entry import SOFTWARE, VERSION, Entry, Head, first_prev, is_series
from crdtsync.model.period import COUNTED_KINDS, Level, Period
from crdtsync.said import Said

CLOCK_TOLERANCE_MS: Final = 2_000
"""Steps of the clock back below this are clamped to the time of the entry before."""

CLOCK_STEP_CODE: Final = 1001
"""The ``jet`` code that says that the clock went back; only there may ``ts`` decrease."""

_BEGUN = Period(1)
_LAST_DAY = "9999-12-31"


# Values, never changed. They are made for every sale, and to freeze them takes three times as long.


@dataclass(slots=True, unsafe_hash=True)
class Moment:
    """When, on which business day, and by whom: read by the caller, recorded here.

    ``ts_ms`` Unix milliseconds as the clock says; ``tz_min`` local offset in minutes; ``bd`` the business
    day (see ``business_day``); ``op`` the operator's pseudonym.
    """

    ts_ms: int
    tz_min: int
    bd: str
    op: str = "system"


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop as its registers name it. The optional numbers are French: SIRET, VAT number, NAF code."""

    id: bytes
    name: str
    siret: str | None = None
    tva: str | None = None
    naf: str | None = None

    def to_json(self) -> dict[str, str]:
        """As it stands in a body."""
        numbers = {"siret": self.siret, "tva": self.tva, "naf": self.naf}
        return {"id": self.id.hex(), "name": self.name} | {k: v for k, v in numbers.items() if v is not None}


@dataclass(slots=True, unsafe_hash=True)
class ChainHead:
    """The end of a chain after entry number ``n``.

    ``counts``: entries per kind; ``ticket``: the last ticket number's counter; ``gt_real``/``gt_abs``: the
    grand totals; ``day``: totals since the last closing of a day; ``month`` and ``year``: totals of the
    days and months closed in the running ones; ``closings``: per level the link and the number of its last
    closing. ``author`` is the device (in the owner's chain: the shop).
    """

    chain: bytes
    author: bytes
    link: bytes
    n: int
    ts_ms: int
    bd: str
    series: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    ticket: int = 0
    gt_real: int = 0
    gt_abs: int = 0
    day: Period = _BEGUN
    month: Period = _BEGUN
    year: Period = _BEGUN
    closings: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)

    @property
    def known(self) -> Head:
        """The head as other chains name it."""
        return Head(self.chain, self.link, self.n)

    def period(self, level: Level) -> Period:
        """What a closing of that level would close."""
        return {"day": self.day, "month": self.month, "year": self.year}[level]

    def to_bytes(self) -> bytes:
        """As it is kept beside the log: short, for every entry writes it, and one spelling for one head."""
        return _pack(
            [
                self.chain,
                self.author,
                self.link,
                self.n,
                self.ts_ms,
                self.bd,
                self.series,
                dict(sorted(self.counts.items())),
                self.ticket,
                self.gt_real,
                self.gt_abs,
                [self.day.to_list(), self.month.to_list(), self.year.to_list()],
                [[level, *closing] for level, closing in sorted(self.closings.items())],
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The reverse of ``to_bytes``, also of what was written before 0.1 (JSON). Raises ``DamagedStore``;
        the head can then be rebuilt.
        """
        try:
            return cls(*_read_json(data) if data[:1] == b"{" else _read_packed(data))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedStore("the head of the chain cannot be read") from error


_idle_packers: Final[list[Any]] = []
"""Each is taken by one thread at a time: written in Python, as msgpack is where it could not be compiled, two
threads would write into one buffer.
"""


def _pack(what: object) -> bytes:
    try:
        packer = _idle_packers.pop()
    except IndexError:
        from msgpack import Packer  # Late: who only looks at a till does without.

        packer = Packer()
    packed: bytes = packer.pack(what)
    _idle_packers.append(packer)
    return packed


def _read_packed(data: bytes) -> Iterator[Any]:
    from msgpack import unpackb  # As above.

    *fields, periods, closings = unpackb(data)
    if [len(name) for name in fields[:3]] != [LINK_BYTES, ID_BYTES, LINK_BYTES]:
        raise ValueError("these are no names of a chain, a device and an entry")
    yield from fields
    day, month, year = periods
    yield from map(Period.from_list, (day, month, year))
    yield {level: (link, z) for level, link, z in closings}


def _read_json(data: bytes) -> Iterator[Any]:
    value = orjson.loads(data)
    yield from (bytes.fromhex(value[name]) for name in ("chain", "author", "link"))
    yield from (value[name] for name in ("n", "ts_ms", "bd", "series", "counts", "ticket"))
    real, absolute = value["gt"]
    yield from (real, absolute)
    day, month, year = value["periods"]
    yield from map(Period.from_json, (day, month, year))
    yield {level: (bytes.fromhex(link), z) for level, (link, z) in value["closings"].items()}


def start(
    device: bytes,
    public: bytes,
    shop: Shop,
    *,
    series: str,
    nonce: bytes,
    moment: Moment,
    currency: str = "EUR",
    heads: Sequence[Head] = (),
    follows: Head | None = None,
    software: str = SOFTWARE,
) -> dict[str, Any]:
    """The body of a register's first entry. ``nonce``: 16 random bytes, so that no two chains share a name.

    ``heads`` are the heads of the shop's chains known now; a replacement so names the chain it follows.
    ``follows``: where the same register left another chain, which somebody else may write on, for this one.
    """
    body = common_fields("register", device, moment, n=1, prev=first_prev(device), software=software)
    return body | {
        "nonce": nonce.hex(),
        "shop": shop.to_json(),
        "key": {"alg": "ES256", "pub": public.hex()},
        "series": series,
        "cur": currency,
        "heads": [head.to_json() for head in heads],
        **({"follows": follows.to_json()} if follows is not None else {}),
    }


def common_fields(
    kind: str, author: bytes, moment: Moment, *, n: int, prev: bytes, software: str
) -> dict[str, Any]:
    """The common fields of an entry, without ``chain``; ``n`` is its number along the chain."""
    return {
        "v": VERSION,
        "kind": kind,
        "till": author.hex(),
        "seq": n,
        "n": 1,
        "prev": prev.hex(),
        "ts": moment.ts_ms,
        "tz": moment.tz_min,
        "bd": moment.bd,
        "op": moment.op,
        "sw": software,
        "mode": "train" if kind == "train" else "live",
    }


def next_body(
    head: ChainHead,
    kind: str,
    payload: Mapping[str, Any],
    moment: Moment,
    *,
    software: str = SOFTWARE,
) -> dict[str, Any]:
    """The body of the entry after ``head``: common fields, ticket number and grand totals where due.

    A clock that is less than ``CLOCK_TOLERANCE_MS`` behind is clamped to the entry before. Raises
    ``ValueError`` for what the caller must not ask for: a clock further behind without the ``jet`` entry
    that ``clock_step`` announces, a business day before the head's, a payload with common fields.
    """
    if clock_step(head, moment) is not None and not _tells_clock_step(kind, payload):
        raise ValueError("the clock went back: append the jet entry of clock_step first")
    if moment.bd < head.bd:
        raise ValueError(f"the business day {moment.bd} is before {head.bd}")
    if moment.ts_ms < head.ts_ms and not _tells_clock_step(kind, payload):
        moment = replace(moment, ts_ms=head.ts_ms)
    body = common_fields(kind, head.author, moment, n=head.n + 1, prev=head.link, software=software)
    body |= {"chain": head.chain.hex(), "n": head.counts.get(kind, 0) + 1}
    real, absolute = head.gt_real, head.gt_abs
    if kind in COUNTED_KINDS:
        body["num"] = ticket_number(head.series, moment.bd, head.ticket + 1)
        real, absolute = real + payload["ttc"], absolute + abs(payload["ttc"])
    elif kind == "train":
        body["num"] = training_number(head.series, moment.bd, body["n"])
    if kind in COUNTED_KINDS or kind == "close":
        body["gt"] = {"real": real, "abs": absolute}
    if not body.keys().isdisjoint(payload):
        raise ValueError(f"the payload has common fields: {sorted(body.keys() & payload.keys())}")
    body.update(payload)
    return body


def advance(head: ChainHead | None, entry: Entry) -> ChainHead:
    """The head after one more entry; of a chain's first entry with ``head`` None.

    Raises ``IntegrityDefect`` when the entry does not follow.
    """
    body, facts = entry.body, entry.facts
    if head is None:
        if facts.n != 1:
            raise IntegrityDefect("a chain is rebuilt from its first entry on")
        head = ChainHead(facts.chain, entry.author, facts.prev, 0, 0, "", body.get("series", ""))
    elif (facts.chain, facts.n, facts.prev) != (head.chain, head.n + 1, head.link):
        raise IntegrityDefect(f"entry {facts.link.hex()} does not follow entry {head.n} of its chain")
    ticket, gt_real, gt_abs = head.ticket, head.gt_real, head.gt_abs
    if facts.kind in COUNTED_KINDS:
        ticket = max(ticket + 1, ticket_counter(body["num"]))
        gt_real, gt_abs = gt_real + body["ttc"], gt_abs + abs(body["ttc"])
    day, month, year, closings = _periods(head, entry)
    # Every field by name: `replace` takes as long as the rest of a sale's arithmetic.
    return ChainHead(
        chain=head.chain,
        author=head.author,
        link=facts.link,
        n=facts.n,
        ts_ms=body["ts"],
        bd=max(head.bd, body["bd"]),
        series=head.series,
        counts={**head.counts, facts.kind: head.counts.get(facts.kind, 0) + 1},
        ticket=ticket,
        gt_real=gt_real,
        gt_abs=gt_abs,
        day=day,
        month=month,
        year=year,
        closings=closings,
    )


def rebuild(entries: Iterable[Entry]) -> ChainHead | None:
    """The head after entries in the order of the chain, from its first on."""
    head = None
    for entry in entries:
        head = advance(head, entry)
    return head


def clock_step(head: ChainHead, moment: Moment) -> dict[str, Any] | None:
    """The payload of the ``jet`` entry that must come first because the clock went back, or None."""
    step_ms = head.ts_ms - moment.ts_ms
    if step_ms < CLOCK_TOLERANCE_MS:
        return None
    return {"code": CLOCK_STEP_CODE, "data": {"from": head.ts_ms, "to": moment.ts_ms}}


def business_day(head_bd: str | None, local_date: str, trusted_date: str | None) -> tuple[str, str | None]:
    """The business day of the next entry, and what a person must be asked, if anything.

    ``head_bd`` is the business day of the chain's head, ``local_date`` what the register's clock says,
    ``trusted_date`` the last date known from elsewhere: the relay's clock, or a person's answer. The
    day never decreases, and advances by itself at most to one day past the later of head and trusted date.
    Otherwise it stays, a question is returned, and the sale goes through all the same; when a person
    confirms the date, call again with it as trusted.
    """
    known = max(head_bd or "", trusted_date or "") or local_date
    if local_date > _day_after(known):
        return head_bd or known, Said(
            "The clock says %(day)s, but the last day known is %(known)s. Is it %(day)s?",
            day=local_date,
            known=known,
        )
    day = max(head_bd or local_date, local_date)
    if known > _day_after(local_date):
        return day, Said(
            "The clock says %(day)s, but it was %(known)s already. Is the clock right?",
            day=local_date,
            known=known,
        )
    return day, None


def series_of(device: bytes) -> str:
    """The series of a register that sells before any certificate gave it one: six characters of its id."""
    return base64.b32encode(device)[:6].decode("ascii")


def ticket_number(series: str, business_day: str, counter: int) -> str:
    """``<series>-<yy>-<at least six digits>``, at most 40 characters."""
    return f"{series}-{business_day[2:4]}-{counter:06d}"


def training_number(series: str, business_day: str, counter: int) -> str:
    """The number of something done for training: a series of its own, which nobody takes for a ticket's."""
    return "X-" + ticket_number(series, business_day, counter)


def ticket_counter(num: str) -> int:
    """The counter in a ticket number; 0 when it is none."""
    series, _, rest = num.partition("-")
    digits = rest[3:]
    well_formed = is_series(series) and rest[2:3] == "-" and digits.isascii() and digits.isdigit()
    return int(digits) if well_formed and len(digits) <= 15 else 0


def _periods(head: ChainHead, entry: Entry) -> tuple[Period, Period, Period, Mapping[str, tuple[bytes, int]]]:
    """Periods and closings after an entry. A closing is the first entry of the period after it."""
    level: Level | None = entry.body.get("level") if entry.kind == "close" else None
    if level is None:
        return head.day.with_entry(entry.body), head.month, head.year, head.closings
    number = head.closings[level][1] + 1 if level in head.closings else 1
    closings = {**head.closings, level: (entry.link, number)}
    if level == "day":
        begun = Period(entry.facts.n).with_entry(entry.body)
        return begun, head.month.merged(head.day), head.year, closings
    day = head.day.with_entry(entry.body)
    if level == "month":
        return day, Period(head.month.end + 1), head.year.merged(head.month), closings
    return day, head.month, Period(head.year.end + 1), closings


def _tells_clock_step(kind: str, payload: Mapping[str, Any]) -> bool:
    return kind == "jet" and payload.get("code") == CLOCK_STEP_CODE


@lru_cache(maxsize=64)
def _day_after(day: str) -> str:
    if day >= _LAST_DAY:
        return day
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
