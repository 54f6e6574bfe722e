"""Every bound of the protocol, one constant each, with its reason.

A wrong value here could lose sales or let one peer starve the others: none of them is a setting.
"""

from __future__ import annotations

VERSION = 1
"""The one version of the protocol so far. A hello names it; both ends must share one."""

FRAME_BYTES_MAX = 1 << 20
"""A WebSocket message. What is larger travels as parts, so that nobody can make a peer buffer more."""

TAG_BYTES = 16
"""At the end of each frame on a line without TLS, beyond ``FRAME_BYTES_MAX``."""

PART_BYTES = 512 << 10
"""The size of one part of a message that does not fit in a frame."""

MESSAGE_BYTES_MAX = 16 << 20
"""A message put together from parts: a compacted catalogue of 40,000 products fits. Only after hello."""

BATCH_BYTES = 128 << 10
"""How many bytes of records one frame aims at. Small enough that 1 KB/s makes progress within two minutes,
large enough that a frame's cost (some 10 µs) is spread over a hundred sales."""

RECORD_BYTES_MAX = 64 << 10
"""One entry or one Yjs update: a ticket of 200 lines has 40 KB; deep JSON that kills pycrdt needs 104 KB."""

STATE_BYTES_MAX = 15 << 20
"""One compacted state. Built by a trusted device, scanned all the same."""

RECORDS_PER_FRAME_MAX = 8192
"""Records in one frame, so that a frame of tiny records cannot hold a transaction open for long."""

IN_FLIGHT_BYTES_MAX = 1 << 20
"""Records sent and not acknowledged on disk by the peer. A slow peer lags; it costs no memory."""

UNSTORED_BYTES_MAX = 4 << 20
"""Records received from one peer and not stored yet; beyond it the peer's socket is not read. Four times what
a well-behaved peer has under way, and room for the intervals that were asked for.
"""

UNSTORED_FRAMES_MAX = 256
"""The same for frames, so that a flood of tiny or empty ones is held up as well."""

UNSTORED_RECORD_BYTES = 256
"""What a record counts for in ``UNSTORED_BYTES_MAX`` besides its bytes: a refusal may have to be told of it,
so that 8,192 records of one byte would cost a peer little and us much."""

PACK_UNPACKED_BYTES_MAX = 16 << 20
"""What one received pack may be unpacked to: replicas make packs of 4 MB, or of one compacted state."""

UNPACKED_AT_ONCE_BYTES_MAX = 16 << 20
"""What the packs that are stored in one transaction are unpacked to, of all peers together."""

ROOM_BYTES = 512 << 10
"""Answers and records are only made while less than this waits for the peer's socket."""

QUEUED_BYTES_MAX = 4 << 20
"""A peer for which more than this waits (besides the list of refusals at hello) does not read what it caused,
and is hung up on: what honest ends say without being asked has a hundredth of it."""

ACK_EVERY_BYTES = 128 << 10
"""How much a register stores before it acknowledges to a relay, which only uses it to go on sending."""

WANT_SEQS = 8192
"""How long an interval of old records is asked for at once."""

WANT_SEQS_UNDER_WAY = 2 * WANT_SEQS
"""How many old records are asked for at a time, so that the wire is busy while some are being stored."""

SMALL_PIECES = 256
"""Packs of ``BATCH_BYTES`` that are sent instead of those on disk, which are thirty times as large, after a
line broke in the midst of one. More than may be under way: in the end the line has carried some of them."""

WANTS_UNDER_WAY_MAX = 64
"""In how many intervals: a catalogue lies scattered over the log, and must not cost a round trip apiece."""

FIRST_INTERVALS_MAX = 1024
"""Intervals that a cut names as urgent. Where there are more, neighbours are joined."""

CUT_ROWS_MIN = 2048
"""A replica that lacks more rows than this gets today first and history after; fewer are sent in order."""

RUNS_PER_MESSAGE_MAX = 5_000
"""Runs in one message: with all their marks some 5 MB, which travel as parts."""

HEADS_RUNS_MAX = 100_000
"""Runs in one answer to `heads wanted`: 10,000 chains of ten years with ten forks each."""

MARKS_MAX = 24
"""Marks of one run: at distances 0, 1, 3, 7, … that is 16 million entries back."""

DOCUMENTS_PER_MESSAGE_MAX = 1000
"""Documents in one list."""

DOCUMENTS_MAX = 20_000
"""Documents in one list, told in several messages; a shop with more compares the first ones by name."""

LISTS_EXPECTED_MAX = 8
"""Lists of documents of one sort that a peer may still answer with: it is asked every minute, and a wire that
brings nothing for so many minutes is gone."""

WISHES_ASKED_MAX = 8
"""Wishes to synchronise that a relay has told a register and that are not answered yet."""

REFUSALS_PER_MESSAGE_MAX = 1000
"""Refusals told in one message."""

REFUSALS_MAX = 100_000
"""Refusals in one list, told in several messages."""

PRESENCE_BYTES_MAX = 4096
"""A presence message: a dozen small facts."""

ENROL_BOX_BYTES_MAX = 4096
"""The box of a device that asks for a certificate: nobody knows yet who sent it."""

HELLO_TIMEOUT_MS = 10_000
"""How long a connection may stay without a valid hello."""

ADVANCE_AFTER_MS = 1_000
"""How long an advance over skipped records alone waits for company."""

COMPARE_EVERY_MS = 60_000
"""How often two quiet ends compare what they hold."""

DIGEST_EVERY_MS = 1_000
"""How often a peer's digest is looked at, at most, and ours is sent when something gives cause to it."""

HEADS_EVERY_MS = 1_000
"""How often heads are told, at most: reading them costs a large shop some milliseconds."""

REPAIR_EVERY_MS = 10_000
"""How often a repair is begun because a peer's digest differs: it reads the whole log."""

STALLED_AFTER_MS = 60_000
"""How long records may stay unacknowledged with nothing at all coming from the peer."""

ANSWER_WITHIN_MS = 1_800_000
"""How long they may stay so although something comes, pings or parts of a message, after what was sent would
have come at ``SLOWEST_BYTES_PER_S``: at most one message of any size and what may be in flight.
"""

SLOWEST_BYTES_PER_S = 1_000
"""The slowest line that carries everything: a pack of 4 MB takes it more than an hour."""

HEADS_ROWS_MIN = 512
"""Two replicas that do not know each other and have more rows than this compare heads before they send; less
is sent at once, and what is held already is dropped on arrival."""
