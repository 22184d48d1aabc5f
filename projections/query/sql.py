"""Read-only SQL over HTTP, for `hooklog sql`."""

import contextlib
from dataclasses import dataclass
from typing import Annotated, Literal

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from projections.query.errors import problem_of
from projections.query.held_answer import HeldAnswer
from projections.query.openapi import Responses, documented, problem
from projections.query.readonly import MAX_QUERY_CHARS, NotReadOnlyError, readable
from projections.query.sql_readers import SqlReaders
from projections.query.turns import CrowdedError
from runtime.clickhouse import Client
from runtime.problem import ProblemError


@dataclass(frozen=True, slots=True)
class _Format:
    clickhouse: str
    media_type: str


_FORMATS = {
    "json": _Format("JSONEachRow", "application/x-ndjson"),
    "csv": _Format("CSVWithNames", "text/csv; charset=utf-8; header=present"),
    "table": _Format("JSONCompact", "application/json"),
}


_RESPONSES: Responses = {
    200: {
        "description": "The rows.",
        "content": {
            "application/x-ndjson": {"example": '{"n":1}\n'},
            "text/csv": {"example": '"n"\n1\n'},
            "application/json": {"example": {"meta": [{"name": "n", "type": "UInt8"}], "data": [[1]], "rows": 1}},
        },
    },
    400: problem("It is no SQL that ClickHouse can run."),
    403: problem("`role`: the key's role is not enough; `not_read_only`: it does more than read Hooklog's tables."),
    413: problem("The answer would be too large."),
    422: problem("The body is wrong."),
}


ValueName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Value = Annotated[str, Field(max_length=MAX_QUERY_CHARS)]
MAX_VALUES = 100
"""As many as a query can name and somebody still understand."""


class Query(BaseModel):
    """A query, and how its rows are written: one JSON object a line, CSV, or one document with names and types."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]
    format: Literal["json", "csv", "table"] = "json"
    parameters: Annotated[dict[ValueName, Value], Field(max_length=MAX_VALUES)] = {}
    """Values of the query's `{name:Type}`, as ClickHouse's HTTP interface takes them: strings as in TabSeparated."""


def sql_routes(readers: SqlReaders) -> APIRouter:
    """`POST /api/v1/sql`."""
    router = APIRouter(tags=["sql"])

    @router.post("/api/v1/sql", **documented(_RESPONSES))
    async def run_sql(query: Query) -> Response:
        """Runs one query that only reads, within limits on time, memory and rows."""
        wanted = _FORMATS[query.format]
        try:
            async with contextlib.AsyncExitStack() as turn:
                await turn.enter_async_context(readers.turns.turn())
                body = await readers.run(lambda client: _run(client, query, wanted.clickhouse))
                return HeldAnswer(body, wanted.media_type, turn.pop_all())
        except CrowdedError as error:
            raise ProblemError(503, "crowded", f"{error}: ask again later", headers={"Retry-After": "5"}) from error
        except NotReadOnlyError as error:
            raise ProblemError(403, "not_read_only", str(error)) from error
        except ClickHouseError as error:
            raise problem_of(error, (400, "sql_error")) from error

    return router


def _run(client: Client, query: Query, fmt: str) -> bytes:
    found = readable(client, query.query, query.parameters)
    if found.format is not None:
        raise NotReadOnlyError("say the format beside the query, not in it")
    return bytes(client.raw_query(found.text, found.values, fmt=fmt))
