from dataclasses import replace
from typing import Any

import pytest

from crdtsync.errors import BadSignature, MalformedRecord, NotPermitted, RecordTooBig
from crdtsync.model.admission import Held, Verdict, judge_entry, judge_run, judge_update, signature_holds
from crdtsync.model.certificate import Directory
from crdtsync.model.chain import Shop
from crdtsync.model.entry import Entry, read_entry
from crdtsync.model.sealed import join, seal, split
from crdtsync.model.signature import PrivateKey, verify
from crdtsync.testing.till import MemoryOwner, MemoryTill

THIEF = PrivateKey.from_seed(b"thief")


def shop_with_a_till() -> tuple[MemoryOwner, MemoryTill]:
    owner = MemoryOwner()
    till = owner.enrol("till 1")
    for _ in range(4):
        till.sell()
    return owner, till


def resigned(sealed: bytes, key: PrivateKey = THIEF) -> bytes:
    """The same entry, signed by somebody else."""
    return seal(read_entry(sealed).body, key)


def held_code(data: bytes, directory: Directory) -> str:
    judged = judge_entry(data, directory)
    assert isinstance(judged, Held)
    assert judged.reason
    assert judged.entry.sealed == data
    return judged.code


class TestOneEntry:
    def test_entries_of_a_certified_device_are_admitted(self) -> None:
        owner, till = shop_with_a_till()
        assert [judge_entry(data, owner.directory) for data in till.sealed] == till.entries

    def test_the_owners_entries_are_admitted_from_the_first_on(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till)
        owner.append("owner-note", {})
        directory = Directory(owner.author)
        for entry in owner.entries:
            assert judge_entry(entry.sealed, directory) == entry
            directory = directory.with_entry(entry)

    def test_a_signature_of_somebody_else_is_refused_for_good(self) -> None:
        owner, till = shop_with_a_till()
        for data in (*till.sealed, *owner.sealed):
            with pytest.raises(BadSignature):
                judge_entry(resigned(data), owner.directory)

    def test_bytes_that_are_no_entry_are_refused_for_good(self) -> None:
        owner, till = shop_with_a_till()
        body, text = split(till.sealed[1])
        with pytest.raises(MalformedRecord):
            judge_entry(join(body.replace(b",", b", "), text), owner.directory)
        with pytest.raises(RecordTooBig):
            judge_entry(b"x" * 70_000, owner.directory)

    def test_gap_fork_wrong_total_and_strange_clock_are_no_reason_to_refuse(self) -> None:
        owner, till = shop_with_a_till()
        body = till.entries[2].body
        strange = [
            {**body, "seq": 90, "prev": "7" * 64},
            {**body, "ts": 5, "bd": "1999-01-01"},
            {**body, "ttc": 1, "vat": "none"},
        ]
        for changed in strange:
            assert isinstance(judge_entry(seal(changed, till.key), owner.directory), Entry)

    def test_a_device_that_nobody_certified_is_held(self) -> None:
        owner, _ = shop_with_a_till()
        assert held_code(MemoryTill("stranger").sealed[0], owner.directory) == "unknown-device"

    def test_a_device_that_only_looks_on_records_nothing(self) -> None:
        owner = MemoryOwner()
        till = owner.enrol("screen", role="display")
        assert held_code(till.sealed[0], owner.directory) == "role"

    def test_what_a_revoked_device_did_before_stays_good(self) -> None:
        owner, till = shop_with_a_till()
        known = replace(till.end.known, link=till.entries[2].link, n=3)
        owner.revoke(till, [known])
        judged = [judge_entry(data, owner.directory) for data in till.sealed]
        assert [type(one) for one in judged] == [Entry, Entry, Entry, Held, Held]

    def test_another_version_of_the_head_known_at_revocation_is_held(self) -> None:
        owner, till = shop_with_a_till()
        other = seal({**till.entries[-1].body, "op": "u-max"}, till.key)
        owner.revoke(till, [till.end.known])
        assert held_code(other, owner.directory) == "revoked"

    def test_what_a_person_lets_in_of_a_revoked_device_is_admitted_and_nothing_else(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till, [replace(till.end.known, link=till.entries[1].link, n=2)])
        owner.approve(till, till.entries[3])
        judged = [judge_entry(data, owner.directory) for data in till.sealed]
        assert [type(one) for one in judged] == [Entry, Entry, Held, Entry, Held]

    def test_what_is_let_in_counts_for_entries_that_arrive_with_it(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till)
        before = owner.directory
        approval = owner.approve(till, *till.entries)
        codes = [verdict.code for verdict in judge_run([approval.sealed, *till.sealed], before)]
        assert codes == [""] * 6
        codes = [verdict.code for verdict in judge_run([*till.sealed, approval.sealed], before)]
        assert codes == ["revoked"] * 5 + [""]

    def test_what_is_let_in_must_bear_its_devices_signature(self) -> None:
        owner, till = shop_with_a_till()
        forged = read_entry(resigned(till.sealed[4]))
        owner.revoke(till)
        owner.approve(till, forged)
        with pytest.raises(BadSignature):
            judge_entry(forged.sealed, owner.directory)

    def test_nobody_but_the_owner_lets_anything_in(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till)
        approval = owner.approve(till, *till.entries)
        with pytest.raises(BadSignature):
            judge_entry(resigned(approval.sealed, till.key), owner.directory)

    def test_certifying_the_device_again_admits_the_rest(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till)
        assert held_code(till.sealed[1], owner.directory) == "revoked"
        owner.certify(till)
        assert judge_entry(till.sealed[1], owner.directory) == till.entries[1]

    def test_a_register_of_another_shop_is_held_until_a_certificate_names_it(self) -> None:
        owner = MemoryOwner()
        till = MemoryTill(shop=Shop(b"\7" * 16, "Ailleurs"))
        owner.certify(till)
        assert held_code(till.sealed[0], owner.directory) == "other-shop"
        owner.certify(till, chain=till.entries[0].link, original_shop=b"\7" * 16)
        assert judge_entry(till.sealed[0], owner.directory) == till.entries[0]

    def test_a_chain_of_a_key_that_nobody_certified_is_held(self) -> None:
        owner = MemoryOwner()
        till = owner.enrol("till 1")
        renewed = MemoryTill("till 1", shop=owner.shop)
        body = {**renewed.entries[0].body, "key": {"alg": "ES256", "pub": THIEF.public.hex()}}
        assert held_code(seal(body, THIEF), owner.directory) == "unknown-key"
        assert judge_entry(till.sealed[0], owner.directory) == till.entries[0]

    def test_a_chain_begins_with_the_signature_of_the_key_it_names(self) -> None:
        owner = MemoryOwner()
        till = owner.enrol("till 1")
        new_key = PrivateKey.from_seed(b"new key")
        old_key, till.key = till.key, new_key
        owner.certify(till)
        with pytest.raises(BadSignature):
            judge_entry(resigned(till.sealed[0], new_key), owner.directory)
        assert judge_entry(resigned(till.sealed[0], old_key), owner.directory) == till.entries[0]

    def test_both_keys_of_a_device_may_sign(self) -> None:
        owner, till = shop_with_a_till()
        till.key = PrivateKey.from_seed(b"new key")
        owner.certify(till)
        for data in (till.sealed[1], resigned(till.sealed[1], till.key)):
            assert isinstance(judge_entry(data, owner.directory), Entry)

    def test_the_owner_of_another_shop_is_held(self) -> None:
        owner, _ = shop_with_a_till()
        assert held_code(MemoryOwner("another").sealed[0], owner.directory) == "other-shop"

    def test_certificates_wait_for_the_owner(self) -> None:
        owner, _ = shop_with_a_till()
        assert held_code(owner.sealed[1], Directory(owner.author)) == "no-owner"

    @pytest.mark.parametrize(
        ("kind", "payload"),
        [("certify", {"device": 5}), ("revoke", {"device": 5}), ("owner-approve", {"links": []})],
    )
    def test_a_certificate_of_no_form_is_refused_for_good(self, kind: str, payload: Any) -> None:
        owner, _ = shop_with_a_till()
        entry = owner.append(kind, payload)
        directory = Directory(owner.author).with_entry(owner.entries[0])
        with pytest.raises(MalformedRecord):
            judge_entry(entry.sealed, directory)

    def test_without_an_owner_no_signature_of_the_owner_holds(self) -> None:
        owner, _ = shop_with_a_till()
        assert not signature_holds(owner.entries[1], Directory(owner.author))

    def test_a_first_entry_of_an_uncertified_key_has_no_signature_that_holds(self) -> None:
        assert not signature_holds(MemoryTill().entries[0], MemoryOwner().directory)


class TestRuns:
    def counted(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        """The bodies whose signature is looked at."""
        seen: list[bytes] = []

        def counting(public: bytes, body: bytes, text: str) -> bool:
            seen.append(body)
            return verify(public, body, text)

        monkeypatch.setattr("crdtsync.model.admission.verify", counting)
        return seen

    def test_the_last_signature_of_a_run_covers_the_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        owner, till = shop_with_a_till()
        directory = owner.directory
        seen = self.counted(monkeypatch)
        verdicts = judge_run(till.sealed, directory)
        assert seen == [split(till.sealed[-1])[0]]
        assert [verdict.entry for verdict in verdicts] == till.entries
        assert [verdict.admitted for verdict in verdicts] == [True] * 5
        assert [verdict.awaits_check for verdict in verdicts] == [True] * 4 + [False]

    def test_a_bad_last_signature_has_all_verified_singly(self) -> None:
        owner, till = shop_with_a_till()
        data = [*till.sealed[:-1], resigned(till.sealed[-1])]
        verdicts = judge_run(data, owner.directory)
        assert [verdict.code for verdict in verdicts] == ["", "", "", "", "bad-signature"]
        assert not any(verdict.awaits_check for verdict in verdicts)

    def test_a_bad_signature_inside_a_run_is_found_by_its_own_check(self) -> None:
        """The entries after it were sealed after the bad one, so that the run is unbroken."""
        owner, till = shop_with_a_till()
        bad = read_entry(resigned(till.sealed[2]))
        after = seal({**till.entries[3].body, "prev": bad.link.hex()}, till.key)
        verdicts = judge_run([till.sealed[1], bad.sealed, after], owner.directory)
        assert [verdict.admitted for verdict in verdicts] == [True] * 3
        waiting = [verdict.entry for verdict in verdicts if verdict.awaits_check]
        holds = [signature_holds(entry, owner.directory) for entry in waiting if entry]
        assert holds == [True, False]

    def test_chains_that_arrive_mixed_are_each_a_run(self, monkeypatch: pytest.MonkeyPatch) -> None:
        owner, first = shop_with_a_till()
        second = owner.enrol("till 2")
        second.sell()
        directory = owner.directory
        seen = self.counted(monkeypatch)
        mixed = [data for pair in zip(first.sealed, second.sealed, strict=False) for data in pair]
        assert all(verdict.admitted for verdict in judge_run(mixed, directory))
        assert len(seen) == 2

    @pytest.mark.parametrize("places", [[1, 3], [2, 1], [1, 1], [3, 2]])
    def test_a_broken_run_is_verified_on_both_sides(
        self, places: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, till = shop_with_a_till()
        directory = owner.directory
        seen = self.counted(monkeypatch)
        verdicts = judge_run([till.sealed[place] for place in places], directory)
        assert len(seen) == 2
        assert not any(verdict.awaits_check for verdict in verdicts)

    def test_another_device_cannot_have_its_entries_vouched_for(self) -> None:
        owner, till = shop_with_a_till()
        intruder = owner.enrol("till 2")
        body = {**till.entries[2].body, "till": intruder.author.hex()}
        forged = read_entry(seal(body, THIEF))
        after = seal({**till.entries[3].body, "prev": forged.link.hex()}, till.key)
        verdicts = judge_run([till.sealed[1], forged.sealed, after], owner.directory)
        assert [verdict.code for verdict in verdicts] == ["", "bad-signature", ""]

    def test_certificates_count_for_the_entries_after_them(self) -> None:
        owner, till = shop_with_a_till()
        verdicts = judge_run([*owner.sealed, *till.sealed], Directory(owner.author))
        assert all(verdict.admitted for verdict in verdicts)
        assert [v.awaits_check for v in verdicts[: len(owner.sealed)]] == [False] * len(owner.sealed)

    def test_what_is_known_is_not_verified_again_and_awaits_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, till = shop_with_a_till()
        directory = owner.directory
        known = {(till.key.public, till.sealed[place]) for place in (1, 4)}
        seen = self.counted(monkeypatch)
        verdicts = judge_run(till.sealed, directory, known=known)
        assert not seen
        assert [verdict.entry for verdict in verdicts] == till.entries
        assert [verdict.awaits_check for verdict in verdicts] == [True, False, True, True, False]

    def test_known_ones_do_not_vouch_for_a_last_one_that_is_not(self) -> None:
        owner, till = shop_with_a_till()
        data = [till.sealed[0], resigned(till.sealed[1]), *till.sealed[2:4]]
        data[2] = seal({**till.entries[2].body, "prev": read_entry(data[1]).link.hex()}, till.key)
        data[3] = resigned(seal({**till.entries[3].body, "prev": read_entry(data[2]).link.hex()}, till.key))
        verdicts = judge_run(data, owner.directory, known={(till.key.public, data[2])})
        assert [verdict.code for verdict in verdicts] == ["", "bad-signature", "", "bad-signature"]
        assert not any(verdict.awaits_check for verdict in verdicts)

    def test_what_is_known_of_another_key_says_nothing(self) -> None:
        owner, till = shop_with_a_till()
        other = owner.enrol("till 2")
        forged = resigned(till.sealed[2], other.key)
        known = {(other.key.public, forged), (THIEF.public, forged), (till.key.public, till.sealed[2])}
        (verdict,) = judge_run([forged], owner.directory, known=known)
        assert verdict.code == "bad-signature"

    def test_what_is_known_of_a_revoked_device_is_held_all_the_same(self) -> None:
        owner, till = shop_with_a_till()
        owner.revoke(till)
        known = {(till.key.public, sealed) for sealed in till.sealed}
        verdicts = judge_run(till.sealed, owner.directory, known=known)
        assert {verdict.code for verdict in verdicts} == {"revoked"}

    def test_a_revocation_counts_for_the_tickets_after_it(self) -> None:
        owner = MemoryOwner()
        till = owner.enrol("Caisse 1")
        for _ in range(3):
            till.sell()
        before = owner.directory
        owner.revoke(till, [replace(till.end.known, link=till.entries[2].link, n=3)])
        first, others = till.sealed[:3], till.sealed[3:]
        verdicts = judge_run([*first, owner.sealed[-1], *others], before)
        assert [verdict.code for verdict in verdicts] == ["", "", "", ""] + ["revoked"] * len(others)
        assert others

    def test_tickets_of_a_replaced_register_are_read_in_bulk_and_judged_one_by_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who takes a lost register's place fetches all that this one sold. What was not known when it was
        revoked is held among the rest, wherever it stands; what a person let in is not.
        """
        owner = MemoryOwner()
        till = owner.enrol("Caisse 1")
        for _ in range(6):
            till.sell()
        known, let_in = till.entries[3], till.entries[5]
        owner.revoke(till, [replace(till.end.known, link=known.link, n=known.facts.n)])
        owner.approve(till, let_in)
        other = seal({**known.body, "op": "u-max"}, till.key)
        exact: list[bytes] = []

        def read(data: bytes) -> Entry:
            exact.append(data)
            return read_entry(data)

        monkeypatch.setattr("crdtsync.model.admission.read_entry", read)
        came = [*till.sealed[1:], other, *till.sealed[1:4]]
        verdicts = judge_run(came, owner.directory)
        held = [data for data, verdict in zip(came, verdicts, strict=True) if verdict.held]
        assert held == [till.sealed[4], *till.sealed[6:], other]
        assert all(verdict.code == "revoked" for verdict in verdicts if verdict.held)
        assert exact == held

    def test_entries_before_their_certificate_are_held(self) -> None:
        owner, till = shop_with_a_till()
        verdicts = judge_run([till.sealed[0], *owner.sealed, till.sealed[1]], Directory(owner.author))
        assert [(verdict.code, verdict.held) for verdict in verdicts] == [
            ("unknown-device", True),
            ("", False),
            ("", False),
            ("", False),
        ]

    def test_one_bad_record_does_not_block_the_others(self) -> None:
        owner, till = shop_with_a_till()
        records = [
            till.sealed[0],
            b"garbage",
            till.sealed[1],
            resigned(owner.sealed[1]),
            MemoryOwner("another").sealed[0],
            MemoryTill("stranger").sealed[0],
            till.sealed[2],
        ]
        verdicts = judge_run(records, owner.directory)
        codes = ["", "malformed", "", "bad-signature", "other-shop", "unknown-device", ""]
        assert [verdict.code for verdict in verdicts] == codes
        assert [verdict.held for verdict in verdicts] == [False] * 4 + [True] * 2 + [False]
        assert verdicts[1].entry is None
        assert all(verdict.reason for verdict in verdicts if verdict.code)

    def test_nothing_to_judge_is_no_verdict(self) -> None:
        assert judge_run([], MemoryOwner().directory) == []

    def test_an_empty_verdict_admits(self) -> None:
        assert Verdict(None).admitted


@pytest.mark.parametrize(
    ("document", "role"),
    [
        ("catalogue", "register"),
        ("catalogue", "backoffice"),
        *(("x/notes", role) for role in ("register", "backoffice", "display", "relay")),
    ],
)
def test_who_may_write_a_document(document: str, role: str) -> None:
    judge_update(document, role)


@pytest.mark.parametrize(
    ("document", "role"),
    [
        ("catalogue", "display"),
        ("catalogue", "relay"),
        ("owner", "backoffice"),
        ("ledger/" + "0" * 32 + "/2026-11-24", "register"),
    ],
)
def test_who_may_not_write_a_document(document: str, role: str) -> None:
    with pytest.raises(NotPermitted):
        judge_update(document, role)
