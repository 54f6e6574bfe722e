"""A sentence for a person that remembers what it is made of, so that a page can say it in another language.

It is a ``str``, in English: commands, JSON and logs use it as one.
"""

from __future__ import annotations

from typing import Self


class Said(str):
    """``Said("%(count)s records were set apart", count=3)``. ``form`` is what is translated, ``values`` what
    is filled in; a value may be such a sentence itself.
    """

    form: str
    values: dict[str, object]

    def __new__(cls, form: str, **values: object) -> Self:
        """The sentence with its values."""
        made = super().__new__(cls, form % values if values else form)
        made.form, made.values = form, values
        return made

    @classmethod
    def standing_for(cls, text: str, form: str) -> Self:
        """A text that nobody can translate, and what it comes to: other languages say ``form`` alone."""
        made = super().__new__(cls, text)
        made.form, made.values = form, {}
        return made

    @classmethod
    def counted(cls, several: str, one: str, *, count: int, **values: object) -> Self:
        """A sentence with a ``count`` in it: ``one`` where that is 1. Other languages say ``several`` of any
        count, in words that fit all of them.
        """
        made = super().__new__(cls, (one if count == 1 else several) % {"count": count, **values})
        made.form, made.values = str(several), {"count": count, **values}
        return made


def many(count: int, what: str, plural: str | None = None) -> str:
    """``1 sale``, ``2 sales``."""
    return f"{count} {what if count == 1 else plural or what + 's'}"
