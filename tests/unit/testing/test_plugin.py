"""The pytest plugin, as somebody else's test run has it."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import crdtsync.testing

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[3]
PLUGIN = "crdtsync.testing.pytest_plugin"


@pytest.fixture
def run(pytester):
    """Run a file of tests with the plugin, in a process of its own; how many passed."""

    def run(tests, *, passed):
        pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        pytester.makepyfile(tests)
        result = pytester.runpytest_subprocess("-p", PLUGIN, "-W", "error")
        result.assert_outcomes(passed=passed)

    return run


@pytest.mark.slow
def test_a_register_sells_from_its_catalogue_at_the_time_that_the_test_sets(run):
    run(
        """
        def test_till(crdtsync_register, crdtsync_clock):
            crdtsync_clock.pass_ms(60_000)
            ticket = crdtsync_register.sell(["VIN", "MIEL"], ["card"])
            assert (ticket.total_minor, ticket.at_ms) == (2720, crdtsync_clock.now_ms())

        def test_each_test_has_its_own(crdtsync_register):
            assert crdtsync_register.sales() == []
        """,
        passed=2,
    )


@pytest.mark.slow
def test_a_relay_lets_registers_in(run):
    run(
        """
        from crdtsync import Register

        def test_join(crdtsync_relay, tmp_path):
            code = crdtsync_relay.pairing_code()
            with Register.join(tmp_path / "till", crdtsync_relay.url, code, name="Caisse 1") as till:
                till.sync(60)
                assert till.status().pending.records == 0
        """,
        passed=1,
    )


@pytest.mark.slow
def test_a_pair_is_in_step(run):
    run(
        """
        def test_pair(crdtsync_pair):
            crdtsync_pair.a.sell(["VIN"], ["card"])
            crdtsync_pair.settle()
            assert len(crdtsync_pair.b.sales()) == 1
        """,
        passed=1,
    )


@pytest.mark.slow
def test_a_simulated_shop_settles(run):
    run(
        """
        def test_shop(crdtsync_shop):
            crdtsync_shop.settle()
            crdtsync_shop.check_at_rest()
        """,
        passed=1,
    )


@pytest.mark.slow
def test_every_fixture_says_what_it_is(pytester):
    result = pytester.runpytest_subprocess("-p", PLUGIN, "--fixtures", "-W", "ignore")
    names = [name for name in dir(import_module(PLUGIN)) if name.startswith("crdtsync_")]
    assert names
    for name in names:
        said = result.stdout.str().split(f"\n{name} -- ")[1].splitlines()[1]
        assert said.startswith("    ")
        assert "no docstring" not in said


def test_a_run_that_uses_no_fixture_imports_nothing_of_it():
    script = (
        f"import sys, {PLUGIN}; "
        "print(sorted(n for n in sys.modules if n.startswith(('crdtsync', 'hypothesis', 'pycrdt', 'apsw'))))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(["crdtsync", "crdtsync.testing", PLUGIN])


@pytest.mark.slow
def test_the_kit_is_imported_without_hypothesis():
    script = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import crdtsync.testing as kit\n"
        "for name in kit.__all__: getattr(kit, name)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, capture_output=True)


def test_pytest_finds_the_plugin_by_itself():
    """Under the name of its module, so that naming it with ``-p`` as well does no harm."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}


def test_a_name_that_is_not_public_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'Shoop'"):
        crdtsync.testing.Shoop  # noqa: B018


def test_every_public_name_is_there():
    assert {name: getattr(crdtsync.testing, name).__name__ for name in dir(crdtsync.testing)} == {
        name: name for name in crdtsync.testing.__all__
    }
