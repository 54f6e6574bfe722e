"""The list of mutants that no test can kill, or need not, each with the reason: ``equivalent.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planting import Mutant


@dataclass(frozen=True, slots=True)
class Name:
    """A mutant wherever in its file it stands: the function, its lines before and after, without indentation.

    It outlives every change of the file but one of those lines. Mutants with the same name are the same edit
    to equal lines of one function, and share their reason.
    """

    module: str
    function: str
    was: str
    becomes: str

    @classmethod
    def of(cls, module: str, mutant: Mutant) -> Name:
        """The name of a mutant of a module."""
        return cls(module, mutant.function, mutant.was, mutant.becomes)

    def as_toml(self) -> str:
        """As it goes into the list, but for the reason."""
        fields = (
            ("module", self.module),
            ("function", self.function),
            ("was", self.was),
            ("becomes", self.becomes),
        )
        return "[[mutant]]\n" + "".join(f"{field} = {_quoted(value)}\n" for field, value in fields)


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def read_list(path: Path) -> dict[Name, str]:
    """The reason of each mutant on the list. Raises ``ValueError`` for one without."""
    if not path.exists():
        return {}
    listed = {}
    for row in tomllib.loads(path.read_text())["mutant"]:
        reason = row.pop("reason", "")
        if not reason:
            raise ValueError(f"no reason is given: {row}")
        listed[Name(**row)] = reason
    return listed
