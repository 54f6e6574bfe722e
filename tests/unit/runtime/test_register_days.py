import pytest

from crdtsync.errors import InvalidAmount, InvalidName, InvalidSale, UsageError
from crdtsync.ids import Item, entry_record
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.ticket import Payment
from crdtsync.runtime.folder.identity import ClockOffset, save_clock_offset
from crdtsync.testing.clock import DAY_MS, HOUR_MS
from crdtsync.testing.till import MemoryOwner, MemoryTill

OWN = None
"""The till's own device."""


def kinds(till):
    return [
        fact["kind"]
        for row in till.replica.log.documents()
        if row.name.startswith("ledger/")
        for fact in till.inspect(row.name)
    ]


def receive(till, entries):
    with till.replica.store.transaction():
        for entry in entries:
            record = entry_record(entry.sealed)
            till.replica.log.append(Item(record, entry.facts.document, entry.link, entry.facts))


def test_a_day_is_opened_sold_and_closed(till):
    till.open_day(15000)
    till.sell(["CM-19"], [Payment("cash", 2000)])
    till.sell(["TER-01"], ["card"])
    till.cash("out", 500, reason="window cleaner")
    z = till.close_day(counted_minor=16300)
    assert (z.z, z.business_day, z.sales, z.total_minor) == (1, "2026-11-24", 2, 2545)
    assert (z.cash_expected_minor, z.cash_counted_minor, z.cash_gap_minor) == (16350, 16300, -50)
    assert {rate.rate: rate.tax_minor for rate in z.vat} == {2000: 308, 550: 36}
    assert dict(z.means) == {"card": 695, "cash": 2000, "change": -150}


def test_closings_are_numbered_and_the_total_since_the_beginning_goes_on(till, clock):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    clock.pass_ms(DAY_MS)
    till.sell(["CM-19"], ["card"])
    z = till.close_day()
    assert (z.z, z.total_minor, z.grand_total_minor) == (2, 1850, 3700)


def test_a_reading_records_nothing(till):
    till.sell(["CM-19"], ["card"])
    before = till.end
    assert (till.x_report().total_minor, till.x_report().z, till.end) == (1850, None, before)


def test_a_forgotten_day_is_closed_by_the_first_sale_of_the_next_and_the_sale_goes_through(till, clock):
    till.open_day(10000)
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(DAY_MS)
    ticket = till.sell(["TER-01"], ["card"])
    [forgotten] = till.report("2026-11-24").registers
    assert ticket.business_day == "2026-11-25"
    assert any("2026-11-24" in notice for notice in ticket.notices)
    assert (forgotten.state, forgotten.closed_automatically, forgotten.total_minor) == ("closed", True, 1850)
    assert till.verify().findings == ()


def test_a_day_that_is_closed_the_next_morning_is_the_day_that_was_sold(till, clock):
    till.sell(["CM-19"], ["cash"])
    clock.pass_ms(DAY_MS)
    assert till.close_day(counted_minor=1850).business_day == "2026-11-24"
    assert (state_of(till, OWN).state, till.report("2026-11-24").complete) == ("closed", True)


def test_a_day_on_which_only_the_day_before_was_closed_is_not_closed(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(DAY_MS)
    till.close_day()
    assert state_of(till, OWN, "2026-11-25").state == "unheard"
    till.sell(["CM-19"], ["card"])
    assert state_of(till, OWN, "2026-11-25").state == "open"
    assert till.verify().findings == ()


@pytest.mark.parametrize("close", [True, False])
def test_a_forgotten_day_keeps_its_closing_when_a_wrong_clock_was_set_right_overnight(till, clock, close):
    clock.pass_ms(30 * DAY_MS)
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(DAY_MS - 30 * DAY_MS)
    if close:
        till.close_day()
    till.sell(["TER-01"], ["card"])
    days = till.report("2026-11-24"), till.report("2026-11-25")
    assert [(day.registers[0].state, day.total_minor) for day in days] == [("closed", 1850), ("open", 695)]
    assert till.verify().findings == ()


def test_a_day_that_was_closed_is_not_closed_again_by_the_next(till, clock):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    clock.pass_ms(DAY_MS)
    assert till.sell(["CM-19"], ["card"]).notices == ()


def test_opening_closes_a_forgotten_day_first(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(DAY_MS)
    opened = till.open_day(0)
    assert (opened.business_day, len(opened.notices)) == ("2026-11-25", 1)


def test_a_sale_after_midnight_belongs_to_the_evening_before(till, clock):
    clock.pass_ms(16 * HOUR_MS)
    assert till.sell(["CM-19"], ["card"]).business_day == "2026-11-24"
    clock.pass_ms(3 * HOUR_MS)
    assert till.sell(["CM-19"], ["card"]).business_day == "2026-11-25"


def test_a_clock_that_steps_back_is_recorded_and_the_sale_goes_through(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(-HOUR_MS)
    ticket = till.sell(["CM-19"], ["card"])
    assert len(ticket.notices) == 1
    assert kinds(till) == ["register", "sale", "jet", "sale"]
    assert till.verify().findings == ()


def test_a_clock_that_is_a_moment_back_is_not_worth_a_note(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(-1999)
    assert till.sell(["CM-19"], ["card"]).notices == ()
    assert till.verify().findings == ()


@pytest.mark.parametrize("jump_ms", [30 * DAY_MS, -30 * DAY_MS])
def test_a_clock_that_jumps_far_does_not_move_the_business_day_but_asks(till, clock, jump_ms):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(jump_ms)
    ticket = till.sell(["CM-19"], ["card"])
    assert (ticket.business_day, len(ticket.notices) > 0) == ("2026-11-24", True)
    assert till.verify().findings == ()


def test_a_person_who_confirms_the_day_moves_it_and_that_is_recorded(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(30 * DAY_MS)
    opened = till.open_day(0, day="2026-12-24")
    ticket = till.sell(["CM-19"], ["card"])
    assert (opened.business_day, ticket.business_day, ticket.notices) == ("2026-12-24", "2026-12-24", ())
    assert "jet" in kinds(till)
    assert till.verify().findings == ()


def test_after_a_holiday_the_relays_clock_vouches_for_the_day(till, clock):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    clock.pass_ms(30 * DAY_MS)
    with till.replica.store.transaction():
        save_clock_offset(till.replica.log, ClockOffset(250, clock.now_ms()))
    assert till.sell(["CM-19"], ["card"]).business_day == "2026-12-24"


@pytest.mark.parametrize("jump_ms", [3 * DAY_MS, 365 * DAY_MS], ids=["three days", "a year"])
def test_a_clock_that_jumps_far_moves_no_day_although_the_relay_was_met_before(till, clock, jump_ms):
    with till.replica.store.transaction():
        save_clock_offset(till.replica.log, ClockOffset(0, clock.now_ms()))
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(jump_ms)
    ticket = till.sell(["CM-19"], ["card"])
    assert (ticket.business_day, len(ticket.notices)) == ("2026-11-24", 1)
    assert "Is it 20" in ticket.notices[0]
    # Once the clock is right again, all goes on as before.
    clock.pass_ms(DAY_MS - jump_ms)
    assert till.sell(["CM-19"], ["card"]).business_day == "2026-11-25"


def test_a_clock_that_is_ahead_while_the_relay_is_there_moves_no_day_either(till, clock):
    till.sell(["CM-19"], ["card"])
    clock.pass_ms(365 * DAY_MS)
    with till.replica.store.transaction():
        save_clock_offset(till.replica.log, ClockOffset(365 * DAY_MS, clock.now_ms()))
    assert till.sell(["CM-19"], ["card"]).business_day == "2026-11-24"


def test_a_day_that_a_person_cannot_have_meant_opens_nothing(till):
    before = till.end
    with pytest.raises(InvalidName):
        till.open_day(0, day="2026-12-26")  # 32 days ahead of the clock
    assert till.end == before
    assert till.open_day(0, day="2026-12-25").business_day == "2026-12-25"


def test_a_till_that_was_off_for_a_season_opens_on_the_day_that_its_clock_shows(till, clock):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    clock.pass_ms(90 * DAY_MS)
    assert till.open_day(0, day="2027-02-22").business_day == "2027-02-22"


@pytest.mark.parametrize("day", ["", "24/11/2026", "2026-02-30", "today"])
def test_what_is_no_day_opens_nothing(till, day):
    before = till.end
    with pytest.raises(InvalidName):
        till.open_day(0, day=day)
    assert till.end == before


def test_a_float_below_nothing_is_refused(till):
    with pytest.raises(InvalidAmount):
        till.open_day(-1)


def test_a_month_is_closed_after_its_days(till):
    till.sell(["CM-19"], ["card"])
    with pytest.raises(UsageError):
        till.close_period("month")
    till.close_day()
    assert till.close_period("month").total_minor == 1850
    assert till.verify().findings == ()


# -- the report of the shop ------------------------------------------------------------------------------


@pytest.fixture
def neighbour(till):
    """Another register of the shop, by the shop's own papers, as far as a report looks at them."""
    return MemoryTill("Caisse 2")


def state_of(till, device, day="2026-11-24"):
    device = till.identity.device if device is OWN else device
    return {register.device: register for register in till.report(day).registers}.get(device)


def test_a_report_sums_over_the_registers_that_were_heard(till, neighbour):
    till.sell(["CM-19"], ["card"])
    neighbour.sell()
    receive(till, neighbour.entries)
    report = till.report("2026-11-24")
    assert report.total_minor == 1850 + neighbour.entries[-1].body["ttc"]
    assert sum(rate.with_tax_minor for rate in report.vat) == report.total_minor
    assert sum(report.means.values()) == report.total_minor
    assert not report.complete


def test_a_register_whose_closing_is_here_is_closed(till, neighbour):
    neighbour.sell()
    neighbour.close()
    receive(till, neighbour.entries)
    assert state_of(till, neighbour.author).state == "closed"


def test_a_day_that_goes_on_after_its_closing_is_open_until_it_is_closed_again(till):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    till.sell(["TER-01"], ["card"])
    reopened = state_of(till, OWN)
    assert (reopened.state, reopened.closed_z, till.report("2026-11-24").complete) == ("open", None, False)
    till.close_day()
    assert (state_of(till, OWN).closed_z, till.report("2026-11-24").complete) == (2, True)


def test_a_day_into_which_cash_was_put_after_its_closing_is_open(till):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    till.cash("in", 500, reason="coins")
    assert state_of(till, OWN).state == "open"


def test_cash_is_recorded_once_for_a_request_id(till):
    before = till.end.seq
    assert till.cash("out", 500, reason="stamps", request_id="cash-1")
    assert not till.cash("out", 500, reason="stamps", request_id="cash-1")
    assert till.end.seq == before + 1
    assert till.cash("out", 500, reason="stamps")
    assert till.cash("out", 500, reason="stamps")
    with pytest.raises(InvalidSale, match="was used for a cash"):
        till.sell(["CM-19"], ["card"], request_id="cash-1")


def test_a_month_closed_after_the_day_does_not_open_it_again(till):
    till.sell(["CM-19"], ["card"])
    till.close_day()
    till.close_period("month")
    assert state_of(till, OWN).state == "closed"


def test_a_closing_without_all_the_entries_before_it_is_not_complete(till, neighbour):
    neighbour.sell()
    neighbour.sell()
    neighbour.close()
    first, _, *rest = neighbour.entries
    receive(till, [first, *rest])
    assert state_of(till, neighbour.author).state == "open"


def test_a_register_that_was_not_heard_is_missing_and_not_zero(till):
    owner = MemoryOwner()
    neighbour = owner.enrol("Caisse 2")
    neighbour.sell()
    receive(till, [*owner.entries, *neighbour.entries])
    missing = state_of(till, neighbour.author, "2026-11-25")
    assert (missing.state, missing.name) == ("unheard", "Caisse 2")
    assert not till.report("2026-11-25").complete


def test_a_register_that_was_cut_off_before_it_closed_keeps_no_day_open(till):
    owner = MemoryOwner()
    lost = owner.enrol("Caisse 2")
    till.sell(["CM-19"], ["card"])
    till.close_day()
    lost.sell()
    day = lost.entries[-1].body["bd"]
    receive(till, [*owner.entries, *lost.entries])
    assert state_of(till, lost.author, day).state == "open"
    assert not till.report(day).complete
    receive(till, [owner.revoke(lost)])
    assert state_of(till, lost.author, day).state == "cut-off"
    assert till.report(day).complete
    assert till.report(day).tickets == 2


def test_of_a_register_that_was_cut_off_everything_that_is_known_must_be_here(till):
    owner = MemoryOwner()
    lost = owner.enrol("Caisse 2")
    lost.sell()
    lost.sell()
    first, _, *rest = lost.entries
    owner.revoke(lost)
    receive(till, [*owner.entries, first, *rest])
    assert state_of(till, lost.author, lost.entries[-1].body["bd"]).state == "open"


def test_a_register_that_was_enrolled_and_never_heard_is_missing_from_that_day_on(till):
    owner = MemoryOwner()
    neighbour = owner.enrol("Caisse 2")
    receive(till, owner.entries)
    till.sell(["CM-19"], ["card"])
    till.close_day()
    enrolled = owner.entries[-1].body["bd"]
    missing = state_of(till, neighbour.author, enrolled)
    assert (missing.state, missing.name, missing.last_heard_at_ms) == ("unheard", "Caisse 2", None)
    assert not till.report(enrolled).complete
    assert state_of(till, neighbour.author, "2020-01-01") is None


def test_a_register_that_was_revoked_is_not_waited_for(till):
    owner = MemoryOwner()
    neighbour = owner.enrol("Caisse 2")
    neighbour.sell()
    owner.revoke(neighbour)
    receive(till, [*owner.entries, *neighbour.entries])
    assert state_of(till, neighbour.author, "2026-11-25") is None


def test_a_report_of_no_day_is_refused(till):
    with pytest.raises(InvalidName):
        till.report("yesterday")


def test_a_report_names_what_cannot_be_so_on_that_day_and_on_no_other(till, clock):
    other = MemoryTill("Caisse 2", series="02")
    other.sell()
    odd = read_entry(seal({**other.entries[-1].body, "vat": []}, other.key))
    receive(till, [other.entries[0], odd])
    clock.pass_ms(DAY_MS)
    [flag] = till.report("2026-11-24").flags
    assert (flag.device, flag.number, flag.link) == (other.author, "02-26-000001", odd.link)
    assert "not what follows from the lines" in flag.message
    assert till.report("2026-11-25").flags == ()
