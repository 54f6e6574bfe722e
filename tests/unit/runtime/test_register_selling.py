import subprocess
import sys
import time
from contextlib import contextmanager

import apsw
import pytest

from crdtsync.config import RegisterConfig
from crdtsync.errors import DiskFull, InvalidAmount, InvalidSale, StorageError, StoreBusy, UnknownProduct
from crdtsync.model.ticket import Line, Payment
from crdtsync.runtime.filing.filer import Filer
from crdtsync.runtime.folder.replica import FILED_EVERY, Replica
from crdtsync.runtime.register.register import Register
from crdtsync.runtime.register.tickets import BasketLine
from crdtsync.storage.sqlite import SqliteStore
from crdtsync.testing.clock import seeded_bytes
from crdtsync.testing.disk import SimulatedDisk


def numbers(till):
    return [row.number for row in reversed(till.sales(rows_max=1000))]


def test_a_sale_is_on_disk_when_it_was_told(till, same_till):
    ticket = till.sell(["CM-19", "TER-01"], ["card"])
    assert same_till.ticket(ticket.number).total_minor == 2545


def test_a_sale_takes_label_price_and_vat_from_the_catalogue(till):
    [line] = till.sell([BasketLine("CM-19", 2000)], ["card"]).lines
    assert (
        line.label,
        line.unit,
        line.unit_price_minor,
        line.total_minor,
        line.vat_rate,
        line.vat_class,
    ) == (
        "Crozes-Hermitage 2019",
        "btl",
        1850,
        3700,
        2000,
        "N",
    )


def test_the_view_of_a_ticket_has_its_lines_and_payments(till):
    till.sell([BasketLine("CM-19", 2000), "TER-01"], [Payment("cash", 1000), "card"])
    till.replica.views.catch_up()
    queries = till.replica.queries
    [row] = queries.tickets()
    lines = [(line.i, line.sku, line.qty, line.pu, line.ttc, line.vat) for line in queries.lines(row.seq)]
    assert lines == [(1, "CM-19", 2000, 1850, 3700, 2000), (2, "TER-01", 1000, 695, 695, 550)]
    assert queries.payments(row.seq) == [("cash", 1000), ("card", 3395)]


def test_the_price_that_was_shown_is_the_price_that_is_paid(till):
    assert till.sell([BasketLine("CM-19", unit_price_minor=1500)], ["card"]).total_minor == 1500


def test_what_is_in_no_catalogue_is_sold_by_a_complete_line(till):
    assert till.sell([Line("SAC", "Sac", 20, 2000)], ["cash"]).total_minor == 20


def test_more_cash_than_is_due_makes_change(till):
    ticket = till.sell(["CM-19"], [Payment("cash", 5000)])
    assert (ticket.total_minor, ticket.change_minor) == (1850, 3150)


def test_one_means_of_payment_takes_what_the_others_leave(till):
    ticket = till.sell(["CM-19"], [Payment("voucher", 1000), "card"])
    assert [(payment.means, payment.amount_minor) for payment in ticket.payments] == [
        ("voucher", 1000),
        ("card", 850),
    ]


@pytest.mark.parametrize("payments", [[("cash", 1850)], [Payment("card", 1850), 5], [None, "card"]])
def test_what_is_no_payment_is_refused_and_not_passed_over(till, payments):
    with pytest.raises(InvalidSale, match="is no payment"):
        till.sell(["CM-19"], payments)
    assert till.sell(["CM-19"], ["card"]).number.endswith("000001")


def test_a_discount_on_the_ticket_lowers_what_is_paid(till):
    assert till.sell(["CM-19"], ["card"], ticket_discount_minor=150).total_minor == 1700


@pytest.mark.parametrize(
    ("lines", "payments", "error"),
    [
        (["NOPE"], ["card"], UnknownProduct),
        ([], ["card"], InvalidSale),
        (["CM-19"], [], InvalidSale),
        (["CM-19"], [Payment("card", 1849)], InvalidSale),
        (["CM-19"], [Payment("card", 1851)], InvalidSale),
        (["CM-19"], ["card", "cash"], InvalidSale),
        (["CM-19"], ["gold"], InvalidSale),
        (["CM-19"], [Payment("card", 2000), "cash"], InvalidSale),
        ([BasketLine("CM-19", 0)], ["card"], InvalidSale),
        ([BasketLine("CM-19", -1000)], ["card"], InvalidSale),
        ([BasketLine("CM-19", 10**12)], ["card"], InvalidAmount),
        ([BasketLine("CM-19", discount_minor=1851)], ["card"], InvalidSale),
        ([BasketLine("CM-19", unit_price_minor=-1)], ["card"], InvalidSale),
    ],
)
def test_what_makes_no_ticket_is_refused_and_leaves_no_gap(till, lines, payments, error):
    before = till.end
    with pytest.raises(error):
        till.sell(lines, payments)
    assert till.end == before
    assert till.sell(["CM-19"], ["card"]).number.endswith("-000001")


def test_an_archived_product_is_not_sold(till):
    till.products.archive("CM-19")
    with pytest.raises(UnknownProduct):
        till.sell(["CM-19"], ["card"])


def test_numbers_have_no_gap_and_no_double_whoever_sells(till, same_till):
    made = [register.sell(["CM-19"], ["card"]).number for register in (till, same_till) * 5]
    assert [number.rpartition("-")[2] for number in made] == [f"{n:06d}" for n in range(1, 11)]
    assert numbers(till) == made


@pytest.mark.slow
def test_sales_go_on_however_far_the_views_lag(till):
    till.replica.files_views = False
    made = [till.sell(["TER-01"], ["cash"]).number for _ in range(300)]
    assert till.replica.views.lag() >= 300
    assert numbers(till) == made


def test_whoever_only_sells_files_a_few_sales_now_and_then(till):
    lags = []
    for _ in range(3 * FILED_EVERY):
        till.sell(["TER-01"], ["cash"])
        lags.append(till.replica.views.lag())
    assert max(lags) < 2 * FILED_EVERY
    assert lags.count(0) == 3


def test_views_that_lag_far_behind_are_filed_little_by_little(till):
    till.replica.files_views = False
    for _ in range(10 * FILED_EVERY):
        till.sell(["TER-01"], ["cash"])
    till.replica.files_views = True
    before = till.replica.views.lag()
    for _ in range(FILED_EVERY):
        till.sell(["TER-01"], ["cash"])
    assert before - 2 * FILED_EVERY < till.replica.views.lag() < before


def test_whoever_sells_beside_a_filer_leaves_the_filing_to_it(till):
    filer = Filer(till.replica)
    filer.start()
    assert not till.replica.files_views
    sold = till.sell(["CM-19"], ["card"])
    ends_s = time.monotonic() + 60
    while till.replica.views.lag() and time.monotonic() < ends_s:
        filer.wake()
    filer.stop()
    assert [row.number for row in till.replica.queries.tickets()] == [sold.number]
    assert till.replica.files_views


def test_a_product_added_by_another_process_can_be_sold_at_once(till, same_till):
    till.sell(["CM-19"], ["card"])
    same_till.products.add("MAG-1", name="Magnum", price_minor=4200, vat_rate=2000)
    assert till.sell(["MAG-1"], ["card"]).total_minor == 4200


def test_a_barcode_that_was_scanned_sells_its_product(till):
    till.products.set("CM-19", barcodes=["4006381333931"])
    assert till.sell(["4006381333931"], ["card"]).lines[0].sku == "CM-19"


def test_a_barcode_of_two_vintages_asks_which(till):
    for sku in ("CM-19", "TER-01"):
        till.products.set(sku, barcodes=["4006381333931"])
    with pytest.raises(InvalidSale) as told:
        till.sell(["4006381333931"], ["card"])
    assert "CM-19, TER-01" in str(told.value)


# -- the same request ----------------------------------------------------------------------------------


def test_the_same_request_gives_the_same_ticket_and_is_recorded_once(till, same_till):
    first = till.sell(["CM-19"], ["card"], request_id="basket-7")
    again = same_till.sell(["CM-19"], ["card"], request_id="basket-7")
    assert (again.link, again.again, first.again) == (first.link, True, False)
    assert numbers(till) == [first.number]


def test_the_same_request_is_answered_although_the_product_is_gone(till):
    first = till.sell(["CM-19"], ["card"], request_id="basket-7")
    till.products.archive("CM-19")
    assert till.sell(["CM-19"], ["card"], request_id="basket-7").link == first.link


@pytest.mark.parametrize(
    "basket",
    [
        ["TER-01"],
        ["CM-19", "CM-19"],
        [BasketLine("CM-19", 2000)],
        [Line("CM-20", "Crozes-Hermitage 2020", 1850, 2000)],
    ],
)
def test_a_request_id_of_one_basket_does_not_pass_for_another(till, basket):
    """Else the second customer is given the ticket of the first, and nothing is recorded."""
    till.sell(["CM-19"], ["card"], request_id="basket-7")
    with pytest.raises(InvalidSale):
        till.sell(basket, ["card"], request_id="basket-7")
    assert len(till.sales()) == 1


def test_the_same_request_is_answered_although_the_price_has_changed_or_the_barcode_is_gone(till):
    till.products.set("CM-19", barcodes=("3000000000014",))
    first = till.sell(["3000000000014"], ["card"], request_id="basket-7")
    till.products.set("CM-19", price_minor=2000, barcodes=())
    assert till.sell(["3000000000014"], ["card"], request_id="basket-7").link == first.link


def test_a_request_id_of_a_sale_does_not_pass_for_a_refund(till):
    sold = till.sell(["CM-19"], ["card"], request_id="basket-7")
    with pytest.raises(InvalidSale):
        till.refund(sold.number, request_id="basket-7")


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a\nb"])
def test_a_request_id_that_cannot_be_kept_is_refused(till, request_id):
    with pytest.raises(InvalidSale):
        till.sell(["CM-19"], ["card"], request_id=request_id)


class CommitsThenFails(SqliteStore):
    """A store whose commit reports an error although it is on the disk."""

    fails = False

    @contextmanager
    def transaction(self):
        with super().transaction():
            yield
        if self.fails:
            raise StoreBusy("the disk answered too late")


@pytest.fixture
def doubtful_till(folder, clock):
    config = RegisterConfig(folder)
    with Register(Replica(config, clock, seeded_bytes(4), open_store=CommitsThenFails)) as till:
        yield till


@pytest.mark.parametrize("request_id", [None, "basket-7"])
def test_a_sale_whose_commit_failed_but_is_on_disk_is_told_and_not_made_twice(doubtful_till, request_id):
    doubtful_till.replica.store.fails = True
    ticket = doubtful_till.sell(["CM-19"], ["card"], request_id=request_id)
    doubtful_till.replica.store.fails = False
    assert numbers(doubtful_till) == [ticket.number]
    assert doubtful_till.sell(["CM-19"], ["card"]).number.endswith("-000002")


# -- the disk ----------------------------------------------------------------------------------


@pytest.fixture
def disk(folder):
    return SimulatedDisk(folder, name="register.sqlite")


@pytest.fixture
def till_on_that_disk(folder, clock, disk):
    config = RegisterConfig(folder)
    replica = Replica(config, clock, seeded_bytes(4), open_store=lambda path: SqliteStore(path, vfs=disk.vfs))
    with Register(replica) as till:
        yield till


def test_on_a_full_disk_a_sale_is_refused_and_the_next_takes_its_number(till_on_that_disk, disk):
    till = till_on_that_disk
    disk.free_bytes = 0
    with pytest.raises(DiskFull):
        till.sell(["CM-19"], ["card"], request_id="basket-7")
    disk.free_bytes = None
    assert till.sell(["CM-19"], ["card"], request_id="basket-7").number.endswith("-000001")


def test_on_a_disk_that_became_read_only_selling_fails_with_a_word_and_reading_goes_on(
    till_on_that_disk, disk
):
    till = till_on_that_disk
    till.sell(["CM-19"], ["card"])
    known = numbers(till)
    disk.read_only = True
    with pytest.raises(StorageError):
        till.sell(["CM-19"], ["card"])
    assert (numbers(till), till.status().pending.sales) == (known, 1)


def test_a_sale_that_could_not_be_synced_to_disk_is_refused(till_on_that_disk, disk):
    disk.failing_syncs = True
    with pytest.raises(StorageError):
        till_on_that_disk.sell(["CM-19"], ["card"])
    disk.failing_syncs = False
    assert till_on_that_disk.sell(["CM-19"], ["card"]).number.endswith("-000001")


def test_selling_loads_neither_the_crdt_engine_nor_the_network(folder):
    script = (
        "import sys; from crdtsync import Register\n"
        "with Register.open(sys.argv[1]) as till: till.sell(['CM-19'], ['card'])\n"
        "print(sorted({'pycrdt', 'asyncio', 'websockets', 'crdtsync.protocol.codec'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"


def test_a_ticket_that_no_relay_would_take_is_refused_before_anything_is_recorded(till):
    """Recorded, it would be sent again for ever, and pending."""
    before = till.end
    short = Line("CM-19", "Crozes", 1850, 2000)
    with pytest.raises(InvalidSale, match="1 to 200 lines, this one has 201"):
        till.sell([short] * 201, ["card"])
    long = Line("CM-19", "é" * 128, 1850, 2000)
    with pytest.raises(InvalidSale, match="is too long for one entry: make two of it"):
        till.sell([long] * 200, ["card"])
    assert till.end == before
    assert till.sell([short] * 200, ["card"]).number.endswith("-000001")


def statements(till, act):
    """What is asked of the file while somebody acts."""
    asked = []
    connection = till.replica.store.connection
    connection.exec_trace = lambda _, sql, __: asked.append(sql) or True
    act()
    connection.exec_trace = None
    return asked


def test_a_product_is_looked_up_once_for_a_basket(till):
    asked = statements(till, lambda: till.sell(["CM-19", "TER-01", BasketLine("CM-19", 2000)], ["card"]))
    assert len([sql for sql in asked if "view_product" in sql]) == 2


def test_what_is_scanned_is_looked_up_once_for_a_basket(till):
    till.products.set("CM-19", barcodes=["3760000000017"])
    ticket = None

    def sell():
        nonlocal ticket
        ticket = till.sell(["3760000000017"], ["card"])

    asked = statements(till, sell)
    assert [line.sku for line in ticket.lines] == ["CM-19"]
    assert len([sql for sql in asked if "view_product" in sql]) == 2, "as a SKU, and as a barcode"


def test_a_product_is_looked_up_anew_for_the_next_basket(till, same_till):
    till.sell(["CM-19"], ["card"])
    same_till.products.set("CM-19", price_minor=1950)
    assert till.sell(["CM-19"], ["card"]).total_minor == 1950


def test_filing_and_selling_find_their_statements_compiled(till):
    for _ in range(3 * FILED_EVERY):
        till.sell(["CM-19"], ["card"])
    compiled = []
    connection = till.replica.store.connection
    connection.authorizer = lambda *what: compiled.append(what) or apsw.SQLITE_OK
    for _ in range(FILED_EVERY):  # To be told of it takes to compile everything once more.
        till.sell(["CM-19"], ["card"])
    assert compiled
    compiled.clear()
    for _ in range(2 * FILED_EVERY):
        till.sell(["CM-19"], ["card"])
    connection.authorizer = None
    assert till.replica.views.lag() < FILED_EVERY
    assert compiled == []
