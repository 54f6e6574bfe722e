"""What a session asks of its driver: when there is no more to do than to send."""

from dataclasses import fields

import pytest

from crdtsync.ids import START
from crdtsync.protocol.work import ReadRequest, Ready

GOES_ON = {"to_send", "to_read", "certificates"}
"""Of these there may be some after every commit; certificates come with a hello only."""

LISTS = {"to_persist", "refused", "documents"}


def test_one_that_only_sends_and_reads_is_bare():
    assert Ready().is_bare
    assert Ready(to_send=[b"frame"], to_read=ReadRequest(0, 1)).is_bare


@pytest.mark.parametrize("name", [one.name for one in fields(Ready) if one.name not in GOES_ON])
def test_one_with_anything_else_is_not(name):
    assert not Ready(**{name: [START] if name in LISTS else True}).is_bare
