"""Pages from templates: a template of a program's own package, in the language of whoever reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crdtsync.web.static_files import SHARED, StaticFiles
from crdtsync.web.words import LANGUAGES, Words

if TYPE_CHECKING:
    from jinja2 import Environment


class Painter:
    """The templates of one package, and its static files. Everything that is filled in is escaped."""

    def __init__(self, package: str, words_in: Callable[[str], Words], **always: Any) -> None:
        """``always``: what every template knows."""
        self.static = StaticFiles(package)
        self._package, self._words_in, self._always = package, words_in, always
        self._environment = lru_cache(maxsize=len(LANGUAGES))(self._make_environment)

    def paint(self, template: str, words: Words, **facts: Any) -> str:
        """A template with its facts, in a language."""
        return self._environment(words.name).get_template(template).render(words=words, **facts)

    def _make_environment(self, language: str) -> Environment:
        # With the first page: a relay that nobody looks at takes 1.5 MB less without.
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

        environment = Environment(
            loader=ChoiceLoader([PackageLoader(self._package), PackageLoader(SHARED)]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        words = self._words_in(language)
        environment.install_gettext_translations(words.translations, newstyle=True)  # type: ignore[attr-defined]
        environment.globals |= {"languages": LANGUAGES, "static": self.static.address, **self._always}
        environment.filters |= {
            "money": words.money,
            "number": words.number,
            "hundredths": words.hundredths,
            "thousandths": words.thousandths,
            "rate": words.rate,
            "day": words.day,
            "time": words.time,
            "moment": words.moment,
            "span": words.span,
            "hour": words.hour,
            "change": words.change,
            "clock": words.clock,
            "quantity": words.quantity,
            "amount": words.amount,
        }
        return environment
