"""Read-only SQL over HTTP, for `hooklog sql`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from projections.query.errors import problem_of
from projections.query.openapi import Responses, documented, problem
from projections.query.readers import Readers
from projections.query.readonly import MAX_QUERY_CHARS, NotReadOnlyError, readable_query
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


class Query(BaseModel):
    """A query, and how its rows are written: one JSON object a line, CSV, or one document with names and types."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]
    format: Literal["json", "csv", "table"] = "json"


def sql_routes(readers: Readers) -> APIRouter:
    """`POST /api/v1/sql`."""
    router = APIRouter(tags=["sql"])

    @router.post("/api/v1/sql", **documented(_RESPONSES))
    async def run_sql(query: Query) -> Response:
        """Runs one query that only reads, within limits on time, memory and rows."""
        wanted = _FORMATS[query.format]
        try:
            body = await readers.run(lambda client: _run(client, query.query, wanted.clickhouse))
        except NotReadOnlyError as error:
            raise ProblemError(403, "not_read_only", str(error)) from error
        except ClickHouseError as error:
            raise problem_of(error, (400, "sql_error")) from error
        return Response(body, media_type=wanted.media_type)

    return router


def _run(client: Client, query: str, fmt: str) -> bytes:
    return bytes(client.raw_query(readable_query(client, query), fmt=fmt))
