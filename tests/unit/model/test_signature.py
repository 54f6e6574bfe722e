import hashlib
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from crdtsync.errors import DamagedStore
from crdtsync.model.sealed import is_signature_text
from crdtsync.model.signature import (
    PrivateKey,
    is_public_key,
    sign_with_purpose,
    signature_bytes,
    signature_text,
    verify,
    verify_raw,
    verify_with_purpose,
)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = PrivateKey.from_seed(b"a till")
OTHER = PrivateKey.from_seed(b"another till")
BODY = b'{"a":1}'
TEXT = KEY.sign_text(BODY)


def test_a_signature_holds_for_its_body_and_key_only() -> None:
    text = KEY.sign_text(BODY)
    assert verify(KEY.public, BODY, text)
    assert not verify(KEY.public, BODY + b" ", text)
    assert not verify(OTHER.public, BODY, text)


def test_signing_twice_gives_the_same_signature() -> None:
    assert KEY.sign_text(BODY) == PrivateKey.from_seed(b"a till").sign_text(BODY)


def test_every_signature_has_a_low_s() -> None:
    signatures = [KEY.sign(bytes([n])) for n in range(40)]
    assert all(int.from_bytes(signature[32:], "big") <= ORDER // 2 for signature in signatures)
    assert all(verify_raw(KEY.public, bytes([n]), signature) for n, signature in enumerate(signatures))


@pytest.mark.parametrize("s", [1, 2, ORDER // 2 - 1, ORDER // 2])
def test_every_low_s_is_taken(s: int) -> None:
    """From any s follows a key for which it is right: d = (s k - z) / r."""
    k = 7
    r = ec.derive_private_key(k, ec.SECP256R1()).public_key().public_numbers().x % ORDER
    z = int.from_bytes(hashlib.sha256(BODY).digest(), "big")
    key = PrivateKey(ec.derive_private_key((s * k - z) * pow(r, -1, ORDER) % ORDER, ec.SECP256R1()))
    assert verify_raw(key.public, BODY, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_a_signature_with_a_zero_more_is_refused() -> None:
    signature = KEY.sign(BODY)
    assert not verify_raw(KEY.public, BODY, signature[:32] + b"\0" + signature[32:])


def test_the_key_of_a_seed_follows_from_its_hash() -> None:
    scalar = int.from_bytes(hashlib.sha256(b"a till").digest(), "big") % (ORDER - 1) + 1
    assert PrivateKey(ec.derive_private_key(scalar, ec.SECP256R1())).public == KEY.public


def test_the_same_signature_with_a_high_s_is_refused() -> None:
    low = KEY.sign(BODY)
    high = low[:32] + (ORDER - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
    assert verify_raw(KEY.public, BODY, low)
    assert not verify_raw(KEY.public, BODY, high)


def test_another_spelling_of_the_same_64_bytes_is_refused() -> None:
    text = KEY.sign_text(BODY)
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(text[-1])
    respelled = text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last + 1]
    assert signature_bytes(respelled) == signature_bytes(text)
    assert not is_signature_text(respelled)
    assert not verify(KEY.public, BODY, respelled)


@pytest.mark.parametrize("text", [TEXT + "==", TEXT + "A", TEXT[:-1], "é" + TEXT[1:], "+" + TEXT[1:], ""])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    assert not verify(KEY.public, BODY, text)


def test_the_text_of_a_signature_is_its_own_re_encoding() -> None:
    text = KEY.sign_text(BODY)
    assert signature_text(signature_bytes(text)) == text


@pytest.mark.parametrize("signature", [b"", bytes(64), b"\xff" * 64, KEY.sign(BODY) + b"\0"])
def test_numbers_outside_the_curve_are_refused(signature: bytes) -> None:
    assert not verify_raw(KEY.public, BODY, signature)


UNCOMPRESSED = KEY._key.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
)


def test_a_compressed_point_is_a_key() -> None:
    assert is_public_key(KEY.public)


@pytest.mark.parametrize(
    "public",
    [b"", bytes(33), b"\x02" + b"\xff" * 32, b"\x04" + KEY.public[1:], KEY.public + b"\0", UNCOMPRESSED],
)
def test_bytes_that_are_no_point_are_no_key(public: bytes) -> None:
    assert not is_public_key(public)
    assert not verify(public, BODY, KEY.sign_text(BODY))


def test_a_key_survives_its_file() -> None:
    again = PrivateKey.from_bytes(KEY.to_bytes())
    assert (again.public, again.sign(BODY)) == (KEY.public, KEY.sign(BODY))


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 32,
        KEY.to_bytes()[:100],
        pem(ec.derive_private_key(7, ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
        KEY._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"x"),
        ),
    ],
)
def test_a_damaged_or_foreign_key_file_is_named(data: bytes) -> None:
    with pytest.raises(DamagedStore, match="key") as caught:
        PrivateKey.from_bytes(data)
    assert "enrol this device again" in str(caught.value.hint)


def test_a_signature_for_one_purpose_is_none_for_another() -> None:
    signature = sign_with_purpose(KEY, "hello", b"payload")
    assert verify_with_purpose(KEY.public, "hello", b"payload", signature)
    assert not verify_with_purpose(KEY.public, "pairing", b"payload", signature)
    assert not verify_raw(KEY.public, b"payload", signature)


def test_a_purpose_stands_before_what_is_signed() -> None:
    signature = sign_with_purpose(KEY, "hello", b"payload")
    assert verify_raw(KEY.public, b"crdtsync/hello/v1\0payload", signature)


def test_verifying_lets_other_threads_run() -> None:
    """A relay verifies in threads; were the lock of the interpreter kept, they would wait for one another."""
    much = bytes(32 * 1024 * 1024)

    def another_thread_ran() -> bool:
        verifier = threading.Thread(target=verify, args=(KEY.public, much, TEXT))
        ran: list[bool] = []
        other = threading.Thread(target=lambda: ran.append(verifier.is_alive()))
        verifier.start()
        other.start()
        other.join()
        verifier.join()
        return ran == [True]

    assert any(another_thread_ran() for _ in range(20))
