"""Pages lead somewhere, and to every page somebody leads."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs/README.md"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> list[str]:
    """Where a page leads within the repository, as it stands there."""
    text = re.sub(r"\]\s+\(|\]\(\s+", "](", _CODE.sub("", page.read_text()))
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#{1,6} +(.+?) *$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text()), re.MULTILINE
    )
    plain = (
        re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).lower()) for text in headings
    )
    return {text.replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if link[0] != "#"]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("index", [INDEX, ROOT / "docs/decisions/README.md"], ids=["docs", "decisions"])
def test_an_index_says_of_every_page_for_whom_or_what_it_is(index: Path) -> None:
    told = {
        (index.parent / link).resolve()
        for link, text in re.findall(r"^\| \[[^]]+\]\(([^)]+)\) \| (.+) \|$", index.read_text(), re.MULTILINE)
        if text
    }
    pages = {page for page in index.parent.rglob("*.md") if page != index}
    if index == INDEX:
        pages = {page for page in pages if page.parent.name != "decisions"} | {
            ROOT / "docs/decisions/README.md"
        }
    assert pages - told == set()


def test_pages_name_only_files_that_exist() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    known = set(listed.split()) | {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*")}
    folders = {str(parent) for name in known for parent in Path(name).parents}
    missing = []
    for page in PAGES:
        for name in re.findall(r"`((?:crdtsync|server|tests|benchmarks|docs)/[\w./-]+)`", page.read_text()):
            if not re.search(r"/v\d$", name) and name.rstrip("/") not in known | folders:
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert missing == []


def test_the_glossary_is_in_order_and_has_each_word_once() -> None:
    page = (ROOT / "docs/reference/glossary.md").read_text()
    words = re.findall(r"^\| \*\*(.+?)\*\*", page, re.MULTILINE)
    assert words == sorted(set(words), key=str.casefold)
