"""What ClickHouse refuses, as problem documents."""

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from fastapi import FastAPI, Request
from starlette.responses import Response

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


def problem_of(error: ClickHouseError, otherwise: tuple[int, str]) -> ProblemError:
    """The problem that an error is for whoever asked.

    Args:
        error: as raised.
        otherwise: status and code where ClickHouse gives a reason that is no limit of ours.
    """
    code = error.code if isinstance(error, DatabaseError) else None
    if code is None:
        return ProblemError(503, detail="ClickHouse does not answer", headers={"Retry-After": "5"})
    status, name = _STATUS.get(code, otherwise)
    return ProblemError(status, name, _message(str(error)), clickhouse_code=code)


def add_clickhouse_handler(app: FastAPI) -> None:
    """Makes what ClickHouse refuses a problem document; what no limit explains is a mistake of our own query."""

    @app.exception_handler(ClickHouseError)
    async def _clickhouse(_: Request, error: ClickHouseError) -> Response:
        return problem_of(error, (500, "internal_error")).response()


def _message(text: str) -> str:
    return text.rpartition("DB::Exception: ")[2].strip()[:MAX_MESSAGE_CHARS]
