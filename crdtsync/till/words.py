"""The sentences of the till."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.web.words import words_of

FOLDER: Final = Path(__file__).parent / "locale"
DOMAIN: Final = "till"

words_in = words_of(FOLDER, DOMAIN)
"""The words of a language."""
