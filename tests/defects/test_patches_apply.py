"""Every planted defect can still be planted, says what it should, and stands in the table. (Whether all are
caught takes minutes to find out: `make defects`.)
"""

import re
import shutil

import pytest

from tests.defects.plant import PAGE, ROOT, apply_patch, read_defects, read_table, touched, write_table

DEFECTS = read_defects()
TABLE = read_table(PAGE.read_text())


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_patch_applies_to_the_present_code(defect, tmp_path):
    for name in touched(defect):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = {name: (tmp_path / name).read_bytes() for name in touched(defect)}
    apply_patch(defect, tmp_path)
    assert all((tmp_path / name).read_bytes() != before[name] for name in before)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_patch_changes_the_product_and_names_a_promise(defect):
    assert touched(defect)
    assert all(name.startswith(("crdtsync/", "server/")) for name in touched(defect))
    assert re.match(r"P([1-9]|1[0-2]), \w+", defect.breaks)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_the_test_that_is_to_catch_it_is_there(defect):
    file, *names = defect.expected.split("::")
    text = (ROOT / file).read_text()
    assert all(re.search(rf"^ *(async )?(def|class) {name}\b", text, re.MULTILINE) for name in names)


def test_there_are_as_many_as_were_promised():
    assert len(DEFECTS) >= 25


def test_the_table_names_just_these_and_every_one_was_caught():
    assert sorted(TABLE) == [defect.name for defect in DEFECTS]


def test_the_table_says_what_the_patches_say():
    page = PAGE.read_text()
    assert write_table(page, DEFECTS, TABLE) == page


def test_what_caught_a_defect_is_what_was_expected():
    others = [one.name for one in DEFECTS if not TABLE[one.name].caught_by.startswith(one.expected)]
    assert others == []
