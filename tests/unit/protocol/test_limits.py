"""The bounds of the protocol are what its reference tells whoever writes another end of it."""

import re
from pathlib import Path

from crdtsync.protocol import limits

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "wire-protocol.md"


def test_every_bound_has_the_value_that_the_reference_tells():
    told = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", REFERENCE.read_text(), re.MULTILINE)
    bounds = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert {name: int(value) for name, value in told} == bounds
