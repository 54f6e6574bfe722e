"""The sentences of the back office, and what its rooms need to say them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.web.words import CURRENCY, LANGUAGES, LOCALES, N_, NONE, Words, choose, words_of

__all__ = ["CURRENCY", "LANGUAGES", "LOCALES", "NONE", "N_", "Words", "choose", "words_in"]

FOLDER: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "office"

words_in = words_of(FOLDER, DOMAIN)
"""The words of a language."""
