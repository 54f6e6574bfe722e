import pytest

from crdtsync.errors import MalformedRecord
from crdtsync.model.sealed import join, link, seal, split
from crdtsync.model.signature import PrivateKey

KEY = PrivateKey.from_seed(b"a till")
SEALED = seal({"kind": "sale", "a": 1}, KEY)


def test_sealed_bytes_are_body_zero_signature() -> None:
    body, text = split(SEALED)
    assert body == b'{"a":1,"kind":"sale"}'
    assert text == KEY.sign_text(body)
    assert join(body, text) == body + b"\0" + text.encode() == SEALED


def test_a_link_covers_body_and_signature() -> None:
    import hashlib

    assert link(SEALED) == hashlib.sha256(SEALED).digest()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SEALED[:-1],
        SEALED + b"\n",
        SEALED.replace(b"\0", b"\1"),
        SEALED[-86:],
        SEALED[:-1] + b"\xff",
        SEALED[:-1] + b"B",
        SEALED + b"==",
    ],
)
def test_bytes_that_do_not_end_with_a_signature_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedRecord, match="signature"):
        split(data)
