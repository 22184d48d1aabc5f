"""A config record as the tables hold it: the spec, its secrets encrypted, and the config agent's stamps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError

from schemas.config import SPECS, SourceSpec, Spec, SubscriptionSpec, TopicSpec
from schemas.headers import MalformedRecordError

SpecT = TypeVar("SpecT", SourceSpec, TopicSpec, SubscriptionSpec, Spec)

STAMPS = ("created_at", "updated_at", "version", "generation")
SHOWN_ONLY = (*STAMPS, "warnings")
"""What a shown record has beside what a person may say: it is left out of what comes back."""

MASK = "********"

SecretCodec = Callable[[str, str], str]
"""Takes a text and the context `kind/id` that it is bound to; gives the text sealed or opened."""


@dataclass(frozen=True, slots=True)
class Record(Generic[SpecT]):
    """One source, topic or subscription, ready for use: its secrets are in the clear, in memory only.

    Attributes:
        version: the intake offset of the record that made it so.
        generation: the version at which it was created, or created again after a delete.
        created_at: RFC 3339.
        updated_at: RFC 3339.
    """

    spec: SpecT
    version: int
    generation: int
    created_at: str
    updated_at: str


def encode_record(record: Record[SpecT], seal: SecretCodec) -> bytes:
    """A table record's value: JSON, its secrets sealed."""
    return orjson.dumps(sealed_document(record.spec, seal) | _stamps(record))


def sealed_document(spec: Spec, seal: SecretCodec) -> dict[str, Any]:
    """What a spec says, its secrets sealed: fit for the tables, and for the intake."""
    context = f"{spec.kind}/{spec.id}"
    return map_secrets(spec.model_dump(mode="json", exclude_none=True), lambda text: seal(text, context))


def decode_record(kind: str, value: bytes, unseal: SecretCodec) -> Record[Spec]:
    """The record in a table record's value.

    Raises:
        MalformedRecordError: it is no record of that kind, or its secrets cannot be opened.
    """
    try:
        document: dict[str, Any] = orjson.loads(value)
        stamps = {name: document.pop(name) for name in STAMPS}
        context = f"{kind}/{document['id']}"
        spec = SPECS[kind].model_validate(map_secrets(document, lambda text: unseal(text, context)))
        return Record(spec=spec, **_checked(stamps))
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise MalformedRecordError(f"not a record of {kind}: {type(error).__name__}") from error


def _checked(stamps: dict[str, Any]) -> dict[str, Any]:
    # A version of another type would stop every reader of the table at its first comparison.
    for name, value in stamps.items():
        if type(value) is not (str if name.endswith("_at") else int):
            raise TypeError(f"{name} is of the wrong type")
    return stamps


def masked(record: Record[SpecT]) -> dict[str, Any]:
    """The record for showing: every secret is a mask."""
    document = record.spec.model_dump(mode="json")
    return map_secrets(document, lambda _: MASK) | _stamps(record)


def map_secrets(document: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """A copy of a config document whose secrets went through `change`; what is no text is left as it is."""
    copy = dict(document)
    if isinstance(copy.get("secret"), str):
        copy["secret"] = change(copy["secret"])
    if isinstance(copy.get("secrets"), list):
        copy["secrets"] = [change(item) if isinstance(item, str) else item for item in copy["secrets"]]
    return copy


def _stamps(record: Record[SpecT]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in STAMPS}
