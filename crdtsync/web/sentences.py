"""Gather the sentences of templates and code, and compile the French ones: ``make words``.

A sentence that is new stands in the ``.po`` file without a translation, and a test fails until it has one.
The compiled catalogue is shipped; nothing has to be built.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

WRITTEN: Final = datetime(2026, 1, 1, tzinfo=UTC)

_METHODS: Final = [("templates/**.html", "jinja2"), ("**.py", "python")]
_OPTIONS: Final = {"templates/**.html": {"newstyle_gettext": "true", "trimmed": "true"}}
_SAID: Final = {"Said": None}
"""Of sentences that other parts of the program say, see ``crdtsync.said``."""

_KEYWORDS: Final = {"_": None, "gettext": None, "N_": None, "say": None, "ngettext": (1, 2), "many": (1, 2)}


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences of one program: its package's ``folder``, their name, and whose they are in a word;
    ``beside``: folders whose ``Said`` sentences its pages show.
    """

    folder: Path
    domain: str
    whose: str
    beside: tuple[Path, ...] = ()

    @property
    def po(self) -> Path:
        """The file of the French sentences."""
        return self.folder / "locale" / "fr" / "LC_MESSAGES" / f"{self.domain}.po"

    def gathered(self) -> Catalog:
        """Every sentence that a person may read, as templates and code have it."""
        catalog = Catalog(domain=self.domain, creation_date=WRITTEN)
        found = extract_from_dir(self.folder, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS)
        others = [extract_from_dir(folder, keywords=_SAID) for folder in self.beside]
        for name, _line, message, _comments, context in chain(found, *others):
            catalog.add(message, locations=[(name, 0)], context=context)
        return catalog

    def french(self) -> Catalog:
        """The French sentences as they stand in the file; an empty catalogue where there is none."""
        catalog = Catalog(locale="fr", domain=self.domain)
        if self.po.exists():
            with self.po.open("rb") as file:
                catalog = read_po(file, locale="fr", domain=self.domain)
        # Nothing in the file follows from when or by whom it was written; and nobody counts in millions here.
        catalog.header_comment = f"# French sentences of {self.whose}."
        catalog.project, catalog.version = "crdtsync", "1"
        catalog.msgid_bugs_address = catalog.last_translator = catalog.language_team = ""
        catalog.creation_date = catalog.revision_date = WRITTEN
        catalog.fuzzy = False
        catalog._num_plurals, catalog._plural_expr = 2, "(n > 1)"  # type: ignore[assignment]
        return catalog

    def up_to_date(self) -> Catalog:
        """The French sentences of what is gathered now, and no others."""
        catalog = self.french()
        catalog.update(self.gathered(), no_fuzzy_matching=True)
        catalog.obsolete.clear()
        return catalog

    def bring_up_to_date(self) -> None:
        """Write the files anew, and say what has no translation."""
        catalog = self.up_to_date()
        self.po.parent.mkdir(parents=True, exist_ok=True)
        self.po.write_bytes(written(catalog))
        self.po.with_suffix(".mo").write_bytes(compiled(catalog))
        missing = without_translation(catalog)
        print(f"{len(catalog)} sentences of {self.whose}, {len(missing)} without a translation")
        for text in missing:
            print(f"  {text}")


def without_translation(catalog: Catalog) -> list[object]:
    """The sentences that a French reader would read in English."""
    return [message.id for message in catalog if message.id and not all(_texts(message.string))]


def written(catalog: Catalog) -> bytes:
    """The file of a catalogue, the same for the same sentences."""
    out = io.BytesIO()
    write_po(
        out, catalog, width=110, sort_output=True, omit_header=False, no_location=True, ignore_obsolete=True
    )
    return out.getvalue()


def compiled(catalog: Catalog) -> bytes:
    """What programs read."""
    out = io.BytesIO()
    write_mo(out, catalog)
    return out.getvalue()


def _texts(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, (tuple, list)) else (str(string or ""),)
