"""Everything that is wrong with what a person says of a source, topic or subscription, field by field."""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from rules.cel import expression_faults
from rules.certificates import UnusableTlsError, check_tls
from rules.event_schema import event_type_errors
from rules.sign import UnusableSecretError, signing_key
from rules.verify import AuthConfigError, check_config
from schemas.config import SPECS, SourceSpec, Spec, SubscriptionSpec, TopicSpec, check_unreserved
from schemas.stored import MASK, mask_faults, secrets_in

SECRET_FIELDS = ("secret", "secrets")
_EXPRESSION_FIELDS = ("filter", "transform")

Document = dict[str, Any]
FieldErrors = list[dict[str, str]]


def read_spec(
    kind: str, document: Document, in_short: Callable[[ValidationError], FieldErrors]
) -> tuple[Spec | None, FieldErrors]:
    """The record that a document describes, as far as it does, and every bad field.

    Args:
        kind: of the record.
        document: its secrets in the clear.
        in_short: makes pydantic's errors ours.
    """
    errors: FieldErrors = []
    spec: Spec | None = None
    try:
        spec = SPECS[kind].model_validate(document)
    except ValidationError as error:
        errors += in_short(error)
    bad = {error["field"].partition(".")[0] for error in errors}
    errors += _id_errors(spec) + _mask_errors(document)
    if kind == SourceSpec.kind and not bad & {"auth_type", "auth_config", *SECRET_FIELDS}:
        errors += _auth_errors(document)
    if kind == SubscriptionSpec.kind and not bad & {*SECRET_FIELDS}:
        errors += _signing_errors(document)
    if kind == SubscriptionSpec.kind and not bad & {*_EXPRESSION_FIELDS}:
        errors += _expression_errors(document)
    if isinstance(spec, SubscriptionSpec):
        errors += _tls_errors(spec)
    if isinstance(spec, TopicSpec):
        errors += [{"field": field, "message": message} for field, message in event_type_errors(spec.event_types)]
    return spec, errors


def _signing_secrets(document: Document) -> list[tuple[str, str]]:
    return [(field, text) for field, text in secrets_in(document) if field.partition(".")[0] in SECRET_FIELDS]


def _id_errors(spec: Spec | None) -> FieldErrors:
    try:
        check_unreserved(spec.id if spec else "")
    except ValueError as error:
        return [{"field": "id", "message": str(error)}]
    return []


def _mask_errors(document: Document) -> FieldErrors:
    return [{"field": field, "message": message} for field, message in mask_faults(document)]


def _auth_errors(document: Document) -> FieldErrors:
    secrets = [text for _, text in _signing_secrets(document)]
    try:
        check_config(document["auth_type"], document.get("auth_config", {}), secrets)
    except AuthConfigError as error:
        return [{"field": field, "message": message} for field, message in error.errors]
    return []


def _signing_errors(document: Document) -> FieldErrors:
    errors = []
    for field, text in _signing_secrets(document):
        try:
            signing_key(text)
        except UnusableSecretError as error:
            errors.append({"field": field, "message": str(error)})
    return errors


def _expression_errors(document: Document) -> FieldErrors:
    faults = expression_faults(*(document.get(field) or "" for field in _EXPRESSION_FIELDS))
    return [{"field": field, "message": message} for field, message in faults]


def _tls_errors(spec: SubscriptionSpec) -> FieldErrors:
    if spec.tls is None or spec.tls.client_key_pem == MASK:
        return []  # a mask is told already
    try:
        check_tls(spec.tls, https=spec.is_https)
    except UnusableTlsError as error:
        return [{"field": error.field, "message": str(error)}]
    return []
