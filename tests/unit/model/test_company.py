"""Who sells, as the shop says it and as every register reads it."""

from dataclasses import replace

import pytest

from crdtsync.errors import InvalidName
from crdtsync.model.company import TEXT_MAX, Company, build_company, has_check_digit, read_company
from crdtsync.model.jet import COMPANY_CHANGED

CAVE = Company(
    name="Cave du Port",
    form="SARL au capital de 8 000 €",
    address="3 quai des Chartrons\n33000 Bordeaux",
    siret="73282932000074",
    naf="4725Z",
    rcs="RCS Bordeaux",
    vat_number="FR44732829320",
)


def test_what_is_said_of_the_company_is_read_as_it_was_said() -> None:
    said = build_company(CAVE)
    assert (said["code"], read_company(said)) == (COMPANY_CHANGED, CAVE)


def test_what_is_not_known_is_left_out_and_nothing_at_all_can_be_said() -> None:
    said = build_company(Company(name="Cave"))
    assert said["data"] == {"company": {"name": "Cave"}}
    assert read_company(said) == Company(name="Cave")
    assert not Company().is_known
    assert Company(name="Cave").is_known
    assert read_company(build_company(Company())) == Company()


@pytest.mark.parametrize(
    "wrong",
    [
        {"siret": "73282932000075"},
        {"siret": "7328293200007"},
        {"siret": "7328293200007a"},
        {"siret": "٧٣٢٨٢٩٣٢٠٠٠٠٧٤"},
        {"naf": "4725"},
        {"naf": "4725z"},
        {"vat_number": "44732829320"},
        {"vat_number": "FR4"},
        {"vat_number": "FR44 732829320"},
        {"name": "x" * (TEXT_MAX + 1)},
        {"name": "Cave\ndu Port"},
        {"rcs": "RCS\x07"},
        {"address": "3 quai\x1b[2J"},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidName):
        build_company(replace(CAVE, **wrong))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": COMPANY_CHANGED},
        {"code": COMPANY_CHANGED, "data": []},
        {"code": COMPANY_CHANGED, "data": {"company": "Cave"}},
        {"code": 170, "data": {"company": {"name": "Cave"}}},
    ],
)
def test_an_entry_of_something_else_says_nothing_of_the_company(body: dict[str, object]) -> None:
    assert read_company(body) is None


def test_what_somebody_else_wrote_is_read_field_by_field_and_cut_to_its_bound() -> None:
    told = {"name": "Cave", "form": 7, "rcs": "a\nb", "address": "x" * 1000, "unknown": "y"}
    read = read_company({"code": COMPANY_CHANGED, "data": {"company": told}})
    assert read == Company(name="Cave", address="x" * TEXT_MAX)


def test_a_check_digit_tells_one_wrong_digit() -> None:
    assert has_check_digit("732829320", 9)
    for place in range(9):
        for digit in "0123456789":
            text = f"{'732829320'[:place]}{digit}{'732829320'[place + 1 :]}"
            assert has_check_digit(text, 9) == (text == "732829320")
