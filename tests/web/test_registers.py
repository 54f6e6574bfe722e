"""What the back office says of each register, and what can be done about it."""

import csv
import io
import re

from pycrdt import Text

from crdtsync import Register
from tests.clocks import clock_of_now
from tests.web.conftest import wait_until


def facts_of(page, name):
    """The card of a register, without its tags."""
    card = next(part for part in page.split('<li class="card">')[1:] if f">{name}</a>" in part)
    return re.sub(r"<[^>]+>|\s+", " ", card.split("</li>")[0])


def test_a_register_is_away_connected_and_away_again(make_shop):
    shop = make_shop()
    shop.person("Marie")
    marie = shop.visitor("Marie")
    assert "No device yet" in marie.page("/registers")
    till = shop.register("Caisse 1")
    assert "Not heard of" in facts_of(marie.page("/registers"), "Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    number = till.sell(["CM-19"], ["card"]).number
    connection = till.start_sync()
    wait_until(lambda: "Connected" in facts_of(marie.page("/registers"), "Caisse 1"))
    wait_until(lambda: number in facts_of(marie.page("/registers"), "Caisse 1"))
    wait_until(lambda: "nothing, as it last said" in facts_of(marie.page("/registers"), "Caisse 1"))
    connection.stop()
    wait_until(lambda: "Last heard of" in facts_of(marie.page("/registers"), "Caisse 1"))


def test_a_wrong_clock_is_said_with_what_to_do(make_shop):
    shop = make_shop()
    shop.person("Marie")
    ahead = clock_of_now(3 * 3_600_000)
    till = shop.register("Caisse 1", clock=ahead)
    connection = till.start_sync()
    marie = shop.visitor("Marie")
    wait_until(lambda: "Its clock is wrong by 3 hours" in facts_of(marie.page("/registers"), "Caisse 1"))
    assert connection.error is None
    device = till.replica.identity.device.hex()
    assert "s ahead of the relay" in marie.page(f"/registers/{device}")


def test_the_list_of_registers_is_a_file_too(make_shop):
    shop = make_shop()
    shop.person("Marie")
    marie, till = shop.visitor("Marie"), shop.register("=Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    number = till.sell(["CM-19"], ["card"]).number
    till.sync(60)

    def row():
        text = marie.page("/registers/export.csv").removeprefix("\ufeff")
        return next(csv.DictReader(io.StringIO(text), delimiter=";"))

    wait_until(lambda: row()["pending tickets"] == "0" and row()["state"] == "away")
    found = row()
    assert found["register"] == "'=Caisse 1"
    assert found["complete up to"] == number
    assert found["its entries here"] == str(till.replica.writer.head().n)
    assert 'href="/registers/export.csv"' in marie.page("/registers")


def test_what_others_brought_by_a_register_is_not_counted_as_its_own(make_shop):
    """Two tills met without the relay; the one that was away brings what the other sold."""
    shop = make_shop()
    shop.person("Marie")
    marie, one, other = shop.visitor("Marie"), shop.register("Caisse 1"), shop.register("Caisse 2")
    one.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    one.sync(60)
    other.sync(60)
    for _ in range(20):
        one.sell(["CM-19"], ["card"])
    one.sync(60)
    other.sync(60)
    other.sell(["CM-19"], ["card"])
    other.sync(60)
    device = other.replica.identity.device.hex()
    own = other.replica.writer.head().n
    wait_until(lambda: marie.shown("stored", f"/registers/{device}") == str(own))
    assert own < 10


def test_a_code_made_here_lets_one_device_in(make_shop):
    shop = make_shop()
    shop.person("Marie")
    marie = shop.visitor("Marie")
    page = marie.post("/registers/pair", role="register").text
    code = re.search(r'id="code">([^<]+)<', page)[1]
    assert "<svg" in page
    assert "viewBox" in page
    assert "1 pairing code can still be used" in marie.page("/registers")
    with Register.join(shop.folder / "new", shop.relay.url, code, name="Caisse neuve"):
        assert "Caisse neuve" in marie.page("/registers")
    assert "can still be used" not in marie.page("/registers")
    assert marie.post("/registers/pair", role="owner").status_code == 400


def test_a_register_is_cut_off_at_once_and_its_sales_stay(make_shop):
    shop = make_shop()
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    till.sell(["CM-19"], ["card"])
    connection = till.start_sync()
    wait_until(lambda: connection.is_connected)
    marie = shop.visitor("Marie")
    wait_until(lambda: marie.shown("turnover") == "€18.50")
    device = till.replica.identity.device.hex()
    path = f"/registers/{device}/revoke"
    assert marie.post(path, on=f"/registers/{device}").status_code == 303
    assert "Cut off" not in facts_of(marie.page("/registers"), "Caisse 1")  # Nobody was sure.
    assert marie.post(path, on=f"/registers/{device}", sure="yes", reason="volée").status_code == 303
    wait_until(lambda: not connection.is_connected)
    page = marie.page(f"/registers/{device}")
    assert "Cut off" in page
    assert path not in page
    assert marie.shown("turnover") == "€18.50"
    assert shop.access.find_device(shop.store, shop.id, "Caisse 1")


def test_what_is_held_stands_in_the_page(make_shop):
    """The shop has as many documents as it may have; the notes of its register wait for room."""
    shop = make_shop(shop_documents_max=3)
    shop.person("Marie")
    till = shop.register("Caisse 1")
    till.start_sync()
    for number in range(4):
        with till.document(f"x/note-{number}").transaction() as doc:
            doc.get("text", type=Text).insert(0, "hello")
    marie = shop.visitor("Marie")
    wait_until(lambda: "held until certificates" in marie.page("/registers"))
