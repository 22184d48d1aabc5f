"""Errors over HTTP: RFC 9457 problem details with a stable `code`."""

from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

_TITLES = {
    400: ("malformed", "Malformed request"),
    401: ("admin_key_missing", "API key missing or wrong"),
    403: ("forbidden", "Forbidden"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("timeout", "The request came too slowly"),
    409: ("conflict", "Conflict"),
    412: ("version_changed", "Changed in the meantime"),
    413: ("too_large", "Too large"),
    415: ("unsupported_media_type", "Unsupported media type"),
    421: ("host_not_allowed", "This host name is not served here"),
    422: ("invalid", "Invalid"),
    429: ("too_many_requests", "Too many requests"),
    431: ("head_too_large", "Request header fields too large"),
    500: ("internal_error", "Internal error"),
    501: ("not_implemented", "Not implemented"),
    503: ("unavailable", "Unavailable for now"),
    505: ("http_version", "HTTP version not supported"),
}


class ProblemError(Exception):
    """Answer with a problem document.

    Args:
        status: HTTP status.
        code: stable name for programs; the status's own by default.
        detail: a sentence for people.
        headers: extra response headers, such as `Retry-After`.
        members: extension members of the document, such as `errors`.
    """

    def __init__(
        self,
        status: int,
        code: str = "",
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail or code)
        self.status = status
        self.code = code or _TITLES.get(status, ("error", ""))[0]
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def response(self) -> Response:
        """The document as a response."""
        title = _TITLES.get(self.status, ("", "Error"))[1]
        document = {"type": "about:blank", "title": title, "status": self.status, "code": self.code}
        if self.detail:
            document["detail"] = self.detail
        return Response(
            orjson.dumps(document | self.members),
            self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


def add_problem_handlers(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""

    @app.exception_handler(ProblemError)
    async def _problem(_: Request, error: ProblemError) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return ProblemError(error.status_code, detail=str(error.detail), headers=headers).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        return ProblemError(422, "invalid", "a parameter is wrong", errors=field_errors(error.errors())).response()

    @app.exception_handler(Exception)
    async def _internal(_: Request, __: Exception) -> Response:
        return ProblemError(500, detail="the failure is in the service's log").response()


def field_errors(errors: Any) -> list[dict[str, str]]:
    """Pydantic's errors as `{"field", "message"}`; never the value, which may be a secret."""
    return [
        {
            "field": ".".join(str(part) for part in error["loc"] if part != "[key]"),
            "message": _message(error),
        }
        for error in errors
    ]


def in_short(error: ValidationError) -> list[dict[str, str]]:
    """The same of a document that is no record."""
    return field_errors(error.errors(include_input=False, include_url=False))


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is unknown here"
    return str(error["msg"]).removeprefix("Value error, ")
