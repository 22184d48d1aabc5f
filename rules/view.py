"""One event as filters and transforms see it: parsed when one asks for it, once, and judged once by each filter."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from rules.cel import (
    VARIABLES,
    BadExpressionError,
    Expression,
    Failure,
    activation_of,
    compile_filter,
    compile_transform,
)
from rules.shortcuts import SHORTCUTS, shortcut_of

NOT_JSON = "the body is not JSON, so that event has nothing in it"

_DIGITS_AS_0 = bytes(ord("0") if chr(code) in "0123456789" else ord(" ") for code in range(256))
_LARGE_INTEGER = b"0" * 19
"""So many digits in a row are one that may be too large: a tenth of the time that a regular expression takes."""
_INT64 = range(-(2**63), 2**63)


class Viewed(Protocol):
    """What can be looked at: an event, or a delivery of it."""

    @property
    def event_type(self) -> str: ...  # noqa: D102
    @property
    def source_id(self) -> str: ...  # noqa: D102
    @property
    def topic_id(self) -> str: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def request_headers(self) -> tuple[tuple[str, str], ...]: ...  # noqa: D102


class Verdict(NamedTuple):
    """Whether a subscription gets an event.

    Attributes:
        reason: why not; empty when it does.
        detail: what went wrong, of a `filter_error`.
    """

    reason: str = ""
    detail: str = ""


MATCHED = Verdict()
FILTERED = Verdict("filter")
FILTER_ERROR = "filter_error"


class EventView:
    """The variables of one event.

    Args:
        viewed: the event; its credentials are redacted already.
    """

    def __init__(self, viewed: Viewed) -> None:
        self.viewed = viewed
        self._verdicts: dict[str, Verdict] = {}
        self._values: dict[str, Any] = {}
        self._activations: dict[frozenset[str], Any] = {}

    @property
    def event_type(self) -> str:
        """The type of the event."""
        return self.viewed.event_type

    def verdict(self, filter_text: str) -> Verdict:
        """What a filter says; each text is evaluated once."""
        known = self._verdicts.get(filter_text)
        if known is None:
            known = self._verdicts[filter_text] = self._judged(filter_text)
        return known

    def value(self, text: str) -> Any:
        """The value of an expression, or a `Failure`; each text is evaluated once."""
        if text not in self._values:
            known = text in VARIABLES
            self._values[text] = self._variable(text) if known else self._valued(compile_transform, text)
        return self._values[text]

    def evaluate(self, expression: Expression) -> Any:
        """The value of a compiled expression, or a `Failure`."""
        activation = self._activations.get(expression.uses)
        if activation is None:
            # Only what it names, so that nothing is looked for in vain.
            values = {name: self._variable(name) for name in expression.uses}
            activation = self._activations[expression.uses] = activation_of(values)
        value = expression.evaluate(activation)
        if isinstance(value, Failure) and expression.reads_body and not self.is_json:
            return Failure(NOT_JSON)
        return value

    @cached_property
    def headers(self) -> dict[str, str]:
        """The request's headers by lower-case name; the values of one that repeats stand in one (RFC 9110, 5.3)."""
        values: dict[str, str] = {}
        for name, value in self.viewed.request_headers:
            key = name.lower()
            values[key] = f"{values[key]}, {value}" if key in values else value
        return values

    @property
    def is_json(self) -> bool:
        """Whether the body can be parsed."""
        return self._parsed[0]

    @property
    def event(self) -> Any:
        """The parsed body; `None` when it is no JSON."""
        return self._parsed[1]

    @cached_property
    def _parsed(self) -> tuple[bool, Any]:
        try:
            body = orjson.loads(self.viewed.body)
        except orjson.JSONDecodeError:
            return False, None
        return True, _within_int64(body) if _LARGE_INTEGER in self.viewed.body.translate(_DIGITS_AS_0) else body

    def _variable(self, name: str) -> Any:
        if name in SHORTCUTS:
            return shortcut_of(self.event, name)
        match name:
            case "event":
                return self.event
            case "headers":
                return self.headers
            case "event_type":
                return self.viewed.event_type
            case "source":
                return self.viewed.source_id
            case _:
                return self.viewed.topic_id

    def _judged(self, text: str) -> Verdict:
        value = self._valued(compile_filter, text)
        if value is True:
            return MATCHED
        if value is False:
            return FILTERED
        if isinstance(value, Failure):
            return Verdict(FILTER_ERROR, value.detail)
        return Verdict(FILTER_ERROR, f"is neither true nor false, but a {type(value).__name__}")

    def _valued(self, compiled: Callable[[str], Expression], text: str) -> Any:
        try:
            return self.evaluate(compiled(text))
        except BadExpressionError as error:  # of a table that an older or newer release wrote
            return Failure(str(error))


def _within_int64(body: Any) -> Any:
    """The body with doubles for the integers that CEL does not have; one of them would make all of it unreadable.

    Without recursion: a body may be nested deeper than Python's stack is.
    """
    whole = [body]
    left: list[Any] = [whole]
    while left:
        one = left.pop()
        for key, item in one.items() if isinstance(one, dict) else enumerate(one):
            if isinstance(item, dict | list):
                left.append(item)
            elif isinstance(item, int) and item not in _INT64:
                one[key] = float(item)  # of a key that is there already, so that its iteration goes on
    return whole[0]
