"""The encryption keys that this terminal has; none are made by looking."""

import re
from typing import TYPE_CHECKING

from cli.exits import fail, refuse

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings

KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")


def own_file(settings: "Settings") -> "Path":
    """The keyring file, where that is where the keys are; ends the command elsewhere."""
    if settings.encryption_keys or not settings.embedded:
        refuse("the keys are in HOOKLOG_ENCRYPTION_KEYS: hooklog encryption new-key says how they are changed")
    return keyring_file(settings)


def keyring_file(settings: "Settings") -> "Path":
    """Where an embedded Hooklog keeps its keys."""
    return settings.data_dir / "keyring"


def key_ids(settings: "Settings") -> list[str]:
    """The ids of the keys that this terminal has, the one that seals first; makes none."""
    from runtime.keyring import Keyring, UnusableKeyringError

    file = keyring_file(settings)
    try:
        text = settings.encryption_keys or (file.read_text(encoding="ascii") if settings.embedded else "")
        return list(Keyring.parse(text).keys) if text else []
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, UnusableKeyringError) as error:
        fail(f"{'HOOKLOG_ENCRYPTION_KEYS' if settings.encryption_keys else file}: {error}")


def checked(key_id: str | None) -> str | None:
    """A key's id as a person may choose it; ends the command when it is none."""
    if key_id is not None and not KEY_ID.fullmatch(key_id):
        refuse("--id must be 1 to 32 characters of A-Z a-z 0-9 . _ -")
    return key_id
