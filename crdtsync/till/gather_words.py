"""The sentences of the till, gathered and compiled: ``make words``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.till.words import DOMAIN
from crdtsync.web.sentences import Sentences

SENTENCES: Final = Sentences(Path(__file__).parent, DOMAIN, "the till")

if __name__ == "__main__":
    SENTENCES.bring_up_to_date()
