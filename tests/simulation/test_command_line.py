"""What the command refuses, and how: a sentence and exit code 2, never a traceback."""

import pytest
from click.testing import CliRunner

from crdtsync.testing.simulation.__main__ import main


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["--seed", "abc"],
        ["--seed", "1", "--days", "-1"],
        ["--seeds", "2", "--jobs", "0"],
        ["--seeds", "-3"],
        ["--minutes", "-1"],
        ["--minutes", "nan"],
        ["--minutes", "inf"],
        ["--seed", "1", "--sqlite", "2"],
        ["--seed", "1", "--seeds", "2"],
        ["--kept", "nowhere.json"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_in_words(wrong):
    result = CliRunner().invoke(main, wrong)
    assert (result.exit_code, "Error: " in result.output) == (2, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"seed": 1, "size": {}, "faults": [], "actions": [{"at_ms": 1, "what": "dance"}]}',
        b'{"seed": 1, "size": {}, "faults": [], "actions": [{"at_ms": "1", "what": "sell"}]}',
    ],
)
def test_a_file_that_is_no_history_is_refused_in_words(content, tmp_path):
    file = tmp_path / "kept.json"
    file.write_bytes(content)
    result = CliRunner().invoke(main, ["--kept", str(file)])
    assert (result.exit_code, "Invalid value for --kept" in result.output) == (2, True)
