"""One intake record, read: whatever was produced to `config.*`, as far as it makes sense."""

from dataclasses import dataclass, replace
from typing import Any

import orjson
from aiokafka import ConsumerRecord

from runtime.actor import HEADER, change_of, told_actor
from runtime.keyring import Keyring
from schemas.headers import first_values
from schemas.ids import RECORD_ID
from schemas.stored import SHOWN_ONLY
from schemas.values import MAX_DEPTH, is_too_deep

MAX_CONFIG_BYTES = 393_216
"""What ingest takes, 224 KiB, were all of it secrets: sealed they are a third longer, and a name each."""

MUST_NOT_EXIST = -1
"""In `hl-if-version`: the id must be free."""


class RefusedError(Exception):
    """An intake record that changes nothing.

    Args:
        code: stable name, such as `invalid`.
        field: the field it is about, or empty.
        reason: a sentence for people; never a secret's value.
    """

    def __init__(self, code: str, field: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Intake:
    """What an intake record says before anyone looks into it.

    Attributes:
        kind: `sources`, `topics`, `subscriptions` or `keys`.
        at_ms: epoch milliseconds at which the broker stored it.
    """

    kind: str
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]

    @classmethod
    def of(cls, kind: str, record: ConsumerRecord) -> "Intake":
        """Takes a Kafka record."""
        return cls(
            kind=kind,
            offset=record.offset,
            at_ms=record.timestamp,
            key=record.key,
            value=record.value,
            headers=first_values(record.headers),
        )

    @property
    def shown_id(self) -> str:
        """The id for people, whatever bytes the key is made of."""
        return (self.key or b"").decode(errors="backslashreplace")[:256]

    def said_by(self, keyring: Keyring) -> "Intake":
        """The record whose `actor` is who produced it, as far as that can be known."""
        change = change_of(self.kind, self.key, self.value, self.headers.get("hl-if-version"))
        return replace(self, headers=self.headers | {HEADER: told_actor(keyring, self.headers, change)})

    @property
    def actor(self) -> str:
        """Who did it; only of a record that is `said_by`."""
        return self.headers.get(HEADER, "")

    @property
    def reason(self) -> str:
        """Why it was done, as far as the record says."""
        return self.headers.get("hl-reason", "")[:500]

    def record_id(self) -> str:
        """The id that the key is.

        Raises:
            RefusedError: it is none.
        """
        if self.key is None:
            raise RefusedError("invalid", "key", "the record has no key; the key is the id")
        try:
            text = self.key.decode()
        except UnicodeDecodeError:
            raise RefusedError("invalid", "key", "the key is not UTF-8") from None
        if not RECORD_ID.fullmatch(text):
            raise RefusedError("invalid", "key", "the key must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
        return text

    def if_version(self) -> int | None:
        """The version that the change was made for; `None` when any will do.

        Raises:
            RefusedError: the header is no whole number.
        """
        text = self.headers.get("hl-if-version")
        try:
            return None if text is None else int(text)
        except ValueError:
            raise RefusedError("invalid", "hl-if-version", "the header hl-if-version is not a whole number") from None

    def document(self, record_id: str) -> dict[str, Any]:
        """The JSON object in the value, with its id and without what only an answer has.

        Raises:
            RefusedError: it is too large, no JSON, no object, too deep, or names another id.
        """
        value = self.value or b""
        if len(value) > MAX_CONFIG_BYTES:
            raise RefusedError("too_large", "", f"{len(value)} bytes; at most {MAX_CONFIG_BYTES} are taken")
        try:
            document = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise RefusedError("malformed", "", f"the value is not JSON: {error}"[:300]) from None
        if not isinstance(document, dict):
            raise RefusedError("malformed", "", "the value is not a JSON object")
        if is_too_deep(document):
            raise RefusedError("malformed", "", f"the value is nested more than {MAX_DEPTH} levels deep")
        if document.setdefault("id", record_id) != record_id:
            raise RefusedError("invalid", "id", "the id in the value is not the key")
        return {name: value for name, value in document.items() if name not in SHOWN_ONLY}
