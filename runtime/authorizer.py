"""Who calls, and whether they may: every route of both services but those that take events or tell of health."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from runtime.api_key import id_in
from runtime.guesses import Guesses
from runtime.http_metrics import route_of
from runtime.known_keys import KnownKeys
from runtime.problem import ProblemError
from runtime.refresh import NotCurrentError
from runtime.roles import needed_role
from schemas.key import KeySpec, Role, includes

ADMIN_ACTOR = "admin"
"""Who has the key of the environment."""

_NO_SUCH_KEY = "there is no such key"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}  # RFC 6750, section 3


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        actor: what the records say of it: `admin`, or `key:ID NAME`.
    """

    actor: str
    role: Role

    @classmethod
    def of(cls, spec: KeySpec) -> "Caller":
        """Who has a key."""
        return cls(f"key:{spec.id} {spec.name}", spec.role)


ENVIRONMENT = Caller(ADMIN_ACTOR, "admin")


class Authorizer:
    """A FastAPI dependency that lets those pass who may; what it finds out is `actor_of` the request.

    Args:
        admin_key: the key of the environment, which opens everything and cannot be revoked.
        keys: all others.
        guesses: turns away who keeps sending wrong ones.
        now_ms: the clock, epoch milliseconds.
    """

    def __init__(self, admin_key: str, keys: KnownKeys, guesses: Guesses, now_ms: Callable[[], int]) -> None:
        if not admin_key:
            raise ValueError("an empty admin key would let everybody in")
        self._admin_key = admin_key.encode()
        self._keys = keys
        self._guesses = guesses
        self._now_ms = now_ms

    async def __call__(self, request: Request) -> None:
        """Passes or answers.

        Raises:
            ProblemError: 401, the key is missing, wrong or at its end; 403, its role is not enough; 429, too many wrong
                ones came from there; 503, nobody can tell now whether there is such a key.
        """
        address = request.client.host if request.client else ""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("send Authorization: Bearer <key>")
        caller = await self.caller(given.strip(), address)
        needed = needed_role(request.method, route_of(request.scope))
        if not includes(caller.role, needed):
            raise ProblemError(403, "role", f"this needs the role {needed}, and the key has the role {caller.role}")
        request.state.caller = caller

    async def caller(self, text: str, address: str) -> Caller:
        """Who has a key, however it came.

        Args:
            text: the key, as it was sent.
            address: where it came from.

        Raises:
            ProblemError: 401, it is wrong or at its end; 429, too many wrong ones came from there; 503, nobody can tell
                now whether there is such a key.
        """
        if id_in(text) is None:
            return self._environment(text, address)
        spec = await self._found(text)
        if spec is None:
            raise _unauthorized(_NO_SUCH_KEY)
        if spec.has_expired(self._now_ms()):
            raise _unauthorized(f"the key expired at {spec.expires_at}")
        return Caller.of(spec)

    def _environment(self, text: str, address: str) -> Caller:
        # The only key that somebody may have chosen, and so the only one that can be guessed.
        self._guesses.require_welcome(address)
        if hmac.compare_digest(text.encode(), self._admin_key):
            self._guesses.right(address)
            return ENVIRONMENT
        self._guesses.wrong(address)
        raise _unauthorized(_NO_SUCH_KEY)

    async def _found(self, text: str) -> KeySpec | None:
        try:
            return await self._keys.find(text)
        except NotCurrentError:
            detail = "Kafka does not answer, so nobody can tell whether there is such a key"
            raise ProblemError(503, detail=detail, headers={"Retry-After": "5"}) from None


def actor_of(request: Request) -> str:
    """Who sent a request that was let pass, as the records say it."""
    caller: Caller = request.state.caller
    return caller.actor


def _unauthorized(detail: str) -> ProblemError:
    return ProblemError(401, detail=detail, headers=_CHALLENGE)
