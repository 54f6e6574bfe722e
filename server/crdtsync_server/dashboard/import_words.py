"""What an import says of a line, in the language of whoever reads: its sentences are made for people at a
command line, in English. What is no sentence known here is shown as it is.
"""

from __future__ import annotations

import re
from typing import Final

from crdtsync_server.dashboard.product_form import PROBLEMS, TITLES
from crdtsync_server.dashboard.words import N_, Words

_SENTENCES: Final = (
    (
        r"it has (?P<cells>\d+) cells for (?P<titles>\d+) titles",
        N_("It has %(cells)s cells, for %(titles)s titles."),
    ),
    (r"line (?P<line>\d+) has the same SKU (?P<sku>.*)", N_("Line %(line)s has the same reference %(sku)s.")),
    (
        r"(?P<sku>.*) is new and has no (?P<fields>[a-z, ]+)",
        N_("%(sku)s is new, and this is missing: %(fields)s."),
    ),
    (
        r"barcode '(?P<code>.*)': its check digit would be (?P<digit>\d)",
        N_("%(code)s cannot be a barcode: its last digit would be %(digit)s."),
    ),
    (
        r"barcodes: (?P<given>\d+) are given, (?P<most>\d+) are allowed",
        N_("%(given)s barcodes; %(most)s are allowed."),
    ),
    (
        r"(?P<abv>[\d.]+) % vol at (?P<rate>[\d.]+) % VAT: alcohol is taxed at 20 %",
        N_("%(abv)s % vol at a VAT of %(rate)s %: alcohol is taxed at 20 %."),
    ),
    (r"(?P<size>\d+) ml is no usual size", N_("%(size)s ml is no usual size of a bottle.")),
    (
        r"its cells cannot be told apart: is a quotation mark not closed\?",
        N_("Its cells cannot be told apart: is a quotation mark not closed?"),
    ),
    (r"a wine without its strength in % vol", N_("A wine without its strength in % vol.")),
    (r"the cell .* (?P<most>\d+) characters.*", N_("A cell has more than %(most)s characters.")),
)
"""What is said, and the sentence that tells it; ``%(name)s`` is what stands there."""

_OF_FIELD: Final = re.compile(r"(?P<field>[a-z_]+) (?P<found>'.*'|\".*\"|\S+(?: %)?): .*", re.DOTALL)
_FIELD_OF_WORD: Final = {"vat": "vat_rate", "barcode": "barcodes"}
_FOUND: Final = N_("Found: %(found)s")


def in_words(words: Words, said: str) -> str | None:
    """The sentence in the language of ``words``; None where it is not known here."""
    for pattern, sentence in _SENTENCES:
        found = re.fullmatch(pattern, said, re.DOTALL)
        if found is None:
            continue
        values = found.groupdict()
        if "fields" in values:
            values["fields"] = ", ".join(_title(words, name) for name in values["fields"].split(", "))
        return _filled(words.say(sentence), values)
    about = _OF_FIELD.fullmatch(said)
    if about is None:
        return None
    field = _FIELD_OF_WORD.get(about["field"], about["field"])
    if field not in PROBLEMS:
        return None
    return f"{words.say(PROBLEMS[field])} {_filled(words.say(_FOUND), about.groupdict())}"


def _title(words: Words, name: str) -> str:
    field = _FIELD_OF_WORD.get(name, name)
    return words.say(TITLES[field]) if field in TITLES else name


def _filled(sentence: str, values: dict[str, str]) -> str:
    """A percent sign in these sentences is one: only names are filled in."""
    return re.sub(r"%\((\w+)\)s", lambda found: values[found[1]], sentence)
