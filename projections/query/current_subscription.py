"""A subscription as it is now, as far as the tables tell; its secrets are masks."""

from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.config import SubscriptionSpec
from schemas.stored import SHOWN_ONLY


@dataclass(frozen=True, slots=True)
class CurrentSubscription:
    """A subscription.

    Attributes:
        created_at: RFC 3339.
        document: what it says, secrets masked.
        spec: the same.
    """

    version: int
    created_at: str
    document: dict[str, Any]
    spec: SubscriptionSpec


def read_subscription(client: Client, subscription_id: str) -> CurrentSubscription | None:
    """The subscription of an id; `None` when there is none, or none any more.

    Raises:
        ProblemError: 409, another release wrote it.
    """
    found = client.query(
        "SELECT action, version, record FROM config_changes FINAL WHERE kind = 'subscriptions'"
        " AND id = {id:String} AND result = 'applied' AND action != 'nothing' ORDER BY _offset DESC LIMIT 1",
        parameters={"id": subscription_id},
    )
    row = next(iter(found.named_results()), None)
    if row is None or row["action"] == "deleted":
        return None
    try:
        record = orjson.loads(row["record"])
        document = {name: value for name, value in record.items() if name not in SHOWN_ONLY}
        spec = SubscriptionSpec.model_validate(document)
        return CurrentSubscription(row["version"], record["created_at"], document, spec)
    except (ValueError, KeyError, AttributeError, ValidationError) as error:
        raise ProblemError(409, "subscription_unreadable", "another release wrote the subscription") from error
