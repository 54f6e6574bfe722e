import inspect
import re
from typing import Any

import pytest

from crdtsync import errors
from crdtsync.errors import CrdtsyncError, DamagedStore, LinkClosed, TooManyAttempts

TREE: list[type[CrdtsyncError]] = [
    found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, CrdtsyncError)
]
ANY: list[Any] = [found for found in TREE if found is not TooManyAttempts]


def test_every_error_ends_a_command_with_a_number_of_its_own() -> None:
    codes = [found.exit_code for found in TREE]
    assert sorted(codes) == sorted(set(codes))


def test_the_page_of_errors_lists_every_one_with_its_number() -> None:
    told = dict(re.findall(r"(\w+) +(\d+)", errors.__doc__ or ""))
    assert told == {found.__name__: str(found.exit_code) for found in TREE if found is not CrdtsyncError}


@pytest.mark.parametrize("error", ANY, ids=lambda error: error.__name__)
def test_an_error_is_one_sentence_and_may_bring_a_way_out_of_its_own(error: Any) -> None:
    assert str(error("the drawer is stuck")) == "the drawer is stuck"
    assert error("the drawer is stuck").hint == error.hint
    assert error("the drawer is stuck", hint="pull harder").hint == "pull harder"


def test_too_many_attempts_say_how_long_to_wait() -> None:
    error = TooManyAttempts("five wrong codes", retry_after_s=60)
    assert (error.retry_after_s, error.retryable, str(error)) == (60, True, "five wrong codes")


def test_a_closed_connection_says_how_it_was_closed() -> None:
    assert (LinkClosed("gone").code, LinkClosed("gone", code=4401).code) == (1006, 4401)


def test_damage_says_where_it_is() -> None:
    assert (DamagedStore("x").seq, DamagedStore("x").last_seq) == (None, None)
    assert (DamagedStore("x", seq=7).seq, DamagedStore("x", seq=7).last_seq) == (7, 7)
    pack = DamagedStore("x", shop=b"s", seq=7, last_seq=9, document="catalogue")
    assert (pack.shop, pack.seq, pack.last_seq, pack.document) == (b"s", 7, 9, "catalogue")
