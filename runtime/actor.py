"""Who changed the configuration: said by our own processes, and by nobody else.

`hl-actor` of an intake record is sealed with the keyring, for this change of this record: whoever can only produce to
Kafka cannot make one, nor put one from another record on its own. What is not sealed is a claim, and is shown as
`produced:` with what it says. Who can read the intake as well can repeat a record of it word for word, its actor too.
"""

import hashlib
from collections.abc import Mapping

from runtime.keyring import CannotOpenError, Keyring, is_sealed

HEADER = "hl-actor"

MAX_ACTOR_CHARS = 200

AUTOMATIC = "hooklog"
"""The actor of a change that nobody asked for."""

PRODUCED = "produced:"
"""Before what a record says of itself that came into Kafka on another way."""


def sealed_actor(keyring: Keyring, actor: str, change: str) -> bytes:
    """The header's value.

    Args:
        keyring: of this process; the config agent has the same.
        actor: `admin`, `hooklog`, or `key:ID NAME`.
        change: what it is for: `change_of`.
    """
    return keyring.seal(actor, change).encode()


def told_actor(keyring: Keyring, headers: Mapping[str, str], change: str) -> str:
    """Who made a change, as far as it can be known; empty when the record says nothing."""
    text = headers.get(HEADER, "")
    if not is_sealed(text):
        return f"{PRODUCED}{text}"[:MAX_ACTOR_CHARS] if text else ""
    try:
        return keyring.unseal(text, change)[:MAX_ACTOR_CHARS]
    except CannotOpenError:
        return f"{PRODUCED}sealed for another change"


def change_of(kind: str, key: bytes | None, value: bytes | None, if_version: str | None) -> str:
    """A name for one change of one record: another record, value or condition has another name."""
    digest = hashlib.sha256(value).hexdigest() if value is not None else None
    return f"actor of {(kind, key, if_version, digest)!r}"
