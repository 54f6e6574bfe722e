"""The part of a session that compares what two ends hold: heads, root digests, documents.

Comparing is asked for by a peer, and what it costs is paid here: so each answer is made once at a time, only
while there is room for it, and not more often than an honest peer has use for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from itertools import islice

from crdtsync.errors import MessageTooBig, UnexpectedMessage
from crdtsync.protocol import limits
from crdtsync.protocol.inbound import Inbound
from crdtsync.protocol.messages import (
    About,
    Digest,
    Documents,
    DocumentsDigest,
    Heads,
    HeadsWanted,
    HeldRun,
    Message,
)
from crdtsync.protocol.outbound import Outbound
from crdtsync.protocol.work import Covered, Ready


class HeadsFor(Enum):
    """Why the peer's heads were asked for."""

    START = "before the first record is sent"
    REPAIR = "to send again what the peer lacks"


class Comparing:
    """What was asked, by either end, and not answered yet. Handlers raise ``UnexpectedMessage``."""

    def __init__(
        self,
        send: Callable[[Message], None],
        outbound: Outbound,
        inbound: Inbound,
        is_in_step: Callable[[], bool],
        now_ms: int,
    ) -> None:
        self.now_ms = now_ms
        self.digests_heard = self.digests_told = 0
        self.unmended: frozenset[str] = frozenset()
        """Documents that differ although everything was sent again: the driver's finding, for a person."""
        self.differs = False
        """Whether the last digest that the peer told was another than ours: then the driver repairs."""
        self._is_in_step = is_in_step
        self._send = send
        self._outbound = outbound
        self._inbound = inbound
        self._heads_asked: HeadsFor | None = None
        self._heads: list[HeldRun] = []
        self._heads_whole: list[HeldRun] | None = None
        self._is_asked = False
        self._telling: Iterator[HeldRun] | None = None
        self._told_ms = self._looked_ms = self._looked_documents_ms = _LONG_AGO_MS
        self._repaired_ms = self._sent_again_ms = self._told_digest_ms = _LONG_AGO_MS
        self._compared_ms = now_ms
        self._is_due = self._is_urgent = False
        self._digest: Digest | None = None
        self._documents_digest: DocumentsDigest | None = None
        self._documents: list[Documents] = []
        self._listed: list[tuple[str, bytes]] = []
        self._may_come: Counter[About] = Counter()

    @property
    def waits_for_heads(self) -> bool:
        """The peer was asked for its heads and has not told all of them."""
        return self._heads_asked is not None

    @property
    def has_more_to_tell(self) -> bool:
        """An answer is due as soon as there is room for it."""
        return self._is_asked or self._telling is not None

    @property
    def is_asked(self) -> bool:
        """Whether something is to be handed to the driver: see ``collect``."""
        return (
            self._digest is not None
            or self._documents_digest is not None
            or bool(self._documents)
            or self._heads_whole is not None
        )

    @property
    def is_idle(self) -> bool:
        """Whether ``collect`` would find nothing, nor anything to tell as soon as there is room for it."""
        return not (self._is_due or self._is_asked or self._telling is not None or self.is_asked)

    def collect(self, ready: Ready, *, has_room: bool) -> None:
        """Put into ``ready`` what there is to do."""
        ready.digest_due, self._is_due = self._is_due, False
        ready.digest, self._digest = self._digest, None
        ready.documents_digest, self._documents_digest = self._documents_digest, None
        ready.documents, self._documents = self._documents, []
        ready.heads, self._heads_whole = self._heads_whole, None
        if not has_room:
            return
        if self._telling is not None:
            self._tell_heads()
        elif self._is_asked and self.now_ms - self._told_ms >= limits.HEADS_EVERY_MS:
            ready.heads_wanted = True

    # -- heads ---------------------------------------------------------------------------------------------

    def ask_heads(self, reason: HeadsFor) -> None:
        """Ask the peer what it holds."""
        self._heads_asked = reason
        self._send(HeadsWanted())

    def repair(self, *, is_wanted_by_peer: bool = False) -> None:
        """Ask for heads in order to send again what the peer lacks, unless that is under way or, if the peer
        gave cause to it, was done just now.
        """
        self.differs = self.differs or is_wanted_by_peer
        if self._heads_asked is not None or self._outbound.held_back:
            return
        if is_wanted_by_peer and self.now_ms - self._repaired_ms < limits.REPAIR_EVERY_MS:
            return
        self._repaired_ms = self.now_ms
        self.ask_heads(HeadsFor.REPAIR)

    def on_heads_wanted(self, _: HeadsWanted) -> None:
        if self.has_more_to_tell:
            raise UnexpectedMessage("heads were asked for again before they were told")
        self._is_asked = True

    def supply_heads(self, runs: Iterable[HeldRun]) -> None:
        """Tell the runs that are held here, a message at a time as there is room."""
        self._is_asked, self._told_ms = False, self.now_ms
        self._telling = iter(runs)
        self._tell_heads()

    def _tell_heads(self) -> None:
        if self._telling is None:
            return
        part = tuple(islice(self._telling, limits.RUNS_PER_MESSAGE_MAX))
        is_last = len(part) < limits.RUNS_PER_MESSAGE_MAX
        if is_last:
            self._telling = None
        self._send(Heads(part, last=is_last))

    def on_heads(self, message: Heads) -> None:
        if self._heads_asked is None or self._heads_whole is not None:
            raise UnexpectedMessage("heads that nobody asked for")
        self._heads.extend(message.runs)
        if len(self._heads) > limits.HEADS_RUNS_MAX:
            raise MessageTooBig("more runs than a shop can have")
        if message.last:
            self._heads_whole, self._heads = self._heads, []

    def cover(self, covered: Covered) -> None:
        """What the peer's heads spare us from sending."""
        self._outbound.cover(covered, repair=self._heads_asked is HeadsFor.REPAIR)
        self._heads_asked = None
        self._outbound.held_back = False

    # -- digests -------------------------------------------------------------------------------------------

    def compare_soon(self) -> None:
        """Compare as soon as both ends are in step: something happened that must not be wrong for long."""
        self._is_urgent = True

    def tick(self) -> None:
        """Time has passed."""
        is_time = self.now_ms - self._compared_ms >= limits.COMPARE_EVERY_MS
        is_urgent = self._is_urgent and self.now_ms - self._told_digest_ms >= limits.DIGEST_EVERY_MS
        if not (is_time or is_urgent) or not self._is_in_step():
            return
        if self._outbound.told.seq == self._outbound.end.seq:
            self._compare()
        else:
            # The peer compares only if it knows of all rows, also of those that it is not sent.
            self._outbound.advance()

    def _compare(self) -> None:
        self._compared_ms = self._told_digest_ms = self.now_ms
        self._is_urgent = False
        self._is_due = True

    def on_digest(self, message: Digest) -> None:
        if self._is_comparable(message.end_seq, self._looked_ms):
            self._looked_ms = self.now_ms
            self._digest, self.differs = message, False
            self.digests_heard += 1
            if self.now_ms - self._compared_ms >= limits.COMPARE_EVERY_MS // 2:
                # Each end mends what the other lacks: so the other has to know, too.
                self._compare()

    def send_digest(self, digest: bytes) -> None:
        """What the ledgers held here amount to."""
        self.digests_told += 1
        self._send(Digest(digest, self._outbound.end.seq))

    def _is_comparable(self, end_seq: int, looked_ms: int) -> bool:
        is_too_often = self.now_ms - looked_ms < limits.DIGEST_EVERY_MS
        return self._is_in_step() and end_seq == self._inbound.got.seq and not is_too_often

    # -- documents -----------------------------------------------------------------------------------------

    def send_documents_digest(self, digest: bytes) -> None:
        """With ``send_digest``, to a peer that named the capability: what the Yjs documents held here amount
        to. The peer may answer with the list of its own.
        """
        self._expect(About.RECORDS)
        self._send(DocumentsDigest(digest, self._outbound.end.seq))

    def on_documents_digest(self, message: DocumentsDigest) -> None:
        if self._is_comparable(message.end_seq, self._looked_documents_ms):
            self._looked_documents_ms = self.now_ms
            self._documents_digest = message

    def send_documents(self, about: About, documents: Sequence[tuple[str, bytes]]) -> None:
        """One list of documents with a digest each; the peer may answer it with the next one."""
        if about is not About.CONTENTS_TOO:
            self._expect(_ANSWER[about])
        step = limits.DOCUMENTS_PER_MESSAGE_MAX
        for start in range(0, len(documents) or 1, step):
            part = tuple(documents[start : start + step])
            self._send(Documents(about, part, last=start + step >= len(documents)))

    def _expect(self, about: About) -> None:
        # One for each question: a peer whose answers were held up on the way gives several at once.
        self._may_come[about] = min(self._may_come[about] + 1, limits.LISTS_EXPECTED_MAX)

    def send_again(self, seqs: Iterable[int]) -> None:
        """Send these rows of my log once more, because the peer's documents lack something; not more often
        than other repairs.
        """
        if self.now_ms - self._sent_again_ms >= limits.REPAIR_EVERY_MS:
            self._sent_again_ms = self.now_ms
            self._outbound.send_again(seqs)

    def on_documents(self, message: Documents) -> None:
        if not self._may_come[message.about]:
            raise UnexpectedMessage("a list of documents that nobody asked for")
        self._listed.extend(message.documents)
        if len(self._listed) > limits.DOCUMENTS_MAX:
            raise MessageTooBig("more documents than a shop can have")
        if message.last:
            self._may_come[message.about] -= 1
            self._documents.append(Documents(message.about, tuple(self._listed)))
            self._listed = []


_LONG_AGO_MS = -(1 << 60)
_ANSWER = {About.RECORDS: About.CONTENTS, About.CONTENTS: About.CONTENTS_TOO}
