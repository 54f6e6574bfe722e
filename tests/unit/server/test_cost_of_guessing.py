"""Whoever has a backup, or a relay's files, pays for each passphrase and each code that he tries."""

import hashlib
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crdtsync_server.backups.keys import sealed_keys, unsealed_keys
from crdtsync_server.database import open_access_database
from crdtsync_server.shops.pairing import PairingCodes

PASSPHRASE = b"correct horse battery staple"
SHOP, RELAY_KEY = b"c" * 16, b"\x02" + b"k" * 32


@pytest.fixture(scope="module", autouse=True)
def cost_of_guessing():
    """What it is for everybody."""


def test_a_passphrase_costs_32_megabytes_for_each_try(tmp_path, seeded):
    (tmp_path / "relay.key").write_bytes(b"the key of the relay")
    sealed = sealed_keys(tmp_path, PASSPHRASE, None, seeded)
    key = hashlib.scrypt(PASSPHRASE, salt=sealed["salt"], n=32_768, r=8, p=1, maxmem=1 << 27, dklen=32)
    content = AESGCM(key).decrypt(sealed["nonce"], sealed["sealed"], b"crdtsync/backup-keys/v1\x00")
    assert b"the key of the relay" in content
    assert unsealed_keys({"keys": sealed}, PASSPHRASE) == {"relay.key": b"the key of the relay"}


def test_a_code_costs_4_megabytes_for_each_try(tmp_path, clock, seeded):
    with closing(open_access_database(tmp_path / "access.sqlite")) as database:
        codes = PairingCodes(database, clock=clock, random=seeded)
        code = codes.issue(SHOP, "register", RELAY_KEY).code
        [(salt, kept)] = database.rows("SELECT salt, hash FROM code")
        assert kept == hashlib.scrypt(code.verifier.encode(), salt=salt, n=4096, r=8, p=1, dklen=32)
        assert codes.check(code.secret, "198.51.100.7").shop == SHOP
