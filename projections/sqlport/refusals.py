"""What the port refuses, as ClickHouse writes it: `Code: N. DB::Exception: why. (NAME)`, so that clients know it.

Source of the statuses: `src/Server/HTTP/exceptionCodeToHTTPStatus.cpp` of ClickHouse; where a limit of ours is the
reason, the status is what a proxy understands.
"""

import re

from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from runtime.problem import ProblemError

MAX_MESSAGE_CHARS = 2_000
"""ClickHouse lists what it would have accepted."""

_STATUS = {
    46: 404,  # UNKNOWN_FUNCTION
    60: 404,  # UNKNOWN_TABLE
    81: 404,  # UNKNOWN_DATABASE
    158: 413,  # TOO_MANY_ROWS
    159: 408,  # TIMEOUT_EXCEEDED
    160: 408,  # TOO_SLOW
    164: 403,  # READONLY
    241: 503,  # MEMORY_LIMIT_EXCEEDED
    396: 413,  # TOO_MANY_ROWS_OR_BYTES
    497: 403,  # ACCESS_DENIED
}
_SERVER_FAULTS = frozenset({49, 1001, 1002})  # LOGICAL_ERROR, STD_EXCEPTION, UNKNOWN_EXCEPTION
_HEAD = re.compile(r"DB::\w*Exception: ")
_VERSION = re.compile(r" \(version [^)]*\)")


class RefusedError(Exception):
    """Tell the client, which knows ClickHouse's codes.

    Args:
        status: of HTTP.
        code: of ClickHouse.
        name: ClickHouse's name of the code.
        message: a sentence for people.
        headers: extra response headers, such as `Retry-After`.
    """

    def __init__(self, status: int, code: int, name: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.text = f"Code: {code}. DB::Exception: {message}" + (f". ({name})" if name else "")

    @classmethod
    def of_engine(cls, error: ClickHouseError) -> "RefusedError":
        """What the engine refused."""
        code = error.code if isinstance(error, DatabaseError) else None
        if code is None:
            return cls(503, 210, "NETWORK_ERROR", "ClickHouse does not answer", {"Retry-After": "5"})
        innermost = _VERSION.sub("", _HEAD.split(str(error))[-1]).strip()  # its name is in it already
        return cls(_STATUS.get(code, 500 if code in _SERVER_FAULTS else 400), code, "", innermost[:MAX_MESSAGE_CHARS])

    @classmethod
    def of_problem(cls, problem: ProblemError) -> "RefusedError":
        """What our own doors refuse: a wrong key, too many of them, nobody who can tell."""
        if problem.status in {401, 429}:
            status = 403 if problem.status == 401 else 429  # noqa: PLR2004 - as ClickHouse answers a wrong password
            kept = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"}
            return cls(status, 516, "AUTHENTICATION_FAILED", f"analyst: {problem.detail}", kept)
        return cls(problem.status, 210, "NETWORK_ERROR", problem.detail, problem.headers)


def not_readable(message: str) -> RefusedError:
    """What does more than read."""
    return RefusedError(403, 164, "READONLY", message)


def wrong(message: str) -> RefusedError:
    """A request that says nothing that can be done."""
    return RefusedError(400, 36, "BAD_ARGUMENTS", message)


def not_done(message: str) -> RefusedError:
    """What a server does and this port does not."""
    return RefusedError(501, 48, "NOT_IMPLEMENTED", message)
