"""The two secrets an embedded Hooklog makes for itself, as files only their owner can read.

Every service may ask first, and several at once: whoever links the file first wins, the others read it. A file
is never overwritten, because what was encrypted with a lost key is lost.
"""

import base64
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from runtime.settings import Settings

ADMIN_KEY_BYTES = 32  # 43 characters; more entropy than anyone can guess
ENCRYPTION_KEY_BYTES = 32  # AES-256
KEY_ID_BYTES = 4  # tells a person's few keys apart; not a secret


_SENDABLE = re.compile(r"[\x21-\x7e]+")


class SetSecretError(Exception):
    """A secret is missing or its file is unusable; the message names the variable or the file."""


def load_admin_key(settings: Settings) -> str:
    """Return the admin key: `HOOKLOG_ADMIN_KEY`, else (embedded) the data directory's `admin.key`, made once.

    Raises:
        SetSecretError: no header can carry it; or there is none, and this is not an embedded Hooklog that may make one.
    """
    if settings.admin_key:
        return sendable(settings.admin_key, "HOOKLOG_ADMIN_KEY")
    _require_embedded(settings, "HOOKLOG_ADMIN_KEY")
    return _read_or_make(admin_key_file(settings), lambda: secrets.token_urlsafe(ADMIN_KEY_BYTES))


def sendable(key: str, variable: str) -> str:
    """Return the key, which a header can carry.

    Raises:
        SetSecretError: none can.
    """
    if not _SENDABLE.fullmatch(key):
        raise SetSecretError(f"{variable} must be printable ASCII without blanks: it is sent in a header")
    return key


def load_encryption_keys(settings: Settings) -> str:
    """Return `id:base64[,id:base64…]`: `HOOKLOG_ENCRYPTION_KEYS`, else (embedded) `keyring`, made once.

    Raises:
        SetSecretError: there are none, and this is not an embedded Hooklog that may make one.
    """
    if settings.encryption_keys:
        return settings.encryption_keys
    _require_embedded(settings, "HOOKLOG_ENCRYPTION_KEYS")
    return _read_or_make(settings.data_dir / "keyring", _new_keyring)


def admin_key_file(settings: Settings) -> Path:
    """Return where an embedded Hooklog keeps the admin key."""
    return settings.data_dir / "admin.key"


def make_data_dir(settings: Settings) -> None:
    """Create the data directory, closed to other users."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)


def _require_embedded(settings: Settings, variable: str) -> None:
    if not settings.embedded:
        raise SetSecretError(f"set {variable}: every process against this Kafka must have the same one")


def _new_keyring() -> str:
    key = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)).decode("ascii")
    return f"{secrets.token_hex(KEY_ID_BYTES)}:{key}"


def _read_or_make(file: Path, make: Callable[[], str]) -> str:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _link_new(file, make())
    text = file.read_text(encoding="ascii").strip()
    if not text:
        raise SetSecretError(f"{file} is empty: put the secret back, or delete the file to have a new one made")
    return text


def _link_new(file: Path, text: str) -> None:
    """Create the file whole or not at all, unless another process was first."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
