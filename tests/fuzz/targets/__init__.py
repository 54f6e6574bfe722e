"""The targets, by name, and the modules of the product that each is about.

Only names here: a module has to be imported by the fuzzer itself, which puts its counters into it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from tests.fuzz.target import Target

MODULES: Final[dict[str, tuple[str, ...]]] = {
    "scanner": (
        "crdtsync.protocol.lib0",
        "crdtsync.protocol.yjs",
        "crdtsync.protocol.scanner",
        "crdtsync.protocol.causal",
        "crdtsync.protocol.twice",
        "crdtsync.protocol.fingerprint",
    ),
    "codec": ("crdtsync.protocol.codec", "crdtsync.protocol.fields"),
    "session": (
        "crdtsync.protocol.session",
        "crdtsync.protocol.inbound",
        "crdtsync.protocol.outbound",
        "crdtsync.protocol.comparing",
        "crdtsync.protocol.intervals",
        "crdtsync.protocol.parts",
        "crdtsync.protocol.refusals",
    ),
    "entries": (
        "crdtsync.model.canonical",
        "crdtsync.model.sealed",
        "crdtsync.model.entry",
        "crdtsync.model.form",
        "crdtsync.model.admission",
        "crdtsync.model.certificate",
        "crdtsync.model.flags",
        "crdtsync.model.views",
        "crdtsync.model.verify",
    ),
    "products": (
        "crdtsync.model.product_import",
        "crdtsync.model.product_columns",
        "crdtsync.model.product",
        "crdtsync.model.money",
    ),
    "pack": ("crdtsync.storage.pack", "crdtsync.storage.pack_columns"),
}


def load(name: str) -> Target:
    """Import a target, and with it what it is about."""
    target: Target = import_module(f"tests.fuzz.targets.{name}").TARGET
    return target
