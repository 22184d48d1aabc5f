"""Read-only SQL over HTTP, for `hooklog sql`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from projections.query.readers import Readers
from projections.query.readonly import MAX_QUERY_CHARS, NotReadOnlyError, readable_query
from runtime.clickhouse import Client
from runtime.problem import ProblemError

MAX_MESSAGE_CHARS = 2_000
"""ClickHouse lists what it would have accepted."""

_STATUS = {
    159: (504, "query_timeout"),  # TIMEOUT_EXCEEDED
    160: (504, "query_timeout"),  # TOO_SLOW
    158: (413, "result_too_large"),  # TOO_MANY_ROWS
    396: (413, "result_too_large"),  # TOO_MANY_ROWS_OR_BYTES
    241: (503, "query_memory"),  # MEMORY_LIMIT_EXCEEDED
    164: (403, "not_read_only"),  # READONLY
    497: (403, "not_read_only"),  # ACCESS_DENIED
}


@dataclass(frozen=True, slots=True)
class _Format:
    clickhouse: str
    media_type: str


_FORMATS = {
    "json": _Format("JSONEachRow", "application/x-ndjson"),
    "csv": _Format("CSVWithNames", "text/csv; charset=utf-8; header=present"),
    "table": _Format("JSONCompact", "application/json"),
}


class Query(BaseModel):
    """A query, and how its rows are written: one JSON object a line, CSV, or one document with names and types."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)]
    format: Literal["json", "csv", "table"] = "json"


def sql_routes(readers: Readers) -> APIRouter:
    """`POST /api/v1/sql`."""
    router = APIRouter()

    @router.post("/api/v1/sql")
    async def run_sql(query: Query) -> Response:
        """Runs one query that only reads, within limits on time, memory and rows."""
        wanted = _FORMATS[query.format]
        try:
            body = await readers.run(lambda client: _run(client, query.query, wanted.clickhouse))
        except NotReadOnlyError as error:
            raise ProblemError(403, "not_read_only", str(error)) from error
        except DatabaseError as error:
            raise _problem(error) from error
        except ClickHouseError as error:
            raise ProblemError(503, detail="ClickHouse does not answer") from error
        return Response(body, media_type=wanted.media_type)

    return router


def _run(client: Client, query: str, fmt: str) -> bytes:
    return bytes(client.raw_query(readable_query(client, query), fmt=fmt))


def _problem(error: DatabaseError) -> ProblemError:
    if error.code is None:
        return ProblemError(503, detail="ClickHouse does not answer")
    status, code = _STATUS.get(error.code, (400, "sql_error"))
    return ProblemError(status, code, _message(str(error)), clickhouse_code=error.code)


def _message(text: str) -> str:
    return text.rpartition("DB::Exception: ")[2].strip()[:MAX_MESSAGE_CHARS]
