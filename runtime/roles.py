"""Which role each route needs, of both services: the one place that says it.

A viewer looks at everything that shows no secret. An editor also changes what is received and delivered, and sends it
again. An admin also makes keys. A route that is not here needs an admin, and
fails the tests.
"""

from collections.abc import Mapping
from types import MappingProxyType

from schemas.key import Role

_CONFIG_KINDS = ("sources", "topics", "subscriptions")


def _config_routes(kind: str) -> dict[tuple[str, str], Role]:
    one = f"/api/v1/{kind}/{{record_id}}"
    return {
        ("GET", f"/api/v1/{kind}"): "viewer",
        ("GET", one): "viewer",
        ("GET", f"{one}/references"): "viewer",
        ("POST", f"/api/v1/{kind}"): "editor",
        ("PUT", one): "editor",
        ("PATCH", one): "editor",
        ("DELETE", one): "editor",
        # Writes nothing, but says whether a secret is the one that is there: a viewer could try passwords.
        ("POST", f"{one}/check"): "editor",
    }


NEEDED: Mapping[tuple[str, str], Role] = MappingProxyType(
    {
        **{route: role for kind in _CONFIG_KINDS for route, role in _config_routes(kind).items()},
        ("POST", "/api/v1/topics/{record_id}/test"): "editor",
        ("GET", "/api/v1/keys"): "admin",
        ("POST", "/api/v1/keys"): "admin",
        ("GET", "/api/v1/keys/{key_id}"): "admin",
        ("PATCH", "/api/v1/keys/{key_id}"): "admin",
        ("DELETE", "/api/v1/keys/{key_id}"): "admin",
        ("GET", "/api/v1/logs/events"): "viewer",
        ("GET", "/api/v1/logs/events/{event_id}"): "viewer",
        ("GET", "/api/v1/logs/events/{event_id}/explain"): "viewer",
        ("GET", "/api/v1/logs/deliveries"): "viewer",
        ("GET", "/api/v1/logs/deliveries/{delivery_id}"): "viewer",
        ("GET", "/api/v1/logs/attempts"): "viewer",
        ("GET", "/api/v1/logs/rejections"): "viewer",
        ("GET", "/api/v1/logs/rejections/{rejection_id}"): "viewer",
        ("GET", "/api/v1/logs/operations"): "viewer",
        ("GET", "/api/v1/stats/attempts"): "viewer",
        ("GET", "/api/v1/logs/tail"): "viewer",
        ("GET", "/api/v1/config"): "viewer",
        ("GET", "/api/v1/config/diff"): "viewer",
        ("GET", "/api/v1/config/{kind}/{record_id}/history"): "viewer",
        ("GET", "/api/v1/stats/errors"): "viewer",
        ("GET", "/api/v1/stats/funnel"): "viewer",
        ("GET", "/api/v1/stats/overview"): "viewer",
        ("GET", "/api/v1/stats/schema-drift"): "viewer",
        ("GET", "/api/v1/stats/subscriptions"): "viewer",
        ("GET", "/api/v1/stats/topics"): "viewer",
        ("GET", "/api/tasks/{task_id}"): "viewer",
        ("GET", "/api/v1/audit"): "viewer",
        ("GET", "/api/v1/replays"): "viewer",
        ("GET", "/api/v1/replays/{replay_id}"): "viewer",
        ("POST", "/api/v1/replays"): "editor",
        ("POST", "/api/v1/replays/{replay_id}/cancel"): "editor",
        ("POST", "/api/v1/deliveries/{delivery_id}/retry"): "editor",
        # Sends and stores nothing, and compares no secret; who may see payloads may ask what becomes of them.
        ("POST", "/api/v1/subscriptions/try"): "viewer",
        # As the SQL port: nothing that it reads shows a secret.
        ("POST", "/api/v1/sql"): "viewer",
        # Work of hours on a large log.
        ("POST", "/api/v1/projections/rebuild"): "admin",
        ("GET", "/api/v1/projections/rebuild"): "admin",
    }
)
"""By method and path, as the OpenAPI documents write them."""


def needed_role(method: str, path: str) -> Role:
    """The role that a route needs."""
    return NEEDED.get((method, path), "admin")
