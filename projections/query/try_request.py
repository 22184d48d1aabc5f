"""What can be asked of a subscription that is only tried: the subscription as it would be applied, and which events."""

from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from projections.query.current_subscription import CurrentSubscription
from projections.query.parameters import Filter, Moment
from rules.addresses import AddressPolicy
from rules.config_errors import read_spec
from runtime.problem import ProblemError, in_short
from schemas.config import SubscriptionSpec
from schemas.ids import new_id
from schemas.stored import MASK, SHOWN_ONLY, map_secrets, unmasked
from schemas.values import MAX_DEPTH, is_too_deep

MAX_EXAMPLES = 20
DEFAULT_EXAMPLES = 3

KEPT = "what-a-mask-stands-for"
"""In the place of a secret that stays as it is: the read side has none of them, and needs none."""


class TryRequest(BaseModel):
    """A subscription, new or changed, and the events that it is tried with."""

    model_config = ConfigDict(extra="forbid", strict=True)

    subscription: dict[str, Any] = Field(
        description="As for `PUT /api/v1/subscriptions/{id}` of ingest; `id` names the one to compare with."
    )
    event_id: Filter = Field(None, description="This event alone, whenever it came.")
    since: Moment = Field(None, description="Events from then on; a day before `until`, at most 31 days before it.")
    until: Moment = Field(None, description="Events until just before then; now.")
    examples: Annotated[int, Field(ge=0, le=MAX_EXAMPLES)] = DEFAULT_EXAMPLES
    """Of each reason and of each kind of change."""

    def document(self) -> dict[str, Any]:
        """The subscription without what only an answer has; a new one has an id.

        Raises:
            ProblemError: 400, it has texts or numbers that records cannot hold; 422, it is nested too deep.
        """
        if is_too_deep(self.subscription):
            raise _invalid([{"field": "", "message": f"is nested more than {MAX_DEPTH} levels deep"}])
        try:
            orjson.dumps(self.subscription)  # ingest takes no half surrogates and no integers beyond 64 bits either
        except orjson.JSONEncodeError as error:
            raise ProblemError(400, detail=f"the subscription is not JSON as records have it: {error}"[:300]) from error
        return {"id": new_id()} | {name: value for name, value in self.subscription.items() if name not in SHOWN_ONLY}


def checked_subscription(
    document: dict[str, Any], current: CurrentSubscription | None, egress: AddressPolicy
) -> SubscriptionSpec:
    """The subscription that a document describes, refused for what it would be refused for when it is applied.

    Raises:
        ProblemError: 422, with every bad field.
    """
    document = _with_kept(document, current)
    spec, errors = read_spec(SubscriptionSpec.kind, document, in_short)
    if isinstance(spec, SubscriptionSpec) and not errors and egress.refuses_host(spec.target_host):
        message = "leads to a private address; HOOKLOG_EGRESS_ALLOW opens exceptions"
        errors.append({"field": "target_url", "message": message})
    if errors or not isinstance(spec, SubscriptionSpec):
        raise _invalid(errors)
    return spec


def _with_kept(document: dict[str, Any], current: CurrentSubscription | None) -> dict[str, Any]:
    """The document in which a mask that stands for something is none any more."""
    document = unmasked(document, map_secrets(current.document, lambda _: KEPT) if current else {})
    tls = document.get("tls")
    if isinstance(tls, dict) and tls.get("client_key_pem") == KEPT:
        # It was checked with its certificate when it was stored; here is nothing to check it with.
        kept = {name: value for name, value in tls.items() if name not in {"client_key_pem", "client_cert_pem"}}
        document = document | {"tls": kept}
    return document


def header_changes(spec: SubscriptionSpec, document: dict[str, Any], current: CurrentSubscription) -> dict[str, Any]:
    """Which of the subscription's own headers would come, go, or have a value that was given anew; names only."""
    old = {name.lower() for name in current.spec.headers}
    given = document.get("headers") or {}
    return {
        "added": sorted(name for name in spec.headers if name.lower() not in old),
        "removed": sorted(old - {name.lower() for name in spec.headers}),
        "given_again": sorted(name for name in spec.headers if name.lower() in old and given.get(name) != MASK),
    }


def _invalid(errors: list[dict[str, str]]) -> ProblemError:
    # As ingest says it of a record that is applied.
    fields = ", ".join(dict.fromkeys(error["field"] or "the document" for error in errors))
    return ProblemError(422, "invalid", f"wrong: {fields}"[:500], errors=errors)
