"""The views on disk equal a plain fold over the set of entries, whatever their order of arrival."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from crdtsync.errors import DamagedStore
from crdtsync.ids import Item, entry_record
from crdtsync.model.chain import next_body
from crdtsync.model.drawer import build_cash
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.movement import Moved, build_count, build_move
from crdtsync.model.sealed import seal
from crdtsync.model.stock import Count, Movement, level
from crdtsync.model.ticket import Line, build_abandon
from crdtsync.model.views import project
from crdtsync.runtime.filing.views import ViewKeeper
from crdtsync.runtime.register.stock import Stock
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.storage.view_check import Shown, ViewCheck
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.storage.views import ViewTables
from crdtsync.testing.till import MemoryTill

SHOP = b"shop-number-one!"
WINES = [
    Line("A", "Vin A", 1850, 2000),
    Line("B", "Terrine", 695, 550, "R1"),
    Line("C", "Consigne", 300, 0, "O"),
]

upkeep = st.lists(
    st.tuples(st.sampled_from(["nothing", "pack", "reopen", "damage"]), st.integers(1, 8)), max_size=14
)
acts = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 2), st.integers(1, 3)), max_size=14
)


class Replica:
    """As much of one as ``Stock`` looks at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.store = SqliteStore(self.folder / "shop.db")
        with self.store.transaction():
            self.log = self.store.create_shop(SHOP, b"log-of-that-shop")
        self.tables = ViewTables(self.store.database)
        self.views = ViewKeeper(self.store, self.log, self.tables, self.mend)
        self.views.prepare()
        self.queries = ViewQueries(self.store.database, SHOP)

    def reopen(self) -> None:
        self.store.close()
        self.open()

    def pack(self, rows: int) -> None:
        try:
            with self.store.transaction():
                self.log.pack(rows, self.log.end.seq)
        except DamagedStore as damage:
            if not self.mend(damage):
                raise

    def damage(self, seq: int) -> None:
        change = "UPDATE record SET bytes = CAST('?' || substr(bytes, 2) AS BLOB) WHERE pos & 0xffffffff = ?"
        self.store.connection.execute(change, (seq,))
        self.reopen()

    def mend(self, damage: DamagedStore) -> bool:
        with self.store.transaction():
            return damage.seq is not None and self.log.set_damaged_apart(damage.seq, 0)

    def receive(self, entries: Iterable[Entry]) -> None:
        with self.store.transaction():
            for entry in entries:
                record = entry_record(entry.sealed)
                self.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def live(tills: list[MemoryTill], act: tuple[int, int, int, int]) -> None:
    """One thing that happens at a till."""
    which, what, line, count = act
    till = tills[which]
    sales = [entry for entry in till.entries if entry.kind == "sale" and "lines" in entry.body]
    if what <= 2:
        till.sell(*WINES[line : line + count])
    elif what == 3 and sales and not any(e.kind == "refund" for e in till.entries):
        till.refund(sales[0], {1: 1000})
    elif what == 4:
        till.append("abandon", build_abandon([WINES[line]], reason="left"))
    elif what == 5:
        till.append("cash", build_cash("out", count * 100, reason="bread"))
    elif what == 6:
        till.append("move", build_move([Moved("A", count * 1000, "delivery"), Moved("B", -1000, "breakage")]))
    elif what == 7:
        other = tills[1 - which]
        cut = {other.end.chain: other.end.n, till.end.chain: till.end.n}
        till.append("count", build_count({"A": count * 500}, cut=cut))
    elif what == 8:
        till.append("new-kind", {"data": {"x": count}})


def keep_up(replica: Replica, what: str, number: int) -> None:
    """One thing that happens to a log."""
    end = replica.log.end.seq
    if what == "pack":
        replica.pack(number)
    elif what == "reopen":
        replica.reopen()
    elif what == "damage" and end and replica.log.pack_at(number % end + 1) is None:
        replica.damage(number % end + 1)


def sealed_by(till: MemoryTill, body: dict[str, Any]) -> Entry:
    return read_entry(seal(body, till.key))


def folded(entries: Iterable[Entry]) -> dict[str, Any]:
    """What the views must say, computed the slow way."""
    tickets, day, vat, means = {}, Counter(), Counter(), Counter()
    movements, counts = [], []
    newest: dict[bytes, tuple[int, bytes]] = {}
    for entry in entries:
        body, facts = entry.body, entry.facts
        newest[facts.chain] = max(newest.get(facts.chain, (0, b"")), (facts.n, facts.link))
        lines = body.get("lines", [])
        if entry.kind in ("sale", "refund"):
            tickets[facts.link] = (body["num"], body["ttc"] + body.get("oos", 0), len(lines))
            day["tickets"] += 1
            day["total"] += body["ttc"] + body.get("oos", 0)
            for rate in body["vat"]:
                vat[rate["vat"], rate["vc"]] += rate["tva"]
            for payment in body["pay"]:
                means[payment["m"]] += payment["amt"]
            movements += [Movement(line["sku"], facts.chain, facts.n, -line["qty"]) for line in lines]
        elif entry.kind == "abandon":
            day["abandoned"] += 1
        elif entry.kind == "move":
            movements += [Movement(line["sku"], facts.chain, facts.n, line["qty"]) for line in lines]
        elif entry.kind == "count":
            cut = {bytes.fromhex(chain): n for chain, n in body["cut"].items()}
            counts += [
                Count(line["sku"], facts.chain, facts.n, facts.link, body["ts"], line["qty"], cut)
                for line in lines
            ]
    skus = sorted({row.sku for row in movements} | {row.sku for row in counts})
    return {
        "tickets": tickets,
        "day": +day,
        "vat": {key: amount for key, amount in vat.items() if amount},
        "means": dict(means),
        "newest": newest,
        "levels": [
            level(
                sku,
                [row for row in counts if row.sku == sku],
                [row for row in movements if row.sku == sku],
            )
            for sku in skus
        ],
    }


def shown(replica: Replica) -> dict[str, Any]:
    """What the views say."""
    queries, bd = replica.queries, "2026-11-24"
    rows = queries.day(bd)
    day = Counter(
        tickets=sum(row.tickets for row in rows),
        total=sum(row.ttc + row.oos for row in rows),
        abandoned=sum(row.abandoned for row in rows),
    )
    tickets = queries.tickets(rows_max=1000)
    assert all(len(queries.lines(row.seq)) == row.lines for row in tickets)
    return {
        "tickets": {row.link: (row.number, row.total, row.lines) for row in tickets},
        "day": +day,
        "vat": {(row.vat, row.vc): row.tva for row in queries.day_vat(bd) if row.tva},
        "means": {row.means: row.amount for row in queries.day_means(bd)},
        "newest": {row.chain: (row.n, row.link) for row in queries.chains()},
        "levels": Stock(replica).levels(),
    }


def differing(replica: Replica, entries: Iterable[Entry]) -> list[str]:
    """What `verify` finds of the views."""
    check = ViewCheck()
    for entry in entries:
        check.add(project(entry))
    return check.differing(Shown.read(replica.store.database, SHOP))


@settings(max_examples=settings().max_examples // 5)
@given(acts, st.randoms(use_true_random=False), st.integers(1, 6), upkeep)
def test_the_views_equal_a_fold_in_whatever_order_entries_arrive(done, chance, at_once, kept_up):
    tills = [MemoryTill("Caisse 1", series="01"), MemoryTill("Caisse 2", series="02")]
    for act in done:
        live(tills, act)
    arriving = [entry for till in tills for entry in till.entries]
    chance.shuffle(arriving)
    folder = Path(tempfile.mkdtemp(prefix="views-"))
    replica = Replica(folder)
    try:
        for first in range(0, len(arriving), at_once):
            replica.receive(arriving[first : first + at_once])
            for what, number in kept_up[first : first + 1]:
                keep_up(replica, what, number)
            replica.views.catch_up()
        # What was damaged is found by reading, and comes again from whoever has it.
        replica.views.rebuild()
        replica.receive(arriving)
        replica.views.catch_up()
        expected = folded(arriving)
        assert shown(replica) == expected
        assert differing(replica, arriving) == []
        replica.views.rebuild()
        assert shown(replica) == expected
        assert differing(replica, arriving) == []
    finally:
        replica.store.close()
        shutil.rmtree(folder)


def test_an_entry_that_comes_again_at_another_place_is_shown_once(tmp_path):
    """Damaged, set apart, fetched again: another seq, the same entry."""
    till = MemoryTill("Caisse 1")
    till.sell()
    replica = Replica(tmp_path)
    replica.receive(till.entries)
    replica.views.catch_up()
    before = shown(replica)
    with replica.store.transaction():
        replica.tables.file_entries(SHOP, [(99, project(entry)) for entry in till.entries], through=2)
    assert shown(replica) == before


def test_an_entry_that_makes_no_sense_is_shown_as_an_event_and_moves_no_total(tmp_path):
    till = MemoryTill("Caisse 1")
    good = till.sell()
    odd = [
        sealed_by(till, {**next_body(till.end, "sale", {"ttc": 5}, till.moment), **fields})
        for fields in (
            {"lines": "none"},
            {"lines": [{}]},
            {"lines": [], "pay": 3},
            {"lines": [], "ttc": 10**15},
            {"lines": [], "gt": 1, "vat": [1]},
            {"lines": [], "ref": []},
            {"lines": [], "ref": {"link": "zz"}},
        )
    ]
    replica = Replica(tmp_path)
    replica.receive([*till.entries, *odd])
    replica.views.catch_up()
    assert [row.link for row in replica.queries.tickets()] == [good.link]
    assert replica.queries.day("2026-11-24")[0].tickets == 1
    replica.store.close()


def test_views_that_were_made_from_another_log_are_made_again(tmp_path):
    till = MemoryTill("Caisse 1")
    till.sell()
    replica = Replica(tmp_path)
    replica.receive(till.entries)
    replica.views.catch_up()
    before = shown(replica)
    with replica.store.transaction():
        replica.tables.file_entries(SHOP, [], through=99)
    assert shown(replica) == before
    replica.store.close()
