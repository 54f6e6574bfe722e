"""A register made from two pages alone: the wire protocol and the entries.

It shares no code with the product: msgpack, JSON, SHA-256, ECDSA and a WebSocket are all it uses. It enrols
with a pairing code, takes the shop's log, and sells something that a real register then sees and verifies.
"""

import hashlib
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import msgpack
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from websockets.sync.client import connect

from crdtsync import Register
from crdtsync_server import LocalRelay

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BEGINNING = (0, bytes(32))


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(body):
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def signature_holds(public, data, signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return len(signature) == 64 and s <= ORDER // 2


def purpose(name, *payload):
    return f"crdtsync/{name}/v1".encode() + b"\0" + b"".join(payload)


class Key:
    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        self.public = self._key.public_key().public_bytes(*form)

    def sign(self, data):
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


# -- entries -----------------------------------------------------------------------------------------------


def body_of(sealed):
    """The body of an entry, after checking its form."""
    data, signature = sealed[:-87], sealed[-86:]
    assert sealed[-87] == 0
    body = json.loads(data)
    assert canonical(body) == data
    assert urlsafe_b64encode(urlsafe_b64decode(signature + b"==")).rstrip(b"=") == signature
    return body


def is_signed(sealed, public):
    return signature_holds(public, sealed[:-87], urlsafe_b64decode(sealed[-86:] + b"=="))


class Chain:
    """The entries that this register makes."""

    def __init__(self, key, device, shop, series):
        self._key, self._device = key, device
        self.sealed = []
        self._counts = {}
        first = {
            "nonce": "00112233445566778899aabbccddeeff",
            "key": {"alg": "ES256", "pub": key.public.hex()},
            "shop": shop,
            "series": series,
            "cur": "EUR",
            "heads": [],
        }
        self._link = sha256(b"crdtsync/ledger/v1\0", device)
        self._chain = {}
        self.append("register", first)
        self._chain = {"chain": self._link.hex()}

    def append(self, kind, fields):
        self._counts[kind] = self._counts.get(kind, 0) + 1
        now = time.time()
        body = {
            "v": 1,
            "kind": kind,
            "till": self._device.hex(),
            "seq": len(self.sealed) + 1,
            "n": self._counts[kind],
            "prev": self._link.hex(),
            "ts": int(now * 1000),
            "tz": 0,
            "bd": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d}",
            "op": "u-lea",
            "sw": "by the page 1",
            "mode": "live",
            **self._chain,
            **fields,
        }
        data = canonical(body)
        sealed = data + b"\0" + urlsafe_b64encode(self._key.sign(data)).rstrip(b"=")
        self.sealed.append(sealed)
        self._link = sha256(sealed)

    def sell(self, series):
        """Two bottles at 18.50 and a terrine at 6.95, paid with fifty euros."""
        rows = [
            ("CM-19", "Crozes-Hermitage", 2000, 1850, 2000, "N"),
            ("TER-01", "Terrine", 1000, 695, 550, "R1"),
        ]
        lines, rates = [], []
        for i, (sku, label, qty, pu, vat, vc) in enumerate(rows, 1):
            ttc = pu * qty // 1000
            ht = (2 * ttc * 10_000 + 10_000 + vat) // (2 * (10_000 + vat))
            lines.append(
                {"i": i, "sku": sku, "label": label, "qty": qty, "unit": "pce", "pu": pu}
                | {"disc": 0, "ttc": ttc, "vat": vat, "vc": vc, "ht": ht}
            )
            rates.append({"vat": vat, "vc": vc, "ttc": ttc, "ht": ht, "tva": ttc - ht})
        total = sum(line["ttc"] for line in lines)
        number = f"{series}-{datetime.now(UTC):%y}-000001"
        pay = [{"m": "cash", "amt": 5000}, {"m": "change", "amt": total - 5000}]
        fields = {"lines": lines, "vat": rates, "ttc": total, "pay": pay, "rnd": "rate-half-up/1"}
        self.append("sale", {**fields, "deliv": "none", "num": number, "gt": {"real": total, "abs": total}})
        return number


# -- the wire ----------------------------------------------------------------------------------------------


def receive(socket):
    return msgpack.unpackb(socket.recv(timeout=60))


def send(socket, *message):
    socket.send(msgpack.packb(list(message)))


def checked(g, values):
    """The check of a group of a pairing code."""
    for power, value in enumerate(values, 1):
        product = value << power
        for bit in range(9, 4, -1):
            product ^= (product >> bit & 1) * (0b100101 << bit - 5)
        g ^= product
    return g


def enrol(url, code, key, device):
    """The shop's id and the owner's chain up to the certificate; and the relay's key."""
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    for g, group in enumerate(code.split("-"), 1):
        values = [alphabet.index(digit) for digit in group]
        assert checked(g, values[:4]) == values[4]
    digits = "".join(group[:4] for group in code.split("-"))
    secret, fingerprint = digits[:16], 0
    for digit in digits[16:]:
        fingerprint = fingerprint << 5 | alphabet.index(digit)
    with connect(url + "/v1/enrol", compression=None) as socket:
        kind, version, nonce, relay_device, relay_key, exchange_key, signature = receive(socket)
        assert (kind, version) == (16, 1)
        assert sha256(b"crdtsync/relay-key/v1\0", relay_key)[:10] == fingerprint.to_bytes(10, "big")
        signed = purpose("enrol-offer", nonce, relay_device, exchange_key)
        assert signature_holds(relay_key, signed, signature)
        mine = X25519PrivateKey.generate()
        my_key = mine.public_key().public_bytes_raw()
        shared = mine.exchange(X25519PublicKey.from_public_bytes(exchange_key))
        box = ChaCha20Poly1305(HKDF(hashes.SHA256(), 32, nonce, b"crdtsync/enrol/v1").derive(shared))
        context = nonce + relay_device + relay_key + exchange_key
        proof = key.sign(purpose("enrol-request", context, my_key, device, key.public))
        request = [secret, device, "By the page", key.public, b"", b"", "", proof]
        send(socket, 17, my_key, box.encrypt(bytes(12), msgpack.packb(request), context))
        kind, answer = receive(socket)
        assert kind == 18
    shop, sealed, refusal, *_ = msgpack.unpackb(box.decrypt(bytes(11) + b"\1", answer, context))
    assert refusal == ""
    return shop, sealed, relay_key


def certificate(shop, owners_chain, device):
    """The certificate of a device, the owner's key and the shop's name; everything checked."""
    owner, *others = owners_chain
    first = body_of(owner)
    public = bytes.fromhex(first["key"]["pub"])
    assert sha256(b"crdtsync/shop/v1\0", public, bytes.fromhex(first["nonce"]))[:16] == shop
    assert all(is_signed(sealed, public) for sealed in owners_chain)
    (mine,) = [body for body in map(body_of, others) if body.get("device") == device.hex()]
    return mine, first["shop"]["name"]


class Peer:
    """One connection to the relay, and what it brought."""

    def __init__(self, socket, key, shop, device, relay_key, log):
        self._socket = socket
        self.log, self.h = log, [bytes(32)]
        for record in log:
            self.h.append(sha256(self.h[-1], len(record).to_bytes(4, "big"), record))
        self.received, self.cursor, self.acknowledged = {}, BEGINNING, 0
        kind, version, nonce = receive(socket)
        assert (kind, version) == (1, 1)
        end = (len(log), self.h[-1])
        me = [1, shop, device, b"L" * 16, *end, b"", *BEGINNING, b"n" * 16, b"", False, True]
        body = msgpack.packb([*me, int(time.time() * 1000), bytes(32), "by the page 1"])
        send(socket, 2, body, key.sign(purpose("hello-connect", nonce, body)))
        kind, relays_body, signature = receive(socket)
        assert kind == 2
        signed = purpose("hello-accept", nonce, body, relays_body)
        assert signature_holds(relay_key, signed, signature)
        _, their_shop, _, _, *self.end = msgpack.unpackb(relays_body)[:6]
        assert their_shop == shop
        send(socket, 8, [], True, True)

    def send_log(self):
        last = len(self.log)
        send(self._socket, 5, *BEGINNING, last, self.h[-1], [1] * last, self.log, [])

    def send_newest(self):
        last = len(self.log)
        send(self._socket, 5, last - 1, self.h[last - 1], last, self.h[last], [last], self.log[-1:], [])

    def take(self):
        """Deal with one message."""
        kind, *fields = receive(self._socket)
        if kind == 5:
            *start, seq, h, steps, records, fills = fields
            assert tuple(start) == tuple(self.cursor)
            assert fills == []
            at = 0
            for step, record in zip(steps, records, strict=True):
                at += step
                self.received[at] = record
            self.cursor = (seq, h)
            send(self._socket, 7, seq, h)
        elif kind == 7:
            assert fields[1] == self.h[fields[0]]
            self.acknowledged = fields[0]
        elif kind == 8:
            assert fields[0] == [], fields
        else:
            assert kind in (9, 13, 14), f"an end that knows this page's first version is told {kind}"


def test_a_register_made_from_the_pages_sells_in_a_real_shop(tmp_path):
    with (
        LocalRelay(tmp_path / "relay", shop="Cave des Lilas") as relay,
        Register.join(tmp_path / "till", relay.url, relay.pairing_code(), name="Till 1") as till,
    ):
        till.products.add("CM-19", name="Crozes-Hermitage", price_minor=1850, vat_rate=2000)
        sold = till.sell(["CM-19"], ["card"])
        till.sync(60)

        key = Key()
        device = sha256(b"crdtsync/device/v1\0", key.public)[:16]
        shop, owners_chain, relay_key = enrol(relay.url, relay.pairing_code(), key, device)
        mine, shop_name = certificate(shop, owners_chain, device)
        assert (mine["role"], mine["shop"], mine["key"]["pub"]) == ("register", shop.hex(), key.public.hex())
        chain = Chain(key, device, {"id": shop.hex(), "name": shop_name}, mine["series"])
        number = chain.sell(mine["series"])

        with connect(relay.url + "/v1/sync", compression=None, max_size=None) as socket:
            peer = Peer(socket, key, shop, device, relay_key, [b"E" + sealed for sealed in chain.sealed])
            peer.send_log()
            while peer.acknowledged < 2 or peer.cursor[0] < peer.end[0]:
                peer.take()

        h = bytes(32)
        for seq in range(1, peer.end[0] + 1):
            h = sha256(h, len(peer.received[seq]).to_bytes(4, "big"), peer.received[seq])
        assert h == peer.end[1]
        tickets = [
            body["num"]
            for record in peer.received.values()
            if record[:1] == b"E" and (body := body_of(record[1:]))["kind"] == "sale"
        ]
        assert tickets == [sold.number]

        till.sync(60)
        assert [row.number for row in till.sales()] == [number, sold.number]
        assert till.ticket(number).total_minor == 4395
        assert till.verify().findings == ()
