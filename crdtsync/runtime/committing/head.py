"""The end of a register's own chain, as it stands beside the log. Apart from the writer, which brings all
that entries are made with: who only looks at a register reads it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdtsync.errors import DamagedStore
from crdtsync.model.chain import ChainHead
from crdtsync.runtime.folder.identity import HEAD, refuse_left

if TYPE_CHECKING:
    from crdtsync.storage.log import ShopLog


def read_head(log: ShopLog) -> ChainHead:
    """The end of the register's own chain. Raises ``DamagedStore``, and ``NoRegister`` where it has left."""
    data = log.state(HEAD)
    if data is None:
        refuse_left(log)
        raise DamagedStore("the head of the register's chain is missing")
    return ChainHead.from_bytes(data)
