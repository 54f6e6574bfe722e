"""What devices are called where several may bear one name: a register and the one that took its place do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

SHORT_DIGITS: Final = 8
"""So much of a device's id tells it from the others of its shop."""


def names_apart(devices: Iterable[tuple[bytes, str | None, str | None]]) -> dict[bytes, str]:
    """By device what to call it, of (device, name, series): its name, and where another one bears it as well,
    the series of its tickets behind it, or the beginning of its id where that tells them apart no better. A
    device without a name is called by its id. So is one that another was given the name of: nobody can take
    another's place by a name like ``Caisse 1 (01)``.
    """
    known = {device: (name or "", series or "") for device, name, series in devices}
    alike = defaultdict[str, list[bytes]](list)
    for device, (name, _) in known.items():
        alike[name.casefold()].append(device)
    told = {device: _told(device, known, alike[name.casefold()]) for device, (name, _) in known.items()}
    by_id: set[bytes] = set()
    while True:
        count = Counter(called.casefold() for called in told.values())
        same = {device for device, called in told.items() if count[called.casefold()] > 1} - by_id
        if not same:
            return told
        by_id |= same
        told |= {device: _with_id(device, known[device][0]) for device in same}


def short_id(device: bytes) -> str:
    """The beginning of a device's id, for people."""
    return device.hex()[:SHORT_DIGITS]


def _told(device: bytes, known: dict[bytes, tuple[str, str]], alike: list[bytes]) -> str:
    name, series = known[device]
    if name and len(alike) == 1:
        return name
    is_telling = name and series and sum(known[other][1] == series for other in alike) == 1
    return f"{name} ({series})" if is_telling else _with_id(device, name)


def _with_id(device: bytes, name: str) -> str:
    return f"{name} ({short_id(device)})" if name else short_id(device)
