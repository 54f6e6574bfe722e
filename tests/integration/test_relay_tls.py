"""A relay with a certificate of a private authority: joining, files that cannot be used, renewing."""

import asyncio
import datetime
import ipaddress
import json
import os
import signal
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crdtsync.errors import RelayUnreachable
from tests import forked
from tests.integration.conftest import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

PEM = serialization.Encoding.PEM
BEGAN = datetime.datetime(2020, 1, 1)
ENDS = BEGAN + datetime.timedelta(days=36_500)


@dataclass
class Files:
    cert: Path
    key: Path

    @property
    def settings(self):
        return "--tls-cert", str(self.cert), "--tls-key", str(self.key)


class Authority:
    """A private certificate authority, as a shop's own network has one."""

    def __init__(self, folder):
        self.folder, self.serial = folder, 0
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), named("Cave CA")
        ca = x509.BasicConstraints(ca=True, path_length=None)
        made = builder(self.name, self.name, self.key, 1, ENDS).add_extension(ca, critical=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(PEM))

    def issue(self, address="127.0.0.1", *, ends=ENDS, password=None, name="relay"):
        """A certificate for an address, with its key."""
        self.serial += 1
        key = ec.generate_private_key(ec.SECP256R1())
        places = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = builder(named(name), self.name, key, 1 + self.serial, ends)
        certificate = made.add_extension(places, critical=False).sign(self.key, hashes.SHA256())
        files = Files(self.folder / f"{self.serial}.pem", self.folder / f"{self.serial}.key")
        files.cert.write_bytes(certificate.public_bytes(PEM))
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        files.key.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, hidden))
        files.key.chmod(0o600)
        return files


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def builder(subject, issuer, key, serial, ends):
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).serial_number(serial)
    return made.public_key(key.public_key()).not_valid_before(BEGAN).not_valid_after(ends)


@pytest.fixture
def authority(tmp_path):
    (tmp_path / "tls").mkdir()
    return Authority(tmp_path / "tls")


def crdtsync(*arguments, **environment):
    return forked.run(["-m", "crdtsync", *arguments], env=os.environ | environment)


def shown_certificate(relay, authority):
    """The serial number of the certificate that the relay shows at this moment."""
    trust = ssl.create_default_context(cafile=str(authority.file))
    with socket.create_connection(("127.0.0.1", relay.port)) as plain:
        with trust.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            return int(secure.getpeercert()["serialNumber"], 16)


def test_a_register_joins_sells_and_synchronises_over_tls(relay_of, authority, tmp_path):
    relay = relay_of(*authority.issue().settings)
    assert relay.url == f"wss://127.0.0.1:{relay.port}"
    known = {"CRDTSYNC_DATA": str(tmp_path / "till"), "CRDTSYNC_TLS_CA": str(authority.file)}
    joined = crdtsync("join", relay.url, relay.first_code, "--name", "Caisse 1", "--json", **known)
    assert joined.returncode == 0, joined.stderr
    for arguments in (
        ("product", "add", "CM-19", "--name", "Crozes", "--price", "18.50", "--vat", "20"),
        ("sell", "CM-19", "--pay", "card"),
        ("sync",),
    ):
        done = crdtsync(*arguments, **known)
        assert done.returncode == 0, done.stderr
    status = json.loads(crdtsync("status", "--json", **known).stdout)
    assert (status["pending_sales"], status["state"]) == (0, "synced")


def test_a_relay_whose_authority_is_not_known_is_not_joined(relay_of, authority, tmp_path):
    relay = relay_of(*authority.issue().settings)
    with pytest.raises(RelayUnreachable, match="TLS certificate is not trusted"):
        relay.join(tmp_path / "till", "Caisse 1", relay.first_code)
    # The code was not shown to anybody.
    relay.join(tmp_path / "till", "Caisse 1", relay.first_code, tls_ca=str(authority.file)).close()


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        ({"address": "192.0.2.7"}, "IP address mismatch"),
        ({"ends": BEGAN + datetime.timedelta(days=30)}, "certificate has expired"),
    ],
)
def test_a_certificate_that_is_not_good_for_this_relay_is_refused(
    relay_of, authority, tmp_path, certificate, told
):
    relay = relay_of(*authority.issue(**certificate).settings)
    with pytest.raises(RelayUnreachable, match=told):
        relay.join(tmp_path / "till", "Caisse 1", relay.first_code, tls_ca=str(authority.file))


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        ({"address": "192.0.2.7"}, "to a name that is in it"),
        (
            {"ends": BEGAN + datetime.timedelta(days=30)},
            "as this machine says, renew the relay's certificate",
        ),
        (None, "CRDTSYNC_TLS_CA must name the file (PEM) of whoever signed"),
    ],
    ids=["another name", "expired", "another authority"],
)
def test_each_certificate_that_is_not_good_comes_with_what_mends_it(
    relay_of, authority, tmp_path, certificate, told
):
    good = authority.issue()
    relay = relay_of(*good.settings)
    relay.join(tmp_path / "till", "Caisse 1", relay.first_code, tls_ca=str(authority.file)).close()
    (tmp_path / "others").mkdir()
    whose = authority if certificate is not None else Authority(tmp_path / "others")
    bad = whose.issue(**certificate or {})
    good.cert.write_bytes(bad.cert.read_bytes())
    good.key.write_bytes(bad.key.read_bytes())
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown_is(relay, good))
    known = {"CRDTSYNC_DATA": str(tmp_path / "till"), "CRDTSYNC_TLS_CA": str(authority.file)}
    found = json.loads(crdtsync("doctor", "--json", **known).stdout)["findings"]
    (tls,) = (one for one in found if one["check"] == "tls")
    assert (tls["exit_code"], told in tls["advice"]) == (RelayUnreachable.exit_code, True), tls
    assert told in json.loads(crdtsync("sync", "--json", **known).stderr)["hint"]


def shown_is(relay, files):
    """Whether the relay shows that certificate at this moment, trusted or not."""
    shown = ssl.get_server_certificate(("127.0.0.1", relay.port))
    return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(files.cert.read_text())


def test_a_register_that_speaks_without_tls_is_told_that_it_does_not_reach_the_relay(
    relay_of, authority, tmp_path
):
    relay = relay_of(*authority.issue().settings)
    relay.url = relay.url.replace("wss:", "ws:")
    with pytest.raises(RelayUnreachable):
        relay.join(tmp_path / "till", "Caisse 1", relay.first_code)


def spoilt(authority, how):
    files, other = authority.issue(), authority.issue()
    if how == "of another certificate":
        return Files(files.cert, other.key)
    if how == "no file":
        return Files(files.cert, files.key.with_name("none"))
    if how == "exchanged":
        return Files(files.key, files.cert)
    if how == "with a password":
        return authority.issue(password=b"secret")
    files.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return files


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("of another certificate", "the key belongs to another certificate"),
        ("no file", "cannot be read: No such file or directory"),
        ("exchanged", "cannot be used"),
        ("with a password", "is protected by a password"),
        ("of no bytes", "cannot be used"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_in_one_line_and_nothing_is_served(tmp_path, authority, how, told):
    serve = ["-m", "crdtsync_server", "serve", "--data", tmp_path / "relay", "--port", 0]
    refused = forked.run([*serve, *spoilt(authority, how).settings])
    assert (refused.returncode, refused.stdout) == (10, "")
    assert told in refused.stderr
    assert refused.stderr.startswith("crdtsync-relay: the TLS ")
    assert refused.stderr.count("\n") == 1


def test_a_renewed_certificate_is_used_after_sighup_and_nobody_is_cut_off(relay_of, authority, tmp_path):
    files = authority.issue(ends=datetime.datetime.now() + datetime.timedelta(days=3))
    relay = relay_of(*files.settings)
    before = shown_certificate(relay, authority)
    till = relay.join(tmp_path / "till", "Caisse 1", relay.first_code, tls_ca=str(authority.file))
    background = till.start_sync()
    renewed = authority.issue()
    files.cert.write_bytes(renewed.cert.read_bytes())
    files.key.write_bytes(renewed.key.read_bytes())
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: shown_certificate(relay, authority) != before)
    assert shown_certificate(relay, authority) == before + 1
    assert background.error is None
    till.close()
    relay.wait_for_event("tls_reloaded")
    assert [event["event"] for event in relay.log() if "tls" in event["event"]] == [
        "tls_certificate_expires",
        "tls_reloaded",
    ]


def test_a_renewed_certificate_that_is_broken_leaves_the_old_one_in_use(relay_of, authority):
    files = authority.issue()
    relay = relay_of(*files.settings)
    before = shown_certificate(relay, authority)
    files.key.write_text("half a file")
    relay.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "tls_not_reloaded" in relay.errors.read_text())
    assert shown_certificate(relay, authority) == before


async def test_a_flood_of_handshakes_that_never_end_does_not_shut_out_a_register(
    relay_of, authority, tmp_path
):
    relay = relay_of(
        *authority.issue().settings, "--silent-connections-max", "20", "--request-timeout-s", "60"
    )
    flood = [await asyncio.open_connection("127.0.0.1", relay.port) for _ in range(100)]
    till = await asyncio.to_thread(
        relay.join, tmp_path / "till", "Caisse 1", relay.first_code, tls_ca=str(authority.file)
    )
    till.close()
    gone = await asyncio.gather(*(reader.read() for reader, _ in flood[:75]), return_exceptions=True)
    assert len(gone) == 75
    for _, writer in flood:
        writer.close()


async def test_a_handshake_of_garbage_is_cut_off(relay_of, authority):
    relay = relay_of(*authority.issue().settings)
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
    await reader.read()
    writer.close()
    assert shown_certificate(relay, authority) > 1
