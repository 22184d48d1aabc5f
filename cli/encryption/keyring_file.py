"""Changes the keyring file of an embedded Hooklog: whole or not at all, and readable by its owner alone."""

import base64
import os
import secrets
import tempfile
from pathlib import Path

from runtime.keyring import Keyring
from runtime.secrets_files import ENCRYPTION_KEY_BYTES, KEY_ID_BYTES


def new_entry(key_id: str | None) -> str:
    """A new key as `HOOKLOG_ENCRYPTION_KEYS` and the file have it: `id:base64`."""
    key = base64.b64encode(secrets.token_bytes(ENCRYPTION_KEY_BYTES)).decode("ascii")
    return f"{key_id or secrets.token_hex(KEY_ID_BYTES)}:{key}"


def entries(text: str) -> dict[str, str]:
    """The entries of a keyring by their ids, in their order.

    Raises:
        UnusableKeyringError: it is no keyring.
    """
    Keyring.parse(text)
    parts = (part.strip() for part in text.replace("\n", ",").split(","))
    return {part.partition(":")[0]: part for part in parts if part}


def write_entries(file: Path, found: dict[str, str]) -> None:
    """Puts entries into the place of what the file holds."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write("".join(f"{entry}\n" for entry in found.values()))
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).replace(file)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    # What is sealed with the new key from now on is lost without it: the name must survive a power cut, too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
