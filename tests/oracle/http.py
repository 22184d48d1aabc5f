"""HTTP/1.1 over a socket, kept open: the oracle's own client."""

import asyncio
import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 40.0
"""Above any answer that a gateway which waits for Kafka may take."""


class NoAnswerError(Exception):
    """The request got no answer: nobody can say whether it was taken."""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Connection:
    """One connection to one port, opened when it is needed.

    Not for several tasks at once.
    """

    port: int
    host: str = "127.0.0.1"
    timeout_s: float = TIMEOUT_S
    _reader: asyncio.StreamReader | None = field(default=None, init=False)
    _writer: asyncio.StreamWriter | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes it; the next request opens another."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Sends one request and reads the answer.

        Raises:
            NoAnswerError: there was none.
        """
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._exchange(method, path, body, headers or {})
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise NoAnswerError(f"{method} {self.host}:{self.port}{path}: {error!r}") from error
        except BaseException:
            self.close()  # half an answer must not be taken for the next one
            raise

    async def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection(self.host, self.port, limit=1 << 20)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        await self._writer.drain()
        return await self._answer(self._reader)

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        status = int(status_line.split(" ")[1])
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await _chunks(reader)
        else:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)


async def get(port: int, path: str, headers: dict[str, str] | None = None, timeout_s: float = TIMEOUT_S) -> Answer:
    """One GET over a connection of its own."""
    async with Connection(port, timeout_s=timeout_s) as connection:
        return await connection.request("GET", path, headers=headers)


async def send_json(method: str, port: int, path: str, document: Any, headers: dict[str, str] | None = None) -> Answer:
    """One request with a JSON body over a connection of its own."""
    async with Connection(port) as connection:
        body = json.dumps(document).encode()
        return await connection.request(method, path, body, {"Content-Type": "application/json"} | (headers or {}))
