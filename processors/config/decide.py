"""Whether an intake record takes effect: a decision from the record and what the table holds, and nothing else."""

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from processors.config.intake import MUST_NOT_EXIST, Intake, RefusedError
from rules.addresses import AddressPolicy
from rules.cel import expression_faults
from rules.certificates import UnusableTlsError, check_tls
from rules.event_schema import event_type_errors
from rules.sign import UnusableSecretError, signing_key
from rules.verify.registry import check_config
from rules.verify.verifier import AuthConfigError
from runtime.keyring import CannotOpenError, Keyring
from schemas.config import STORED_SPECS, SourceSpec, Spec, SubscriptionSpec, TopicSpec, check_unreserved
from schemas.headers import rfc3339
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult
from schemas.stored import Record, mask_faults, masked, unmasked, with_secrets

MAX_REASON_CHARS = 2_000
"""A record may have hundreds of bad fields; the first ones say enough."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What an intake record leads to.

    Attributes:
        outcome: what to tell; `None` for a record whose outcome was told long ago.
        record: what the table is to hold for the id; `None` for nothing.
        writes: whether the table changes.
    """

    outcome: Outcome | None
    record: Record[Spec] | None = None
    writes: bool = False


class ConfigRules:
    """Everything that a decision rests on beside the record and the table.

    Args:
        keyring: opens secrets that were sealed before they were produced, and who produced them.
        egress: where deliveries may go.
    """

    def __init__(self, keyring: Keyring, egress: AddressPolicy) -> None:
        self._keyring = keyring
        self._egress = egress

    def decide(self, intake: Intake, current: Record[Spec] | None, last_version: int) -> Decision:
        """What to do with an intake record.

        Args:
            intake: the record.
            current: what the table holds for its id.
            last_version: the intake offset last applied to that id, deletes included; -1 when there was none.
        """
        intake = intake.said_by(self._keyring)
        try:
            record_id = intake.record_id()
            if intake.offset < last_version:
                return Decision(None)  # its outcome was stored before anything newer was applied
            if intake.offset == last_version:
                return _repetition(intake, record_id, current)
            _check_version(intake.if_version(), current)
            if intake.value is None:
                return _deletion(intake, record_id, current)
            return _change(intake, self._spec(intake, record_id, current), current)
        except RefusedError as refusal:
            return Decision(_refusal(intake, refusal, current), current)

    def _spec(self, intake: Intake, record_id: str, current: Record[Spec] | None) -> Spec:
        if current is None:  # what has such an id from before may still be ended, by people and by Hooklog
            _check_id(record_id)
        document = self._open_secrets(intake, _unmasked(intake.document(record_id), current))
        try:
            spec = STORED_SPECS[intake.kind].model_validate(document)
        except ValidationError as error:
            raise _invalid(error) from None
        self._check_rules(spec)
        return spec

    def _open_secrets(self, intake: Intake, document: dict[str, Any]) -> dict[str, Any]:
        return with_secrets(intake.kind, document, self._opened)

    def _opened(self, text: str, context: str) -> str:
        try:
            return self._keyring.opened(text, context)
        except CannotOpenError as error:
            reason = f"the sealed secret cannot be opened: {error}"
            raise RefusedError("invalid", context.split("/")[2].partition(" ")[0], reason) from None

    def _check_rules(self, spec: Spec) -> None:
        if isinstance(spec, SourceSpec):
            try:
                check_config(spec.auth_type, spec.auth_config, spec.all_secrets)
            except AuthConfigError as error:
                raise RefusedError("invalid", error.field, str(error)) from None
        elif isinstance(spec, TopicSpec):
            _check_event_types(spec)
        elif isinstance(spec, SubscriptionSpec):
            self._check_target(spec)
            _check_signing(spec)
            _check_expressions(spec)
            _check_tls(spec)

    def _check_target(self, spec: SubscriptionSpec) -> None:
        if self._egress.refuses_host(spec.target_host):
            raise RefusedError(
                "invalid", "target_url", "leads to a private address; HOOKLOG_EGRESS_ALLOW opens exceptions"
            )


def _check_id(record_id: str) -> None:
    try:
        check_unreserved(record_id)
    except ValueError as error:
        raise RefusedError("invalid", "id", str(error)) from None


def _check_signing(spec: SubscriptionSpec) -> None:
    try:
        for secret in spec.all_secrets:
            signing_key(secret)
    except UnusableSecretError as error:
        raise RefusedError("invalid", "secret", str(error)) from None


def _check_expressions(spec: SubscriptionSpec) -> None:
    faults = expression_faults(spec.filter, spec.transform)
    if faults:
        raise RefusedError("invalid", faults[0][0], "; ".join(f"{field}: {message}" for field, message in faults))


def _check_event_types(spec: TopicSpec) -> None:
    errors = event_type_errors(spec.event_types)
    if errors:
        reason = "; ".join(f"{field}: {message}" for field, message in errors)
        raise RefusedError("invalid", errors[0][0], reason[:MAX_REASON_CHARS])


def _check_tls(spec: SubscriptionSpec) -> None:
    if spec.tls is None:
        return
    try:
        check_tls(spec.tls, https=spec.is_https)
    except UnusableTlsError as error:
        raise RefusedError("invalid", error.field, str(error)) from None


def _unmasked(document: dict[str, Any], current: Record[Spec] | None) -> dict[str, Any]:
    """A masked secret stands for the one that is there: a record can be read, edited and produced again."""
    document = unmasked(document, current.spec.model_dump() if current else {})
    for field, fault in mask_faults(document):
        raise RefusedError("invalid", field, fault)
    return document


def _invalid(error: ValidationError) -> RefusedError:
    errors = [
        (".".join(str(part) for part in item["loc"]), str(item["msg"]).removeprefix("Value error, "))
        for item in error.errors()
    ]
    reason = "; ".join(f"{field}: {message}" if field else message for field, message in errors)
    return RefusedError("invalid", errors[0][0], reason[:MAX_REASON_CHARS])


def _check_version(if_version: int | None, current: Record[Spec] | None) -> None:
    if if_version is None:
        return
    if if_version == MUST_NOT_EXIST and current is not None:
        raise RefusedError("exists", "id", "there is one with this id")
    if if_version != MUST_NOT_EXIST and (current is None or current.version != if_version):
        found = current.version if current else "none"
        raise RefusedError("version_changed", "", f"made for version {if_version}, but the version is {found}")


def _change(intake: Intake, spec: Spec, current: Record[Spec] | None) -> Decision:
    record = Record(
        spec=spec,
        version=intake.offset,
        generation=intake.offset if current is None else current.generation,
        created_at=rfc3339(intake.at_ms) if current is None else current.created_at,
        updated_at=rfc3339(intake.at_ms),
    )
    return Decision(_told(intake, record), record, writes=True)


def _deletion(intake: Intake, record_id: str, current: Record[Spec] | None) -> Decision:
    action = OutcomeAction.NOTHING if current is None else OutcomeAction.DELETED
    return Decision(_told_deleted(intake, record_id, action), None, writes=current is not None)


def _repetition(intake: Intake, record_id: str, current: Record[Spec] | None) -> Decision:
    """A record that was applied, read again: it changes nothing and tells the same."""
    if current is None:
        return Decision(_told_deleted(intake, record_id, OutcomeAction.DELETED))
    return Decision(_told(intake, current), current)


def _told(intake: Intake, record: Record[Spec]) -> Outcome:
    created = record.generation == intake.offset
    return Outcome(
        kind=intake.kind,
        id=record.spec.id,
        intake_offset=intake.offset,
        at_ms=intake.at_ms,
        result=OutcomeResult.APPLIED,
        action=OutcomeAction.CREATED if created else OutcomeAction.UPDATED,
        version=record.version,
        generation=record.generation,
        reason=intake.reason,
        record=masked(record),
        actor=intake.actor,
    )


def _told_deleted(intake: Intake, record_id: str, action: OutcomeAction) -> Outcome:
    return Outcome(
        kind=intake.kind,
        id=record_id,
        intake_offset=intake.offset,
        at_ms=intake.at_ms,
        result=OutcomeResult.APPLIED,
        action=action,
        version=intake.offset,
        reason=intake.reason,
        actor=intake.actor,
    )


def _refusal(intake: Intake, refusal: RefusedError, current: Record[Spec] | None) -> Outcome:
    return Outcome(
        kind=intake.kind,
        id=intake.shown_id,
        intake_offset=intake.offset,
        at_ms=intake.at_ms,
        result=OutcomeResult.REFUSED,
        version=current.version if current else -1,
        generation=current.generation if current else 0,
        code=refusal.code,
        field=refusal.field,
        reason=refusal.reason,
        actor=intake.actor,
    )
