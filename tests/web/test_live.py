"""Pages that move by themselves: painted once for all who look, told in order, ended where they cannot be."""

import itertools
from contextlib import nullcontext

import pytest

from crdtsync.errors import DamagedStore
from crdtsync_server.dashboard.live import PAGES_PER_SHOP_MAX, Live


class Counted:
    """An office's shop of which only the name is asked, and that counts how often a room is painted."""

    def __init__(self, shop):
        self.log = type("Log", (), {"shop": shop})
        self.painted = 0

    def at_one_look(self):
        return nullcontext()


@pytest.mark.parametrize("pages", [1, 50])
async def test_a_change_is_computed_once_however_many_pages_are_open(pages):
    import asyncio

    shop = Counted(b"s" * 16)

    def paint(office, language):
        office.painted += 1
        return f"{language} {office.painted}"

    live = Live({"today": paint})
    listeners = [live.join(b"s" * 16, "today", "fr", f"session {number}") for number in range(pages)]
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert shop.painted == 1
    assert {(listener.newest.number, listener.newest.html) for listener in listeners} == {(1, "fr 1")}
    other = live.join(b"o" * 16, "today", "fr", "another shop")
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert other.newest is None
    for listener in listeners:
        live.leave(listener)
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    assert shop.painted == 2


@pytest.mark.parametrize("pages", [1, 50])
async def test_pages_that_open_at_once_cost_one_painting_and_are_told_what_came_since(pages):
    import asyncio

    now_s = 0.0
    shop = Counted(b"s" * 16)

    def paint(office, language):
        office.painted += 1
        return f"sales {office.painted}"

    live = Live({"today": paint}, now_s=lambda: now_s)
    joined = []
    for number in range(pages):
        joined.append(live.join(shop.log.shop, "today", "fr", f"session {number}"))
        assert live.first(shop, "today", "fr").html == "sales 1"
    await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert {listener.newest.html for listener in joined} == {"sales 2"}
    now_s = 10.0
    live.join(shop.log.shop, "today", "fr", "later")
    assert live.first(shop, "today", "fr").html == "sales 3"
    await asyncio.sleep(0)
    assert {listener.newest.html for listener in joined} == {"sales 3"}


async def test_a_page_that_opens_after_nobody_looked_is_painted_anew():
    shop = Counted(b"s" * 16)
    texts = iter(["before the sale", "after the sale"])
    live = Live({"today": lambda office, language: next(texts)}, now_s=lambda: 0.0)
    listener = live.join(shop.log.shop, "today", "fr", "one")
    assert live.first(shop, "today", "fr").html == "before the sale"
    live.leave(listener)
    live.tell(shop, by_commit=True)
    live.join(shop.log.shop, "today", "fr", "one")
    assert live.first(shop, "today", "fr").html == "after the sale"


async def test_a_session_that_ended_is_told_nothing_more_also_while_sales_pour_in():
    import itertools

    now_s, is_welcome = 0.0, True
    shop = Counted(b"s" * 16)
    numbers = itertools.count()
    live = Live({"today": lambda office, language: f"sales {next(numbers)}"}, now_s=lambda: now_s)
    listener = live.join(shop.log.shop, "today", "fr", "one")

    async def asked():
        return is_welcome

    stream = live.events(listener, live.first(shop, "today", "fr"), asked)
    assert b"sales 0" in await anext(stream)
    is_welcome = False
    told = 0
    while told < 100:
        now_s += 5.0
        listener.newest = live.paint(shop, "today", "fr")
        listener.news.set()
        if await anext(stream, None) is None:
            break
        told += 1
    assert told <= 2


async def test_whoever_is_signed_out_is_told_nothing_more_however_early_it_is():
    """No time passes here: nobody waits for a heartbeat."""
    numbers, ended, asked = itertools.count(), set(), []
    live = Live({"today": lambda office, language: f"sales {next(numbers)}"}, now_s=lambda: 0.0)

    def stream(shop, session):
        async def is_welcome():
            asked.append(session)
            return session not in ended

        listener = live.join(shop, "today", "fr", session)
        return listener, live.events(listener, live.first(Counted(shop), "today", "fr"), is_welcome)

    open_pages = [stream(b"s" * 16, "out"), stream(b"s" * 16, "stays"), stream(b"o" * 16, "elsewhere")]
    for _, told in open_pages:
        assert b"sales" in await anext(told)
    asked.clear()
    ended.add("out")
    live.look_at_the_door(b"s" * 16)
    for listener, _ in open_pages:
        listener.newest = live.paint(Counted(listener.shop), "today", "fr")
        listener.news.set()
    (_, out), (_, stays), (_, elsewhere) = open_pages
    assert await anext(out, None) is None
    assert await anext(stays) == b": \n\n"
    assert b"sales" in await anext(stays)
    assert b"sales" in await anext(elsewhere)
    assert asked == ["out", "stays"]


async def test_whoever_is_signed_out_while_it_is_asked_is_asked_about_again():
    live = Live({"today": lambda office, language: "sales"}, now_s=lambda: 0.0)
    answers = iter([True, False])

    async def is_welcome():
        answer = next(answers)
        if answer:
            live.look_at_the_door(b"s" * 16)
        return answer

    listener = live.join(b"s" * 16, "today", "fr", "one")
    stream = live.events(listener, live.first(Counted(b"s" * 16), "today", "fr"), is_welcome)
    assert await anext(stream, None) is None
    assert next(answers, None) is None


async def test_whoever_is_signed_out_while_a_heartbeat_is_on_its_way_is_told_nothing_after_it():
    numbers, answers = itertools.count(), iter([True, True, False])
    live = Live({"today": lambda office, language: f"sales {next(numbers)}"}, now_s=lambda: 0.0)

    async def is_welcome():
        return next(answers)

    listener = live.join(b"s" * 16, "today", "fr", "one")
    stream = live.events(listener, live.first(Counted(b"s" * 16), "today", "fr"), is_welcome)
    assert b"sales" in await anext(stream)
    live.look_at_the_door(b"s" * 16)
    assert await anext(stream) == b": \n\n"
    live.look_at_the_door(b"s" * 16)
    listener.newest = live.paint(Counted(b"s" * 16), "today", "fr")
    assert await anext(stream, None) is None


async def test_a_slow_page_misses_states_and_keeps_the_newest():
    import asyncio

    shop = Counted(b"s" * 16)
    live = Live({"today": lambda office, language: "\n".join(["a"] * next(numbers))})
    numbers = iter(range(1, 10))
    listener = live.join(shop.log.shop, "today", "en", "one")
    for _ in range(5):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
        await asyncio.sleep(0)
    assert (listener.newest.number, listener.newest.html) == (5, "a\na\na\na\na")


async def test_a_room_with_a_page_for_each_thing_tells_each_page_of_its_own():
    import asyncio

    shop = Counted(b"s" * 16)
    live = Live(
        {"register": lambda office, language, about: f"{about} in {language}"},
        moves_alone=frozenset({"register"}),
    )
    one = live.join(shop.log.shop, "register/0a/owner", "fr", "one")
    other = live.join(shop.log.shop, "register/0b/staff", "en", "two")
    await asyncio.to_thread(live.tell, shop, by_commit=False)
    await asyncio.sleep(0)
    assert (one.newest.html, other.newest.html) == ("0a/owner in fr", "0b/staff in en")
    assert one.newest.event.startswith(b"event: register\n")


@pytest.mark.parametrize("mistake", [ZeroDivisionError, DamagedStore])
async def test_a_page_that_cannot_be_painted_keeps_no_other_from_its_news(mistake):
    import asyncio

    shop = Counted(b"s" * 16)

    def paint(office, language, about):
        if about == "bad":
            raise mistake("it cannot be shown")
        return about

    live = Live({"register": paint}, moves_alone=frozenset({"register"}))
    pages = {str(number): f"register/{number}" for number in range(20)}
    joined = {about: live.join(shop.log.shop, room, "en", about) for about, room in pages.items()}
    live.join(shop.log.shop, "register/bad", "en", "bad")
    with nullcontext() if mistake is ZeroDivisionError else pytest.raises(DamagedStore):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
    await asyncio.sleep(0)
    assert {about: one.newest and one.newest.html for about, one in joined.items()} == {
        about: about for about in pages
    }


async def test_a_page_that_cannot_be_painted_any_more_is_not_left_with_what_was_so():
    """Its stream ends: the page says that its figures do not move, and asks again."""
    import asyncio

    shop, texts = Counted(b"s" * 16), iter(["everything is here"])

    def paint(office, language):
        found = next(texts, None)
        if found is None:
            raise DamagedStore("the disk is gone")
        return found

    async def is_welcome():
        return True

    live = Live({"today": paint, "alerts": lambda office, language: "all is well"})
    listener = live.join(shop.log.shop, "today", "en", "one")
    other = live.join(shop.log.shop, "alerts", "en", "two")
    first = live.first(shop, "today", "en")
    stream = live.events(listener, first, is_welcome)
    assert b"everything is here" in await anext(stream)
    with pytest.raises(DamagedStore):
        await asyncio.to_thread(live.tell, shop, by_commit=True)
    async with asyncio.timeout(10):
        assert [said async for said in stream] == []
    assert live._listeners == {other}
    assert not other.is_over
    with pytest.raises(DamagedStore):
        live.first(shop, "today", "en")


async def test_one_shop_leaves_room_for_the_pages_of_others():
    live = Live({})
    assert all(live.join(b"s", "today", "en", str(number)) for number in range(PAGES_PER_SHOP_MAX))
    assert live.join(b"s", "today", "en", "one more") is None
    assert live.join(b"o", "today", "en", "another shop") is not None


async def test_no_more_pages_than_there_is_room_for():
    live = Live({})
    assert all(live.join(b"s", "today", "en", "one") for _ in range(8))
    assert live.join(b"s", "today", "en", "one") is None
    assert live.join(b"s", "today", "en", "two") is not None
    live.close()
    assert live.join(b"s", "today", "en", "three") is None


async def test_a_state_that_was_painted_before_the_first_one_is_not_shown_after_it():
    shop = Counted(b"s" * 16)
    live = Live({"today": lambda office, language: next(texts)})
    texts = iter(["old", "first", "new"])
    listener = live.join(shop.log.shop, "today", "en", "one")
    old, first = live.paint(shop, "today", "en"), live.paint(shop, "today", "en")
    listener.newest = old
    listener.news.set()

    async def is_welcome():
        return True

    stream = live.events(listener, first, is_welcome)
    assert b"first" in await anext(stream)
    listener.newest = live.paint(shop, "today", "en")
    assert b"new" in await anext(stream)
    live.close()
    assert [event async for event in stream] == []
