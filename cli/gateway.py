"""The two APIs of a running Hooklog, as the commands ask them: with a key, and with errors for people."""

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from cli.exits import fail, refuse
from cli.show import printable

if TYPE_CHECKING:
    import ssl

    import httpx

    from runtime.settings import Settings

TIMEOUT_S = 30.0
"""Longer than any call may take on the other side, so that its own error arrives."""

Api = Literal["ingest", "query"]
_SERVICES: dict[Api, str] = {"ingest": "ingest", "query": "projections"}


class Gateway:
    """Asks; whatever goes wrong ends the command with its reason.

    Args:
        settings: where Hooklog is; what a supervisor on the same data directory wrote down goes before them.
    """

    def __init__(self, settings: "Settings") -> None:
        self._settings = settings

    def call(
        self,
        api: Api,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        document: Any = None,
        headers: Mapping[str, str] | None = None,
        allow: Collection[int] = (),
    ) -> "httpx.Response":
        """The answer: a success, or one whose status is in `allow`; anything else ends the command with code 1.

        Args:
            api: `ingest` (config and events) or `query` (what happened).
            method: HTTP method.
            path: from `/api/v1/…` on.
            params: of the query string; those that are `None` are left out.
            document: sent as JSON, unless it is `None`.
            headers: beside the key.
            allow: statuses that are no failure here.
        """
        import httpx

        url = self.url(api)
        try:
            answer = self._client.request(
                method,
                f"{url}{path}",
                params={name: value for name, value in (params or {}).items() if value is not None},
                json=document,
                headers=self._key | dict(headers or {}),
            )
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                fail(f"{url} is not trusted ({error}); HOOKLOG_CA names a file with the authorities to trust")
            fail(f"nothing answers at {url} ({error or type(error).__name__}); is `hooklog up` running?")
        if not answer.is_success and answer.status_code not in allow:
            fail(complaint(answer))
        return answer

    def lines(self, api: Api, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON lines of an answer as they come; a failure ends the command, with 2 when it was asked wrongly."""
        import json

        import httpx

        url = self.url(api)
        asked = {name: value for name, value in params.items() if value is not None}
        try:
            with self._client.stream("GET", f"{url}{path}", params=asked, headers=self._key) as answer:
                if not answer.is_success:
                    answer.read()
                    (refuse if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY else fail)(complaint(answer))
                yield from (json.loads(line) for line in answer.iter_lines() if line)
        except httpx.TransportError as error:
            fail(f"nothing answers at {url} ({error or type(error).__name__}); is `hooklog up` running?")

    def rows(self, api: Api, path: str, params: Mapping[str, Any], most: int) -> Iterator[dict[str, Any]]:
        """The rows of a list, page after page, at most `most`."""
        cursor: str | None = None
        while most > 0:
            page = self.call(api, "GET", path, params={**params, "limit": min(most, 100), "cursor": cursor}).json()
            yield from page["data"]
            most -= len(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def chunks(self, api: Api, path: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        """The pieces of an answer that may be long, as they come."""
        import httpx

        url = f"{self.url(api)}{path}"
        given = {name: value for name, value in params.items() if value is not None}
        try:
            with self._client.stream("GET", url, params=given, headers=self._key) as answer:
                if not answer.is_success:
                    answer.read()
                    fail(complaint(answer))
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            fail(f"{url} broke off: {error or type(error).__name__}")

    def url(self, api: Api) -> str:
        """Where an API is, such as `http://127.0.0.1:8000`."""
        from runtime.supervisor.data_lock import holder_pid
        from runtime.supervisor.run_file import RunFile

        chosen = {"ingest": self._settings.ingest_url, "query": self._settings.query_url}[api]
        if chosen:
            return chosen.rstrip("/")
        rows = RunFile(self._settings.data_dir).read() if holder_pid(self._settings.data_dir) else {}
        ports = {"ingest": self._settings.ingest_port, "query": self._settings.query_port}
        row = rows.get(_SERVICES[api])
        port, https = (row.port, row.https) if row else (ports[api], self._settings.tls_cert is not None)
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self._settings.host, self._settings.host)
        return f"{'https' if https else 'http'}://{host}:{port}"

    @cached_property
    def verify(self) -> "ssl.SSLContext | bool":
        """What checks who answers, as httpx takes it: whoever gets the key must be who it is for."""
        if not any(self.url(api).startswith("https") for api in _SERVICES):
            return True
        from runtime.asking_tls import UnusableClientFilesError, asking_context

        try:
            return asking_context(self._settings)
        except UnusableClientFilesError as error:
            refuse(error)

    @cached_property
    def _client(self) -> "httpx.Client":
        import httpx

        # A proxy has no business on a laptop's loopback.
        return httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=self.verify)

    @cached_property
    def _key(self) -> dict[str, str]:
        from runtime.secrets_files import SetSecretError, admin_key_file, load_admin_key, sendable

        settings = self._settings
        chosen = settings.api_key or settings.admin_key
        if settings.embedded and not chosen and not admin_key_file(settings).exists():
            return {}  # nothing has run on this data directory, and a question makes no key
        try:
            api_key = settings.api_key and sendable(settings.api_key, "HOOKLOG_API_KEY")
            return {"Authorization": f"Bearer {api_key or load_admin_key(settings)}"}
        except SetSecretError as error:
            refuse(error)


def complaint(answer: "httpx.Response") -> str:
    """What a problem document (RFC 9457) says, in lines: the detail, then each wrong field."""
    try:
        problem = answer.json()
        text = str(problem.get("detail") or problem["title"])
        errors = [f"  {error['field'] or '(the whole)'}: {error['message']}" for error in problem.get("errors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {answer.status_code} from {answer.url}"
    return printable("\n".join([f"{text} (HTTP {answer.status_code})", *errors]))
