"""What a person sends about a source, topic or subscription: read, completed, and checked field by field."""

import base64
import os
from typing import Any

import orjson
from fastapi import Request

from ingest.body import BodyBudget, BodyReader
from rules.config_errors import SECRET_FIELDS, FieldErrors, read_spec
from rules.merge_patch import merge_patch
from rules.request_headers import RequestHeaders
from runtime.problem import ProblemError, in_short
from schemas.config import Spec, SubscriptionSpec, TopicSpec
from schemas.stored import MASK, SHOWN_ONLY, Record, map_secrets, unmasked
from schemas.values import MAX_DEPTH, is_too_deep

MAX_DOCUMENT_BYTES = 229_376
"""The config agent takes 384 KiB; the rest is room for sealed secrets."""

_SECRET_BYTES = 24
"""Standard Webhooks: between 24 and 64 random bytes."""

Document = dict[str, Any]


async def read_document(request: Request, budget: BodyBudget) -> Document:
    """The JSON object that a request brings.

    Raises:
        ProblemError: 400 it brings none, 408 too slow, 413 too large, 503 no memory.
    """
    reader = BodyReader(request.receive, RequestHeaders(request.scope["headers"]), budget)
    try:
        return parse_document(await reader.read(MAX_DOCUMENT_BYTES))
    except ProblemError:
        await reader.discard_rest()
        raise
    finally:
        reader.release()


def parse_document(body: bytes) -> Document:
    """The JSON object in a request's body, without what only an answer has: what was read can be sent back.

    Raises:
        ProblemError: 400, it is none.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, detail=f"the body is not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise ProblemError(400, detail="the body is not a JSON object")
    if is_too_deep(document):
        raise ProblemError(400, detail=f"the body is nested more than {MAX_DEPTH} levels deep")
    return {name: value for name, value in document.items() if name not in SHOWN_ONLY}


def with_id(document: Document, record_id: str) -> Document:
    """The document with the id of its URL.

    Raises:
        ProblemError: 422, it names another one.
    """
    if document.get("id", record_id) != record_id:
        raise _invalid([{"field": "id", "message": "is not the id in the URL"}])
    return document | {"id": record_id}


def with_kept_secrets(kind: str, document: Document, current: Record[Spec] | None) -> Document:
    """The document with the secrets that it leaves as they are.

    Masks stand for the secret in the same place, also as values of headers. A document that speaks of neither `secret`
    nor `secrets` keeps all of those, unless the source is verified in another way now; one that does says all that are
    to be there.
    """
    if current is None or kind == TopicSpec.kind:
        return document
    document = unmasked(document, current.spec.model_dump())
    known = current.spec.model_dump(include=set(SECRET_FIELDS), exclude_none=True)
    if not any(name in document for name in SECRET_FIELDS):
        same_use = document.get("auth_type") == getattr(current.spec, "auth_type", None)
        return document | known if same_use else document
    return document


def patched(document: Document, current: Record[Spec]) -> Document:
    """The current record with a merge patch applied; secrets that are masked or not mentioned stay as they are.

    But for those that would be sent to another origin (`unmasked`): they stay masks.
    """
    whole = current.spec.model_dump(mode="json", exclude_none=True)
    return unmasked(merge_patch(map_secrets(whole, lambda _: MASK), document), whole)


def with_generated_secret(kind: str, document: Document) -> Document:
    """A new subscription's document with a secret to sign with, unless it has one or wants none."""
    unsigned = kind != SubscriptionSpec.kind or document.get("signing") == "none"
    if unsigned or document.get("secret") is not None or document.get("secrets"):
        return document
    return document | {"secret": f"whsec_{base64.b64encode(os.urandom(_SECRET_BYTES)).decode()}"}


def check_document(kind: str, document: Document) -> Spec:
    """The record that a document describes.

    Raises:
        ProblemError: 422, with every bad field.
    """
    spec, errors = read_spec(kind, document, in_short)
    if errors or spec is None:
        raise _invalid(errors)
    return spec


def _invalid(errors: FieldErrors) -> ProblemError:
    fields = ", ".join(dict.fromkeys(error["field"] or "the document" for error in errors))
    return ProblemError(422, "invalid", f"wrong: {fields}"[:500], errors=errors)
