"""What is refused is said in the language of whoever stands at the till."""

import pytest

from crdtsync import errors
from crdtsync.till.baskets import QUANTITY_MAX
from crdtsync.till.troubles import SENTENCES, said_of
from crdtsync.till.words import words_in
from tests.till.conftest import plain


def kinds(error):
    """An error's class, and all that are kinds of it."""
    return [error, *(kind for one in error.__subclasses__() for kind in kinds(one))]


AT_A_TILL = [
    kind
    for family in (errors.UsageError, errors.SetupError, errors.LinkError, errors.StorageError)
    for kind in kinds(family)
    if kind.__module__ == errors.__name__
]


@pytest.mark.parametrize("kind", AT_A_TILL, ids=lambda kind: kind.__name__)
def test_every_error_that_a_till_can_meet_has_a_sentence_in_both_languages(kind):
    error = kind.__new__(kind)
    french, english = said_of(error, words_in("fr")), said_of(error, words_in("en"))
    assert english in SENTENCES.values()
    assert french not in ("", english)


def test_what_is_no_kind_of_these_has_none():
    assert said_of(errors.CrdtsyncError("something else"), words_in("fr")) == ""


def test_a_french_till_says_in_french_what_was_refused_and_the_rest_below(shop):
    clerk = shop.open_till(language="fr")
    most = str(QUANTITY_MAX)
    assert clerk.post("/add", sku="EAU", quantity=most).status_code == 303
    answer = clerk.post("/add", sku="EAU", quantity=most)
    assert answer.status_code == 422
    assert "Ce montant, cette quantité ou cette remise n'est pas possible." in plain(answer.text)
    assert '<p lang="en">that is too many</p>' in answer.text
