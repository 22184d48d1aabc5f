"""The three kinds of configuration, as the commands speak of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind.

    Attributes:
        name: of many, as in URLs: `sources`.
        one: of one, as in files: `source`.
        columns: what a table of them shows.
        changeable: a change that makes sense as an example.
    """

    name: str
    one: str
    columns: tuple[str, ...]
    changeable: str

    def path(self, record_id: str = "") -> str:
        """Where they are on the ingest API, or where one of them is."""
        from urllib.parse import quote

        return f"/api/v1/{self.name}" + (f"/{quote(record_id, safe='')}" if record_id else "")


SOURCE = Kind("sources", "source", ("id", "name", "auth_type", "updated_at", "version"), "name=Shop")
TOPIC = Kind("topics", "topic", ("id", "source_id", "name", "updated_at", "version"), "event_type.pointer=/type")
SUBSCRIPTION = Kind(
    "subscriptions",
    "subscription",
    ("id", "topic_id", "target_url", "event_types", "is_active", "version"),
    "max_in_flight=5",
)

KINDS = (SOURCE, TOPIC, SUBSCRIPTION)
"""In the order in which they are made: what others refer to comes first."""
