"""The relay's private keys, each in a file of its own under ``DIR/keys``, for its owner's eyes only.

``relay.key`` proves to devices that this is the relay that their pairing code named. ``<shop>.owner`` signs
the shop's certificates; while it lies here, whoever runs the relay can enrol devices in that shop. After a
rotation the present one is the one with the highest number, ``<shop>.2.owner``; ``<shop>.next-owner`` is
prepared and not in use yet. ``<shop>.office`` is the key of the device as which the back office writes; since
a restore was noticed it is ``<shop>.<generation>.office`` (see ``backups.restored``).
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from crdtsync.errors import NoRegister, SetupError, StorageError
from crdtsync.ids import ID_BYTES
from crdtsync.model.signature import PrivateKey
from crdtsync.runtime.clock import RandomBytes
from crdtsync.runtime.folder.keyfile import read_key, write_key
from crdtsync_server.backups.file import sync_folder, translated

RELAY_KEY = "relay.key"
OWNER_SUFFIX = ".owner"
OFFICE_SUFFIX = ".office"
NEXT_SUFFIX = ".next-owner"
ERASED_SUFFIX = ".erased-owner"

ASK_FOR_IT = "`crdtsync-relay owner request SHOP FILE` writes down what it is to sign"
TO_ROTATE = (
    "`crdtsync-relay owner request SHOP FILE`, then there `owner sign FILE ANSWER --key KEY --new-key NEW`"
)
"""What to do where the owner's key is kept elsewhere: to have something signed, and to change the key."""

_DEVICE_PREFIX = b"crdtsync/relay-device/v1\x00"
_OFFICE_PREFIX = b"crdtsync/office-device/v1\x00"


class KeyFolder:
    """The keys under one folder. Safe to use from several processes: a key is never replaced."""

    def __init__(self, folder: Path, random: RandomBytes) -> None:
        self.folder = folder
        self._random = random

    def relay_key(self) -> PrivateKey:
        """The relay's own key; made, durably, the first time. Raises ``StorageError``."""
        return self._made_once(self.folder / RELAY_KEY, "the relay's own key")

    def has_relay_key(self) -> bool:
        """Whether there is one already."""
        return (self.folder / RELAY_KEY).exists()

    def new_key(self) -> PrivateKey:
        """A fresh key, on no disk yet."""
        return PrivateKey.from_seed(self._random(32))

    def keep_owner_key(self, shop: bytes, key: PrivateKey) -> None:
        """Write the key that signs a new shop's certificates; durable on return."""
        write_key(self._owner_path(shop), key.to_bytes())

    def owner_key(self, shop: bytes, instead: str = ASK_FOR_IT) -> PrivateKey:
        """The key that signs a shop's certificates. Raises ``SetupError`` if it is kept elsewhere; its hint
        is ``instead``, what to do then.
        """
        [*_, newest] = self._owner_paths(shop) or [self._owner_path(shop)]
        hint = f"kept elsewhere: {instead}; lost here: put the file back from a backup"
        return PrivateKey.from_bytes(_read(newest, f"the owner key of shop {shop.hex()}", hint))

    def owner_key_named(self, shop: bytes, public: bytes | None) -> PrivateKey:
        """As ``owner_key``. Where the key that is named was prepared, and a rotation was interrupted before
        that was taken into use, it is now.
        """
        prepared = self.prepared_owner_key(shop) if self.has_owner_key(shop) else None
        if prepared is not None and prepared.public == public:
            self.use_prepared_owner_key(shop)
        return self.owner_key(shop)

    def office_key(self, shop: bytes, generation: str = "") -> PrivateKey:
        """The key of a shop's back office since the restore that began ``generation``; made, durably, the
        first time. Raises ``StorageError``.
        """
        since = f".{generation}" if generation else ""
        path = self.folder / f"{shop.hex()}{since}{OFFICE_SUFFIX}"
        return self._made_once(path, "the key of the back office")

    def has_owner_key(self, shop: bytes) -> bool:
        """Whether this relay is, or was, the one of that shop."""
        return bool(self._owner_paths(shop))

    def prepare_owner_key(self, shop: bytes, key: PrivateKey) -> PrivateKey:
        """Write the key that is to sign next, beside the present one; durable on return. If one was prepared
        before, that one.
        """
        path = self._next_path(shop)
        if not path.exists():
            write_key(path, key.to_bytes())
        return PrivateKey.from_bytes(_read(path, f"the next owner key of shop {shop.hex()}"))

    def prepared_owner_key(self, shop: bytes) -> PrivateKey | None:
        """The key that is to sign next, if one was prepared and not taken into use yet."""
        path = self._next_path(shop)
        return PrivateKey.from_bytes(_read(path, "the next owner key")) if path.exists() else None

    def use_prepared_owner_key(self, shop: bytes) -> Path:
        """From now on the prepared key signs; durable on return. Where the one before it is. Another process
        may do it at the same moment.
        """
        [*_, before] = self._owner_paths(shop)
        # Those that were given up may have been deleted: the number goes on from the last, not from how many.
        number = 2 if before == self._owner_path(shop) else _number_of(before) + 1
        with translated(self.folder):
            with suppress(FileNotFoundError):
                os.replace(self._next_path(shop), self.folder / f"{shop.hex()}.{number}{OWNER_SUFFIX}")
            sync_folder(self.folder)
        [*others, present] = self._owner_paths(shop)
        return others[-1] if present == before and others else before

    def retire_owner_keys(self, shop: bytes) -> Path | None:
        """Put a shop's owner keys aside: it is not here any more. Where the present one is, if any, also if
        that was done before.
        """
        aside: Path | None = None
        with translated(self.folder):
            for path in self._owner_paths(shop):
                aside = path.with_name(path.name.removesuffix(OWNER_SUFFIX) + ERASED_SUFFIX)
                os.replace(path, aside)
            sync_folder(self.folder)
        before = sorted(self.folder.glob(f"{shop.hex()}*{ERASED_SUFFIX}"))
        return aside or (before[-1] if before else None)

    def readable_by_others(self) -> list[Path]:
        """The key files whose rights let other users of this machine read them."""
        files = sorted(self.folder.glob("*")) if self.folder.is_dir() else []
        return [path for path in files if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]

    def _made_once(self, path: Path, what: str) -> PrivateKey:
        if not path.exists():
            try:
                write_key(path, self.new_key().to_bytes())
            except StorageError:
                if not path.exists():
                    raise
                # Another process made it at the same moment: that one counts.
        return PrivateKey.from_bytes(_read(path, what))

    def _owner_path(self, shop: bytes) -> Path:
        return self.folder / f"{shop.hex()}{OWNER_SUFFIX}"

    def _owner_paths(self, shop: bytes) -> list[Path]:
        """The key files of a shop that are here, the newest last."""
        numbered = self.folder.glob(f"{shop.hex()}.*{OWNER_SUFFIX}")
        later = sorted(numbered, key=_number_of)
        first = self._owner_path(shop)
        return [*([first] if first.exists() else []), *later]

    def _next_path(self, shop: bytes) -> Path:
        return self.folder / f"{shop.hex()}{NEXT_SUFFIX}"


def _number_of(path: Path) -> int:
    """Of a key after the first: which one it is."""
    return int(path.name.split(".")[1])


def relay_device_id(public_key: bytes) -> bytes:
    """The relay's device id: it follows from its key, so that the two are never mixed up."""
    return hashlib.sha256(_DEVICE_PREFIX + public_key).digest()[:ID_BYTES]


def office_device_id(public_key: bytes) -> bytes:
    """The device id of a back office: it follows from its key."""
    return hashlib.sha256(_OFFICE_PREFIX + public_key).digest()[:ID_BYTES]


def _read(path: Path, what: str, hint: str = "put the file back from a backup") -> bytes:
    try:
        return read_key(path)
    except NoRegister as error:
        raise SetupError(f"{what} is not on this relay ({path} is missing)", hint=hint) from error
