"""Judging together and judging alone come to the same, whatever arrives in whatever order."""

import hashlib
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import RecordError
from crdtsync.model.admission import Held, judge_entry, judge_run, signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.entry import read_entry
from crdtsync.model.sealed import seal
from crdtsync.model.signature import PrivateKey
from crdtsync.testing.till import MemoryOwner, MemoryTill

OWNER = MemoryOwner()
TILLS = [OWNER.enrol("till 1"), OWNER.enrol("till 2"), OWNER.enrol("till 3")]
for shop_till in TILLS:
    for _ in range(4):
        shop_till.sell()
OWNER.revoke(TILLS[2], [TILLS[2].end.known])
TILLS[2].sell()
OWNER.approve(TILLS[2], TILLS[2].sell())

THIEF = PrivateKey.from_seed(b"thief")
GENUINE = [data for till in TILLS for data in till.sealed]
FORGED = [seal(read_entry(data).body, THIEF) for data in GENUINE[:4]]
RECORDS = [*GENUINE, *FORGED, *MemoryTill("stranger").sealed, b"garbage"]


def alone(data: bytes, directory: Directory) -> str:
    try:
        judged = judge_entry(data, directory)
    except RecordError as error:
        return error.code
    return judged.code if isinstance(judged, Held) else ""


@given(st.lists(st.sampled_from(RECORDS), max_size=30))
def test_a_run_is_judged_as_its_entries_are_judged_alone(records: list[bytes]) -> None:
    directory = OWNER.directory
    together: list[str] = []
    for verdict in judge_run(records, directory):
        bad = verdict.awaits_check and not signature_holds(read_entry(records[len(together)]), directory)
        together.append("bad-signature" if bad else verdict.code)
    assert together == [alone(data, directory) for data in records]


@given(st.lists(st.sampled_from(RECORDS), max_size=30), st.randoms(use_true_random=False))
def test_who_has_just_unpacked_a_run_judges_it_the_same(records: list[bytes], rng: Random) -> None:
    known = [rng.random() < 0.7 and data != b"garbage" for data in records]
    links = [hashlib.sha256(data).digest() if known[i] else None for i, data in enumerate(records)]
    for with_links, without in zip(
        judge_run(records, OWNER.directory, links), judge_run(records, OWNER.directory), strict=True
    ):
        assert with_links == without


@given(st.permutations(OWNER.entries[1:]))
def test_a_directory_is_the_same_whatever_arrived_first(order: list[object]) -> None:
    directory = Directory(OWNER.author).with_entry(OWNER.entries[0])
    for entry in order:
        directory = directory.with_entry(entry)  # type: ignore[arg-type]
    assert directory == OWNER.directory
