"""What a person is told to do about a connection that could not be made."""

import errno
import ssl

import pytest

from crdtsync.runtime.syncing.address import what_mends
from crdtsync.storage.sqlite_errors import MORE_FILES

NOON_MS = 1_795_521_600_000


def not_trusted(code):
    error = ssl.SSLCertVerificationError()
    error.verify_code = code
    return error


@pytest.mark.parametrize("code", [9, 10], ids=["not yet", "expired"])
def test_where_the_date_decides_the_date_of_this_machine_is_told(code):
    told = what_mends(not_trusted(code), NOON_MS)
    assert "2026-11-24 12:00 UTC" in told
    assert "renew the relay's certificate; else set the clock" in told


@pytest.mark.parametrize("code", [62, 64], ids=["name", "IP address"])
def test_a_certificate_for_another_name_is_mended_by_going_to_that_name(code):
    assert "`crdtsync move wss://NAME:PORT`" in what_mends(not_trusted(code), NOON_MS)


@pytest.mark.parametrize("code", [7, 18, 19, 20])
def test_a_certificate_of_somebody_unknown_is_mended_by_naming_who_signed_it(code):
    assert "CRDTSYNC_TLS_CA" in what_mends(not_trusted(code), NOON_MS)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_who_has_no_file_left_is_not_sent_to_look_at_the_network(number):
    assert what_mends(OSError(number, "Too many open files"), NOON_MS) == MORE_FILES


def test_of_anything_else_nothing_is_said():
    assert what_mends(OSError(errno.ECONNREFUSED, "Connection refused"), NOON_MS) == ""
    assert what_mends(TimeoutError(), NOON_MS) == ""
