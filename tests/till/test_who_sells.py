"""Who sells stands on every ticket: as the back office said it, on the screen and on paper."""

from contextlib import ExitStack

import pytest

from crdtsync import Register
from crdtsync.errors import InvalidName
from crdtsync.model.company import TEXT_MAX, Company, build_company, read_company
from crdtsync.model.jet import COMPANY_CHANGED, build_jet
from crdtsync.runtime.register.company import Companies, say_company
from crdtsync.testing.clock import ManualClock
from tests.till.conftest import Shop as TillShop
from tests.till.conftest import plain, stock_up, wait_until
from tests.web.conftest import Shop

COMPANY = {
    "name": "Cave du Port SARL",
    "form": "SARL au capital de 8 000 €",
    "address": "3 quai du Port\r\n17000 La Rochelle",
    "siret": "732 829 320 00074",
    "naf": "47.25Z",
    "rcs": "La Rochelle",
    "vat_number": "FR 44 732829320",
}
ON_PAPER = (
    *("Cave du Port SARL", "SARL au capital de 8 000 €", "3 quai du Port", "17000 La Rochelle"),
    *("SIRET 73282932000074", "NAF 4725Z", "RCS La Rochelle", "TVA FR44732829320"),
)
THE_COMPANY = Company(
    "Cave du Port SARL",
    "",
    "3 quai du Port\n17000 La Rochelle",
    "73282932000074",
    "4725Z",
    "",
    "FR44732829320",
)


@pytest.fixture
def office(tmp_path):
    shop = Shop(tmp_path / "office")
    shop.person("Marie")
    yield shop
    shop.close()


def test_what_the_office_says_is_on_the_tickets_of_every_register(office, tmp_path, paper):
    marie = office.visitor("Marie")
    with ExitStack() as stack:
        clerks = []
        for name in ("Caisse 1", "Caisse 2"):
            register = office.register(name)
            if name == "Caisse 1":
                stock_up(register)
            register.sync(60)
            till = TillShop(register.replica.folder, stack)
            clerks.append(till.open_till(language="fr", printer=paper))
        before = clerks[0].page("/day")
        assert "SIRET" not in before
        clerks[0].take("EAU")
        unknown = clerks[0].pay("card").headers["location"]
        assert marie.post("/sales/company", **COMPANY).status_code == 303
        for clerk in clerks:
            shown = sold_with(clerk, "SIRET 73282932000074")
            for said in ON_PAPER:
                assert said in shown
        assert "SIRET" in plain(clerks[0].page(unknown))  # Of before anybody said it: what was said first.
        printed = (tmp_path / "paper").read_bytes()
        for said in ON_PAPER:
            assert printed.count(said.encode("cp1252")) == 2, said


def sold_with(clerk, text):
    """The ticket of a sale that is printed, on the screen; the office's word may still be on its way."""
    register_has = lambda: text in plain(clerk.page(f"/ticket/{sell(clerk)}"))  # noqa: E731
    wait_until(register_has)
    clerk.take("EAU")
    address = clerk.pay("card", delivered="print").headers["location"]
    return plain(clerk.page(address))


def sell(clerk):
    clerk.take("EAU")
    return clerk.pay("card").headers["location"].partition("/ticket/")[2]


def test_what_is_said_again_is_recorded_once_and_a_change_again(office):
    marie = office.visitor("Marie")
    log = office.store.shop(office.id)
    marie.post("/sales/company", **COMPANY)
    end = log.end.seq
    marie.post("/sales/company", **COMPANY)
    assert log.end.seq == end
    marie.post("/sales/company", **{**COMPANY, "address": "9 rue Neuve"})
    assert log.end.seq == end + 1


@pytest.mark.parametrize(
    ("field", "wrong"), [("siret", "73282932000075"), ("naf", "472"), ("vat_number", "12")]
)
def test_numbers_that_cannot_be_are_told_to_nobody(office, field, wrong):
    marie = office.visitor("Marie")
    end = office.store.shop(office.id).end.seq
    answer = marie.post("/sales/company", **{**COMPANY, field: wrong})
    assert answer.status_code == 422
    assert office.store.shop(office.id).end.seq == end


def test_where_the_owners_key_is_elsewhere_it_is_said_that_registers_were_not_told(office):
    for path in office.data.keys.glob(f"{office.id.hex()}*.owner"):
        path.rename(path.with_suffix(".away"))
    marie = office.visitor("Marie")
    answer = marie.post("/sales/company", **COMPANY)
    assert answer.status_code == 422
    assert "the registers were not told" in answer.text
    assert "Cave du Port SARL" in marie.page("/sales/company")
    for path in office.data.keys.glob("*.away"):
        path.rename(path.with_suffix(".owner"))
    end = office.store.shop(office.id).end.seq
    assert marie.post("/sales/company", **COMPANY).status_code == 303
    assert office.store.shop(office.id).end.seq > end


def test_a_neighbour_that_says_who_sells_is_not_believed(office):
    register, other = office.register("Caisse 1"), office.register("Caisse 2")
    say_company(other.replica, THE_COMPANY)
    other.sync(60)
    register.sync(60)
    assert not at(register).is_known
    assert at(other) == THE_COMPANY


def at(register, at_ms=None):
    replica = register.replica
    replica.views.catch_up()
    return Companies(replica.log, replica.queries, register.identity.device).at(at_ms)


def test_a_register_alone_says_it_itself_and_old_tickets_keep_what_was_so(tmp_path):
    clock = ManualClock()
    with Register.init(tmp_path / "till", name="Caisse 1", clock=clock) as register:
        assert at(register) == Company()
        say_company(register.replica, THE_COMPANY)
        sold_ms = clock.now_ms()
        clock.pass_ms(60_000)
        moved = Company("Cave du Port SARL", address="9 rue Neuve", siret="73282932000074")
        say_company(register.replica, moved)
        assert at(register) == moved
        assert at(register, sold_ms) == THE_COMPANY
        assert at(register, sold_ms - 1) == THE_COMPANY
        assert register.verify().findings == ()


def test_what_is_said_later_counts_also_where_the_clock_was_ahead_before(tmp_path):
    clock = ManualClock()
    right_ms = clock.now_ms()
    with Register.init(tmp_path / "till", name="Caisse 1", clock=clock) as register:
        clock.set_ms(right_ms + 86_400_000)
        say_company(register.replica, Company("Cave du Pont"))
        clock.set_ms(right_ms + 60_000)
        say_company(register.replica, THE_COMPANY)
        assert at(register) == THE_COMPANY
        for later_ms in (60_000, 86_400_000, 90_000_000):
            assert at(register, right_ms + later_ms) == THE_COMPANY
        assert at(register, right_ms) == Company("Cave du Pont")


@pytest.mark.parametrize(
    "company", [Company(name="x" * (TEXT_MAX + 1)), Company(siret="1\x1b2"), Company(name="a\nb")]
)
def test_what_is_no_text_is_refused(company):
    with pytest.raises(InvalidName):
        build_company(company)


@pytest.mark.parametrize(
    "data",
    [{}, {"company": 3}, {"company": {"name": 4}}, {"company": {"name": "\x1bp"}}, {"company": {"x": "y"}}],
)
def test_what_makes_no_sense_says_nothing(data):
    found = read_company(build_jet(COMPANY_CHANGED, data))
    assert found is None or not found.is_known
    assert read_company(build_jet(170, {"company": {"name": "x"}})) is None


def test_it_reads_what_it_writes():
    assert read_company(build_company(THE_COMPANY)) == THE_COMPANY


def steps_of(register, companies):
    """What the database does for one ticket's heading, in steps of its own machine."""
    connection, steps = register.replica.store.database.connection, []
    connection.set_progress_handler(lambda: bool(steps.append(1)), 1)
    try:
        companies.at()
    finally:
        connection.set_progress_handler(None)
    return len(steps)


def test_a_neighbour_that_says_it_many_thousands_of_times_slows_no_ticket_down(tmp_path):
    with Register.init(tmp_path / "till", name="Caisse 1", clock=ManualClock()) as register:
        say_company(register.replica, THE_COMPANY)
        register.replica.views.catch_up()
        companies = Companies(register.replica.log, register.replica.queries, register.identity.device)
        assert companies.at() == THE_COMPANY
        before = steps_of(register, companies)
        database = register.replica.store.database
        with register.replica.store.transaction():
            database.write(
                "INSERT INTO view_chain (shop, chain, device)"
                " SELECT id, zeroblob(32), zeroblob(16) FROM view_shop"
            )
            [(chain, shop)] = database.rows("SELECT id, shop FROM view_chain WHERE chain = zeroblob(32)")
            database.insert_many(
                "INSERT INTO view_event (shop, seq, chain, n, link, kind, at_ms, code)",
                [
                    (shop, 10_000 + n, chain, n, n.to_bytes(32, "big"), "jet", n, "240")
                    for n in range(1, 5001)
                ],
            )
        assert companies.at() == THE_COMPANY
        assert steps_of(register, companies) <= before + 50
