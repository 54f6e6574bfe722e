"""The sentences of the back office, gathered and compiled: ``make words``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.web.sentences import Sentences
from crdtsync_server.dashboard.words import DOMAIN

SENTENCES: Final = Sentences(Path(__file__).parent, DOMAIN, "the back office")

if __name__ == "__main__":
    SENTENCES.bring_up_to_date()
