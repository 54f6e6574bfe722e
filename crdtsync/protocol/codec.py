"""Messages to bytes and back: msgpack arrays, read strictly.

``decode`` raises ``MalformedMessage`` and nothing else, whatever the bytes are. A frame is one array: the
type number, then the fields in a fixed order. Unknown types and fields too many are refused, so that an
addition to the protocol is an addition to its version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import msgpack

from crdtsync.errors import MalformedMessage
from crdtsync.ids import ID_BYTES, LINK_BYTES, Position
from crdtsync.protocol.fields import (
    SEQ_MAX,
    TEXT_BYTES_MAX,
    array,
    boolean,
    integer,
    interval,
    octets,
    position,
    printable,
    require,
    text,
)
from crdtsync.protocol.limits import (
    DOCUMENTS_PER_MESSAGE_MAX,
    ENROL_BOX_BYTES_MAX,
    FIRST_INTERVALS_MAX,
    FRAME_BYTES_MAX,
    MARKS_MAX,
    MESSAGE_BYTES_MAX,
    PART_BYTES,
    PRESENCE_BYTES_MAX,
    RECORDS_PER_FRAME_MAX,
    REFUSALS_PER_MESSAGE_MAX,
    RUNS_PER_MESSAGE_MAX,
)
from crdtsync.protocol.messages import (
    About,
    Ack,
    Certificates,
    CertificatesWanted,
    Challenge,
    Cut,
    Digest,
    Documents,
    DocumentsDigest,
    Enrol,
    Enrolled,
    Excerpt,
    Heads,
    HeadsWanted,
    HeldRun,
    Hello,
    Message,
    Offer,
    Pack,
    Part,
    Presence,
    Records,
    Refused,
    RefusedRecord,
    SyncTold,
    SyncWanted,
    Want,
)

Fields = list[Any]

NONCE_BYTES = 16
SIGNATURE_BYTES = 64
KEY_BYTES = 33
DOCUMENT_NAME_MAX = 100
CAPABILITIES_MAX = 32
HELLO_FIELDS, HELLO_FIELDS_MAX = 16, 32
WISH_BYTES = 16
EXCHANGE_KEY_BYTES = 32

_pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack

_RECORDS = bytes((0x90 | 8, 5))
"""The beginning of a frame of records: an array of eight values, of which the first is the type."""

_NO_FILLS = bytes((0x90,))


def encode_hello_body(hello: Hello) -> bytes:
    """The part of a hello that is signed."""
    fields = [
        hello.version,
        hello.shop,
        hello.device,
        hello.log_id,
        *_place(hello.end),
        hello.cursor_log,
        *_place(hello.cursor),
        hello.nonce,
        hello.certificate,
        hello.is_relay,
        hello.fits,
        hello.time_ms,
        hello.digest,
        hello.software,
        *([hello.capabilities] if hello.capabilities or hello.exchange_key else []),
        *([hello.exchange_key] if hello.exchange_key else []),
    ]
    return bytes(_pack(fields))


def encode(message: Message) -> bytes:
    """The frame of a message. What exceeds ``FRAME_BYTES_MAX`` must go through ``frames``."""
    return _encode_excerpt(message) if type(message) is Excerpt else _encode(message)


def _encode_excerpt(message: Excerpt) -> bytes:
    """As ``Records``, of rows that are encoded already."""
    rows = message.rows
    head = rows.slab.head(message.start, message.to, _excerpt_head)
    return rows.slab.frame(head, rows.left_out, _NO_FILLS)


def _excerpt_head(start: Position, to: Position) -> bytes:
    return b"".join((_RECORDS, _pack(start.seq), _pack(start.h), _pack(to.seq), _pack(to.h)))


def _encode(message: Message) -> bytes:
    number, fields = _ENCODERS[type(message)](message)
    return bytes(_pack([number, *fields]))


def frames(message: Message) -> Iterator[bytes]:
    """The frames that carry a message: one, or several parts."""
    frame = encode(message)
    if len(frame) <= FRAME_BYTES_MAX:
        yield frame
        return
    for start in range(0, len(frame), PART_BYTES):
        piece = frame[start : start + PART_BYTES]
        yield encode(Part(piece, last=start + PART_BYTES >= len(frame)))


def decode(frame: bytes) -> Message:
    """Read one frame, or one message put together from parts. Raises ``MalformedMessage``."""
    budget = _Budget(len(frame))
    try:
        fields = msgpack.unpackb(
            frame,
            raw=False,
            use_list=True,
            strict_map_key=True,
            list_hook=budget.spend,
            object_hook=budget.spend,
            ext_hook=_refuse_ext,
            max_bin_len=MESSAGE_BYTES_MAX,
            max_str_len=PRESENCE_BYTES_MAX,
            max_array_len=RECORDS_PER_FRAME_MAX,
            max_map_len=64,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedMessage(f"a frame of {len(frame)} bytes is no message") from error
    if type(fields) is not list or not fields or type(fields[0]) is not int:
        raise MalformedMessage("a frame is no message: an array with a type number is expected")
    reader = _DECODERS.get(fields[0])
    if reader is None:
        raise MalformedMessage(f"unknown message type {fields[0]}")
    count, read = reader
    if len(fields) != count + 1:
        raise MalformedMessage(f"message type {fields[0]} has {count} fields, not {len(fields) - 1}")
    return read(fields)


class _Budget:
    """Values that one frame may hold. A byte can become an empty list of 56 bytes: a megabyte of them costs a
    third of a second, mostly in the garbage collector. What is honest has ten bytes a value and more.
    """

    def __init__(self, frame_bytes: int) -> None:
        self._left = 3 * RECORDS_PER_FRAME_MAX + frame_bytes // 8

    def spend(self, values: Any) -> Any:
        """Count a list or a map. Raises ``ValueError``."""
        self._left -= 1 + len(values)
        if self._left < 0:
            raise ValueError("too many values")
        return values


def _refuse_ext(code: int, data: bytes) -> Any:
    raise ValueError(f"an extension type {code} of {len(data)} bytes")


# -- pieces of a frame of records --------------------------------------------------------------------------


def _place(position: Position) -> tuple[int, bytes]:
    return position.seq, position.h


def _fills(value: Any) -> tuple[int, int] | None:
    return None if value == [] else interval(value, "an answered interval")


def _seqs(value: Any, count: int) -> tuple[int, ...]:
    deltas = array(value, "record numbers", RECORDS_PER_FRAME_MAX)
    # Looked at together: what a commit brought is a hundred records for every register of the shop.
    require(set(map(type, deltas)) <= {int} and min(deltas, default=1) > 0, "a record number")
    seqs = tuple(accumulate(deltas))
    require(len(seqs) == count and max(seqs, default=0) <= SEQ_MAX, "record numbers")
    return seqs


def _deltas(seqs: tuple[int, ...]) -> list[int]:
    return [seq - before for before, seq in zip((0, *seqs), seqs, strict=False)]


def _records(value: Any) -> tuple[bytes, ...]:
    records = array(value, "records", RECORDS_PER_FRAME_MAX)
    require(set(map(type, records)) <= {bytes} and all(records), "a record")
    return tuple(records)


# -- readers, one per message ----------------------------------------------------------------------------


def _read_hello(f: Fields) -> Hello:
    body = octets(f[1], "a hello")
    require(len(body) < 2048, "a hello")
    try:
        b = msgpack.unpackb(
            body,
            raw=False,
            ext_hook=_refuse_ext,
            max_array_len=HELLO_FIELDS_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedMessage("a hello is not as the protocol says") from error
    # Later ends may say more; the first ones said less.
    require(type(b) is list and len(b) >= HELLO_FIELDS, "a hello")
    return Hello(
        version=integer(b[0], "a version"),
        shop=octets(b[1], "a shop", ID_BYTES),
        device=octets(b[2], "a device", ID_BYTES),
        log_id=octets(b[3], "a log", ID_BYTES),
        end=position(b[4], b[5], "the end of a log"),
        cursor_log=octets(b[6], "a cursor", 0, ID_BYTES),
        cursor=position(b[7], b[8], "a cursor"),
        nonce=octets(b[9], "a nonce", NONCE_BYTES),
        certificate=octets(b[10], "a certificate", 0, LINK_BYTES),
        is_relay=boolean(b[11], "a role"),
        fits=boolean(b[12], "a verdict"),
        time_ms=integer(b[13], "a time"),
        digest=octets(b[14], "a digest", LINK_BYTES),
        software=printable(text(b[15], "a software version")),
        capabilities=_capabilities(b[16] if len(b) > 16 else []),
        exchange_key=_exchange_key(b[17] if len(b) > 17 else b""),
        body=body,
        signature=octets(f[2], "a signature", SIGNATURE_BYTES),
    )


def _exchange_key(value: Any) -> bytes:
    # What a later version says in this place is none of ours.
    return value if type(value) is bytes and len(value) == EXCHANGE_KEY_BYTES else b""


def _capabilities(value: Any) -> tuple[str, ...]:
    names = array(value, "capabilities", CAPABILITIES_MAX)
    return tuple(text(name, "a capability", 40) for name in names)


def _read_records(f: Fields) -> Records:
    records = _records(f[6])
    return Records(
        position(f[1], f[2], "a start"),
        position(f[3], f[4], "an end"),
        _seqs(f[5], len(records)),
        records,
        _fills(f[7]),
    )


def _read_refusal(value: Any) -> RefusedRecord:
    f = array(value, "a refusal", 5)
    require(len(f) == 5, "a refusal")
    return RefusedRecord(
        integer(f[0], "a refused record"),
        octets(f[1], "a refused record", LINK_BYTES),
        text(f[2], "a refusal's code", 40),
        printable(text(f[3], "a refusal's reason")),
        boolean(f[4], "a refusal"),
    )


def _read_run(value: Any) -> HeldRun:
    f = array(value, "a run", 4)
    require(len(f) == 4, "a run")
    lo, hi = integer(f[1], "a run"), integer(f[2], "a run")
    require(1 <= lo <= hi, "a run")
    marks, after = [], hi + 1
    for mark in array(f[3], "a run's marks", MARKS_MAX):
        require(type(mark) is list and len(mark) == 2, "a run's mark")
        n, link = integer(mark[0], "a run's mark"), octets(mark[1], "a run's mark", LINK_BYTES)
        require(lo <= n < after, "a run's mark")
        marks.append((n, link))
        after = n
    return HeldRun(octets(f[0], "a chain", LINK_BYTES), lo, hi, tuple(marks))


def _read_cut(f: Fields) -> Cut:
    records = _records(f[5])
    first = tuple(
        interval(pair, "an interval") for pair in array(f[3], "first intervals", FIRST_INTERVALS_MAX)
    )
    return Cut(position(f[1], f[2], "a cut"), first, _seqs(f[4], len(records)), records)


def _read_want(f: Fields) -> Want:
    lo, hi = interval([f[1], f[2]], "a wanted interval")
    return Want(lo, hi)


def _read_presence(f: Fields) -> Presence:
    facts = f[1]
    require(type(facts) is dict and all(type(name) is str for name in facts), "a presence")
    require(all(type(value) in (str, int, bool, bytes, type(None)) for value in facts.values()), "a presence")
    require(len(_pack(facts)) <= PRESENCE_BYTES_MAX, "a presence")
    return Presence(facts)


def _read_sealed(value: Any) -> tuple[bytes, ...]:
    sealed = array(value, "certificates", RECORDS_PER_FRAME_MAX)
    require(all(type(entry) is bytes for entry in sealed), "a certificate")
    return tuple(sealed)


def _read_offer(f: Fields) -> Offer:
    return Offer(
        integer(f[1], "a version"),
        octets(f[2], "a nonce", NONCE_BYTES),
        octets(f[3], "a relay", ID_BYTES),
        octets(f[4], "a key", KEY_BYTES),
        octets(f[5], "an exchange key", EXCHANGE_KEY_BYTES),
        octets(f[6], "a signature", SIGNATURE_BYTES),
    )


def _read_enrol(f: Fields) -> Enrol:
    box = octets(f[2], "a box")
    require(len(box) <= ENROL_BOX_BYTES_MAX, "a box")
    return Enrol(octets(f[1], "an exchange key", EXCHANGE_KEY_BYTES), box)


def _read_documents(f: Fields) -> Documents:
    about = integer(f[1], "a list of documents")
    require(about in list(About), "a list of documents")
    documents = []
    for item in array(f[2], "documents", DOCUMENTS_PER_MESSAGE_MAX):
        require(type(item) is list and len(item) == 2, "a document")
        documents.append((text(item[0], "a document", DOCUMENT_NAME_MAX), octets(item[1], "a document", 32)))
    return Documents(About(about), tuple(documents), boolean(f[3], "documents"))


def _refusals(message: Refused) -> list[list[Any]]:
    return [[r.seq, r.digest, r.code, printable(r.reason[:TEXT_BYTES_MAX]), r.held] for r in message.refusals]


_ENCODERS: dict[type, Callable[[Any], tuple[int, list[Any]]]] = {
    Challenge: lambda m: (1, [m.version, m.nonce]),
    Hello: lambda m: (2, [m.body or encode_hello_body(m), m.signature]),
    CertificatesWanted: lambda m: (3, []),
    Certificates: lambda m: (4, [m.sealed]),
    Records: lambda m: (5, [*_place(m.start), *_place(m.to), _deltas(m.seqs), m.records, m.fills or []]),
    Pack: lambda m: (6, [*_place(m.start), *_place(m.to), m.blob, m.fills or []]),
    Ack: lambda m: (7, [*_place(m.position)]),
    Refused: lambda m: (8, [_refusals(m), m.complete, m.last]),
    HeadsWanted: lambda m: (9, []),
    Heads: lambda m: (10, [[[r.chain, r.lo, r.hi, r.marks] for r in m.runs], m.last]),
    Cut: lambda m: (11, [*_place(m.to), m.first, _deltas(m.seqs), m.records]),
    Want: lambda m: (12, [m.lo, m.hi]),
    Digest: lambda m: (13, [m.digest, m.end_seq]),
    Presence: lambda m: (14, [m.facts]),
    Part: lambda m: (15, [m.data, m.last]),
    Offer: lambda m: (
        16,
        [m.version, m.nonce, m.relay_device, m.relay_key, m.exchange_key, m.signature],
    ),
    Enrol: lambda m: (17, [m.exchange_key, m.box]),
    Enrolled: lambda m: (18, [m.box]),
    DocumentsDigest: lambda m: (19, [m.digest, m.end_seq]),
    Documents: lambda m: (20, [int(m.about), m.documents, m.last]),
    SyncWanted: lambda m: (21, [m.wish]),
    SyncTold: lambda m: (22, [m.wish, m.is_done]),
}

_DECODERS: dict[int, tuple[int, Callable[[Fields], Message]]] = {
    1: (2, lambda f: Challenge(integer(f[1], "a version"), octets(f[2], "a nonce", NONCE_BYTES))),
    2: (2, _read_hello),
    3: (0, lambda f: CertificatesWanted()),
    4: (1, lambda f: Certificates(_read_sealed(f[1]))),
    5: (7, _read_records),
    6: (
        6,
        lambda f: Pack(
            position(f[1], f[2], "a start"),
            position(f[3], f[4], "an end"),
            octets(f[5], "a pack"),
            _fills(f[6]),
        ),
    ),
    7: (2, lambda f: Ack(position(f[1], f[2], "an acknowledgement"))),
    8: (
        3,
        lambda f: Refused(
            tuple(_read_refusal(r) for r in array(f[1], "refusals", REFUSALS_PER_MESSAGE_MAX)),
            boolean(f[2], "refusals"),
            boolean(f[3], "refusals"),
        ),
    ),
    9: (0, lambda f: HeadsWanted()),
    10: (
        2,
        lambda f: Heads(
            tuple(_read_run(run) for run in array(f[1], "heads", RUNS_PER_MESSAGE_MAX)),
            boolean(f[2], "heads"),
        ),
    ),
    11: (5, _read_cut),
    12: (2, _read_want),
    13: (2, lambda f: Digest(octets(f[1], "a digest", LINK_BYTES), integer(f[2], "an end"))),
    14: (1, _read_presence),
    15: (2, lambda f: Part(octets(f[1], "a part"), boolean(f[2], "a part"))),
    16: (6, _read_offer),
    17: (2, _read_enrol),
    18: (1, lambda f: Enrolled(octets(f[1], "a box"))),
    19: (2, lambda f: DocumentsDigest(octets(f[1], "a digest", LINK_BYTES), integer(f[2], "an end"))),
    20: (3, _read_documents),
    21: (1, lambda f: SyncWanted(octets(f[1], "a wish", WISH_BYTES))),
    22: (2, lambda f: SyncTold(octets(f[1], "a wish", WISH_BYTES), boolean(f[2], "a wish"))),
}
