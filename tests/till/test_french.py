"""A French till is French: no sentence of a page is left in English, in whatever state the till is."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from crdtsync import errors
from crdtsync.model.flags import FLAGS
from crdtsync.runtime.belonging.copies import Copied, copied_says
from crdtsync.runtime.register.concerns import (
    FLAG_KINDS,
    REASONS,
    apart_concerns,
    clock_concerns,
    flag_said,
    refused_concerns,
    stopped_concerns,
    unmended_concerns,
)
from crdtsync.runtime.syncing.link_trouble import LinkTrouble
from crdtsync.said import Said
from crdtsync.storage.log import Refusal
from crdtsync.storage.view_queries import FlagRow
from crdtsync.testing.clock import DAY_MS, ManualClock
from crdtsync.till.safety import Safety
from crdtsync.till.words import words_in
from tests.till.conftest import plain

ENGLISH = re.compile(
    r"\b(?:the|and|is|are|was|were|not|this|that|with|from|of|for|it|its|to|has|have|who|what|yet|you|your"
    r"|been|behind|ahead|days|hours|register|relay|office|records?|entries|drawer|nothing|until)\b",
    re.IGNORECASE,
)
FRENCH, OURS = words_in("fr"), words_in("en")


class Seen(HTMLParser):
    """What somebody reads on a page, or hears: text and names; but for what says itself to be English."""

    def __init__(self):
        super().__init__()
        self.texts, self._english, self._hidden = [], 0, 0

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        if tag in ("script", "style"):
            self._hidden += 1
        if self._english or facts.get("lang") == "en":
            self._english += tag not in ("input", "br", "meta", "link", "hr")
            return
        self.texts += [facts[name] for name in ("aria-label", "placeholder", "title", "alt") if name in facts]

    def handle_endtag(self, tag):
        self._hidden -= tag in ("script", "style")
        self._english = max(0, self._english - 1)

    def handle_data(self, text):
        if not self._english and not self._hidden:
            self.texts.append(text)


def english_in(text):
    return ENGLISH.findall(text.replace("crdtsync", "").replace("`crdtsync till`", ""))


def english_on(page):
    seen = Seen()
    seen.feed(page)
    return [text.strip() for text in seen.texts if english_in(text)]


def test_what_is_english_is_found():
    assert english_on(
        '<p>Cette page</p><p aria-label="the page">x</p><b lang="en">the <i>end</i></b><p>is it</p>'
    ) == [
        "the page",
        "is it",
    ]


def test_every_page_of_a_french_till_is_french(shop, paper):
    clerk = shop.open_till(language="fr", printer=paper)
    pages = [clerk.page(path) for path in ("/", "/parked", "/tickets", "/day", "/sync")]
    pages.append(clerk.get("/nothing-there").text)
    for code in ("CM-19", "2*ROSE-22"):
        clerk.take(code)
    pages += [
        clerk.page("/"),
        clerk.page("/pay"),
        clerk.take("9999999999994").text,
        clerk.take("crozes").text,
    ]
    clerk.take("60*CM-19")
    pages.append(clerk.pay("cash", "1500").text)  # Much cash asks for a word first.
    assert "1\u202f000,00" in pages[-1]
    clerk.post("/line", item=clerk.item(), what="set", quantity="2", discount="zzz")
    for said in ("full", "amount", "quantity", "free", "not-parked", "parked", "unknown"):
        pages.append(clerk.page(f"/?said={said}"))
    shop.register().products.set("ROSE-22", price_minor=1000)
    pages.append(clerk.page("/basket"))
    address = clerk.pay("card").headers["location"]
    pages.append(clerk.page(address))
    where = address.partition("?")[0]
    for said in ("printed", "no-printer", "refund", "sent"):
        pages.append(clerk.page(f"{where}?said={said}"))
    pages.append(clerk.page(f"{where}/refund"))
    for said in ("opened", "moved", "amount", "open-already", "nothing", "training", "drawer", "no-drawer"):
        pages.append(clerk.page(f"/day?said={said}"))
    pages.append(clerk.page("/day/close?said=amount"))
    pages.append(clerk.page(clerk.post("/day/close", sum="10").headers["location"]))
    clerk.take("EAU")
    clerk.post("/park", name="Madame Roux")
    pages += [
        clerk.page("/parked"),
        clerk.page("/tickets"),
        clerk.page("/tickets?number=99"),
        clerk.page("/tickets?all=1"),
    ]
    clerk.post("/training", on="1")
    clerk.take("EAU")
    pages += [clerk.page("/"), clerk.page(clerk.pay("cash", "5").headers["location"])]
    for page in pages:
        assert 'lang="fr"' in page or 'class="basket-in"' in page
        assert english_on(page) == []


def concerns():
    """One of each that a status can say, in every variant."""
    refusals = [
        Refusal(3, b"x" * 32, code, "the relay's own words", held=False) for code in (*REASONS, "new-code")
    ]
    trouble = LinkTrouble("the relay said no", "", 0, True, "", "AccessDenied")
    row = FlagRow(b"", b"", 1, b"", "01-000001", "totals", "ttc: not what follows from the lines")
    yield from apart_concerns(5, 2)
    for refusal in refusals:
        yield from refused_concerns([refusal])
    for offset_ms in (3 * DAY_MS, -7_300_000, 200_000, -121_000):
        yield from clock_concerns(offset_ms)
    yield from unmended_concerns(["catalogue"])
    yield from stopped_concerns(trouble)
    for code in (*FLAG_KINDS, "of-a-later-version"):
        yield flag_said(row._replace(code=code))
        yield flag_said(row._replace(code=code, detail=None))


@pytest.mark.parametrize("concern", list(concerns()), ids=str)
def test_what_a_status_says_is_told_in_french(concern):
    assert isinstance(concern, Said)
    assert OURS.tell(concern) == concern
    if "synchronising has stopped" in concern:
        return  # What an error said in it is put by the till, see below.
    assert FRENCH.can_tell(concern)
    assert english_in(FRENCH.tell(concern)) == []


@pytest.mark.parametrize("text", ["2026-19-39", "2026-11-24", "%(count)s", "%"])
def test_a_name_or_a_relays_words_that_look_like_something_else_are_told_as_they_are(text):
    (concern,) = refused_concerns([Refusal(3, b"x" * 32, "new-code", text, held=False)])
    assert "le bureau n'a pas pris" in FRENCH.tell(concern)
    two = copied_says(text, Copied(b"d" * 16, b"c" * 32, 3, b"e" * 32, "02", 0, 3), is_own=False)
    assert text in FRENCH.tell(two.says)


def test_all_flags_have_a_kind():
    assert set(FLAGS) <= set(FLAG_KINDS)


@pytest.mark.parametrize("kind", [errors.AccessDenied, errors.UnsupportedVersion, errors.LinkClosed])
def test_why_synchronising_stopped_is_told_by_the_kind_of_error(shop, kind):
    trouble = LinkTrouble("the relay said no", "", 0, True, "", kind.__name__)
    (concern,) = stopped_concerns(trouble)
    status = replace(shop.register().status(), concerns=(concern,), link_trouble=trouble, relay_url="ws://x")
    safety = Safety.of(status, is_connected=False)
    for one in (*safety.concerns, safety.trouble):
        assert FRENCH.can_tell(one)
        assert english_in(FRENCH.tell(one)) == []
    assert safety.concerns == (concern,)


def test_a_flag_of_today_is_told_on_the_page_of_a_french_till(shop):
    clock = ManualClock()
    clerk = shop.open_till(language="fr", clock=clock)
    clerk.take("EAU")
    clerk.pay("card")
    clock.pass_ms(40 * DAY_MS)
    clerk.take("EAU")
    clerk.pay("card")
    page = clerk.page("/sync")
    assert english_on(page) == []
    assert "l'horloge et la journée sont à plus d'un jour d'écart" in plain(page)
    assert re.search(
        "the clock was [0-9]+ days (behind|ahead of) the business day", plain(page)
    )  # For whoever helps.
