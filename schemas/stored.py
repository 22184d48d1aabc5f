"""A config record as the tables hold it: the spec, its secrets encrypted, and the config agent's stamps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError

from schemas.config import STORED_SPECS, SourceSpec, Spec, SubscriptionSpec, TopicSpec
from schemas.headers import MalformedRecordError
from schemas.key import KeySpec
from schemas.sealing import is_sent, origin, sealing_context

SpecT = TypeVar("SpecT", SourceSpec, TopicSpec, SubscriptionSpec, KeySpec, Spec)

STAMPS = ("created_at", "updated_at", "version", "generation")
SHOWN_ONLY = (*STAMPS, "warnings")
"""What a shown record has beside what a person may say: it is left out of what comes back."""

MASK = "********"

SecretCodec = Callable[[str, str], str]
"""Takes a text and the context (`sealing_context`) that it is bound to; gives the text sealed or opened."""


@dataclass(frozen=True, slots=True)
class Record(Generic[SpecT]):
    """One source, topic, subscription or API key, ready for use: its secrets are in the clear, in memory only.

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
    return with_secrets(spec.kind, spec.model_dump(mode="json", exclude_none=True), seal)


def with_secrets(kind: str, document: dict[str, Any], codec: SecretCodec) -> dict[str, Any]:
    """A copy of a config document whose secrets are sealed, or opened, each for the place in which it stands."""
    return _map(document, lambda field, text: codec(text, sealing_context(kind, document, field)))


def decode_record(kind: str, value: bytes, unseal: SecretCodec) -> Record[Spec]:
    """The record in a table record's value.

    Args:
        kind: of the table.
        value: of the record.
        unseal: gives a text that was never sealed as it is: header values were stored so once.

    Raises:
        MalformedRecordError: it is no record of that kind, or its secrets cannot be opened.
    """
    try:
        document: dict[str, Any] = orjson.loads(value)
        stamps = {name: document.pop(name) for name in STAMPS}
        spec = STORED_SPECS[kind].model_validate(with_secrets(kind, document, unseal))
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
    """The record for showing: every secret is a mask, and the hash of a key is left out."""
    document = record.spec.model_dump(mode="json", exclude={"hash"})
    return map_secrets(document, lambda _: MASK) | _stamps(record)


def map_secrets(document: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """A copy of a config document whose secrets went through `change`; what is no text is left as it is.

    Secrets are `secret`, each of `secrets`, each value of `headers`, and `tls.client_key_pem`.
    """
    return _map(document, lambda _, text: change(text))


def unmasked(document: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """A copy in which each mask is the secret that stands in the same place of `known`, if there is one.

    What the endpoint is shown, header values and the client's key, is kept only while `target_url` has the same origin:
    whoever changes that could otherwise send to a host of their own what they are not allowed to see. The secrets of a
    source are kept only while it is verified in the same way: as a token, a key that signs would be sent as it is.
    """
    there = dict(secrets_in(known)) if document.get("auth_type") == known.get("auth_type") else {}
    if origin(document.get("target_url")) != origin(known.get("target_url")):
        there = {field: text for field, text in there.items() if not is_sent(field)}
    return _map(document, lambda field, text: there.get(field, text) if text == MASK else text)


def mask_faults(document: dict[str, Any]) -> list[tuple[str, str]]:
    """The field of each mask that stands for nothing, and why, for people."""
    why = "is a mask, and there is no secret that it could stand for"
    if "auth_type" in document:
        why += "; it is kept only while auth_type is the same"
    sent = f"{why}: give it again, or remove it; it is kept only while target_url has the same scheme, host and port"
    return [(field, sent if is_sent(field) else why) for field, text in secrets_in(document) if text == MASK]


def secrets_in(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Every secret that is a text: its field, such as `secrets.0` or `headers.Authorization`, and itself."""
    found: list[tuple[str, str]] = []

    def note(field: str, text: str) -> str:
        found.append((field, text))
        return text

    _map(document, note)
    return found


def _map(document: dict[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    def changed(field: str, value: Any) -> Any:
        return change(field, value) if isinstance(value, str) else value

    copy = dict(document)
    if "secret" in copy:
        copy["secret"] = changed("secret", copy["secret"])
    if isinstance(copy.get("secrets"), list):
        copy["secrets"] = [changed(f"secrets.{index}", item) for index, item in enumerate(copy["secrets"])]
    if isinstance(copy.get("headers"), dict):
        copy["headers"] = {name: changed(f"headers.{name}", item) for name, item in copy["headers"].items()}
    if isinstance(copy.get("tls"), dict) and "client_key_pem" in copy["tls"]:
        copy["tls"] = copy["tls"] | {"client_key_pem": changed("tls.client_key_pem", copy["tls"]["client_key_pem"])}
    return copy


def _stamps(record: Record[SpecT]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in STAMPS}
