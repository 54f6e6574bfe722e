"""A till that is years old costs what a new one costs: it reads its heads and today, not its past."""

from contextlib import closing

import apsw

from crdtsync import Register
from crdtsync.model.entry import read_entry
from crdtsync.model.ticket import Payment
from crdtsync.runtime.folder.identity import Relay, save_relay
from crdtsync.testing.clock import DAY_MS

RELAY = Relay("ws://127.0.0.1:1", b"\2" * 33, b"relay-log-id-001")
TICKETS_A_DAY = 100


def live(folder, clock, days):
    """So many days, all of which the relay has."""
    with Register.open(folder, clock=clock) as till:
        replica = till.replica
        for _ in range(days):
            ticket = till.sell(["CM-19"], ["card"])
            body = read_entry(*replica.log.entry(ticket.chain, ticket.n)).body
            sale = {name: body[name] for name in ("lines", "vat", "ttc", "rnd", "pay", "deliv")}
            with replica.writer._session(None) as session:
                for _ in range(TICKETS_A_DAY - 1):
                    session.append("sale", sale)
            till.close_day()
            clock.pass_ms(DAY_MS)
        with replica.store.transaction():
            save_relay(replica.log, RELAY)
            replica.log.set_acknowledged(RELAY.log_id, replica.log.end, clock.now_ms())
        replica.views.catch_up()


def pages_of_a_day(folder, clock):
    """How many pages of the file a day at the till takes: opened, sold, looked at, reported."""
    with Register.open(folder, clock=clock) as till:
        ticket = till.sell(["CM-19"], ["card"])
        assert [row.number for row in till.sales(day=ticket.business_day)] == [ticket.number]
        assert till.status().pending.sales == 1
        assert till.status(with_documents=False).pending.sales == 1
        assert till.report(ticket.business_day).tickets == 1
        assert till.x_report().total_minor == 1850
        connection = till.replica.store.connection
        return connection.status(apsw.SQLITE_DBSTATUS_CACHE_MISS)[0]


def test_a_day_at_a_till_reads_no_more_of_its_disk_because_it_is_old(folder, clock):
    live(folder, clock, 3)
    young = pages_of_a_day(folder, clock)
    clock.pass_ms(DAY_MS)
    live(folder, clock, 24)
    old = pages_of_a_day(folder, clock)
    whole = (folder / "register.sqlite").stat().st_size // 4096
    assert old < young + 30, "trees have become a level deeper, no more"
    assert old < whole / 5


def pages_of_sales(till, sales=20):
    """How many pages of the file each of so many sales changes."""
    changed, last = [], [0]

    def committed(_connection, _name, pages):
        changed.append(pages - last[0])
        last[0] = pages
        return 0

    till.replica.files_views = False
    with closing(apsw.Connection(str(till.replica.folder / "register.sqlite"))) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    till.replica.store.connection.set_wal_hook(committed)
    for _ in range(sales):
        till.sell(["CM-19"], [Payment("cash", 2000)])
    till.replica.store.connection.set_wal_hook(None)
    return sorted(changed)


def test_a_sale_of_a_till_that_closed_a_month_and_a_year_changes_two_pages_as_the_first_day_s(folder, clock):
    with Register.open(folder, clock=clock) as till:
        first_day = pages_of_sales(till)
        for means in ("card", "cheque", "voucher", "titre"):
            till.sell(["CM-19", "TER-01"], [means])
        till.close_day()
        till.close_period("month")
        till.close_period("year")
        clock.pass_ms(DAY_MS)
        till.sell(["CM-19", "TER-01"], ["card"])
        till.close_day()
        till.close_period("month")
        clock.pass_ms(DAY_MS)
        till.sell(["CM-19", "TER-01"], ["cheque"])
        till.close_day()
        clock.pass_ms(DAY_MS)
        till.sell(["TER-01"], ["titre"])
        later = pages_of_sales(till)
        assert till.replica.writer.head().year.end
        # The record's page, and that of the head, which must not need pages of its own.
        assert first_day[len(first_day) // 2] == later[len(later) // 2] == 2
