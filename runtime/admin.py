"""The admin key: what every call needs that changes or reads more than its own webhook."""

import hmac

from fastapi import Request

from runtime.problem import ProblemError


class AdminKey:
    """A FastAPI dependency that lets only the bearer of the key pass.

    Args:
        key: the key, as it stands in the `Authorization: Bearer` header (RFC 6750, section 2.1).
    """

    def __init__(self, key: str) -> None:
        if not key:
            raise ValueError("an empty admin key would let everybody in")
        self._key = key.encode()

    async def __call__(self, request: Request) -> None:
        """Passes or answers.

        Raises:
            ProblemError: 401, the key is missing or wrong.
        """
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._key):
            raise ProblemError(
                401, detail="send Authorization: Bearer <admin key>", headers={"WWW-Authenticate": "Bearer"}
            )
