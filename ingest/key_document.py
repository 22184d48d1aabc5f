"""What a person sends about an API key, and what is shown of one."""

import datetime as dt
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ingest.config_document import Document
from runtime.problem import ProblemError, field_errors
from schemas.key import KeyName, KeySpec, Moment, Role
from schemas.stored import Record, masked

NewT = TypeVar("NewT", bound=BaseModel)


class NewKey(BaseModel):
    """What a new key is to be; its id and the key itself are made here."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: KeyName = Field(description="Whose it is, or what it is for; it stands in the history of what it changes.")
    role: Role = Field(description="Each role may do what those before it may.")
    expires_at: Moment | None = Field(default=None, description="RFC 3339; without it the key never expires.")


class KeyChange(BaseModel):
    """A merge patch (RFC 7396) of a key: what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: KeyName = ""
    role: Role = "viewer"
    expires_at: Moment | None = Field(default=None, description="`null`: it never expires.")


def read_key_document(model: type[NewT], document: Document) -> NewT:
    """The document as a model.

    Raises:
        ProblemError: 422, with every bad field.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        errors = field_errors(error.errors(include_input=False, include_url=False))
        fields = ", ".join(dict.fromkeys(item["field"] or "the document" for item in errors))
        raise ProblemError(422, "invalid", f"wrong: {fields}"[:500], errors=errors) from None


def changed_spec(spec: KeySpec, change: KeyChange) -> KeySpec:
    """The key with what a change names."""
    return spec.model_copy(update=change.model_dump(exclude_unset=True))


def shown_key(record: Record[Any]) -> Document:
    """A key for showing: whether it opens anything now, and nothing that it could be guessed from."""
    spec: KeySpec = record.spec
    return masked(record) | {"expired": spec.has_expired(int(dt.datetime.now(dt.UTC).timestamp() * 1_000))}
