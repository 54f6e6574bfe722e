import unicodedata

import pytest

from crdtsync.errors import InvalidName, PairingRefused, UnknownShop
from crdtsync.ids import OWNER_DOCUMENT
from crdtsync.model.certificate import Directory
from crdtsync.model.chain import Moment, Shop, start
from crdtsync.model.entry import Head, read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.protocol.enrolment import EnrolRequest
from crdtsync.testing.till import MemoryTill
from crdtsync_server.folder import DataFolder
from crdtsync_server.open import open_store
from crdtsync_server.shops.access import Access
from crdtsync_server.shops.contacts import Contact
from crdtsync_server.shops.owner import OwnerChain, owner_item
from crdtsync_server.shops.waiting import waiting

ADDRESS = "198.51.100.7"
DAY_MS = 86_400_000


@pytest.fixture
def folder(tmp_path):
    return DataFolder.create(tmp_path / "relay")


@pytest.fixture
def store(folder):
    store = open_store(folder)
    yield store
    store.close()


@pytest.fixture
def access(folder, store, clock, seeded):
    access = Access(folder, clock=clock, random=seeded)
    yield access
    access.close()


@pytest.fixture
def shop(access, store):
    return access.create_shop(store, "Cave du Port")


def device(number, **more):
    """What device number so and so says of itself."""
    key = PrivateKey.from_seed(b"device %d" % number)
    facts = {"device": bytes([number]) * 16, "name": f"till {number}", "public_key": key.public}
    return facts | more


def ask(issued, facts):
    return EnrolRequest(secret=issued.code.secret, **facts)


def enrolled(access, store, shop, facts, role="register"):
    return access.enrol(store, ask(access.issue_code(shop.id, role), facts), ADDRESS)


def first_entry(shop, facts):
    """The entry that begins the device's chain."""
    key = PrivateKey.from_seed(b"device %d" % facts["device"][0])
    named = Shop(shop.id, shop.name)
    moment = Moment(1_795_507_200_000, 60, "2026-11-24")
    return read_entry(
        seal(start(facts["device"], key.public, named, series="01", nonce=bytes(16), moment=moment), key)
    )


def owner_entries(store, shop):
    return sum(1 for _ in store.shop(shop.id).document_records(OWNER_DOCUMENT))


def test_a_shop_begins_with_its_owner_and_the_relays_certificate(access, store, shop):
    chain = OwnerChain.read(store.shop(shop.id))
    assert [entry.kind for entry in chain.entries] == ["owner", "certify"]
    relay = chain.directory.certificate(access.relay_device)
    assert (relay.role, relay.public) == ("relay", access.relay_key.public)


def test_a_device_can_check_its_certificate_and_the_relays_with_what_it_is_sent(access, store, shop):
    enrolment = enrolled(access, store, shop, device(1))
    directory = Directory(shop.id)
    for sealed in enrolment.sealed:
        directory = directory.with_entry(read_entry(sealed))
    assert directory.shop_name == "Cave du Port"
    assert directory.certificate(device(1)["device"]) == enrolment.certificate
    assert directory.certificate(access.relay_device).public == access.relay_key.public


def test_the_answer_to_a_device_does_not_grow_with_the_shop(access, store, shop):
    first = enrolled(access, store, shop, device(1))
    for number in range(2, 6):
        last = enrolled(access, store, shop, device(number))
    assert len(last.sealed) == len(first.sealed)


def test_registers_number_their_tickets_in_series_of_their_own(access, store, shop):
    series = [enrolled(access, store, shop, device(number)).certificate.series for number in (1, 2, 3)]
    assert series == ["01", "02", "03"]


def test_a_display_has_no_series_and_takes_none(access, store, shop):
    assert enrolled(access, store, shop, device(1), role="display").certificate.series is None
    assert enrolled(access, store, shop, device(2)).certificate.series == "01"


def test_a_device_has_the_role_of_its_code(access, store, shop):
    assert enrolled(access, store, shop, device(1), role="backoffice").certificate.role == "backoffice"


def test_a_device_whose_answer_was_lost_asks_again_and_gets_the_same(access, store, shop):
    request = ask(access.issue_code(shop.id, "register"), device(1))
    first = access.enrol(store, request, ADDRESS)
    entries = owner_entries(store, shop)
    again = access.enrol(store, request, ADDRESS)
    assert (again.certificate, again.sealed, again.is_new) == (first.certificate, first.sealed, False)
    assert owner_entries(store, shop) == entries


def test_a_code_lets_no_second_device_in(access, store, shop):
    issued = access.issue_code(shop.id, "register")
    access.enrol(store, ask(issued, device(1)), ADDRESS)
    with pytest.raises(PairingRefused, match="used already"):
        access.enrol(store, ask(issued, device(2)), ADDRESS)


def test_a_used_code_lets_no_other_key_in_under_the_same_device(access, store, shop):
    issued = access.issue_code(shop.id, "register")
    access.enrol(store, ask(issued, device(1)), ADDRESS)
    with pytest.raises(PairingRefused, match="used already"):
        access.enrol(store, ask(issued, device(1, public_key=device(2)["public_key"])), ADDRESS)


def test_an_expired_code_lets_nobody_in(access, store, shop, clock):
    issued = access.issue_code(shop.id, "register")
    clock.pass_ms(DAY_MS)
    with pytest.raises(PairingRefused, match="expired"):
        access.enrol(store, ask(issued, device(1)), ADDRESS)


def test_a_lost_answer_is_given_again_after_the_code_has_expired(access, store, shop, clock):
    request = ask(access.issue_code(shop.id, "register"), device(1))
    first = access.enrol(store, request, ADDRESS)
    clock.pass_ms(DAY_MS)
    assert access.enrol(store, request, ADDRESS).certificate == first.certificate


def test_a_code_of_one_shop_lets_into_that_shop_alone(access, store, shop):
    other = access.create_shop(store, "Épicerie du Quai")
    enrolment = access.enrol(store, ask(access.issue_code(other.id, "register"), device(1)), ADDRESS)
    assert enrolment.shop == other.id
    assert OwnerChain.read(store.shop(shop.id)).directory.certificate(device(1)["device"]) is None


def test_a_register_that_sold_before_keeps_its_series_and_its_chain(access, store, shop):
    facts = device(1, series="ABC234", chain=b"c" * 32, shop=b"o" * 16)
    certificate = enrolled(access, store, shop, facts).certificate
    assert (certificate.series, certificate.chain, certificate.original_shop) == (
        "ABC234",
        b"c" * 32,
        b"o" * 16,
    )


def test_two_registers_cannot_number_tickets_in_one_series(access, store, shop):
    enrolled(access, store, shop, device(1, series="ABC234"))
    with pytest.raises(PairingRefused, match="numbers its tickets with 'ABC234'"):
        enrolled(access, store, shop, device(2, series="ABC234"))


def test_a_series_that_a_register_brought_along_is_not_given_to_another(access, store, shop):
    enrolled(access, store, shop, device(1, series="01"))
    assert enrolled(access, store, shop, device(2)).certificate.series == "02"


def test_nobody_takes_the_name_of_a_device_that_is_there(access, store, shop):
    enrolled(access, store, shop, device(1))
    with pytest.raises(PairingRefused, match="belongs to another key"):
        enrolled(access, store, shop, device(1, public_key=device(2)["public_key"]))


def test_nobody_takes_the_chain_of_a_device_that_is_there(access, store, shop):
    enrolled(access, store, shop, device(1, series="A", chain=b"c" * 32, shop=b"o" * 16))
    with pytest.raises(PairingRefused, match="this chain of entries belongs to another device"):
        enrolled(access, store, shop, device(2, series="B", chain=b"c" * 32, shop=b"o" * 16))


def test_a_device_that_is_enrolled_again_keeps_its_series(access, store, shop):
    first = enrolled(access, store, shop, device(1))
    assert enrolled(access, store, shop, device(1)).certificate.series == first.certificate.series


@pytest.mark.parametrize("again", ["the same code", "another code"])
def test_a_key_whose_store_was_emptied_does_not_begin_its_numbers_anew(access, store, shop, again):
    """Else two tickets bear one number, and nobody is told."""
    facts = device(1)
    issued = access.issue_code(shop.id, "register")
    access.enrol(store, ask(issued, facts), ADDRESS)
    with store.transaction():
        store.shop(shop.id).append(owner_item(first_entry(shop, facts)))
    other = access.issue_code(shop.id, "register")
    with pytest.raises(PairingRefused, match="tickets are here already"):
        access.enrol(store, ask(issued if again == "the same code" else other, facts), ADDRESS)
    assert access.enrol(store, ask(other, device(2)), ADDRESS).certificate.series == "02"


def test_a_register_that_brings_its_entries_may_ask_again(access, store, shop):
    facts = device(1)
    entry = first_entry(shop, facts)
    facts |= {"series": "AB", "chain": entry.link, "shop": shop.id}
    enrolled(access, store, shop, facts)
    with store.transaction():
        store.shop(shop.id).append(owner_item(entry))
    assert enrolled(access, store, shop, facts).certificate.series == "AB"


@pytest.mark.parametrize("facts", [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 65}, {"series": "é"}])
def test_a_device_that_says_what_cannot_be_uses_up_no_code(access, store, shop, facts):
    issued = access.issue_code(shop.id, "register")
    with pytest.raises(InvalidName):
        access.enrol(store, ask(issued, device(1) | facts), ADDRESS)
    assert access.enrol(store, ask(issued, device(1)), ADDRESS).is_new


def test_without_the_owners_key_nobody_is_let_in_and_the_code_stays_good(access, store, shop, folder):
    issued = access.issue_code(shop.id, "register")
    key = folder.keys / f"{shop.id.hex()}.owner"
    elsewhere = key.rename(folder.root / "safe")
    with pytest.raises(PairingRefused, match="owner's signature"):
        access.enrol(store, ask(issued, device(1)), ADDRESS)
    assert [one["payload"]["name"] for one in waiting(store.shop(shop.id))] == [device(1)["name"]]
    elsewhere.rename(key)
    assert access.enrol(store, ask(issued, device(1)), ADDRESS).is_new
    assert waiting(store.shop(shop.id)) == []


def test_a_device_that_is_revoked_is_told_with_what_is_known_of_it(access, store, shop):
    facts = device(1)
    enrolled(access, store, shop, facts)
    with store.transaction():
        store.shop(shop.id).append(owner_item(first_entry(shop, facts)))
    assert access.revoke(store, shop.id, facts["device"], "stolen")
    directory = OwnerChain.read(store.shop(shop.id)).directory
    entry = first_entry(shop, facts)
    assert directory.is_revoked(facts["device"])
    assert directory.heads_at_revocation(facts["device"]) == (Head(entry.link, entry.link, 1),)


def test_revoking_twice_says_so_and_writes_nothing(access, store, shop):
    enrolled(access, store, shop, device(1))
    access.revoke(store, shop.id, device(1)["device"], "stolen")
    entries = owner_entries(store, shop)
    assert not access.revoke(store, shop.id, device(1)["device"], "stolen")
    assert owner_entries(store, shop) == entries


def test_a_device_that_was_revoked_by_mistake_comes_back_with_a_new_code_and_its_series(access, store, shop):
    first = enrolled(access, store, shop, device(1))
    access.revoke(store, shop.id, device(1)["device"], "mistake")
    assert enrolled(access, store, shop, device(1)).certificate.series == first.certificate.series
    assert not OwnerChain.read(store.shop(shop.id)).directory.is_revoked(device(1)["device"])


def test_a_series_of_a_revoked_device_is_never_given_again(access, store, shop):
    enrolled(access, store, shop, device(1))
    access.revoke(store, shop.id, device(1)["device"], "stolen")
    assert enrolled(access, store, shop, device(2)).certificate.series == "02"


def test_a_device_is_found_by_its_id_and_by_its_name(access, store, shop):
    certificate = enrolled(access, store, shop, device(1)).certificate
    assert access.find_device(store, shop.id, "till 1") == certificate
    assert access.find_device(store, shop.id, certificate.device.hex()) == certificate


def test_a_device_is_found_however_its_accents_are_typed(access, store, shop):
    certificate = enrolled(access, store, shop, device(1, name="Caisse réserve")).certificate
    typed = unicodedata.normalize("NFD", "Caisse réserve")
    assert typed != certificate.name
    assert access.find_device(store, shop.id, typed) == certificate
    assert access.find_device(store, shop.id, certificate.device.hex().upper()) == certificate


def test_a_name_that_two_devices_have_cuts_neither_off(access, store, shop):
    for number in (1, 2):
        enrolled(access, store, shop, device(number, name="till"))
    with pytest.raises(InvalidName, match="2 devices of this shop are called 'till'"):
        access.find_device(store, shop.id, "till")


def test_the_relay_cannot_be_cut_off_from_itself(access, store, shop):
    with pytest.raises(InvalidName, match="no devices of this shop are called 'relay'"):
        access.find_device(store, shop.id, "relay")


def test_a_clock_that_went_back_stops_no_enrolment(access, store, shop, clock):
    enrolled(access, store, shop, device(1))
    clock.pass_ms(-400 * DAY_MS)
    assert enrolled(access, store, shop, device(2)).is_new


def test_a_shop_is_found_by_its_id_and_by_its_name_in_any_case(access, shop):
    assert access.find_shop(shop.id.hex()) == access.find_shop(" cave DU port ") == shop


def test_a_shop_that_is_not_there_is_told(access, shop):
    with pytest.raises(UnknownShop, match="no shop 'Cave'"):
        access.find_shop("Cave")


def test_no_two_shops_of_a_relay_have_one_name(access, store, shop):
    with pytest.raises(InvalidName, match="there is a shop 'CAVE du port'"):
        access.create_shop(store, "CAVE du port")
    assert len(store.shops()) == 1


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 65, "\x1b[2J"])
def test_a_name_that_no_ticket_could_show_is_refused(access, store, name):
    with pytest.raises(InvalidName, match="1 to 64 characters"):
        access.create_shop(store, name)


def test_a_shop_whose_index_was_lost_is_found_again(access, store, shop, folder, clock, seeded):
    access.close()
    for file in folder.root.glob("access.sqlite*"):
        file.unlink()
    rebuilt = Access(folder, clock=clock, random=seeded)
    rebuilt.index_shops(store)
    assert rebuilt.shops() == [shop]
    rebuilt.close()


def test_whatever_a_lost_register_told_it_can_be_replaced(access, store, shop):
    """It was stolen, and told what no certificate can say: its entries here come to as much the other way."""
    till = MemoryTill("till 1", shop=Shop(shop.id, shop.name))
    enrolled(access, store, shop, {"device": till.author, "name": "till 1", "public_key": till.key.public})
    huge = (1 << 53) - 1
    odd = read_entry(seal(till.sell().body | {"ttc": -huge}, till.key))
    contact = Contact(
        b"l" * 16,
        1,
        0,
        "crdtsync",
        2,
        huge,
        own_chain=till.end.chain.hex(),
        own_from=1,
        own_to=3,
        own_sales=2,
        own_amount_minor=huge,
    )
    with store.transaction():
        log = store.shop(shop.id)
        for entry in (till.entries[0], odd):
            log.append(owner_item(entry))
        log.set_state(f"contact/{till.author.hex()}", contact.to_bytes())
    issued = access.issue_code(shop.id, "register", replaces=till.author)
    certificate = access.enrol(store, ask(issued, device(2)), ADDRESS).certificate
    assert certificate.replaces.device == till.author
    assert certificate.replaces.never_arrived.sales == 1
