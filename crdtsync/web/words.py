"""Words, money and dates in the language of whoever reads: French and English.

Sentences stand in English in templates and code; a folder ``locale`` beside them has the French ones.
``make words`` gathers and compiles them.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, format_percent

from crdtsync.said import Said

LOCALES: Final = ("fr", "en")
SOURCE_LANGUAGE: Final = "en"
"""In which sentences stand in templates and code."""

LANGUAGES: Final = {"fr": "Français", "en": "English"}
CURRENCY: Final = "EUR"
"""Of a shop of which nothing is known yet; the entries of its registers say theirs."""

_REGIONS: Final = {"fr": "fr_FR", "en": "en_GB"}
NONE: Final = "–"
_DAY: Final = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]")
_DAYS: Final = frozenset(("day", "known"))
"""Values of sentences that are days. Others may look like one: a name, or what a relay says."""


def N_(text: str) -> str:  # noqa: N802  # As gettext calls it.
    """Mark a sentence that is translated where it is shown."""
    return text


class Words:
    """One language, and how it writes numbers. ``offset_min``: how far local time is ahead of UTC."""

    def __init__(self, name: str, translations: gettext.NullTranslations) -> None:
        self.name, self.translations = name, translations
        self.locale = Locale.parse(_REGIONS[name])
        self._percent = str(self.locale.percent_formats[None].pattern).lstrip("#,0")

    def say(self, text: str, **values: object) -> str:
        """The sentence in this language, with its values."""
        said = self.translations.gettext(text)
        return said % values if values else said

    def many(self, one: str, several: str, number: int, **values: object) -> str:
        """The sentence for that number; ``%(num)s`` is the number as it is written here."""
        said = self.translations.ngettext(one, several, number)
        return said % {"num": self.number(number), **values}

    def tell(self, sentence: str) -> str:
        """A sentence of another part of the program, which is in English, in this language; as it stands,
        where ``can_tell`` says that it cannot be said in it.
        """
        if not isinstance(sentence, Said) or not self.can_tell(sentence) or self.name == SOURCE_LANGUAGE:
            return str(sentence)
        values = {name: self._told(name, value) for name, value in sentence.values.items()}
        said = self.translations.gettext(sentence.form)
        return said % values if values else said

    def _told(self, name: str, value: object) -> object:
        """What is filled into a sentence: days as this language writes them."""
        if not isinstance(value, str):
            return value
        return self.day(value, "short") if name in _DAYS and _DAY.fullmatch(value) else self.tell(value)

    def can_tell(self, sentence: str) -> bool:
        """Whether a sentence is in this language, or can be said in it."""
        if self.name == SOURCE_LANGUAGE:
            return True
        return isinstance(sentence, Said) and self.translations.gettext(sentence.form) != sentence.form

    def money(self, amount_minor: int | None, currency: str = CURRENCY) -> str:
        """``12 345,60 €``, or a dash."""
        if amount_minor is None:
            return NONE
        cents = format_decimal(abs(amount_minor) % 100, "00", locale=self.locale)
        whole = abs(amount_minor) // 100
        # Exact however large: no float on the way.
        return format_currency(
            _decimal(-1 if amount_minor < 0 else 1, whole, cents), currency, locale=self.locale
        )

    def number(self, number: float | None) -> str:
        """``12 345``, or a dash."""
        return NONE if number is None else format_decimal(number, locale=self.locale)

    def hundredths(self, number: int | None) -> str:
        """A number that is kept in 1/100, without needless zeros: ``12,5``."""
        if number is None:
            return NONE
        return format_decimal(
            _decimal(1, number // 100, f"{number % 100:02}"), "#,##0.##", locale=self.locale
        )

    def thousandths(self, number: int | None) -> str:
        """A quantity that is kept in 1/1000, without needless zeros: ``0,125``."""
        if number is None:
            return NONE
        return format_decimal(Decimal(number).scaleb(-3), "#,##0.###", locale=self.locale)

    def rate(self, rate: int | None) -> str:
        """A VAT rate in 1/100 %: ``5,5 %``."""
        return (
            NONE
            if rate is None
            else format_percent(rate / 10_000, f"#,##0.##{self._percent}", locale=self.locale)
        )

    def change(self, ratio: float) -> str:
        """A change with its sign: ``+12 %``."""
        return format_percent(ratio, f"+#,##0{self._percent};-#,##0{self._percent}", locale=self.locale)

    def day(self, day: str | date, pattern: str = "full") -> str:
        """A business day (``YYYY-MM-DD``): ``mardi 24 novembre 2026``."""
        found = date.fromisoformat(day) if isinstance(day, str) else day
        return format_date(found, pattern, locale=self.locale)

    def time(self, at_ms: int, offset_min: int) -> str:
        """``14:32``."""
        return format_time(_local(at_ms, offset_min), "short", locale=self.locale)

    def clock(self, at_ms: int, offset_min: int) -> str:
        """A time of day as one says it: ``14 h 05``, ``14:05``."""
        pattern = "H'\u00a0h\u00a0'mm" if self.name == "fr" else "HH:mm"
        return format_time(_local(at_ms, offset_min), pattern, locale=self.locale)

    def since(self, at_ms: int, now_ms: int, offset_min: int) -> str:
        """A moment that went before: the time of day alone if it was today."""
        is_today = _local(at_ms, offset_min).date() == _local(now_ms, offset_min).date()
        return self.clock(at_ms, offset_min) if is_today else self.moment(at_ms, offset_min)

    def quantity(self, quantity_thousandths: int) -> str:
        """A quantity that is kept in thousandths, without needless zeros: ``1,5``."""
        number = Decimal(quantity_thousandths).scaleb(-3)
        return format_decimal(number, "#,##0.###", locale=self.locale)

    def amount(self, amount_minor: int) -> str:
        """An amount as it stands in a field: ``1234,50``."""
        number = Decimal(amount_minor).scaleb(-2)
        return format_decimal(number, "0.00", locale=self.locale)

    def moment(self, at_ms: int | None, offset_min: int) -> str:
        """``24/11/2026 14:32``, or a dash."""
        if at_ms is None:
            return NONE
        return format_datetime(_local(at_ms, offset_min), "short", locale=self.locale)

    def moment_exact(self, at_ms: int, offset_min: int) -> str:
        """``24/11/2026 14:32:05``: as it stands on a receipt."""
        return format_datetime(_local(at_ms, offset_min), "dd/MM/yyyy HH:mm:ss", locale=self.locale)

    def hour(self, hour: int) -> str:
        """An hour of the day as a chart has it: ``14 h``, ``14:00``."""
        return f"{hour}\u00a0h" if self.name == "fr" else f"{hour:02}:00"

    def span(self, seconds: float) -> str:
        """How long: ``3 heures``."""
        return format_timedelta(timedelta(seconds=seconds), locale=self.locale, threshold=1.2)


def _decimal(sign: int, whole: int, hundredths: str) -> Decimal:
    return Decimal(f"{'-' if sign < 0 else ''}{whole}.{hundredths}")


def _local(at_ms: int, offset_min: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(timezone(timedelta(minutes=offset_min)))


def words_of(folder: Path, domain: str) -> Callable[[str], Words]:
    """What gives the words of a language, of those whose sentences lie in that folder under that name."""

    @lru_cache(maxsize=len(LOCALES))
    def words_in(name: str) -> Words:
        found = gettext.translation(domain, folder, languages=[name], fallback=name == "en")
        return Words(name, found)

    return words_in


def choose(wished: Iterable[str | None], accept_language: str) -> str:
    """The first language that was wished for and is there, else what the browser asks for, else French."""
    for name in wished:
        if name in LOCALES:
            return name
    weighed = []
    for place, part in enumerate(accept_language[:200].split(",")):
        tag, _, weight = part.partition(";q=")
        name = tag.strip().lower().split("-")[0]
        try:
            weighed.append((-float(weight or 1), place, name))
        except ValueError:
            continue
    return next((name for _, _, name in sorted(weighed) if name in LOCALES), "fr")
