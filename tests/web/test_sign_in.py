"""Who gets into the back office, and who does not."""

import csv
import io
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from crdtsync.errors import InvalidName, TooManyAttempts
from crdtsync.runtime.clock import SystemClock, system_random
from crdtsync.storage.database import Database
from crdtsync.testing.clock import ManualClock, seeded_bytes
from crdtsync_server.dashboard import accounts as accounts_module
from crdtsync_server.dashboard.accounts import (
    LINK_VALID_MS,
    Accounts,
    hash_password,
    is_password,
    nobodys_hash,
)
from crdtsync_server.dashboard.database import APPLICATION_ID, MIGRATIONS, OfficeDatabase
from crdtsync_server.dashboard.reception import Books
from crdtsync_server.dashboard.sessions import (
    ATTEMPTS_PER_ADDRESS_MAX,
    ATTEMPTS_PER_NAME_MAX,
    ATTEMPTS_WINDOW_MS,
    IDLE_MS,
    LIFE_MS,
    MARKS_MAX,
    SESSIONS_MAX,
)
from crdtsync_server.folder import DataFolder
from tests.web.conftest import PASSWORD

SHOP, OTHER = b"s" * 16, b"o" * 16


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def books(tmp_path, clock):
    books = Books(DataFolder.create(tmp_path / "relay"), clock, seeded_bytes(3))
    yield books
    books.close()


def let_in(books, name="Marie", role="owner", shop=SHOP):
    account, token = books.accounts.create(shop, name, role)
    books.accounts.use_link(token, "a hash")
    return books.accounts.get(account.id)


# -- accounts and links ------------------------------------------------


def test_a_link_works_once(books):
    _, token = books.accounts.create(SHOP, "Marie", "owner")
    assert books.accounts.use_link(token, "first").name == "Marie"
    assert books.accounts.use_link(token, "second") is None
    assert books.accounts.hash_of(SHOP, "marie")[1] == "first"


def test_a_link_ends_after_three_days(books, clock):
    _, token = books.accounts.create(SHOP, "Marie", "owner")
    clock.pass_ms(LINK_VALID_MS)
    assert books.accounts.of_link(token) is None


def test_another_link_ends_the_one_before(books):
    account, first = books.accounts.create(SHOP, "Marie", "owner")
    second = books.accounts.new_link(account)
    assert books.accounts.of_link(first) is None
    assert books.accounts.of_link(second) is not None


def test_a_new_password_signs_out_everywhere(books):
    account = let_in(books)
    cookie, _ = books.sessions.begin(account, address="::1", agent="")
    books.accounts.use_link(books.accounts.new_link(account), "another")
    assert books.sessions.find(cookie) is None


def test_neither_password_nor_link_nor_cookie_lies_on_disk(books, tmp_path):
    account, token = books.accounts.create(SHOP, "Marie", "owner")
    books.accounts.use_link(token, hash_password(PASSWORD))
    cookie, _ = books.sessions.begin(account, address="::1", agent="")
    written = b"".join(path.read_bytes() for path in (tmp_path / "relay").glob("office.sqlite*"))
    assert b"Marie" in written
    assert [secret for secret in (PASSWORD, token, cookie) if secret.encode() in written] == []


def test_a_name_is_one_person_of_its_shop_and_another_shop_is_told_nothing(books):
    marie, elsewhere = let_in(books), let_in(books, shop=OTHER)
    assert marie.id != elsewhere.id
    for shop, account in ((SHOP, marie), (OTHER, elsewhere)):
        assert books.accounts.hash_of(shop, "marie")[0] == account
        with pytest.raises(InvalidName, match="in this shop"):
            books.accounts.create(shop, "MARIE ", "owner")
    books.accounts.end(marie.id)
    assert books.accounts.hash_of(SHOP, "Marie")[0] is None
    assert books.accounts.hash_of(OTHER, "Marie")[0] == elsewhere
    assert books.accounts.hash_of(None, "Marie") == (None, nobodys_hash())


def test_people_of_before_are_there_when_names_become_those_of_a_shop(tmp_path):
    path = tmp_path / "office.sqlite"
    with closing(
        Database(
            str(path),
            read_only=False,
            create=True,
            busy_timeout_s=5.0,
            application_id=APPLICATION_ID,
            migrations=MIGRATIONS[:2],
        )
    ) as before:
        row = (b"m" * 16, SHOP, "Marie", "marie", "owner", "a hash", "fr", 1, None)
        with before.whole_transaction():
            before.write("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    with closing(OfficeDatabase(path)) as now:
        assert now.rows("SELECT * FROM account") == [row]
        accounts = Accounts(now, clock=ManualClock(), random=seeded_bytes(4))
        assert accounts.hash_of(SHOP, "Marie")[1] == "a hash"
        assert accounts.create(OTHER, "Marie", "owner")[0].shop == OTHER
        with pytest.raises(InvalidName):
            accounts.create(SHOP, "marie", "staff")


@pytest.mark.parametrize("name", ["", "  ", "a" * 65, "two\x00lines", "\u202eeiraM"])
def test_a_name_that_cannot_be_is_refused(books, name):
    with pytest.raises(InvalidName):
        books.accounts.create(SHOP, name, "owner")


def test_whoever_is_let_in_no_more_is_signed_out_and_their_name_is_free(books):
    account = let_in(books)
    cookie, _ = books.sessions.begin(account, address="::1", agent="")
    books.accounts.end(account.id)
    assert books.sessions.find(cookie) is None
    assert books.accounts.hash_of(SHOP, "Marie")[0] is None
    assert let_in(books).id != account.id


def test_passwords_are_kept_as_argon2id():
    assert hash_password(PASSWORD).startswith("$argon2id$")
    assert is_password(PASSWORD, hash_password(PASSWORD))
    assert not is_password(PASSWORD, nobodys_hash())
    assert not is_password(PASSWORD, "no hash at all")


# -- sessions ------------------------------------------------


def test_a_session_ends_without_visits_and_after_a_month_with_them(books, clock):
    cookie, _ = books.sessions.begin(let_in(books), address="::1", agent="")
    clock.pass_ms(IDLE_MS)
    assert books.sessions.find(cookie) is not None
    for _ in range(LIFE_MS // IDLE_MS):
        clock.pass_ms(IDLE_MS - 1)
        books.sessions.find(cookie)
    clock.pass_ms(IDLE_MS - 1)
    assert books.sessions.find(cookie) is None


def test_a_session_without_a_visit_for_a_week_is_over(books, clock):
    cookie, _ = books.sessions.begin(let_in(books), address="::1", agent="")
    clock.pass_ms(IDLE_MS + 1)
    assert books.sessions.find(cookie) is None


def test_one_person_has_so_many_sessions_and_the_oldest_goes(books, clock):
    account = let_in(books)
    cookies = []
    for _ in range(SESSIONS_MAX + 1):
        cookies.append(books.sessions.begin(account, address="::1", agent="")[0])
        clock.pass_ms(1)
    assert books.sessions.find(cookies[0]) is None
    assert books.sessions.find(cookies[1]) is not None


def test_a_session_of_another_person_is_not_ended(books):
    marie, paul = let_in(books), let_in(books, "Paul")
    _, session = books.sessions.begin(marie, address="::1", agent="")
    assert not books.sessions.end(session.id, paul.id)
    assert books.sessions.end(session.id, marie.id)


# -- how often somebody may try ------------------------------------------------


def test_a_name_is_tried_so_often_and_not_more(books, clock):
    for number in range(ATTEMPTS_PER_NAME_MAX):
        books.sessions.refuse_too_many("Marie", f"198.51.100.{number}")
        books.sessions.note_attempt("Marie", f"198.51.100.{number}")
    with pytest.raises(TooManyAttempts) as refused:
        books.sessions.refuse_too_many("mArIe", "203.0.113.9")
    assert 0 < refused.value.retry_after_s <= ATTEMPTS_WINDOW_MS // 1000
    books.sessions.refuse_too_many("Paul", "203.0.113.9")
    clock.pass_ms(ATTEMPTS_WINDOW_MS)
    books.sessions.refuse_too_many("Marie", "203.0.113.9")


def test_what_was_tried_while_the_clock_was_a_year_ahead_keeps_nobody_out(books, clock):
    clock.pass_ms(365 * 86_400_000)
    for _ in range(ATTEMPTS_PER_NAME_MAX):
        books.sessions.note_attempt("Marie", "198.51.100.1")
    with pytest.raises(TooManyAttempts):
        books.sessions.refuse_too_many("Marie", "203.0.113.9")
    clock.pass_ms(-365 * 86_400_000)
    books.sessions.refuse_too_many("Marie", "203.0.113.9")


def test_an_address_tries_so_many_names_and_not_more(books):
    for number in range(ATTEMPTS_PER_ADDRESS_MAX):
        books.sessions.note_attempt(f"name {number}", "2001:db8::1")
    with pytest.raises(TooManyAttempts):
        books.sessions.refuse_too_many("Marie", "2001:db8::2")
    books.sessions.refuse_too_many("Marie", "2001:db8:0:1::1")


def test_a_browser_that_is_known_has_attempts_of_its_own(books, clock):
    marie, paul = let_in(books), let_in(books, "Paul")
    marks = books.sessions.marks_with("", marie)
    browser = books.sessions.known_browser(marks, marie)
    assert browser
    for stranger in (paul, None):
        assert books.sessions.known_browser(marks, stranger) == ""
    for _ in range(ATTEMPTS_PER_ADDRESS_MAX):
        books.sessions.note_attempt("Marie", "203.0.113.9")
    with pytest.raises(TooManyAttempts):
        books.sessions.refuse_too_many("Marie", "203.0.113.9")
    for _ in range(ATTEMPTS_PER_NAME_MAX):
        books.sessions.refuse_too_many("Marie", "203.0.113.9", browser=browser)
        books.sessions.note_attempt("Marie", "203.0.113.9", browser=browser)
    with pytest.raises(TooManyAttempts):
        books.sessions.refuse_too_many("Marie", "198.51.100.7", browser=browser)
    books.sessions.refuse_too_many("Paul", "198.51.100.7")
    books.sessions.forget_attempts("Marie", browser=browser)
    books.sessions.refuse_too_many("Marie", "203.0.113.9", browser=browser)
    with pytest.raises(TooManyAttempts):  # What strangers tried counts on.
        books.sessions.refuse_too_many("Marie", "198.51.100.7")


def test_a_browser_is_known_no_more_once_the_password_is_another(books):
    """Or whoever knew the old one would bring as many marks as he took along, each with ten attempts."""
    marie, paul = let_in(books), let_in(books, "Paul")
    marks = books.sessions.marks_with(books.sessions.marks_with("", paul), marie)
    assert books.sessions.known_browser(marks, marie)
    books.accounts.use_link(books.accounts.new_link(marie), "the hash of another password")
    assert books.sessions.known_browser(marks, marie) == ""
    assert books.sessions.known_browser(marks, paul)
    assert books.sessions.known_browser(books.sessions.marks_with(marks, marie), marie)


def test_the_attempts_of_a_known_browser_lock_nobody_elsewhere(books):
    for _ in range(100):
        books.sessions.note_attempt("Marie", "203.0.113.9", browser="a browser")
    books.sessions.refuse_too_many("Marie", "203.0.113.9")


def test_a_mark_is_made_by_nobody_else_and_a_browser_keeps_those_of_several_people(books):
    people = [let_in(books, f"person {number}") for number in range(MARKS_MAX + 2)]
    marks = ""
    for account in people:
        marks = books.sessions.marks_with(marks, account)
    assert [bool(books.sessions.known_browser(marks, one)) for one in people] == [False] * 2 + [
        True
    ] * MARKS_MAX
    first = books.sessions.known_browser(marks, people[-1])
    again = books.sessions.marks_with(marks, people[-1])
    assert books.sessions.known_browser(again, people[-1]) not in ("", first)
    assert again.count("~") == MARKS_MAX - 1
    nonce, _, seal = again.split("~")[0].partition(".")
    for forged in (
        "~",
        ".",
        "x",
        "\udc80.\udc80",
        f"{nonce}.",
        f".{seal}",
        f"{nonce}.{seal[:-1]}0" if seal[-1] != "0" else f"{nonce}.{seal[:-1]}1",
        f"{nonce[:-1]}.{seal}",
        "x~" * 100_000 + again,
    ):
        assert books.sessions.known_browser(forged, people[-1]) == "", forged[:80]


# -- in a browser without a screen ------------------------------------------------


def test_the_first_owner_comes_in_by_a_link_and_back_by_a_password(make_shop):
    shop = make_shop()
    _, token = shop.books.accounts.create(shop.id, "Marie", "owner")
    visitor = shop.visitor()
    assert visitor.get("/").headers["location"] == "/today"
    assert visitor.get("/today").headers["location"] == "/sign-in"
    assert "Welcome, Marie" in visitor.page(f"/welcome/{token}")
    for wrong in ({"password": "short", "again": "short"}, {"password": PASSWORD, "again": "another one"}):
        assert visitor.post(f"/welcome/{token}", **wrong).status_code == 422
    assert (
        visitor.post(f"/welcome/{token}", password=PASSWORD, again=PASSWORD).headers["location"] == "/today"
    )
    assert visitor.get(f"/welcome/{token}").status_code == 404
    assert visitor.post("/sign-out", on="/people").headers["location"] == "/sign-in"
    assert visitor.get("/today").status_code == 303
    assert visitor.sign_in("marie").status_code == 303
    assert "Today" in visitor.page("/today")


def test_wrong_names_and_wrong_passwords_are_answered_alike(shop):
    visitor = shop.visitor()
    answers = [visitor.sign_in("Marie", "a wrong password"), visitor.sign_in("Nobody", "a wrong password")]
    assert [answer.status_code for answer in answers] == [401, 401]
    texts = [re.sub(r'value="[^"]*"', "", answer.text) for answer in answers]
    assert texts[0] == texts[1]


def test_a_password_is_looked_at_also_where_there_is_no_such_person(shop, monkeypatch):
    looked = []
    monkeypatch.setattr(
        "crdtsync_server.dashboard.reception.is_password", lambda *what: bool(looked.append(what))
    )
    shop.visitor().sign_in("Nobody at all", "a wrong password")
    assert looked == [("a wrong password", accounts_module.nobodys_hash())]


@pytest.mark.parametrize("is_let_in_no_more", [False, True])
def test_whoever_had_the_old_password_is_not_let_in_by_trying_while_it_is_changed(
    make_shop, monkeypatch, is_let_in_no_more
):
    """A password is looked at for a moment, in which others wait: what was decided meanwhile counts."""
    shop = make_shop()
    shop.person("Marie")

    def changed_meanwhile(password, password_hash):
        books = Books(shop.data, SystemClock(), system_random)
        account = books.accounts.find(shop.id, "Marie")
        if is_let_in_no_more:
            books.accounts.end(account.id)
        else:
            books.accounts.use_link(books.accounts.new_link(account), hash_password("a password of today"))
        books.close()
        return is_password(password, password_hash)

    monkeypatch.setattr("crdtsync_server.dashboard.reception.is_password", changed_meanwhile)
    visitor = shop.visitor()
    assert visitor.sign_in("Marie", PASSWORD).status_code == 401
    assert visitor.get("/today").status_code == 303


def test_a_hundred_tries_at_once_are_not_more_than_ten(make_shop):
    shop = make_shop()
    shop.person("Marie")
    visitor = shop.visitor()
    token = visitor.token("/sign-in")

    def guess(number):
        fields = {"token": token, "name": "Marie", "password": f"guess number {number}"}
        return visitor.http.post("/sign-in", data=fields).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(guess, range(20)))
    assert codes.count(401) == ATTEMPTS_PER_NAME_MAX
    assert codes.count(429) == 20 - ATTEMPTS_PER_NAME_MAX
    refused = visitor.sign_in("Marie")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_nobody_locks_a_person_out_of_the_browser_in_which_they_were_before(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.person("Eve", "staff")
    known, stranger, eve = shop.visitor("Marie"), shop.visitor(), shop.visitor("Eve")
    known.post("/sign-out", on="/people")
    eve.post("/sign-out", on="/people")
    for _ in range(ATTEMPTS_PER_NAME_MAX):
        assert stranger.sign_in("Marie", "a wrong password").status_code == 401
    for other in (stranger, eve):  # Eve's browser is known as hers alone.
        assert other.sign_in("Marie").status_code == 429
    assert known.sign_in("Marie", "a slip of the hand").status_code == 401
    assert known.sign_in("Marie").status_code == 303
    known.post("/sign-out", on="/people")
    for _ in range(ATTEMPTS_PER_NAME_MAX):
        assert known.sign_in("Marie", "a wrong password").status_code == 401
    assert known.sign_in("Marie").status_code == 429
    link = shop.books.accounts.new_link(shop.books.accounts.find(shop.id, "Marie"))
    answer = stranger.post(f"/welcome/{link}", password=PASSWORD, again=PASSWORD)
    assert answer.status_code == 303, "whoever runs the relay lets her in all the same"


def test_of_several_shops_a_person_says_which_and_learns_of_no_other(make_shop):
    shop = make_shop()
    shop.person("Marie")
    visitor = shop.visitor("Marie")
    assert 'name="shop"' not in shop.visitor().page("/sign-in")
    other = shop.access.create_shop(shop.store, "Cave d'en face")
    _, token = shop.books.accounts.create(other.id, "Marie", "owner")
    elsewhere = shop.visitor()
    there = "une autre phrase"
    assert elsewhere.post(f"/welcome/{token}", password=there, again=there).status_code == 303
    visitor.post("/sign-out", on="/people")
    page = visitor.page("/sign-in")
    assert 'name="shop" value="Cave du Port"' in page, "this browser was there before"
    stranger = shop.visitor()
    page = stranger.page("/sign-in")
    assert 'name="shop" value=""' in page
    assert "Cave" not in page.replace("crdtsync", "")
    answers = [
        stranger.sign_in("Marie", there),
        stranger.sign_in("Marie", PASSWORD, shop="Cave d'en face"),
        stranger.sign_in("Marie", PASSWORD, shop=""),
        stranger.sign_in("Marie", PASSWORD, shop="Cave de nulle part"),
        stranger.sign_in("Nobody", PASSWORD),
    ]
    assert [answer.status_code for answer in answers] == [401] * 5
    texts = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(texts) == 1
    assert "Shop, name or password is not right." in texts.pop()
    assert stranger.sign_in("marie", there, shop="CAVE D'EN FACE ").status_code == 303
    assert "Cave du Port" not in stranger.page("/people")
    visitor.sign_in("Marie")
    shop.books.accounts.create(other.id, "Odile", "staff")  # Whom this shop learns nothing of.
    answer = visitor.post("/people/new", on="/people", name="Odile", role="staff")
    assert answer.status_code == 200
    assert "/welcome/" in answer.text
    refused = visitor.post("/people/new", on="/people", name="MARIE", role="staff")
    assert "is taken in this shop" in refused.text


def test_wrong_attempts_at_one_shop_lock_no_name_of_another(make_shop):
    shop = make_shop()
    shop.person("Marie")
    other = shop.access.create_shop(shop.store, "Cave d'en face")
    shop.person("Odile", shop=other.id)
    visitor = shop.visitor()
    for place in ("Cave d'en face", "nowhere"):
        for _ in range(ATTEMPTS_PER_NAME_MAX):
            assert visitor.sign_in("Marie", shop=place).status_code == 401
        assert visitor.sign_in("Marie", shop=place).status_code == 429
    assert visitor.sign_in("Marie").status_code == 303


def test_the_count_of_attempts_does_not_tell_which_shops_there_are(make_shop):
    """Two spellings of which one means a shop and the other none, or neither: each counts as it is meant."""
    shop = make_shop()
    shop.person("Marie")
    shop.person("Odile", shop=shop.access.create_shop(shop.store, "Cave d'en face").id)
    visitor = shop.visitor()
    for place in ("Cave du Port", "Cave du Nord"):
        for _ in range(ATTEMPTS_PER_NAME_MAX):
            assert visitor.sign_in("x", "y", shop=place.replace(" ", "  ", 1)).status_code == 401
        assert visitor.sign_in("x", "y", shop=place).status_code == 401, place


def test_a_browser_remembers_which_of_two_shops_of_one_name_it_was_in(make_shop):
    shop = make_shop()
    shop.person("Marie")
    with shop.access._database.whole_transaction():  # As when the other was moved here from its own relay.
        shop.access._database.write("DELETE FROM shop WHERE id = ?", (shop.id,))
    other = shop.access.create_shop(shop.store, "Cave du Port")
    shop.access.index_shops(shop.store)
    shop.person("Odile", shop=other.id)
    visitor = shop.visitor()
    assert visitor.sign_in("Marie", shop="Cave du Port").status_code == 401
    assert visitor.sign_in("Marie", shop=shop.id.hex()).status_code == 303
    assert f'name="shop" value="{shop.id.hex()}"' in _after_sign_out(visitor)
    assert 'name="shop" value="Cave du Port"' in _after_sign_out(shop.visitor("Odile"))


def _after_sign_out(visitor):
    visitor.post("/sign-out", on="/people")
    return visitor.page("/sign-in")


def test_a_session_that_was_planted_is_not_the_one_that_signs_in(shop):
    visitor = shop.visitor()
    visitor.http.cookies.set("crdtsync_session", "planted by somebody else", domain="127.0.0.1")
    assert visitor.sign_in("Paul").status_code == 303
    mine = visitor.http.cookies["crdtsync_session"]
    assert mine != "planted by somebody else"
    thief = shop.visitor()
    thief.http.cookies.set("crdtsync_session", "planted by somebody else")
    assert thief.get("/today").status_code == 303


def test_every_sign_in_is_another_session(shop):
    visitor = shop.visitor("Paul")
    first = visitor.http.cookies["crdtsync_session"]
    again = shop.visitor()
    again.http.cookies.set("crdtsync_session", first)
    assert again.get("/sign-in").headers["location"] == "/today"
    again.http.cookies.clear()
    again.sign_in("Paul")
    assert again.http.cookies["crdtsync_session"] != first


def test_cookies_are_for_no_script_and_no_other_site(shop):
    answer = shop.visitor().sign_in("Paul")
    cookie = next(one for one in answer.headers.get_list("set-cookie") if "crdtsync_session=" in one)
    said = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= said
    assert "secure" not in said  # On the loopback address, without TLS.


def test_behind_a_proxy_with_tls_cookies_are_for_tls_alone(shop):
    secure = shop.web.replace("http:", "https:")
    visitor = shop.visitor(**{"x-forwarded-proto": "https"})
    visitor.http.headers["origin"] = secure
    page = visitor.get("/sign-in")
    form_cookie = page.headers["set-cookie"]
    assert form_cookie.startswith("__Host-crdtsync_form=")
    assert "secure" in form_cookie.lower()


def test_sessions_are_listed_and_ended(make_shop):
    shop = make_shop()
    shop.person("Marie")
    here, elsewhere = shop.visitor("Marie"), shop.visitor("Marie", **{"user-agent": "an old telephone"})
    page = here.page("/people")
    assert "an old telephone" in page
    item = page.split("an old telephone")[1]
    path = re.search(r'action="(/people/sessions/[0-9a-f]+/end)"', item)[1]
    assert here.post(path, on="/people").status_code == 303
    assert elsewhere.get("/today").status_code == 303
    assert here.get("/today").status_code == 200


def test_the_list_of_people_is_a_file_too_and_staff_sees_itself_alone(make_shop):
    shop = make_shop()
    shop.person("Marie")
    shop.person("=Paul", "staff")

    def listed(visitor):
        rows = csv.DictReader(io.StringIO(visitor.page("/people/export.csv").lstrip("\ufeff")), delimiter=";")
        return {(row["person"], row["may"], row["signed in"]) for row in rows}

    marie, paul = shop.visitor("Marie"), shop.visitor("=Paul")
    assert listed(marie) == {("'=Paul", "staff", "yes"), ("Marie", "owner", "yes")}
    assert listed(paul) == {("'=Paul", "staff", "yes")}


def test_an_owner_lets_somebody_in_and_out_again(make_shop):
    shop = make_shop()
    shop.person("Marie")
    marie = shop.visitor("Marie")
    page = marie.post("/people/new", on="/people", name="Paul", role="staff").text
    link = re.search(r'id="link">([^<]+)<', page)[1]
    paul = shop.visitor()
    path = link.removeprefix(shop.web)
    assert paul.post(path, password=PASSWORD, again=PASSWORD).status_code == 303
    assert paul.get("/today").status_code == 200
    account = shop.books.accounts.find(shop.id, "Paul")
    assert marie.post(f"/people/{account.id.hex()}/end", on="/people").status_code == 303
    assert paul.get("/today").status_code == 303
    assert shop.visitor().sign_in("Paul").status_code == 401


def test_the_last_owner_cannot_be_let_in_no_more(make_shop):
    shop = make_shop()
    shop.person("Marie")
    marie = shop.visitor("Marie")
    account = shop.books.accounts.find(shop.id, "Marie")
    assert marie.post(f"/people/{account.id.hex()}/end", on="/people").status_code == 422
    assert marie.get("/today").status_code == 200


def test_the_language_is_the_browsers_until_one_is_chosen(shop):
    assert "Se connecter" in shop.visitor(language="fr-CA,fr;q=0.9").page("/sign-in")
    assert "Sign in" in shop.visitor(language="en").page("/sign-in")
    visitor = shop.visitor("Paul", language="en")
    answer = visitor.post("/language", on="/people", language="fr", back="/registers")
    assert answer.headers["location"] == "/registers"
    assert "Caisses" in visitor.page("/registers")
    assert visitor.post("/language", on="/people", language="en", back="/people").status_code == 303
