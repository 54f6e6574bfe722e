"""Defects planted in a small module: one that its test notices, one that it does not, one that never ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.planting import mutants_of

ROOT = Path(__file__).parents[3]
TILL = '''
FLOAT_MINOR = 150

def drawer(paid_minor):
    """Cash in the drawer."""
    return FLOAT_MINOR + paid_minor

def is_large(paid_minor):
    return paid_minor > 500
'''
COINS = """
def coins(paid_minor):
    count = 0
    while paid_minor > count:
        count += 1
    return count
"""
TEST = """
from till import drawer, is_large

def test_cash_is_added_to_the_float():
    assert drawer(200) == 350

def test_five_hundred_and_more_is_large():
    assert is_large(600) and not is_large(100)
"""
TEST_COINS = """
from till import coins

def test_change_is_counted_in_coins():
    assert coins(3) == 3 and coins(0) == 0
"""
REASONED = """
[[mutant]]
module = 'till'
function = 'is_large'
was = 'return paid_minor > 500'
becomes = '{becomes}'
reason = "nobody pays with exactly five euros"
"""


@pytest.fixture
def shop(tmp_path):
    """A folder with a module, its tests and what is to be planted in it."""
    (tmp_path / "tests" / "mutants").mkdir(parents=True)
    (tmp_path / "tests" / "mutants" / "modules.toml").write_text(
        '[till]\npath = "till.py"\ntests = ["test_till.py"]\n'
    )
    (tmp_path / "till.py").write_text(TILL)
    (tmp_path / "test_till.py").write_text(TEST)
    return tmp_path


def plant(shop, *options, cwd=ROOT):
    command = [sys.executable, "-m", "tests.mutants.run", "--root", str(shop), *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def list_reasons(shop, *changes):
    listed = "".join(REASONED.format(becomes=becomes) for becomes in changes)
    (shop / "tests" / "mutants" / "equivalent.toml").write_text(listed)


BOTH = ("return paid_minor >= 500", "return paid_minor > 501")


@pytest.mark.slow
def test_what_no_test_notices_is_shown_as_a_difference_and_fails(shop):
    status, printed = plant(shop)
    assert status == 1, printed
    assert "-    return paid_minor > 500\n+    return paid_minor >= 500\n" in printed
    assert "+    return paid_minor > 501\n" in printed
    assert "2 survived" in printed
    assert "FLOAT_MINOR" not in printed


@pytest.mark.slow
def test_a_loop_without_an_end_is_ended_and_counts_as_noticed(shop):
    (shop / "till.py").write_text(COINS)
    (shop / "test_till.py").write_text(TEST_COINS)
    status, printed = plant(shop)
    assert (status, " 2 timed out" in printed) == (0, True), printed


@pytest.mark.slow
def test_what_is_listed_with_its_reason_does_not_fail_though_lines_shift(shop):
    list_reasons(shop, *BOTH)
    (shop / "till.py").write_text("# One line more.\n" + TILL)
    status, printed = plant(shop)
    assert (status, "2 equivalent,   0 survived" in printed) == (0, True), printed


@pytest.mark.slow
def test_what_is_listed_and_does_not_survive_fails(shop):
    list_reasons(shop, *BOTH, "return paid_minor < 500")
    status, printed = plant(shop)
    assert status == 1
    assert "not among the survivors" in printed


def test_a_reason_must_be_given(shop):
    (shop / "tests" / "mutants" / "equivalent.toml").write_text(
        REASONED.replace("nobody pays with exactly five euros", "")
    )
    status, printed = plant(shop)
    assert (status, "no reason is given" in printed) == (1, True)


@pytest.mark.slow
def test_what_was_tried_is_not_tried_again_until_its_tests_change(shop):
    plant(shop)
    record = shop / ".make" / "mutants" / "till"
    tried = record.read_text()
    record.write_text(tried.replace("survived", "killed"))
    assert plant(shop)[0] == 0
    (shop / "test_till.py").write_text(TEST + "\n")
    assert plant(shop)[0] == 1


@pytest.mark.slow
def test_what_was_not_tried_in_the_time_is_told_and_tried_by_the_next_run(shop):
    _, printed = plant(shop, "--minutes", "0.000001")
    assert "not tried yet" in printed
    assert "not tried yet" not in plant(shop)[1]


@pytest.mark.slow
def test_tests_that_fail_without_a_mutant_are_named(shop):
    (shop / "test_till.py").write_text(TEST.replace("350", "351"))
    status, printed = plant(shop)
    assert status == 2
    assert "its tests fail without a mutant" in printed
    assert "test_cash_is_added_to_the_float" in printed


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A project with two modules in one layer, of which one has a list of tests of its own."""
    for folder in ("tests/mutants", "tests/unit/model", "crdtsync/model"):
        (tmp_path / folder).mkdir(parents=True)
    for init in ("crdtsync", "crdtsync/model"):
        (tmp_path / init / "__init__.py").touch()
    (tmp_path / "tests/mutants/modules.toml").write_text(
        '[coins]\npath = "crdtsync/model/coins.py"\ntests = ["tests/unit/model/test_coins.py"]\n'
    )
    for name, source, test in (("till", TILL, TEST), ("coins", COINS, TEST_COINS)):
        (tmp_path / f"crdtsync/model/{name}.py").write_text(source)
        renamed = test.replace("from till", f"from crdtsync.model.{name}")
        (tmp_path / f"tests/unit/model/test_{name}.py").write_text(renamed)
    # Its package has the name of the product, and comes first; `tests.mutants` is found behind it. The
    # plugin for pytest of the product is not.
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return tmp_path


@pytest.mark.slow
def test_a_sample_is_of_the_modules_without_tests_of_their_own(package):
    status, printed = plant(package, "--sample", "100", cwd=package)
    assert (status, "model-till" in printed, "model-coins" in printed) == (1, True, False), printed
    assert "2 survived" in printed
    assert "module = 'model-till'" in printed


@pytest.mark.slow
def test_a_seed_gives_the_same_sample_and_another_one_another(package):
    tried = []
    record = package / ".make" / "mutants" / "model-till"
    for seed in "112":
        record.unlink(missing_ok=True)
        plant(package, "--sample", "3", "--seed", seed, cwd=package)
        tried.append(record.read_text())
    assert tried[0] == tried[1] != tried[2]


@pytest.mark.parametrize(
    ("source", "edits"),
    [
        ("x = a < b", {"x = a <= b"}),
        ("x = a not in b", {"x = a in b"}),
        ("x = a and b", {"x = (a)", "x = (b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = a + 1", {"x = a - 1", "x = a + 2"}),
        ("x = max(a)", {"x = min(a)"}),
        ("x = a[1:]", {"x = a[:]", "x = a[2:]"}),
        ("x = f(a, b=c)", {"x = f(a, )"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if True]"}),
        ("a.x = b", {"pass"}),
        ("f()", {"pass"}),
        ("if a:\n    raise E", {"if True:\n    raise E", "if False:\n    raise E"}),
        ("for a in b:\n    continue", {"for a in b:\n    break"}),
        ("x = b'a'", {"x = b'ax'"}),
        ("x = 'a'", {"x = 'ax'"}),
        ("x = True", {"x = False"}),
        ("x = 'two words'", set()),
        ("raise E('word')", set()),
        ("x: Literal['a']", set()),
        ("def f(a: 'int' = b) -> 'int':\n    'Says.'", set()),
    ],
)
def test_each_mutant_is_one_small_edit(source, edits):
    assert {mutant.apply(source.encode()).decode() for mutant in mutants_of(source.encode())} == edits
