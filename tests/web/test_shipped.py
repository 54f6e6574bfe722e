"""What pages need is in the package that is installed, and whose it is stands beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from crdtsync.till.house import static as till_static
from crdtsync_server.dashboard.house import static

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "crdtsync/web": ROOT / "crdtsync/web",
    "crdtsync/till": ROOT / "crdtsync/till",
    "crdtsync_server/dashboard": ROOT / "server/crdtsync_server/dashboard",
}


@pytest.mark.slow
def test_templates_static_files_and_words_are_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        f"{name}/{path.relative_to(package)}"
        for name, package in PACKAGES.items()
        for folder in ("templates", "static", "locale")
        for path in (package / folder).rglob("*")
        if path.is_file()
    }
    assert any(name.endswith(".mo") for name in needed)
    assert needed <= shipped


def test_whose_a_file_is_and_of_which_version_is_told():
    told = (PACKAGES["crdtsync/web"] / "static/LICENSES.txt").read_text()
    ours = {"base.css", "office.css", "office.js", "till.css", "till.js", "mark.svg"}
    assert [
        name for name in (static.files.keys() | till_static.files.keys()) - ours if name not in told
    ] == []
