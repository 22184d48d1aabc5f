"""Who asks: the user `analyst`, whose password is an API key, said in one of the three ways that ClickHouse has."""

import base64
import binascii
from collections.abc import Mapping

from starlette.requests import Request

from projections.sqlport.refusals import RefusedError

USER = "analyst"
"""The only one: what a key may do is the key's, not a name's."""

_FAILED = "Authentication failed: the user is analyst, and the password an API key"


def key_of(request: Request, parameters: Mapping[str, str]) -> str:
    """The key that a request brings: as Basic credentials (RFC 7617), in headers, or in the URL.

    Raises:
        RefusedError: it brings none, brings it in two ways, or is another user's.
    """
    ways = [found for found in (_basic(request), _headers(request), _url(parameters)) if found]
    if len(ways) > 1:
        raise _failed("say user and password in one way: Authorization, X-ClickHouse-User and -Key, or the URL")
    if not ways:
        raise _failed(_FAILED)
    user, key = ways[0]
    if user != USER:
        raise _failed(_FAILED)
    return key


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "basic":
        raise _failed("Authorization must be Basic; or use X-ClickHouse-User and X-ClickHouse-Key")
    try:
        user, _, key = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise _failed("Authorization is no Basic credentials") from None
    return user, key


def _headers(request: Request) -> tuple[str, str] | None:
    user, key = request.headers.get("x-clickhouse-user"), request.headers.get("x-clickhouse-key")
    return None if user is None and key is None else (user or "", key or "")


def _url(parameters: Mapping[str, str]) -> tuple[str, str] | None:
    user, key = parameters.get("user"), parameters.get("password")
    return None if user is None and key is None else (user or "", key or "")


def _failed(message: str) -> RefusedError:
    return RefusedError(403, 516, "AUTHENTICATION_FAILED", message)
