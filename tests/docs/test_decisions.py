"""The figures of the decisions that do not depend on the machine, measured again."""

import re
from pathlib import Path

import pytest

from benchmarks.decisions import log_on_disk
from crdtsync.storage.pack import LEVEL, encode_pack
from crdtsync.testing.records import MadeUpChain

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))


def test_every_command_that_a_decision_names_exists() -> None:
    pages = "\n".join(page.read_text() for page in DECISIONS)
    modules = set(re.findall(r"`python -m (benchmarks[\w.]+)", pages))
    assert modules
    assert [name for name in modules if not (ROOT / (name.replace(".", "/") + ".py")).exists()] == []


@pytest.mark.slow
def test_a_sale_changes_as_many_pages_as_the_decision_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/decisions/log-on-disk.md").read_text()
    told = [
        float(cell) for cell in re.findall(r"^\| .+? \| (\d\.\d\d) \| .+? \| .+? \|$", page, re.MULTILINE)
    ]
    lines = list(log_on_disk.sales_alone(tmp_path, 600))
    measured = [float(pages) for line in lines for pages in re.findall(r"([\d.]+) pages", line)]
    assert len(told) == 3
    assert measured == pytest.approx(told, rel=0.1)


def test_a_packed_sale_has_the_size_that_the_decision_says() -> None:
    page = (ROOT / "docs/decisions/packs.md").read_text()
    (told,) = re.findall(rf"^\| \*\*{LEVEL}\*\* \| (\d+) \|", page, re.MULTILINE)
    items = MadeUpChain(1).entries(log_on_disk.PACK_ROWS)
    blob = encode_pack([(seq, item.record) for seq, item in enumerate(items, 1)])
    assert len(blob) / len(items) == pytest.approx(int(told), abs=2)
