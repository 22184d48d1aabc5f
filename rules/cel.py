"""CEL, the Common Expression Language (github.com/google/cel-spec), as Google's C++ evaluates it.

The one file that knows the binding. What is compiled here is type-checked; an evaluation never raises: what goes wrong
is a `Failure`, because the event of one team must not stop the dispatch of all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from rules.cel_cost import cost_fault
from rules.shortcuts import SHORTCUTS

MAX_EXPRESSION_BYTES = 2_048
"""What a person still reads, and what bounds compilation: 2 KiB take at most some milliseconds."""

MAX_COMPILED = 10_000
"""Expressions that are kept compiled, some kilobytes each; a topic with more distinct ones compiles them again."""

MAX_DETAIL_CHARS = 300
"""Of what is wrong with an expression or its evaluation; it travels in records and answers."""

_TEXT = cel.Type.STRING
_ENVIRONMENT = cel.NewEnv(
    variables={
        "event": cel.Type.DYN,
        "headers": cel.Type.Map(_TEXT, _TEXT),
        "event_type": _TEXT,
        "source": _TEXT,
        "topic": _TEXT,
        **dict.fromkeys(SHORTCUTS, _TEXT),
    }
)
VARIABLES = frozenset({"event", "headers", "event_type", "source", "topic", *SHORTCUTS})
OF_BODY = frozenset({"event", *SHORTCUTS})
"""Variables for which the body must be parsed."""

_FAULT = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ([^\n]*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_QUOTED = re.compile(r'(Key not found in map) : "(.*)"$|(invalid regular expression): .*$', re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadExpressionError(ValueError):
    """Refuse the config: the expression is none. The message has line and column."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An evaluation that gave no value.

    Attributes:
        detail: why, for people.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression.

    Attributes:
        text: as it was written.
        uses: the variables that it may name.
    """

    text: str
    compiled: Any
    uses: frozenset[str]

    @property
    def reads_body(self) -> bool:
        """Whether its value depends on the parsed body."""
        return not self.uses.isdisjoint(OF_BODY)

    def evaluate(self, activation: Any) -> Any:
        """The value, or a `Failure`.

        Args:
            activation: made by `activation_of`, with every variable that the expression uses.
        """
        try:
            value = self.compiled.eval(activation)
            plain = value.plain_value()
            failed = not isinstance(plain, bool) and value.type() == cel.Type.ERROR  # to ask costs half an evaluation
            return Failure(_told(str(value.value()), self.text)) if failed else plain
        except Exception as error:  # noqa: BLE001 - the binding raises what it likes, and no text may stop dispatch
            return Failure(_told(str(error) or type(error).__name__, self.text))


def activation_of(values: Mapping[str, Any]) -> Any:
    """The variables of one event, for many evaluations; nothing in them is converted before it is read."""
    return _ENVIRONMENT.Activation(dict(values))


@lru_cache(maxsize=MAX_COMPILED)
def compile_filter(text: str) -> Expression:
    """The expression of a filter: it is true or false, or only known when it is evaluated.

    Raises:
        BadExpressionError: it is no such expression.
    """
    expression = _compiled(text)
    kind = expression.compiled.return_type()
    if kind != cel.Type.BOOL and kind != cel.Type.DYN:  # noqa: PLR1714 - these types cannot be hashed
        raise BadExpressionError(f"must be true or false, but is of type {kind.name().lower()}")
    return expression


@lru_cache(maxsize=MAX_COMPILED)
def compile_transform(text: str) -> Expression:
    """The expression of a transform: any value that JSON has.

    Raises:
        BadExpressionError: it is no expression.
    """
    return _compiled(text)


def expression_faults(filter_text: str, transform_text: str) -> list[tuple[str, str]]:
    """What is wrong with a subscription's expressions: field and message; empty texts are none."""
    faults = []
    for field, text, compiled in (
        ("filter", filter_text, compile_filter),
        ("transform", transform_text, compile_transform),
    ):
        try:
            if text:
                compiled(text)
        except BadExpressionError as error:
            faults.append((field, str(error)))
    return faults


def seconds_text(value: timedelta) -> str:
    """A duration as JSON has it (protobuf, JSON mapping): `3.5s`."""
    return f"{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def _compiled(text: str) -> Expression:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_EXPRESSION_BYTES:
        raise BadExpressionError(f"is longer than {MAX_EXPRESSION_BYTES} bytes")
    try:
        compiled = _ENVIRONMENT.compile(text)
    except Exception as error:  # noqa: BLE001 - RuntimeError today; whatever it is, it is the text's fault
        raise BadExpressionError(_fault(str(error))) from None
    if fault := cost_fault(text, VARIABLES):
        raise BadExpressionError(fault)
    return Expression(text, compiled, VARIABLES.intersection(_NAME.findall(text)))


def _fault(message: str) -> str:
    found = _FAULT.search(message)
    if found is None:
        return _plain(message)
    line, column, text = found.groups()
    told = text.removesuffix(" (in container '')").replace(" (in container '')", "")
    told = re.sub(r" expecting \{.*", "", _STATUS.sub("", told))  # forty tokens that might have come tell nothing
    return (told if line == "-1" else f"line {line}, column {column}: {told}")[:MAX_DETAIL_CHARS]


def _plain(message: str) -> str:
    return _STATUS.sub("", _STATUS.sub("", message))[:MAX_DETAIL_CHARS]


def _told(message: str, text: str) -> str:
    """Of an evaluation: what only the event can have said stays out of records that outlive it."""
    plain = _STATUS.sub("", _STATUS.sub("", message))
    found = _QUOTED.match(plain)
    if found and not (found[2] and found[2] in text):
        plain = found[1] or found[3]
    return plain[:MAX_DETAIL_CHARS]
