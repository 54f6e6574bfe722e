import pytest

from crdtsync.runtime.doctor.network import unencrypted


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1"])
def test_on_this_machine_nobody_is_in_between(address):
    assert unencrypted(address).state == "well"


@pytest.mark.parametrize("address", ["192.168.1.20", "203.0.113.9", "fe80::1%eth0", "2001:db8::1", "what"])
def test_a_line_without_tls_to_another_machine_is_told(address):
    found = unencrypted(address)
    assert (found.check, found.state) == ("tls", "notice")
    assert "wss://" in found.advice
