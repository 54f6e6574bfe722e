"""The sentences of the till, gathered and compiled: ``make words``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from crdtsync.till.words import DOMAIN
from crdtsync.web.sentences import Sentences

HERE: Final = Path(__file__).parent
SENTENCES: Final = Sentences(
    HERE, DOMAIN, "the till", beside=(HERE.parent / "runtime", HERE.parent / "model")
)

if __name__ == "__main__":
    SENTENCES.bring_up_to_date()
