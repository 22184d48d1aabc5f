"""Asks the gateway's two APIs, several questions at a time."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import httpx

from cli.demo.stack import CannotPlayError, Place
from cli.gateway import TIMEOUT_S, complaint


class Api:
    """The APIs of one place, with its key; usable in an `async with` block."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, verify=place.verify)
        self._key = {"Authorization": f"Bearer {place.admin_key}"}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    async def create(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create a record; it is returned as the 201 shows it, secret included.

        Raises:
            CannotPlayError: it was refused, or nothing answers.
        """
        answer = await self._call("POST", f"{self.place.ingest_url}/api/v1/{kind}", document)
        created: dict[str, Any] = answer.json()
        return created

    async def delete(self, kind: str, record_id: str) -> None:
        """Delete a record, if it is there.

        Raises:
            CannotPlayError: as above.
        """
        await self._call("DELETE", f"{self.place.ingest_url}/api/v1/{kind}/{record_id}", None, missing_ok=True)

    async def sql(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows of a query.

        Raises:
            CannotPlayError: as above.
        """
        document = {"query": statement, "format": "json"}
        answer = await self._call("POST", f"{self.place.query_url}/api/v1/sql", document)
        return [json.loads(line) for line in answer.text.splitlines()]

    async def _call(self, method: str, url: str, document: Any, *, missing_ok: bool = False) -> httpx.Response:
        try:
            answer = await self.client.request(method, url, json=document, headers=self._key)
        except httpx.TransportError as error:
            raise CannotPlayError(f"nothing answers at {url} ({error or type(error).__name__})") from error
        if not answer.is_success and not (missing_ok and answer.status_code == httpx.codes.NOT_FOUND):
            raise CannotPlayError(f"{method} {url}: {complaint(answer)}")
        return answer


async def create_all(api: Api, records: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Create them in order, those of a kind together; returns the secret of each subscription.

    Raises:
        CannotPlayError: one is refused.
    """
    secrets: dict[str, str] = {}
    for kind in ("sources", "topics", "subscriptions"):
        made = await asyncio.gather(*(api.create(kind, document) for found, document in records if found == kind))
        secrets = {record["id"]: record["secret"] for record in made if kind == "subscriptions"}
    return secrets


async def delete_all(api: Api, records: list[tuple[str, dict[str, Any]]]) -> None:
    """Delete them, the last first.

    Raises:
        CannotPlayError: one cannot be deleted.
    """
    for kind, document in reversed(records):
        await api.delete(kind, document["id"])
