"""Alerts that take more than a clock to bring about: what each means, what to do, and that it goes again."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import apsw
import pytest
from click.testing import CliRunner
from pycrdt import Text

from crdtsync import Register
from crdtsync.errors import PairingRefused
from crdtsync.ids import START, Position, next_hash
from crdtsync.model.chain import Shop as ShopName
from crdtsync.model.ticket import build_sale
from crdtsync.protocol.codec import decode, frames
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.protocol.messages import Ack, Records
from crdtsync.runtime.clock import SystemClock
from crdtsync.testing.clock import ManualClock
from crdtsync.testing.till import WINE, MemoryTill, in_cash
from crdtsync_server.cli.group import main as relay_main
from crdtsync_server.shops.owner import owner_item
from tests.integration.raw_device import Device
from tests.integration.test_relay_hostile import an_entry
from tests.web.conftest import wait_until
from tests.web.test_alerts import counted, looked_for_anew, text  # noqa: F401  # A fixture among them.

DAY_MS = 24 * 3_600_000


@pytest.fixture
def office(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.marie = shop.visitor("Marie")
    return shop


@pytest.fixture
def till(office):
    till = office.register("Caisse 1")
    till.products.add("CM-19", name="Crozes", price_minor=1850, vat_rate=2000)
    till.sync(60)
    return till


def shows(visitor, title, *sentences):
    """Wait until the page has it; then it says what it means and what to do, and every title counts it."""
    # While damage is being found no page may come for a moment.
    wait_until(lambda: title in text(visitor.get("/alerts").text), title)
    page = visitor.page("/alerts")
    for sentence in ("What it means", "What to do", *sentences):
        assert sentence in text(page), (sentence, text(page))
    assert counted(page) == counted(visitor.page("/people")) == visitor.get("/alerts/count").json()["alerts"]
    assert counted(page) == page.count('<article class="card alert')
    return page


def is_over(visitor, title):
    wait_until(lambda: title not in text(visitor.page("/alerts")), title)


def all_is_well(visitor):
    wait_until(lambda: "All is well." in text(visitor.page("/alerts")), "something is not well")
    assert counted(visitor.page("/people")) == 0


def command(office, *arguments):
    done = CliRunner().invoke(relay_main, [*arguments, "--data", str(office.folder / "relay")])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_damaged_record_and_the_hole_that_it_leaves_until_the_register_brings_it_again(office, till):
    numbers = [till.sell(["CM-19"], ["card"]).number for _ in range(3)]
    till.sync(60)
    other = office.register("Caisse 2")
    all_is_well(office.marie)
    with closing(apsw.Connection(str(office.folder / "relay/relay.sqlite"))) as connection:
        rows = connection.execute("SELECT pos, bytes FROM record ORDER BY pos").fetchall()
        (pos,) = [pos for pos, record in rows if record and f'"num":"{numbers[1]}"'.encode() in record]
        connection.execute("UPDATE record SET bytes = zeroblob(length(bytes)) WHERE pos = ?", (pos,))
    connection = other.start_sync()  # Whoever reads it finds it out.
    shows(
        office.marie,
        "1 record of the relay is damaged",
        "gave back other bytes than were written",
        "Let registers connect. If it comes again, replace the disk",
    )
    page = shows(
        office.marie,
        f"Caisse 1: 1 entries are missing after {numbers[0]}",
        "Later entries are here, these are not",
        "Let that register connect",
    )
    assert f"/registers/{till.replica.identity.device.hex()}" in page
    assert "1 are damaged" in text(office.marie.page("/registers"))
    till.sync(60)
    all_is_well(office.marie)
    assert "are damaged" not in text(office.marie.page("/registers"))
    wait_until(lambda: len(other.sales()) == 3)
    assert connection.error is None


def test_a_hole_in_a_chain_is_told_until_what_is_missing_has_come(office):
    """Entries of a register that a neighbour brought: those between them have gone with a disk."""
    chain = MemoryTill("Caisse 9", shop=ShopName(office.id, "Cave du Port"), series="09")
    secret = office.access.issue_code(office.id, "register").code.secret
    office.access.enrol(office.store, EnrolRequest(secret, chain.author, "Caisse 9", chain.key.public), "::1")
    sold = [chain.sell() for _ in range(5)]
    store(office, chain.entries[0], sold[0], sold[4])
    shows(
        office.marie, f"Caisse 9: 3 entries are missing after {sold[0].body['num']}", "crdtsync-relay missing"
    )
    store(office, *sold[1:4])
    all_is_well(office.marie)


def store(office, *entries):
    with office.store.transaction():
        for entry in entries:
            office.store.shop(office.id).append(owner_item(entry))


def test_who_did_not_come_back_since_the_relay_was_put_back_is_told_until_they_do(office, till, make_shop):
    till.sell(["CM-19"], ["card"])
    till.sync(60)
    backup = office.folder / "relay.backup"
    command(office, "backup", str(backup))
    sold = till.sell(["CM-19"], ["card"]).number
    till.sync(60)
    port = int(office.web.rsplit(":", 1)[1])
    office.relay.stop()
    place = office.folder.parent / "shop-1"
    (place / "relay").mkdir(parents=True)
    shutil.copytree(office.folder / "relay/keys", place / "relay/keys")
    done = CliRunner().invoke(relay_main, ["restore-from", str(backup), "--data", str(place / "relay")])
    assert done.exit_code == 0, done.output
    again = make_shop(port=port)
    assert again.folder == place
    marie = again.visitor("Marie")
    page = shows(
        marie,
        "Caisse 1 was not here since the relay was put back",
        "What the backup lacks may be on it alone",
        "Switch it on and let it synchronise",
    )
    assert f"/registers/{till.replica.identity.device.hex()}" in page
    till.sync(60)
    all_is_well(marie)
    assert sold in marie.page("/sales")


def bring(office, till, *records):
    """What a device of the shop sends that does as it likes, until it is acknowledged."""
    relay = SimpleNamespace(url=office.relay.url)
    device = Device(SimpleNamespace(relay=relay, made=1), till).say_hello()
    to = START
    for record in records:
        to = Position(to.seq + 1, next_hash(to.h, record))
    device.send(*frames(Records(START, to, tuple(range(1, to.seq + 1)), records)))
    message = None
    while not (isinstance(message, Ack) and message.position == to):
        message = decode(device.socket.recv(timeout=60))
    device.socket.close()


def test_what_was_refused_is_told_for_a_month(make_shop):
    clock = ManualClock(SystemClock().now_ms(), 0)
    office = make_shop(clock=clock)
    office.person("Marie")
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    till.sync(60)
    bring(office, till, an_entry(b'{"kind":"sale"}'), b"X nothing that is known")
    page = shows(
        marie,
        "2 records were refused",
        "is not what a device of this shop may send",
        "crdtsync-relay quarantine list",
    )
    assert 'href="/registers"' in page
    clock.at_ms += 31 * DAY_MS
    is_over(office.visitor("Marie"), "records were refused")
    assert json.loads(command(office, "status", "--json"))["shops"][0]["refused"] == 2


def test_what_is_held_is_told_until_there_is_room_for_it(make_shop):
    office = make_shop(shop_documents_max=3)
    office.person("Marie")
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    till.start_sync()
    for number in range(4):
        with till.document(f"x/note-{number}").transaction() as doc:
            doc.get("text", type=Text).insert(0, "hello")
    shows(
        marie,
        "held for now",
        "Certificates or room are missing for them. They are kept",
        "Nothing, if it goes away by itself within a day.",
    )
    till.stop_sync()
    office.start_again(shop_documents_max=100)
    till.start_sync()
    command(office, "quarantine", "retry", "Cave du Port")
    all_is_well(office.visitor("Marie"))


def test_tickets_that_cannot_be_so_are_told_for_a_month_with_their_day(make_shop):
    """A faulty program, with a key of the shop, sells a bottle and takes a cent for it."""
    clock = ManualClock(SystemClock().now_ms(), 0)
    office = make_shop(clock=clock)
    office.person("Marie")
    till, marie = office.register("Caisse 1"), office.visitor("Marie")
    till.sync(60)
    chain = MemoryTill("faulty", shop=ShopName(office.id, "Cave du Port"), series="09")
    secret = office.access.issue_code(office.id, "register").code.secret
    office.access.enrol(office.store, EnrolRequest(secret, chain.author, "Faulty", chain.key.public), "::1")
    day = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date().isoformat()
    payload = {**build_sale([WINE], in_cash(1850)), "pay": [{"m": "cash", "amt": 1}]}
    chain.append("sale", payload, ts_ms=clock.now_ms(), bd=day, tz_min=0)
    store(office, *chain.entries)
    page = shows(
        marie, "cannot be so", "that do not fit together", "Look at that day: the tickets are named there."
    )
    assert f'href="/days/{day}"' in page
    assert "the payments come to 1" in text(marie.page(f"/days/{day}"))
    clock.at_ms += 32 * DAY_MS
    is_over(office.visitor("Marie"), "cannot be so")


def test_a_device_that_waits_for_the_owners_key_is_told_until_it_is_signed_for(office, till, tmp_path):
    [key] = (office.folder / "relay/keys").glob("*.owner")
    safe = key.rename(tmp_path / "safe.owner")
    code = office.relay.pairing_code()
    with pytest.raises(PairingRefused, match="owner's signature"):
        Register.join(tmp_path / "b", office.relay.url, code, name="Caisse 2")
    shows(
        office.marie,
        "1 device waits for the owner’s signature",
        "they can do nothing before it has signed",
        "crdtsync-relay owner request",
    )
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    command(office, "owner", "request", "Cave du Port", str(request))
    signing = [sys.executable, "-m", "crdtsync_server", "owner", "sign", str(request), str(answer)]
    subprocess.run([*signing, "--key", str(safe)], check=True, capture_output=True, timeout=60)
    command(office, "owner", "answer", "Cave du Port", str(answer))
    is_over(office.marie, "waits for the owner’s signature")
    with Register.join(tmp_path / "b", office.relay.url, code, name="Caisse 2") as other:
        other.sync(60)
    all_is_well(office.marie)


def test_two_prices_are_told_also_before_anybody_opens_the_catalogue_until_somebody_decides(office, till):
    other = office.register("Caisse 2")
    other.sync(60)
    till.products.set("CM-19", price_minor=1900)
    other.products.set("CM-19", price_minor=2100)
    till.sync(60)
    other.sync(60)
    page = shows(
        office.marie,
        "1 product has two prices",
        "The later price is used meanwhile",
        "Decide, with one click each.",
    )
    assert 'href="/catalogue?disputed=1"' in page
    conflict = office.marie.page("/catalogue/product?sku=CM-19").split('aria-label="Two prices"')[1]
    change = re.search(r'name="change" value="([0-9a-f]+)"', conflict)[1]
    office.marie.post("/catalogue/decide", on="/people", sku="CM-19", change=change)
    all_is_well(office.marie)


def test_a_product_that_is_sold_no_more_has_no_two_prices(office, till):
    other = office.register("Caisse 2")
    other.sync(60)
    till.products.set("CM-19", price_minor=1900)
    other.products.set("CM-19", price_minor=2100)
    till.sync(60)
    other.sync(60)
    shows(office.marie, "1 product has two prices")
    office.marie.post("/catalogue/archive", on="/people", sku="CM-19", archived="1")
    all_is_well(office.marie)
