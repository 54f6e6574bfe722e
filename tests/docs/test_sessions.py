"""The sessions of tutorial and README, executed; and that a page which is not true is found out."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
CODE_A = "F4B57-5ZEX7-RWH30-RCH8C-AEYYH-YHR1Z-H8ZP4-F1WV5"
CODE_B = "542TQ-AWQP2-3ESTJ-YAX6C-AEYYH-YHR1Z-H8ZP4-F1WV5"


def page(*lines, words=""):
    return "\n".join([f"```console {words}", *lines, "```", ""])


@pytest.mark.slow
def test_the_tutorial_is_true(session):
    session.run((ROOT / "docs/tutorial/first-shop.md").read_text())


@pytest.mark.slow
def test_the_page_on_cutting_off_and_rescuing_is_true(session):
    session.run((ROOT / "docs/how-to/revoke-and-rescue.md").read_text())


def test_a_page_that_is_true_passes(session):
    session.run(page("$ echo one; echo two", "one", "two", "$ false", "$ echo $?", "1"))


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo 43,95 €", "43,59 €"],
        ["$ echo one; echo two", "one"],
        ["$ echo one", "one", "two"],
        ["$ true", "nothing is printed"],
        ["$ echo 24/11/2026", "today"],
        ["$ false"],
        ["$ false", "$ echo $?", "0"],
    ],
)
def test_a_page_that_is_not_true_fails(session, lines):
    with pytest.raises(AssertionError):
        session.run(page(*lines))


def test_a_page_without_a_session_fails(session):
    with pytest.raises(AssertionError):
        session.run("nothing to see")


def test_times_may_differ_but_not_be_missing(session):
    session.run(page("$ echo at 24/11/2026 08:30", "at 01/01/2030 23:59"))
    with pytest.raises(AssertionError):
        session.run(page("$ echo at –", "at 01/01/2030 23:59"))


def test_a_code_is_the_one_that_was_printed(session):
    session.run(page(f"$ echo {CODE_A}", CODE_B, f"$ echo {CODE_B}", CODE_B))


def test_two_codes_are_not_taken_for_one(session):
    with pytest.raises(AssertionError):
        session.run(page(f"$ echo {CODE_A} {CODE_B}", f"{CODE_A} {CODE_A}"))


def test_one_code_is_not_taken_for_two(session):
    with pytest.raises(AssertionError):
        session.run(page(f"$ echo {CODE_A} {CODE_A}", f"{CODE_A} {CODE_B}"))


def test_a_long_command_goes_on_in_the_next_line(session):
    session.run(page("$ echo one \\", "> two", "one two"))


def test_a_program_runs_in_another_terminal_until_it_is_stopped(session):
    sleeper = page("$ sh -c 'trap \"exit 0\" INT; echo up; while :; do read x; done'", "up", words="other")
    session.run(sleeper + page("$ echo beside", "beside") + page("^C", words="other"))


def test_a_page_stops_what_it_starts(session):
    with pytest.raises(AssertionError):
        session.run(page("$ cat", words="other"))


def test_what_takes_a_moment_is_asked_again(session):
    session.run(page("$ echo x >> count; wc -l < count", "3", words="soon"))


@pytest.mark.slow
def test_the_first_steps_of_the_readme_are_true(session):
    session.run((ROOT / "README.md").read_text())
