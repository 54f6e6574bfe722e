import pytest

from crdtsync.errors import PairingRefused, TooManyAttempts
from crdtsync_server.database import open_access_database
from crdtsync_server.shops.pairing import (
    ATTEMPTS_MAX,
    ATTEMPTS_WINDOW_MS,
    CLOCK_STEP_MS,
    PairingCodes,
    address_bucket,
)

RELAY_KEY = bytes.fromhex("0351349081859d3b6c0cef13a7f95295c185403340d86d867e1e335a68ab6e28da")
CAVE, EPICERIE = b"c" * 16, b"e" * 16
SHOP_ADDRESS, OTHER_ADDRESS = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def codes(tmp_path, clock, seeded):
    database = open_access_database(tmp_path / "access.sqlite")
    yield PairingCodes(database, clock=clock, random=seeded)
    database.close()


def wrong(secret):
    """The same selector with another verifier."""
    return secret[:-1] + ("0" if secret[-1] != "0" else "1")


def guess(codes, secret, address=OTHER_ADDRESS, times=ATTEMPTS_MAX):
    for _ in range(times):
        with pytest.raises(PairingRefused):
            codes.check(secret, address)


def test_a_right_code_grants_its_role_in_its_shop(codes):
    issued = codes.issue(CAVE, "backoffice", RELAY_KEY)
    grant = codes.check(issued.code.secret, SHOP_ADDRESS)
    assert (grant.shop, grant.role) == (CAVE, "backoffice")


def test_a_code_names_the_key_of_the_relay_that_made_it(codes):
    assert codes.issue(CAVE, "register", RELAY_KEY).code.matches(RELAY_KEY)


def test_a_wrong_verifier_is_refused(codes):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    with pytest.raises(PairingRefused, match="does not know"):
        codes.check(wrong(issued.code.secret), SHOP_ADDRESS)


@pytest.mark.parametrize(
    "secret", ["", "0", "0" * 15, "0" * 17, "o" * 16, "é" * 16, "' OR 1=1 --     ", "\x00" * 16]
)
def test_what_is_no_secret_is_refused_and_counts_as_an_attempt(codes, secret):
    guess(codes, secret)
    with pytest.raises(TooManyAttempts):
        codes.check(secret, OTHER_ADDRESS)


def test_a_code_ends_when_it_was_said_to(codes, clock):
    issued = codes.issue(CAVE, "register", RELAY_KEY, valid_minutes=15)
    clock.pass_ms(15 * 60_000 - 1)
    assert not codes.check(issued.code.secret, SHOP_ADDRESS).has_expired
    clock.pass_ms(1)
    assert codes.check(issued.code.secret, SHOP_ADDRESS).has_expired


def test_after_ten_wrong_codes_an_address_has_to_wait(codes, clock):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    guess(codes, "0" * 16, OTHER_ADDRESS)
    with pytest.raises(TooManyAttempts) as refused:
        codes.check(issued.code.secret, OTHER_ADDRESS)
    clock.pass_ms(refused.value.retry_after_s * 1000)
    assert codes.check(issued.code.secret, OTHER_ADDRESS).shop == CAVE


YEAR_MS = 365 * 86_400_000


def test_what_was_guessed_while_the_clock_was_a_year_ahead_keeps_nobody_out(codes, clock):
    """A lost register could not be replaced for a year."""
    issued = codes.issue(CAVE, "register", RELAY_KEY, valid_minutes=2 * 366 * 24 * 60)
    clock.pass_ms(YEAR_MS)
    guess(codes, "0" * 16, OTHER_ADDRESS)
    guess(codes, wrong(issued.code.secret), SHOP_ADDRESS)
    clock.pass_ms(-YEAR_MS)
    assert codes.check(issued.code.secret, OTHER_ADDRESS).shop == CAVE
    guess(codes, "0" * 16, OTHER_ADDRESS)
    with pytest.raises(TooManyAttempts):
        codes.check(issued.code.secret, OTHER_ADDRESS)


def test_a_clock_that_is_put_back_a_little_lets_nobody_guess_on(codes, clock):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    guess(codes, "0" * 16, OTHER_ADDRESS)
    clock.pass_ms(-ATTEMPTS_WINDOW_MS + 1)
    with pytest.raises(TooManyAttempts):
        codes.check(issued.code.secret, OTHER_ADDRESS)


def test_a_code_that_was_made_while_the_clock_was_a_year_ahead_is_not_good_for_a_year(codes, clock):
    clock.pass_ms(YEAR_MS)
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    assert not codes.check(issued.code.secret, SHOP_ADDRESS).has_expired
    clock.pass_ms(-CLOCK_STEP_MS)
    assert not codes.check(issued.code.secret, SHOP_ADDRESS).has_expired
    clock.pass_ms(CLOCK_STEP_MS - YEAR_MS)
    assert codes.check(issued.code.secret, SHOP_ADDRESS).has_expired


def test_an_address_that_guesses_does_not_block_another_one(codes):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    guess(codes, "0" * 16, OTHER_ADDRESS)
    assert codes.check(issued.code.secret, SHOP_ADDRESS).shop == CAVE


def test_guesses_at_one_shop_from_many_addresses_stop_its_pairing_and_no_other_shops(codes):
    aimed_at, other = (codes.issue(shop, "register", RELAY_KEY) for shop in (CAVE, EPICERIE))
    for number in range(ATTEMPTS_MAX):
        guess(codes, wrong(aimed_at.code.secret), f"192.0.2.{number}", times=1)
    with pytest.raises(TooManyAttempts):
        codes.check(aimed_at.code.secret, SHOP_ADDRESS)
    assert codes.check(other.code.secret, SHOP_ADDRESS).shop == EPICERIE


def test_nine_wrong_codes_in_the_window_are_forgiven(codes, clock):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    guess(codes, "0" * 16, SHOP_ADDRESS, times=5)
    clock.pass_ms(ATTEMPTS_WINDOW_MS)
    guess(codes, "0" * 16, SHOP_ADDRESS, times=9)
    assert codes.check(issued.code.secret, SHOP_ADDRESS).shop == CAVE


def test_right_codes_are_no_attempts(codes):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    for _ in range(ATTEMPTS_MAX + 1):
        codes.check(issued.code.secret, SHOP_ADDRESS)


def test_a_refused_attempt_writes_nothing_more(codes, tmp_path):
    guess(codes, "0" * 16, OTHER_ADDRESS)
    for _ in range(5):
        with pytest.raises(TooManyAttempts):
            codes.check("0" * 16, OTHER_ADDRESS)
    database = open_access_database(tmp_path / "access.sqlite")
    assert database.row("SELECT count(*) FROM attempt") == (ATTEMPTS_MAX,)
    database.close()


def test_no_code_can_be_read_back_from_the_file(codes, tmp_path):
    issued = codes.issue(CAVE, "register", RELAY_KEY)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert issued.code.selector.encode() in stored
    assert issued.code.verifier.encode() not in stored


def test_two_codes_of_one_shop_are_two_grants(codes):
    first, second = (codes.issue(CAVE, "register", RELAY_KEY) for _ in range(2))
    grants = {codes.check(issued.code.secret, SHOP_ADDRESS).code_id for issued in (first, second)}
    assert len(grants) == 2


def test_a_code_is_open_until_it_is_used_or_ends(codes, clock):
    used, _, ending = [codes.issue(CAVE, "register", RELAY_KEY, valid_minutes=m) for m in (60, 60, 1)]
    assert codes.count_open(CAVE) == 3
    codes.mark_used(used.code.secret, b"d" * 16)
    clock.set_ms(ending.expires_ms)
    assert codes.count_open(CAVE) == 1


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_customer_counts_as_one_address(address, bucket):
    assert address_bucket(address) == bucket
