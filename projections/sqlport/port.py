"""The port: ClickHouse's HTTP interface as its clients use it, for whoever has a key, and for reading alone.

Source: the documentation of ClickHouse's HTTP interface.
"""

from collections.abc import Awaitable, Callable

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError
from prometheus_client import CollectorRegistry, Counter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from projections.query.held_answer import send_held
from projections.query.readonly import NotReadOnlyError
from projections.query.sql_readers import SqlReaders
from projections.query.turns import CrowdedError
from projections.sqlport.answer import Answer, always, answer
from projections.sqlport.credentials import key_of
from projections.sqlport.hello import hello_block, is_hello
from projections.sqlport.packed import packed
from projections.sqlport.question import Question, query_id_of, read_question
from projections.sqlport.refusals import RefusedError, not_readable, wrong
from runtime.clickhouse import CLICKHOUSE_ERRORS, Client
from runtime.problem import ProblemError

log = structlog.get_logger(__name__)

_CROWDED = {"Retry-After": "5"}
_ALIVE = frozenset({"/ping", "/replicas_status"})
_UNASKED = b"Ok.\n"

Welcome = Callable[[str, str], Awaitable[object]]
"""Passes a key that comes from an address, or raises `ProblemError`."""


class SqlPort:
    """Pure ASGI: an answer keeps its turn until it is sent, which no framework's response could.

    Args:
        welcome: lets those pass who may read.
        readers: run the queries, one turn after the other.
        database: ours.
        registry: where it counts.
    """

    def __init__(self, welcome: Welcome, readers: SqlReaders, database: str, registry: CollectorRegistry) -> None:
        self._welcome = welcome
        self._readers = readers
        self._database = database
        self._answers = Counter("hooklog_sql_answers", "Answers of the SQL port.", ["status"], registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request(scope, receive)
        parameters = dict(request.query_params)
        query_id = query_id_of(parameters)
        try:
            _check_once(request)
            await self._answer(request, parameters, query_id, send)
        except RefusedError as refused:
            await self._refuse(refused, query_id, send)
        except Exception:
            log.exception("sql_port_failed", query_id=query_id)
            await self._refuse(RefusedError(500, 1002, "UNKNOWN_EXCEPTION", "the reason is in the log"), query_id, send)

    async def _answer(self, request: Request, parameters: dict[str, str], query_id: str, send: Send) -> None:
        if request.method not in {"GET", "HEAD", "POST"}:
            raise RefusedError(
                405, 48, "NOT_IMPLEMENTED", "GET and POST are answered here", {"Allow": "GET, HEAD, POST"}
            )
        if request.url.path in _ALIVE or (self._is_bare(request, parameters)):
            await self._send(200, always(query_id), _UNASKED, send)
            return
        if request.url.path != "/":
            raise RefusedError(404, 48, "NOT_IMPLEMENTED", "there is /, /ping and /replicas_status here")
        _check_page(request)
        try:
            await self._welcome(key_of(request, parameters), request.client.host if request.client else "")
        except ProblemError as problem:
            raise RefusedError.of_problem(problem) from None
        question = await self._question(request, parameters, query_id)
        try:
            async with self._readers.turns.turn():
                if not await request.is_disconnected():  # who has given up waiting needs no answer
                    await self._ask(question, parameters, send)
        except CrowdedError as error:
            raise RefusedError(
                503, 202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"{error}: ask again later", _CROWDED
            ) from None

    @staticmethod
    def _is_bare(request: Request, parameters: dict[str, str]) -> bool:
        # A GET of nothing is how clients find out whether somebody is there.
        return request.method != "POST" and request.url.path == "/" and "query" not in parameters

    async def _question(self, request: Request, parameters: dict[str, str], query_id: str) -> Question:
        try:
            question = await read_question(request, parameters, self._database, query_id)
        except HTTPException as error:  # of the bound on bodies
            raise RefusedError(
                error.status_code, 223, "QUERY_IS_TOO_LARGE", error.detail, dict(error.headers or {})
            ) from None
        if not question.query.strip():
            raise RefusedError(400, 62, "SYNTAX_ERROR", "Empty query")
        return question

    async def _ask(self, question: Question, parameters: dict[str, str], send: Send) -> None:
        hello = is_hello(question.query, parameters.get("client_protocol_version", ""))
        say = _hello if hello else answer
        try:
            found = await self._readers.run(lambda client: say(client, question), question.changes)
        except NotReadOnlyError as error:
            raise not_readable(str(error)) from error
        except ClickHouseError as error:
            raise RefusedError.of_engine(error) from error
        except ProblemError as error:
            raise RefusedError.of_problem(error) from error
        except CLICKHOUSE_ERRORS as error:
            raise RefusedError(503, 210, "NETWORK_ERROR", "ClickHouse does not answer", _CROWDED) from error
        await self._send(200, always(question.query_id) | found.headers, found.body, send)

    async def _refuse(self, refused: RefusedError, query_id: str, send: Send) -> None:
        headers = {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Exception-Code": str(refused.code)}
        body = (refused.text + "\n").encode(errors="replace")
        await self._send(refused.status, always(query_id) | headers | refused.headers, body, send)

    async def _send(self, status: int, headers: dict[str, str], body: bytes, send: Send) -> None:
        self._answers.labels(str(status)).inc()
        lines = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        lines.append((b"content-length", str(len(body)).encode()))
        await send_held(status, lines, body, send)


def _check_page(request: Request) -> None:
    # A key in the URL needs no leave of ours (CORS) before a browser sends it: any page could try keys, and get whoever
    # looks at it shut out, or tell a right key by how long its query runs.
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
    ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not ours or site not in {"none", "same-origin"}:
        raise RefusedError(403, 497, "ACCESS_DENIED", "a page of another site cannot ask here")


def _check_once(request: Request) -> None:
    if len(request.query_params) != len(request.query_params.multi_items()):
        raise wrong("a parameter stands twice in the URL")


def _hello(client: Client, question: Question) -> Answer:
    headers = {"X-ClickHouse-Format": "Native", "Content-Type": "application/octet-stream"}
    body, how = packed(hello_block(client.server_version, str(client.server_tz)), question.packing)
    return Answer(headers | how, body)
