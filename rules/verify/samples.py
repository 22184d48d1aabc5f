"""A sample event of each provider, for a try: as it would send one, and marked so that nobody takes it for real.

The mark stands in the body, which is all of a request that receivers see: `hooklog_test` is true.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

MARK = "hooklog_test"
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"

_COMMIT = "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"  # of no repository
_CHARGE = {"id": "ch_test", "object": "charge", "amount": 2000, "currency": "usd"}
_MESSAGE = {"type": "message", "channel": "C0TEST", "user": "U0TEST", "text": "Hello from Hooklog"}
_MEETING = {"id": "123456789", "topic": "A test of Hooklog", "type": 2}
_OBJECT = {"resource": "configmaps", "namespace": "default", "name": "hooklog-test", "apiVersion": "v1"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What to send, before it is signed."""

    body: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()


def sample_of(auth_type: str, unique_id: str) -> Sample:
    """An event as a sender of that auth_type sends them; of one that is not known here, an event of no provider.

    Args:
        auth_type: of the source.
        unique_id: makes it an event of its own: the same one twice would be delivered once.
    """
    if auth_type == "twilio":
        fields = {"MessageSid": f"SM{unique_id}", "MessageStatus": "delivered", "To": "+15005550006", MARK: "true"}
        return Sample(urlencode(fields).encode(), _FORM, (("I-Twilio-Idempotency-Token", unique_id),))
    document = _documents(unique_id).get(auth_type) or _plain(unique_id)
    return Sample(orjson.dumps(document | {MARK: True}), _JSON, _headers(unique_id).get(auth_type, ()))


def _plain(unique_id: str) -> dict[str, Any]:
    return {"id": unique_id, "type": "order.created", "data": {"order": {"id": 42, "total": "19.90"}}}


def _documents(unique_id: str) -> dict[str, dict[str, Any]]:
    return {
        "github": {
            "ref": "refs/heads/main",
            "after": _COMMIT,
            "repository": {"full_name": "octocat/Hello-World", "name": "Hello-World"},
            "head_commit": {"id": _COMMIT, "message": "A test of Hooklog"},
        },
        "gitlab": {
            "object_kind": "push",
            "ref": "refs/heads/main",
            "after": _COMMIT,
            "project": {"path_with_namespace": "octocat/hello-world"},
        },
        "stripe": {
            "id": f"evt_{unique_id}",
            "object": "event",
            "type": "charge.succeeded",
            "livemode": False,
            "data": {"object": _CHARGE},
        },
        "slack": {"type": "event_callback", "event_id": f"Ev{unique_id}", "team_id": "T0TEST", "event": _MESSAGE},
        "shopify": {"id": 820982911946154508, "email": "jon@example.com", "total_price": "19.90"},
        "meta": {"object": "page", "entry": [{"id": unique_id, "time": 0, "changes": []}]},
        "x": {"for_user_id": "1", "tweet_create_events": [{"id_str": unique_id, "text": "Hello from Hooklog"}]},
        "zoom": {"event": "meeting.started", "payload": {"account_id": unique_id, "object": _MEETING}},
        "kubernetes": {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "auditID": unique_id,
            "stage": "ResponseComplete",
            "verb": "create",
            "objectRef": _OBJECT,
        },
    }


def _headers(unique_id: str) -> dict[str, tuple[tuple[str, str], ...]]:
    return {
        "github": (("X-GitHub-Event", "push"), ("X-GitHub-Delivery", unique_id)),
        "gitlab": (("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", unique_id)),
        "shopify": (("X-Shopify-Topic", "orders/create"), ("X-Shopify-Webhook-Id", unique_id)),
    }
