"""Pictures of the pages are small, are there, and are shown somewhere."""

import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/pictures"
WIDTHS_PX = {1280, 820, 390}
BYTES_MAX = 150_000
ALL_BYTES_MAX = 2_000_000


def shown():
    """Every picture that a page names."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    return {
        Path(name).name for page in pages for name in re.findall(r"pictures/([\w-]+\.png)", page.read_text())
    }


def test_the_pictures_that_pages_show_are_those_that_are_there():
    assert shown() == {path.name for path in FOLDER.iterdir()}
    assert len(shown()) >= 20


def test_pictures_are_of_a_desktop_a_tablet_or_a_telephone_and_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert {name: size for name, size in sizes.items() if size >= BYTES_MAX} == {}
    assert sum(sizes.values()) < ALL_BYTES_MAX
    assert {width_px(FOLDER / name) for name in sizes} == WIDTHS_PX


def width_px(path):
    with Image.open(path) as image:
        return image.width


def test_they_are_made_by_the_day_that_is_tested():
    day = (ROOT / "tests/day/test_the_whole_day.py").read_text()
    assert {name for name in shown() if name.removesuffix(".png") not in day and "today" not in name} == set()
