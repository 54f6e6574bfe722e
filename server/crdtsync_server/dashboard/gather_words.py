"""Gather the sentences of templates and code, and compile the French ones: ``make words``.

``python -m crdtsync_server.dashboard.gather_words``. A sentence that is new stands in ``office.po`` without a
translation, and a test fails until it has one. The compiled catalogue is shipped; nothing has to be built.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from crdtsync_server.dashboard.words import DOMAIN, FOLDER

PO: Final = FOLDER / "fr" / "LC_MESSAGES" / f"{DOMAIN}.po"

WRITTEN: Final = datetime(2026, 1, 1, tzinfo=UTC)

_METHODS: Final = [("templates/**.html", "jinja2"), ("*.py", "python")]
_OPTIONS: Final = {"templates/**.html": {"newstyle_gettext": "true", "trimmed": "true"}}
_KEYWORDS: Final = {"_": None, "gettext": None, "N_": None, "say": None, "ngettext": (1, 2), "many": (1, 2)}


def gathered() -> Catalog:
    """Every sentence that a person may read, as templates and code have it."""
    catalog = Catalog(domain=DOMAIN, creation_date=WRITTEN)
    found = extract_from_dir(
        Path(__file__).parent, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS
    )
    for name, _line, message, _comments, context in found:
        catalog.add(message, locations=[(name, 0)], context=context)
    return catalog


def french() -> Catalog:
    """The French sentences as they stand in the file; an empty catalogue where there is none."""
    catalog = Catalog(locale="fr", domain=DOMAIN)
    if PO.exists():
        with PO.open("rb") as file:
            catalog = read_po(file, locale="fr", domain=DOMAIN)
    # Nothing in the file follows from when or by whom it was written; and nobody counts in millions here.
    catalog.header_comment = "# French sentences of the back office."
    catalog.project, catalog.version = "crdtsync", "1"
    catalog.msgid_bugs_address = catalog.last_translator = catalog.language_team = ""
    catalog.creation_date = catalog.revision_date = WRITTEN
    catalog.fuzzy = False
    catalog._num_plurals, catalog._plural_expr = 2, "(n > 1)"  # type: ignore[assignment]
    return catalog


def up_to_date() -> Catalog:
    """The French sentences of what is gathered now, and no others."""
    catalog = french()
    catalog.update(gathered(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


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


def main() -> None:
    """Bring the files up to date."""
    catalog = up_to_date()
    PO.write_bytes(written(catalog))
    PO.with_suffix(".mo").write_bytes(compiled(catalog))
    missing = without_translation(catalog)
    print(f"{len(catalog)} sentences, {len(missing)} without a translation")
    for text in missing:
        print(f"  {text}")


def _texts(string: object) -> tuple[str, ...]:
    return tuple(string) if isinstance(string, (tuple, list)) else (str(string or ""),)


if __name__ == "__main__":
    main()
