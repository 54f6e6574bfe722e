"""Everything that a person reads is there in French and in English."""

import re

import pytest

from crdtsync.till.gather_words import SENTENCES as TILL
from crdtsync.web import sentences
from crdtsync.web.words import choose
from crdtsync_server.dashboard.gather_words import SENTENCES as OFFICE
from crdtsync_server.dashboard.words import words_in

PROGRAMS = {"office": OFFICE, "till": TILL}
PROGRAM = pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
TEMPLATES = [path for one in PROGRAMS.values() for path in sorted((one.folder / "templates").glob("*.html"))]
SAID_IN_BOTH = {"crdtsync", "cl", "s", "crdtsync join", "F2", "Z"}
"""What is the same in every language."""


@PROGRAM
def test_every_sentence_has_its_french_one(program):
    catalog = program.up_to_date()
    assert sentences.without_translation(catalog) == []
    assert len(catalog) > 100


@PROGRAM
def test_the_files_are_what_make_words_writes(program):
    """Else a sentence that was changed would be read in English."""
    catalog = program.up_to_date()
    assert program.po.read_bytes() == sentences.written(catalog)
    assert program.po.with_suffix(".mo").read_bytes() == sentences.compiled(catalog)


@PROGRAM
def test_no_translation_has_other_values_than_its_sentence(program):
    wrong = [
        message.id
        for message in program.french()
        for said in ([message.string] if isinstance(message.string, str) else message.string)
        if message.id
        and values_in(said) != values_in(message.id if isinstance(message.id, str) else message.id[1])
    ]
    assert wrong == []


def values_in(text):
    return sorted(re.findall(r"%\((\w+)\)s", text))


def test_sentences_in_folders_of_a_package_are_gathered():
    assert "The two passwords are not the same." in OFFICE.gathered()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_in_one_language_only(template):
    text = template.read_text()
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    text = re.sub(r"\{% trans .*?endtrans %\}|\{% trans %\}.*?\{% endtrans %\}", "", text, flags=re.DOTALL)
    shown = re.sub(r"\{[%{].*?[%}]\}", " ", text, flags=re.DOTALL)
    attributes = re.findall(r'(?:aria-label|placeholder|title|alt)="([^"]*)"', shown)
    words = re.sub(r"<!doctype html>|<[^>]*>", "\n", shown)
    words = re.sub(r'[\w-]+="[^"]*"', "", words)  # Attributes that a macro gives.
    found = [part.strip(" ·:›→–") for part in [*words.splitlines(), *attributes]]
    assert [part for part in found if re.search(r"[^\W\d_]", part) and part not in SAID_IN_BOTH] == []


@pytest.mark.parametrize(
    ("language", "amount", "percent", "sized"),
    [("fr", "1\u202f234\u202f567,89\u00a0€", "5,5\u00a0%", "37,5"), ("en", "€1,234,567.89", "5.5%", "37.5")],
)
def test_numbers_are_written_as_each_language_does(language, amount, percent, sized):
    words = words_in(language)
    assert words.money(123_456_789) == amount
    assert words.rate(550).replace("\u202f", "\u00a0") == percent
    assert words.hundredths(3750) == sized
    assert words.money(None) == words.rate(None) == words.number(None) == "–"


def test_an_amount_is_exact_however_large():
    assert words_in("en").money(9_007_199_254_740_993) == "€90,071,992,547,409.93"
    assert words_in("en").money(-5) == "-€0.05"


@pytest.mark.parametrize(
    ("wished", "accepts", "language"),
    [
        (("en", "fr"), "fr", "en"),
        ((None, "fr"), "en", "fr"),
        ((None, "xx"), "en-GB,en;q=0.8", "en"),
        ((None, None), "de,fr;q=0.4,en;q=0.9", "en"),
        ((None, None), "de;q=x,*", "fr"),
        ((None, None), "", "fr"),
        ((None, None), "," * 5000, "fr"),
    ],
)
def test_the_language_is_chosen_by_the_person_then_by_the_browser(wished, accepts, language):
    assert choose(wished, accepts) == language
