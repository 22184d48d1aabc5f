"""Structured logs: one JSON object a line, or plain text on a terminal; other libraries' logs are held down."""

import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any, BinaryIO

import orjson
import structlog

from runtime.lines import LineLogger
from schemas.headers import rfc3339

_QUIET = {"aiokafka": logging.WARNING, "httpx": logging.WARNING, "mode": logging.WARNING, "faust": logging.WARNING}
_MAX_LINES_PER_S = 5
"""aiokafka writes about 200 lines a second during an outage; five tell as much."""


REDACTED = "[redacted]"

_CREDENTIAL = re.compile(
    r"secret|token|passw|authorization|signature|cookie|credential|(?:api|admin)[-_]?key|encryption"
)
"""Names of fields whose values are never logged, whoever wrote the line."""


@lru_cache(maxsize=1_024)  # lines have few names, and repeat them all the time
def _is_credential(name: str) -> bool:
    return _CREDENTIAL.search(name.lower()) is not None


@lru_cache(maxsize=1_024)  # and few sets of names
def _credentials(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _is_credential(name)]


def redacted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: hides what has a credential's name, also one level down."""
    for name in _credentials(tuple(event)):
        event[name] = REDACTED
    for name, value in event.items():
        if type(value) is dict:
            event[name] = {key: REDACTED if _is_credential(str(key)) else item for key, item in value.items()}
    return event


def stamped(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: writes down how serious it is, and when it was."""
    event["level"] = "warning" if method == "warn" else "error" if method == "exception" else method
    event["timestamp"] = rfc3339(time.time_ns() // 1_000_000)
    return event


class _RateLimit(logging.Filter):
    """Lets at most `_MAX_LINES_PER_S` records of a logger's family through each second."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._lines = 0

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - the interface of logging
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= _MAX_LINES_PER_S


def configure_logging(level: str) -> None:
    """Sets up structlog and the standard library's logging to write to standard error.

    Args:
        level: `debug`, `info`, `warning` or `error`.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(orjson.dumps)
    factory: Callable[..., Any] = structlog.WriteLoggerFactory(sys.stderr) if terminal else _lines(sys.stderr.buffer)
    structlog.configure(
        processors=[
            redacted,
            stamped,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    handler.addFilter(_RateLimit())
    logging.basicConfig(level=max(threshold, logging.INFO), handlers=[handler], force=True)
    for name, floor in _QUIET.items():
        logging.getLogger(name).setLevel(max(threshold, floor))


def _lines(stream: BinaryIO) -> Callable[..., LineLogger]:
    logger = LineLogger(stream)
    return lambda *_: logger
