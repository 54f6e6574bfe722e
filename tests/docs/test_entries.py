"""The page that says what an entry is says what the code takes."""

import hashlib
import json
import re
from pathlib import Path

from crdtsync.model import approval, canonical, catalogue, certificate, form, jet, product, sealed, ticket
from crdtsync.model.arithmetic import RULE
from crdtsync.model.entry import ENTRY_BYTES_MAX, FIRST_KINDS, first_prev, read_entry, shop_id_of
from crdtsync.model.price import PriceChange
from crdtsync.model.signature import verify
from crdtsync.runtime.belonging.join import device_id_of
from crdtsync_server.keys import relay_device_id

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/entries.md").read_text()


def chapter(title):
    return re.split(r"\n## ", PAGE.split(f"\n## {title}\n", 1)[1], maxsplit=1)[0]


def names(title):
    """The first cells of the tables of a chapter."""
    return re.findall(r"^ *\| `([^`]+)` \|", chapter(title), re.MULTILINE)


def words(text):
    return set(re.findall(r"`(\w[\w-]*)`", text))


def test_the_example_is_a_frozen_one_and_holds():
    vector = json.loads((ROOT / "tests/unit/model/vectors/open.json").read_text())
    (body,) = re.findall(r"```\n(\{.*\})\n```", PAGE)
    cells = dict(re.findall(r"^\| ([\w ]+) \| `([\w-]+)` \|$", chapter("Sealed bytes"), re.MULTILINE))
    assert (body, cells["signature"], cells["link"]) == (vector["body"], vector["signature"], vector["link"])
    data = body.encode() + b"\0" + cells["signature"].encode()
    assert hashlib.sha256(data).hexdigest() == cells["link"] == read_entry(data).link.hex()
    assert verify(bytes.fromhex(cells["public key"]), body.encode(), cells["signature"])


def test_the_common_fields_are_told_and_no_other():
    vector = json.loads(json.loads((ROOT / "tests/unit/model/vectors/open.json").read_text())["body"])
    assert set(names("Common fields")) == vector.keys() - {"amt"}


def test_the_fields_of_first_entries_are_told():
    register, owner = (
        json.loads(json.loads((ROOT / f"tests/unit/model/vectors/{kind}.json").read_text())["body"])
        for kind in FIRST_KINDS
    )
    told = set(names("The first entry of a chain"))
    assert told == register.keys() - set(names("Common fields"))
    assert told - {"series", "cur", "heads"} == owner.keys() - set(names("Common fields"))


def test_ids_follow_from_keys_as_told():
    text = chapter("The first entry of a chain")

    def digest(prefix, *parts):
        assert f"`{prefix}`" in text
        return hashlib.sha256(b"\0".join([prefix.encode(), b"".join(parts)])).digest()

    device, key, nonce = b"d" * 16, b"\2" + b"k" * 32, b"n" * 16
    assert first_prev(device) == digest("crdtsync/ledger/v1", device)
    assert first_prev(device, owner=True) == digest("crdtsync/owner/v1", device)
    assert shop_id_of(key, nonce) == digest("crdtsync/shop/v1", key, nonce)[:16]
    assert relay_device_id(key) == digest("crdtsync/relay-device/v1", key)[:16]
    assert device_id_of(key) == digest("crdtsync/device/v1", key)[:16]


def test_the_kinds_of_the_owner_and_the_roles_are_told():
    text = chapter("The owner's chain")
    assert names("The owner's chain") == ["owner", "certify", "revoke", "owner-approve", "owner-key"]
    assert set(certificate.ROLES) <= words(text)
    told = words(text.split("| `certify` |")[1].split("\n")[0])
    certified = certificate.Certificate(
        b"d" * 16,
        "Caisse 1",
        "register",
        bytes.fromhex("0351349081859d3b6c0cef13a7f95295c185403340d86d867e1e335a68ab6e28da"),
        b"s" * 16,
        "01",
        b"c" * 32,
        b"o" * 16,
        certificate.Replaced(b"l" * 16, (), certificate.NeverArrived(3, 12_740, 1)),
    )
    assert certificate.build_certify(certified).keys() == told - set(certificate.ROLES)
    assert certificate.build_revoke(b"d" * 16, [], reason="").keys() == words(
        text.split("| `revoke` |")[1].split("\n")[0]
    )
    assert approval.build_approve(b"d" * 16, [b"l" * 32], reason="").keys() == words(
        text.split("| `owner-approve` |")[1].split("\n")[0]
    )
    assert f"1 to {approval.LINKS_MAX}" in text


def test_the_reasons_to_hold_an_entry_are_told_and_no_other():
    source = (ROOT / "crdtsync/model/admission.py").read_text()
    assert set(names("Admission")) == set(re.findall(r'Held\(entry, "([\w-]+)"', source))


def test_the_kinds_are_told_and_no_other():
    source = {path.stem for path in (ROOT / "tests/unit/model/vectors").glob("*.json")}
    frozen = {
        json.loads(json.loads((ROOT / f"tests/unit/model/vectors/{name}.json").read_text())["body"])["kind"]
        for name in source
    }
    told = names("Kinds and their fields")
    assert set(told) | {"register", "owner", "certify", "revoke", "owner-approve", "owner-key"} == frozen
    assert set(form._KINDS) <= set(told)


def test_every_field_of_the_frozen_examples_is_told():
    common = set(names("Common fields")) | set(names("The first entry of a chain"))
    told = words(PAGE)
    for path in (ROOT / "tests/unit/model/vectors").glob("[!f]*.json"):
        body = json.loads(json.loads(path.read_text())["body"])
        assert body.keys() - common <= told, path.name
        for line in body.get("lines", []):
            assert line.keys() <= told, path.name


def test_means_of_payment_and_classes_of_vat_are_told():
    text = chapter("Kinds and their fields")
    assert words(text) >= ticket.MEANS
    assert set(form.VAT_CLASSES) <= words(text)
    assert f"`{RULE}`" in text


def test_the_limits_are_told():
    assert f"at most {ENTRY_BYTES_MAX:,} bytes" in PAGE
    assert f"at most {canonical.DEPTH_MAX} levels" in PAGE
    assert f"{sealed.SIGNATURE_CHARACTERS} characters of text" in PAGE


def test_the_fields_of_a_product_are_told():
    row = next(line for line in chapter("The catalogue").splitlines() if line.startswith("| `<sku>/<field>`"))
    assert words(row) == set(product.RULES)
    assert f"one map, `{catalogue.ROOT}`" in PAGE


def test_the_fields_and_the_name_of_a_price_change_are_told():
    change = PriceChange("CM-19", 1850, 2000, "N", 0, 1, "u-lea", ())
    text = chapter("The catalogue").split("A price change is an object:")[1].split("Its *id*")[0]
    assert json.loads(change.value.removeprefix("json:")).keys() == words(text)
    data = b"crdtsync/price/v1\0CM-19\0" + change.value.encode()
    assert change.id == hashlib.sha256(data).hexdigest()[:32]


def test_the_technical_events_that_are_recorded_are_told_and_no_other():
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", chapter("Technical events"), re.MULTILINE)}
    places = [*(ROOT / "crdtsync/runtime").rglob("*.py"), *(ROOT / "crdtsync/till").rglob("*.py")]
    sources = [path.read_text() for path in (*places, ROOT / "crdtsync/model/company.py")]
    named = {name for text in sources for name in re.findall(r"\b(?:jet\.|build_jet\()([A-Z_]+)", text)}
    recorded = {getattr(jet, name) for name in named if isinstance(getattr(jet, name, None), int)}
    assert told == recorded | {jet.CLOCK_STEP}
    assert told <= jet.LABELS.keys()
