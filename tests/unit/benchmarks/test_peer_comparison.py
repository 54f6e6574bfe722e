"""The comparison says who is behind, by how much, and what could not be measured."""

import json
import re
from io import StringIO

import pytest
from rich.console import Console

from benchmarks.peers.comparison import Row, where_we_are_behind
from benchmarks.peers.contenders import PEERS
from benchmarks.peers.installing import package_file, requirements
from benchmarks.peers.printing import WHAT_IS_COMPARED, print_comparison, told_of


def row(ours, theirs, *, is_rate=False, load=None):
    one = Row("sale to visible, 50 registers", "ms", "crdtsync", is_rate)
    for name, values in (("hocuspocus", theirs), ("crdtsync", ours)):
        for repeat, value in enumerate(values):
            one.cell(name).add(repeat, value, load)
    return one


def printed(*rows):
    out = StringIO()
    print_comparison(rows, Console(file=out, width=200))
    return out.getvalue()


@pytest.mark.parametrize(
    ("ours", "theirs", "is_rate", "ratio", "behind"),
    [
        ([4.0], [2.0], False, 0.5, "we"),
        ([4.0], [2.0], True, 0.5, "they"),
        ([2.0], [4.0], False, 2.0, "they"),
        ([2.0], [4.0], True, 2.0, "we"),
        ([4.0], [4.2], False, 1.05, "level"),
        ([4.0, 4.0, 2.0], [8.0, 2.0, 6.0], False, 2.0, "level"),
        ([0.0], [40.0], False, None, "they"),
        ([0.0], [0.0], False, None, "level"),
        ([], [3.0], False, None, None),
        ([3.0], [], False, None, None),
    ],
)
def test_the_worse_figure_is_behind_unless_repeats_disagree(ours, theirs, is_rate, ratio, behind):
    one = row(ours, theirs, is_rate=is_rate)
    assert one.ratio("hocuspocus") == (None if ratio is None else pytest.approx(ratio))
    assert one.behind("hocuspocus") == behind


def test_a_ratio_is_of_figures_of_the_same_repeat():
    one = row([1.0, 10.0, 100.0], [3.0, 20.0, 100.0])
    assert one.ratio("hocuspocus") == 2.0
    del one.cell("crdtsync").values[1]
    assert one.ratio("hocuspocus") == 2.0
    assert one.behind("hocuspocus") == "level"


def test_with_a_busy_driver_a_rate_is_a_floor_and_a_time_is_not():
    busy = {"server": 0.4, "driver": 0.95}
    assert row([10.0], [20.0], is_rate=True, load=busy).is_floor("hocuspocus")
    assert not row([10.0], [20.0], load=busy).is_floor("hocuspocus")
    assert "≥ 20 ms" in printed(row([10.0], [20.0], is_rate=True, load=busy))


def test_the_highest_load_of_the_repeats_is_told():
    one = row([1.0], [1.0])
    one.cell("hocuspocus").add(1, 1.0, {"server": 0.2})
    one.cell("hocuspocus").add(2, 1.0, {"server": 0.1})
    assert one.cell("hocuspocus").load == {"server": 0.2}


def test_the_table_says_where_we_are_behind_and_what_is_compared():
    text = printed(row([4.0], [2.0]), row([2.0], [4.0]))
    assert "We are behind hocuspocus, 2 times: sale to visible, 50 registers" in text
    assert "Behind in 1 of 2 comparisons." in text
    assert WHAT_IS_COMPARED in text
    assert text.index("crdtsync") < text.index("hocuspocus")
    assert "0.50x" in text


def test_where_one_figure_is_nothing_the_verdict_says_so():
    assert "We are behind hocuspocus, by any measure: one of both is 0" in printed(row([3.0], [0.0]))


def test_what_could_not_be_measured_is_told_with_its_reason_and_not_judged():
    one = row([3.0], [])
    one.cell("hocuspocus").missing = "it ended with 1"
    text = printed(one)
    assert "sale to visible, 50 registers, hocuspocus: not measured: it ended with 1" in text
    assert "Behind in 0 of 0 comparisons." in text
    assert where_we_are_behind([one]) == []


def test_the_file_says_all_that_the_table_does():
    facts = json.loads(json.dumps(row([4.0, 4.0], [2.0, 1.0], load={"driver": 0.5}).to_json()))
    assert facts["contenders"]["hocuspocus"] == {
        "value": 1.5,
        "low": 1.0,
        "high": 2.0,
        "n": 2,
        "ratio": 0.375,
        "behind": "we",
        "floor": False,
        "load": {"driver": 0.5},
        "note": "",
        "missing": "",
    }
    assert (facts["contenders"]["crdtsync"]["ratio"], facts["contenders"]["crdtsync"]["behind"]) == (
        None,
        None,
    )


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS.keys())
def test_every_version_of_a_peer_is_exact_and_its_settings_are_written_down(peer):
    assert peer.settings
    asked = (
        {**package_file(peer)["dependencies"], **package_file(peer)["overrides"]}
        if peer.client == "npm"
        else dict(line.split("==") for line in requirements(peer))
    )
    assert asked == peer.pinned
    assert all(re.fullmatch(r"\d+(\.\d+)+", version) for version in asked.values())


def test_versions_and_settings_are_told_of_everybody():
    facts = {"hocuspocus": {"versions": {"node": "20.20.2", "yjs": "13.6.33"}, "settings": ["its defaults"]}}
    assert told_of({"contenders": facts}) == ["hocuspocus: node 20.20.2, yjs 13.6.33", "    its defaults"]
