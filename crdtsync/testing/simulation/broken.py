"""What a check raises: it knows nothing of what is checked."""

from __future__ import annotations

from collections.abc import Mapping


class Broken(AssertionError):
    """A promise does not hold. ``check`` is the name of the check that saw it."""

    def __init__(self, check: str, *facts: object) -> None:
        self.check = check
        self.facts = facts
        super().__init__(f"{check}: " + " · ".join(str(fact) for fact in facts))


def require(holds: bool, check: str, *facts: object) -> None:
    """Raise ``Broken`` with that name and those facts unless something holds."""
    if not holds:
        raise Broken(check, *facts)


def differing(shown: Mapping[str, object], expected: Mapping[str, object]) -> list[tuple[object, ...]]:
    """(Key, shown, expected) of what is not the same in both."""
    keys = sorted(shown.keys() | expected.keys())
    return [(key, shown.get(key), expected.get(key)) for key in keys if shown.get(key) != expected.get(key)]
