import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdtsync.errors import InvalidName
from crdtsync.protocol.pairing import ALPHABET, PairingCode, split_secret

RELAY_KEY = bytes.fromhex("0351349081859d3b6c0cef13a7f95295c185403340d86d867e1e335a68ab6e28da")
secrets = st.binary(min_size=10, max_size=10)
codes = st.builds(PairingCode.make, secrets, st.just(RELAY_KEY))


def test_a_code_reads_as_it_was_frozen_in_version_one():
    code = PairingCode.make(bytes(range(10)), RELAY_KEY)
    assert code.format() == "000GC-40R4Y-0M301-E209M-Q7XJ9-6CJ51-SBQN7-PYDVX"


@given(codes)
def test_a_code_that_is_typed_as_shown_is_the_same_code(code):
    assert PairingCode.parse(code.format()) == code


@given(codes)
def test_spaces_case_and_look_alikes_do_not_matter(code):
    typed = code.format().lower().replace("-", "  ").replace("0", "o").replace("1", "l")
    assert PairingCode.parse(f" {typed}\n") == code


@given(codes, st.integers(0, 39), st.integers(1, 31))
def test_a_wrong_character_is_told_and_names_its_group(code, place, shift):
    typed = list(code.format().replace("-", ""))
    typed[place] = ALPHABET[(ALPHABET.index(typed[place]) + shift) % 32]
    with pytest.raises(InvalidName, match=f"^group {place // 5 + 1} of"):
        PairingCode.parse("".join(typed))


@given(codes, st.integers(0, 38))
def test_two_swapped_neighbours_are_told_unless_they_are_equal(code, place):
    typed = list(code.format().replace("-", ""))
    typed[place : place + 2] = reversed(typed[place : place + 2])
    swapped = "".join(typed)
    if swapped == code.format().replace("-", ""):
        assert PairingCode.parse(swapped) == code
    elif place % 5 != 4:
        with pytest.raises(InvalidName, match="mistyped"):
            PairingCode.parse(swapped)


@given(codes, st.permutations(range(8)))
def test_groups_in_another_order_are_told(code, order):
    groups = code.format().split("-")
    typed = "-".join(groups[group] for group in order)
    if list(order) == sorted(order):
        assert PairingCode.parse(typed) == code
    else:
        with pytest.raises(InvalidName, match="mistyped"):
            PairingCode.parse(typed)


@pytest.mark.parametrize("typed", ["", "000G3", "U" * 40, "000GC-40R4Y-0M301-E209M-Q7XJ9-6CJ51-SBQN7-PYDV*"])
def test_what_is_no_code_is_refused(typed):
    with pytest.raises(InvalidName):
        PairingCode.parse(typed)


def test_a_code_pins_the_key_of_its_relay():
    code = PairingCode.make(bytes(10), RELAY_KEY)
    assert code.matches(RELAY_KEY)
    assert not code.matches(b"\x02" + RELAY_KEY[1:])


def test_a_code_never_shows_its_verifier_in_a_log():
    code = PairingCode.make(bytes(range(10)), RELAY_KEY)
    assert code.verifier not in repr(code)


def test_a_secret_splits_into_selector_and_verifier():
    code = PairingCode.make(bytes(range(10)), RELAY_KEY)
    assert split_secret(code.secret) == (code.selector, code.verifier)


@pytest.mark.parametrize("secret", ["", "0" * 15, "0" * 17, "o" * 16, "U" * 16, "é" * 16])
def test_what_is_no_secret_is_refused(secret):
    with pytest.raises(InvalidName):
        split_secret(secret)
