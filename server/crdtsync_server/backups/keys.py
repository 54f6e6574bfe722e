"""The private keys of a relay inside a backup: never unless asked for, and never in the clear.

Once they are in a file they stay in it: a backup that is made without the passphrase keeps what an earlier
one sealed, and says which keys came since. Else one call without it would leave no way to put a relay back.

They are sealed with AES-256-GCM under a key that scrypt makes of a passphrase. Who has the backup and not the
passphrase can try passphrases, 20 ms each: choose one that nobody guesses, six words by chance or more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgpack

from crdtsync.errors import SetupError, UsageError
from crdtsync.runtime.clock import RandomBytes
from crdtsync_server.backups.file import Manifest, translated
from crdtsync_server.keys import NEXT_SUFFIX, OWNER_SUFFIX, RELAY_KEY

PASSPHRASE_BYTES_MIN: Final = 12

_SCRYPT: Final = {"n": 1 << 15, "r": 8, "p": 1, "maxmem": 1 << 27, "dklen": 32}
_SUFFIXES: Final = (OWNER_SUFFIX, NEXT_SUFFIX)
_ABOUT: Final = b"crdtsync/backup-keys/v1\x00"


def read_passphrase(path: Path) -> bytes:
    """The passphrase in the first line of a file. Raises ``UsageError`` for one that is too short."""
    with translated(path):
        [line, *_] = [*path.read_bytes().splitlines(), b""]
    passphrase = line.strip()
    if len(passphrase) < PASSPHRASE_BYTES_MIN:
        raise UsageError(
            f"the passphrase in {path} has fewer than {PASSPHRASE_BYTES_MIN} characters",
            hint="keys are worth a long one: six words by chance",
        )
    return passphrase


def key_files(folder: Path, only: str = "") -> dict[str, bytes]:
    """The key files of a relay, by name; of one shop, if ``only`` is its id in hexadecimal digits."""
    with translated(folder):
        found = {path.name: path for path in sorted(folder.glob(f"{only}*")) if is_key_name(path.name)}
        return {name: path.read_bytes() for name, path in found.items()}


def is_key_name(name: str) -> bool:
    """Whether a file of that name is one of a relay's keys."""
    return "/" not in name and (name == RELAY_KEY or (name.endswith(_SUFFIXES) and name[0] != "."))


def sealed_keys(
    folder: Path,
    passphrase: bytes | None,
    before: Manifest | None,
    random: RandomBytes,
    *,
    only: str = "",
) -> dict[str, Any] | None:
    """The keys of a relay, or ``only`` of a shop, for a manifest; what ``before`` has is used again where it
    is the same, and where there is no ``passphrase``.
    """
    known = before.get("keys") if before is not None else None
    if passphrase is None:
        return dict(known) if known is not None else None
    files = key_files(folder, only)
    content = msgpack.packb(files)
    if known is not None and known.get("names") == sorted(files) and _unsealed(known, passphrase) == content:
        return dict(known)
    salt, nonce = random(16), random(12)
    sealed = _cipher(passphrase, salt).encrypt(nonce, content, _ABOUT)
    return {"salt": salt, "nonce": nonce, "sealed": sealed, "names": sorted(files)}


def keys_left_out(folder: Path, sealed: dict[str, Any] | None, *, only: str = "") -> tuple[str, ...]:
    """The key files of a relay, or ``only`` of a shop, that are not among the sealed ones. A key that is
    handed over makes a new name for the one before, so that names tell.
    """
    inside = set(sealed.get("names", ())) if sealed is not None else set()
    return tuple(name for name in key_files(folder, only) if name not in inside)


def unsealed_keys(manifest: Manifest, passphrase: bytes) -> dict[str, bytes]:
    """The key files in a backup, by name. Raises ``SetupError`` if there are none or the passphrase is
    another.
    """
    known = manifest["keys"]
    if known is None:
        raise SetupError("the backup holds no keys", hint="put the relay's keys folder in place instead")
    content = _unsealed(known, passphrase)
    if content is None:
        raise SetupError("the keys in the backup were sealed with another passphrase")
    files: dict[str, bytes] = msgpack.unpackb(content)
    return {name: key for name, key in files.items() if is_key_name(name)}


def _unsealed(known: dict[str, Any], passphrase: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag

    try:
        content: bytes = _cipher(passphrase, known["salt"]).decrypt(known["nonce"], known["sealed"], _ABOUT)
    except InvalidTag:
        return None
    return content


def _cipher(passphrase: bytes, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(hashlib.scrypt(passphrase, salt=salt, **_SCRYPT))
