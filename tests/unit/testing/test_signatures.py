"""The signature of simulations: as strict as a genuine one towards everybody who errs."""

from crdtsync.model import signature
from crdtsync.model.signature import PrivateKey
from crdtsync.testing.signatures import fast_signatures

BODY = b'{"kind":"sale"}'


def test_what_a_key_signed_holds_under_that_key_alone():
    with fast_signatures():
        key, other = PrivateKey.from_seed(b"till 1"), PrivateKey.from_seed(b"till 2")
        signed = key.sign_text(BODY)
        assert signature.verify(key.public, BODY, signed)
        assert not signature.verify(other.public, BODY, signed)
        assert not signature.verify(key.public, BODY + b" ", signed)


def test_the_public_key_is_the_genuine_one():
    genuine = PrivateKey.from_seed(b"till 1").public
    with fast_signatures():
        assert PrivateKey.from_seed(b"till 1").public == genuine


def test_neither_kind_is_taken_for_the_other():
    genuine = PrivateKey.from_seed(b"till 1")
    signed = genuine.sign(BODY)
    with fast_signatures():
        fast = PrivateKey.from_seed(b"till 1").sign(BODY)
        assert not signature.verify_raw(genuine.public, BODY, signed)
    assert signature.verify_raw(genuine.public, BODY, signed)
    assert not signature.verify_raw(genuine.public, BODY, fast)


def test_blocks_may_be_nested():
    with fast_signatures():
        with fast_signatures():
            pass
        key = PrivateKey.from_seed(b"till 1")
        assert signature.verify_raw(key.public, BODY, key.sign(BODY))
    key = PrivateKey.from_seed(b"till 1")
    assert signature.verify_raw(key.public, BODY, key.sign(BODY))
