from dataclasses import replace

import pytest

from crdtsync.errors import InvalidProduct
from crdtsync.model.price import (
    OTHERS_MAX,
    REPLACES_MAX,
    PriceChange,
    PriceHistory,
    WantedPrice,
    check_change,
    make_changes,
    read_change,
)

FIRST = PriceChange("CM-19", 1850, 2000, "N", 0, 100, "office")
KNOWN = PriceHistory((FIRST,))


class Office:
    """Somebody who sets prices and knows what is in ``history``."""

    def __init__(self, history=KNOWN, by="office"):
        self.history, self.by = history, by

    def set(self, amount, *, at, start=None, rate=2000, vat_class="N"):
        begin = at if start is None else start
        wanted = PriceChange("CM-19", amount, rate, vat_class, begin, at, self.by)
        made = make_changes(self.history, wanted)
        self.history = self.history.with_changes(made)
        return made

    def hears(self, other):
        self.history = self.history.with_changes(other.history.changes.values())
        return self

    def amount(self, at):
        price = self.history.at(at)
        return price and price.change.amount_minor

    def timeline(self):
        return [(p.from_ms, p.change.amount_minor, p.is_disputed) for p in self.history.timeline()]


def test_a_change_holds_from_its_moment_and_not_before():
    office = Office()
    office.set(1950, at=200, start=500)
    assert (office.amount(499), office.amount(500)) == (1850, 1950)


def test_before_the_first_change_there_is_no_price():
    office = Office(PriceHistory())
    office.set(1950, at=200)
    assert (office.amount(199), office.amount(200)) == (None, 1950)


def test_a_product_without_changes_has_no_price_and_no_timeline():
    assert (PriceHistory().at(10**12), list(PriceHistory().timeline())) == (None, [])


def test_the_timeline_tells_every_price_once():
    office = Office()
    office.set(1950, at=200)
    office.set(2050, at=300)
    assert office.timeline() == [(0, 1850, False), (200, 1950, False), (300, 2050, False)]


def test_past_prices_stay_what_they_were():
    office = Office()
    office.set(1950, at=200)
    office.set(2050, at=300)
    assert (office.amount(150), office.amount(250)) == (1850, 1950)


@pytest.mark.parametrize(("first", "later"), [("office", "till"), ("till", "office")])
def test_two_who_do_not_see_each_other_make_a_conflict_in_which_the_later_is_used(first, later):
    one, other = Office(by=first), Office(by=later)
    one.set(1900, at=200)
    other.set(2000, at=300)
    price = one.hears(other).history.at(300)
    assert (price.change.amount_minor, [other.amount_minor for other in price.others]) == (2000, [1900])


def test_of_two_at_the_same_moment_the_author_decides_and_everybody_decides_alike():
    office, till = Office(), Office(by="till")
    office.set(1900, at=200)
    till.set(2000, at=200)
    assert Office(office.history).hears(till).amount(200) == Office(till.history).hears(office).amount(200)


def test_two_who_say_the_same_make_no_conflict():
    office, till = Office(), Office(by="till")
    office.set(1900, at=200)
    till.set(1900, at=300)
    assert not office.hears(till).history.at(300).is_disputed


def test_who_sees_a_conflict_settles_it():
    office, till = Office(), Office(by="till")
    office.set(1900, at=200)
    till.set(2000, at=300)
    office.hears(till).set(1900, at=400)
    assert (office.amount(400), office.history.at(400).is_disputed) == (1900, False)
    assert office.history.at(350).is_disputed


def test_the_vat_is_part_of_the_price_and_can_be_disputed():
    office, till = Office(), Office(by="till")
    office.set(1850, at=200, rate=550, vat_class="R1")
    till.set(1850, at=300)
    price = office.hears(till).history.at(300)
    assert (price.change.vat_rate, price.others[0].vat_rate) == (2000, 550)


YEARS = 10 * 365 * 24 * 3600 * 1000


def test_a_clock_years_ahead_does_not_win_for_ever():
    office, astray = Office(), Office(by="astray")
    astray.set(100, at=YEARS)
    office.hears(astray).set(1900, at=200)
    assert (office.amount(200), office.amount(2 * YEARS)) == (1900, 1900)
    assert not office.history.at(2 * YEARS).is_disputed


def test_a_price_that_was_replaced_before_it_began_makes_no_step_in_the_timeline():
    office, astray = Office(), Office(by="astray")
    astray.set(100, at=YEARS)
    office.hears(astray).set(1900, at=200)
    assert office.timeline() == [(0, 1850, False), (200, 1900, False)]


def test_until_somebody_saw_it_a_clock_years_ahead_is_not_obeyed_here():
    assert Office().hears(Office(by="astray")).amount(YEARS - 1) == 1850


def test_a_clock_years_ahead_that_sets_a_price_from_the_start_is_replaced_as_well():
    office, astray = Office(), Office(by="astray")
    astray.set(100, at=YEARS, start=0)
    assert office.hears(astray).amount(200) == 100
    office.set(1900, at=300)
    assert (office.amount(300), office.history.at(300).is_disputed) == (1900, False)


def test_a_planned_price_stays_planned_when_the_present_one_changes():
    office = Office()
    office.set(1500, at=200, start=1000)
    office.set(1900, at=300)
    assert office.timeline() == [(0, 1850, False), (300, 1900, False), (1000, 1500, False)]


def test_several_planned_prices_stay_planned_in_their_order():
    office = Office()
    office.set(1500, at=200, start=1000)
    office.set(1600, at=210, start=2000)
    office.set(1900, at=300)
    assert [amount for _, amount, _ in office.timeline()] == [1850, 1900, 1500, 1600]
    assert not any(disputed for _, _, disputed in office.timeline())


def test_a_plan_is_replaced_by_a_price_for_the_same_moment():
    office = Office()
    office.set(1500, at=200, start=1000)
    office.set(1850, at=300, start=1000)
    assert office.amount(1000) == 1850


def test_two_who_keep_one_plan_make_no_conflict_of_it():
    office, till = Office(), Office(by="till")
    office.set(1500, at=200, start=1000)
    till.hears(office).set(1900, at=300)
    office.set(1900, at=310)
    assert office.hears(till).timeline() == [
        (0, 1850, False),
        (300, 1900, False),
        (310, 1900, False),
        (1000, 1500, False),
    ]


def test_the_order_in_which_changes_are_heard_does_not_matter():
    office, till = Office(), Office(by="till")
    office.set(1900, at=200)
    till.set(2000, at=300, start=500)
    changes = list(office.hears(till).history.changes.values())
    assert list(PriceHistory(changes).timeline()) == list(PriceHistory(reversed(changes)).timeline())


def test_changes_cannot_replace_each_other():
    one = replace(FIRST, amount_minor=1)
    other = replace(FIRST, amount_minor=2, replaces=(one.id,))
    closed = replace(one, replaces=(other.id,))
    assert closed.id != one.id
    assert PriceHistory((one, other, closed)).at(0).change == closed


def test_a_change_that_names_itself_or_nothing_known_still_has_heads():
    odd = replace(FIRST, replaces=("0" * 32,))
    assert PriceHistory((odd,)).at(0).change == odd


def test_no_more_others_are_shown_than_anybody_reads():
    many = [replace(FIRST, amount_minor=n) for n in range(OTHERS_MAX + 9)]
    assert len(PriceHistory(many).at(0).others) == OTHERS_MAX


def test_a_change_names_no_more_than_it_may():
    many = [replace(FIRST, amount_minor=n, at_ms=n) for n in range(REPLACES_MAX + 9)]
    office = Office(PriceHistory(many))
    [made] = office.set(5, at=10**6)
    assert len(made.replaces) == REPLACES_MAX
    assert office.amount(10**6) == 5


# -- reading -------------------------------------------------------------------------------------------------


def test_a_change_is_read_as_it_was_made():
    change = replace(FIRST, replaces=("a" * 32, "b" * 32))
    assert read_change("CM-19", change.id, change.value) == change


def test_a_change_that_was_altered_in_place_is_not_read():
    altered = FIRST.value.replace("1850", "1750")
    with pytest.raises(InvalidProduct, match="not what its name says"):
        read_change("CM-19", FIRST.id, altered)


def test_a_change_does_not_hold_for_another_product():
    with pytest.raises(InvalidProduct, match="not what its name says"):
        read_change("CM-20", FIRST.id, FIRST.value)


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        "text",
        5.0,
        b"bytes",
        "json:[]",
        "json:{}",
        FIRST.value.replace('"replaces":[]', '"replaces":5'),
        FIRST.value.replace('"replaces":[]', '"replaces":["x"]'),
        FIRST.value.replace('"by":"office"', '"by":5'),
        FIRST.value.replace('"at":100', '"at":-1'),
        FIRST.value.replace('"amount":1850', '"amount":"1850"'),
    ],
)
def test_what_is_no_change_is_refused(foreign):
    with pytest.raises(InvalidProduct):
        read_change("CM-19", FIRST.id, foreign)


@pytest.mark.parametrize(
    "fields",
    [
        {"amount_minor": -1},
        {"vat_class": "X"},
        {"valid_from_ms": -1},
        {"valid_from_ms": 10**15},
        {"at_ms": 1.5},
        {"by": ""},
        {"by": "two words"},
        {"replaces": ("b" * 32, "a" * 32)},
        {"replaces": ("a" * 32, "a" * 32)},
        {"replaces": ("zz",)},
        {"replaces": (5,)},
        {"replaces": tuple(f"{n:032x}" for n in range(REPLACES_MAX + 1))},
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(fields):
    with pytest.raises(InvalidProduct):
        check_change(replace(FIRST, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"valid_from_ms": 253_402_300_799_999, "at_ms": 253_402_300_799_999},
        {"valid_from_ms": 0, "at_ms": 0},
        {"replaces": tuple(f"{n:032x}" for n in range(64))},
        {"by": "x" * 64},
        {"amount_minor": 0},
    ],
)
def test_a_change_at_the_edge_of_a_rule_is_taken(fields):
    change = replace(FIRST, **fields)
    assert check_change(change) == read_change("CM-19", change.id, change.value) == change


@pytest.mark.parametrize(
    "fields",
    [
        {"valid_from_ms": 253_402_300_800_000},
        {"at_ms": 253_402_300_800_000},
        {"replaces": tuple(f"{n:032x}" for n in range(65))},
        {"by": "x" * 65},
        {"vat_class": None},
    ],
)
def test_a_change_beyond_the_edge_of_a_rule_is_refused(fields):
    with pytest.raises(InvalidProduct):
        check_change(replace(FIRST, **fields))


def test_sixteen_others_are_shown():
    many = [replace(FIRST, amount_minor=n) for n in range(20)]
    assert len(PriceHistory(many).at(0).others) == 16


# -- what is asked for --------------------------------------------------------------------------------------


def test_what_is_not_named_stays_as_it_is():
    now = PriceHistory((FIRST,)).at(200)
    assert WantedPrice(1900).on_top_of("CM-19", now) == (1900, 2000, "N")
    assert WantedPrice(vat_rate=550).on_top_of("CM-19", now) == (1850, 550, "R1")


def test_a_class_that_was_said_stays_with_its_rate():
    now = PriceHistory((replace(FIRST, vat_rate=850, vat_class="R1"),)).at(200)
    assert WantedPrice(1900).on_top_of("CM-19", now) == (1900, 850, "R1")


def test_a_class_that_is_asked_for_is_taken_though_the_rate_stays():
    now = PriceHistory((FIRST,)).at(200)
    assert WantedPrice(vat_class="S").on_top_of("CM-19", now) == (1850, 2000, "S")


@pytest.mark.parametrize("wanted", [WantedPrice(1900), WantedPrice(vat_rate=2000)])
def test_the_first_price_is_asked_for_whole(wanted):
    with pytest.raises(InvalidProduct, match="no price yet"):
        wanted.on_top_of("CM-19", None)


def test_a_moment_alone_asks_for_nothing():
    assert not WantedPrice(valid_from_ms=5).says_anything
    assert WantedPrice(vat_class="O").says_anything
