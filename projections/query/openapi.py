"""What the OpenAPI document says of the query API beside its parameters."""

from typing import Any

import orjson
from fastapi import FastAPI

from projections.query.forms import csv_of

_PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; for programs."},
        "detail": {"type": "string"},
        "clickhouse_code": {"type": "integer", "description": "Of an error of ClickHouse, its number."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

_DESCRIPTION = """What happened, to the last event.

Lists come in pages: `next_cursor` of one is `cursor` of the next, with all other parameters as they were, and the
pages together are the whole, without a gap or a repetition, also while rows arrive. With `format=ndjson` or `csv`, or
such an `Accept`, a list is one stream of all its rows. Times are RFC 3339 in UTC. Without
`since` a list is about the last 24 hours; longer than 31 days are read with SQL."""


def problem(description: str) -> dict[str, Any]:
    """A response that is a problem document."""
    return {"description": description, "content": _PROBLEM_CONTENT}


Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes them."""

_ALWAYS: Responses = {
    401: problem("The key is missing, wrong, or at its end."),
    403: problem("`role`: the key's role is not enough."),
    429: problem("`too_many_failures`: too many wrong keys came from there."),
    503: problem("ClickHouse or Kafka does not answer, or the query needs too much memory: ask again, or for less."),
    504: problem("The query takes too long: ask for less."),
}
_INVALID: Responses = {422: problem("`errors` names every wrong or unknown parameter.")}
_TOO_LARGE: Responses = {413: problem("The answer would be too large: ask for less.")}


def documented(responses: Responses) -> dict[str, Any]:
    """Arguments of a route: its responses, and those that every route has."""
    return {"responses": dict(sorted((_ALWAYS | responses).items(), key=lambda item: int(item[0])))}


def answered(example: Any, status: int = 200, description: str = "As asked.") -> dict[str, Any]:
    """Arguments of a route that answers with a document."""
    answer: Responses = {status: {"description": description, "content": {"application/json": {"example": example}}}}
    return documented(answer | _INVALID | _TOO_LARGE)


def listed(row: Any) -> dict[str, Any]:
    """Arguments of a route that answers with a page of rows such as this one."""
    schema = {
        "type": "object",
        "required": ["data", "next_cursor"],
        "properties": {
            "data": {"type": "array", "items": {"type": "object"}},
            "next_cursor": {"type": ["string", "null"], "description": "Of the next page; null on the last."},
        },
    }
    content = {"application/json": {"schema": schema, "example": {"data": [row], "next_cursor": None}}}
    page: Responses = {200: {"description": "A page.", "content": content}, 400: problem("The cursor is wrong.")}
    return documented(page | _INVALID | _TOO_LARGE)


def streamed(row: dict[str, Any]) -> dict[str, Any]:
    """The same, of a route that also streams them."""
    documented_page = listed(row)
    documented_page["responses"][200]["description"] = "A page as JSON, or all rows as NDJSON or CSV."
    line = orjson.dumps(row).decode() + "\n"
    sheet = csv_of(iter([list(row), list(row.values())])).decode()
    documented_page["responses"][200]["content"] |= {
        "application/x-ndjson": {"schema": {"type": "string"}, "example": line},
        "text/csv": {"schema": {"type": "string"}, "example": sheet},
    }
    return documented_page


_EVENTS = """id: eyJldmVudHMiOls3LDEyXX0
event: events
data: {"event_id":"01KE0Q6ZGEQ9PR3R6V8QXH3B7N","topic_id":"pushes"}

"""


def following() -> dict[str, Any]:
    """Arguments of a route that answers with server-sent events."""
    content = {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}}
    stream: Responses = {
        200: {"description": "What happens, until it ends.", "content": content},
        400: problem("Nothing can go on from the id."),
    }
    return documented(stream | _INVALID)


def found(example: Any) -> dict[str, Any]:
    """Arguments of a route that answers with one document by its id."""
    document = answered(example)
    document["responses"][404] = problem("There is none with this id.")
    return document


class QueryApp(FastAPI):
    """FastAPI whose document knows of problems and of keys."""

    def __init__(self, version: str) -> None:
        super().__init__(
            title="Hooklog query API",
            version=version,
            description=_DESCRIPTION,
            openapi_url=None,
            redoc_url=None,
            redirect_slashes=False,  # behind a proxy it would lead to plain http, the key with it
        )

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        if not self.openapi_schema:
            document = super().openapi()
            components = document.setdefault("components", {})
            components["schemas"] = components.get("schemas", {}) | {"Problem": _PROBLEM}
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"key": []}]
        return self.openapi_schema or {}
