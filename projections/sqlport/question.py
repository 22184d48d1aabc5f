"""What a request asks: the query of the URL and of the body together, its parameters, and how the answer shall look."""

import re
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from projections.sqlport.asked_settings import settings_of
from projections.sqlport.formats import DEFAULT, known_format
from projections.sqlport.packed import Packing
from projections.sqlport.refusals import RefusedError, not_done, wrong

MAX_BODY_BYTES = 262_144
"""Four times the longest query (`readonly.MAX_QUERY_CHARS`), whose characters may have four bytes."""

MAX_PARTS = 100
"""Of a form: a query, and the values that it names."""

OWN_NAMES = ("", "default")
"""Databases that clients name when nobody chose one."""

_WBITS = {"gzip": 31, "deflate": 15}  # zlib's names of RFC 1952 and RFC 1950
_PARAMETER = re.compile(r"param_([A-Za-z_]\w{0,99})")
_QUERY_ID = re.compile(r"[\w-]{1,64}")


@dataclass(frozen=True, slots=True)
class Question:
    """A query and all that belongs to it.

    Attributes:
        query: as written.
        values: of its `{name:Type}`, as they were sent.
        default_format: of the answer, unless the query names one.
        changes: settings that its connection must have.
        packing: of the answer.
        query_id: the client's, or a new one.
    """

    query: str
    values: dict[str, str]
    default_format: str
    changes: dict[str, int | str]
    packing: Packing
    query_id: str


def query_id_of(parameters: Mapping[str, str]) -> str:
    """The id that every answer carries."""
    asked = parameters.get("query_id", "")
    return asked if _QUERY_ID.fullmatch(asked) else str(uuid.uuid4())


async def read_question(request: Request, parameters: Mapping[str, str], database: str, query_id: str) -> Question:
    """Reads a request whose sender may ask.

    Args:
        request: its body is read here, within `MAX_BODY_BYTES`, packed or not.
        parameters: of its URL, each once.
        database: ours, the only one that can be asked.
        query_id: as `query_id_of` gave it.

    Raises:
        RefusedError: it cannot be answered, and why.
    """
    fields, body = await _content(request)
    everything = dict(parameters) | fields
    query = "\n".join(part for part in (everything.pop("query", ""), body) if part)
    values = {found[1]: everything.pop(name) for name in list(everything) if (found := _PARAMETER.fullmatch(name))}
    _check_database(everything.pop("database", "") or request.headers.get("x-clickhouse-database", ""), database)
    for credential in ("user", "password"):
        everything.pop(credential, None)
    asked_format = everything.pop("default_format", "") or request.headers.get("x-clickhouse-format", "") or DEFAULT
    return Question(
        query=query,
        values=values,
        default_format=known_format(asked_format),
        changes=settings_of(everything),
        packing=_packing(everything, request.headers.get("accept-encoding", "")),
        query_id=query_id,
    )


def _packing(parameters: Mapping[str, str], accepted: str) -> Packing:
    if parameters.get("compress", "0") in {"1", "true"}:
        return "blocks"
    return "gzip" if parameters.get("enable_http_compression", "0") in {"1", "true"} and "gzip" in accepted else "none"


async def _content(request: Request) -> tuple[dict[str, str], str]:
    """The fields of a form, and the text of any other body; ClickHouse takes nothing but multipart for a form."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return {}, await _text(request)
    try:
        form = await request.form(max_files=0, max_fields=MAX_PARTS, max_part_size=MAX_BODY_BYTES)
    except (MultiPartException, FormParserError) as error:
        raise wrong(f"this is no form that can be read: {error}") from error
    except ClientDisconnect:
        raise wrong("the body ended before it was there") from None
    return _fields(form), ""


def _fields(form: FormData) -> dict[str, str]:
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    if unknown := [name for name in fields if name != "query" and not _PARAMETER.fullmatch(name)]:
        raise not_done(
            f"a form may have query and param_…, and {unknown[0][:50]} is neither: external tables are not taken"
        )
    return fields


async def _text(request: Request) -> str:
    chunks = bytearray()
    unpack = _unpacker(request.headers.get("content-encoding", "identity").lower())
    try:
        async for chunk in request.stream():
            chunks += unpack.decompress(chunk, MAX_BODY_BYTES + 1 - len(chunks)) if unpack else chunk
            if len(chunks) > MAX_BODY_BYTES:
                raise _too_large()
        if unpack and (not unpack.eof or unpack.unused_data):  # a part of a query is another query
            raise wrong("the body is not packed as one whole")
        return chunks.decode()
    except zlib.error:
        raise wrong("the body is not packed as Content-Encoding says") from None
    except UnicodeDecodeError:
        raise wrong("the query is no UTF-8") from None
    except ClientDisconnect:
        raise wrong("the body ended before it was there") from None


def _unpacker(encoding: str) -> "zlib._Decompress | None":
    if encoding == "identity":
        return None
    if encoding not in _WBITS:
        raise not_done("Content-Encoding may be gzip or deflate")
    return zlib.decompressobj(_WBITS[encoding])


def _too_large() -> RefusedError:
    return RefusedError(413, 223, "QUERY_IS_TOO_LARGE", f"a body may have at most {MAX_BODY_BYTES} bytes", _CLOSE)


_CLOSE = {"Connection": "close"}  # else the server goes on reading what nobody wants


def _check_database(asked: str, database: str) -> None:
    if asked not in {database, *OWN_NAMES}:
        raise RefusedError(404, 81, "UNKNOWN_DATABASE", f"Database {asked[:100]} does not exist; ours is {database}")
