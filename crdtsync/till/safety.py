"""What is safe, as the till's one line says it: computed from ``Register.status``, never kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from crdtsync.said import Said
from crdtsync.till.troubles import told_of

if TYPE_CHECKING:
    from crdtsync.runtime.register.status import Status
    from crdtsync.runtime.syncing.link_trouble import LinkTrouble
    from crdtsync.runtime.syncing.progress import Progress

Kind = Literal["safe", "waiting", "alone", "attention", "unknown"]


@dataclass(frozen=True, slots=True)
class Safety:
    """One true sentence, as facts.

    =============  ====================================================================================
    kind           meaning
    =============  ====================================================================================
    ``safe``       the relay has everything on its disk
    ``waiting``    something is on this machine only
    ``alone``      this register belongs to no relay: its disk has the only copy
    ``attention``  a person must look: ``concerns``; what waits is told as well
    ``unknown``    the state could not be read: ``concerns`` says why
    =============  ====================================================================================

    ``is_connected`` is None where another process synchronises: then nobody here knows. ``is_cut_off``: the
    relay said that this register was revoked. ``is_stopped``: nothing is tried any more until somebody acts.
    """

    kind: Kind
    sales: int = 0
    amount_minor: int = 0
    records: int = 0
    sales_of_others: int = 0
    since_ms: int | None = None
    last_ack_at_ms: int | None = None
    is_connected: bool | None = None
    is_syncing: bool = False
    is_cut_off: bool = False
    is_stopped: bool = False
    concerns: tuple[str, ...] = ()
    trouble: str = ""

    @classmethod
    def of(cls, status: Status, *, is_connected: bool | None) -> Safety:
        """What a status says."""
        pending, trouble = status.pending, status.link_trouble
        if status.relay_url is None:
            kind: Kind = "alone"
        else:
            kind = "waiting" if pending.records else "safe"
        return cls(
            kind="attention" if status.concerns else kind,
            sales=pending.sales,
            amount_minor=pending.amount_minor,
            records=pending.records,
            sales_of_others=status.pending_others.sales,
            since_ms=pending.oldest_at_ms,
            last_ack_at_ms=status.last_ack_at_ms,
            is_connected=is_connected,
            is_syncing=status.syncing,
            is_cut_off=trouble is not None and trouble.is_cut_off,
            is_stopped=trouble is not None and trouble.is_over,
            concerns=tuple(_told(one, trouble) for one in status.concerns),
            trouble=told_of(trouble.message, trouble.code) if trouble else "",
        )


def _told(concern: str, trouble: LinkTrouble | None) -> str:
    """A concern, with what an error said in it put so that it can be told in any language."""
    if trouble is None or not isinstance(concern, Said) or concern.values.get("why") != trouble.message:
        return concern
    return Said(concern.form, **{**concern.values, "why": told_of(trouble.message, trouble.code)})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every page shows at its top, and what tells an open page to look again. ``basket`` changes when
    the open basket is to be painted anew, ``progress`` is None while this process does not synchronise.
    """

    shop_name: str
    device_name: str
    is_training: bool
    safety: Safety
    basket: str
    parked: int
    offset_min: int
    progress: Progress | None = None
