"""Pictures for the documentation, made by the day that is tested: `make pictures`."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops
from playwright.sync_api import Page

PICTURES: Final = Path(__file__).parents[2] / "docs/pictures"
"""Where they are kept, and named in pages."""

SIZES: Final = {"desktop": (1280, 800), "tablet": (820, 1100), "phone": (390, 800)}
COLOURS: Final = 160
BYTES_MAX: Final = 150_000
DRAWN: Final = """() => [...document.querySelectorAll(".plot")].every((plot) => {
  const canvas = plot.querySelector("canvas");
  return canvas && Math.abs(canvas.clientWidth - plot.clientWidth) < 2;
})"""
"""Whether charts have the size that they are to have: they are drawn anew a moment after the page changes."""

SAME_SHARE_MAX: Final = 0.001
"""Of the points of a picture: as many as a seal or a code on it may change. A picture that is otherwise the
same stays as it is, so that nobody has to look at it.
"""


def keep(page: Page, name: str, *, size: str = "desktop", scheme: str = "light", whole: bool = False) -> None:
    """Take a picture of the page as it is now, if pictures were asked for; the page is left as it was."""
    folder = os.environ.get("CRDTSYNC_PICTURES")
    if not folder:
        return
    before = page.viewport_size
    width, height = SIZES[size]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
    page.wait_for_function(DRAWN)
    taken = page.screenshot(full_page=whole, animations="disabled", caret="hide")
    _write(Path(folder) / f"{name}.png", taken)
    if before is not None:
        page.set_viewport_size(before)
    page.emulate_media(color_scheme="light")


def _write(path: Path, taken: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(taken)).convert("RGB")
    image = image.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    if path.exists():
        with Image.open(path) as before:
            if _looks_alike(before, image):
                return
    image.save(path, optimize=True)
    size = path.stat().st_size
    assert size < BYTES_MAX, f"{path.name} has {size} bytes"


def _looks_alike(one: Image.Image, other: Image.Image) -> bool:
    if one.size != other.size:
        return False
    differs = ImageChops.difference(one.convert("L"), other.convert("L")).point(
        lambda value: 255 * (value > 24)
    )
    return differs.histogram()[255] <= SAME_SHARE_MAX * one.width * one.height
