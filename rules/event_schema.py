"""JSON Schemas of events (draft 2020-12), as jsonschema-rs checks them: the one file that knows the binding.

Measured on 1 KiB with twenty items: 10 us a body, half of it the parse. Nothing is fetched, and its regular expressions
never go back; what a body may cost at worst is bounded here, because it holds the loop: `benchmarks/schemas.py`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson
from jsonschema_rs import Draft202012Validator as Validator

from rules.schema_cost import UncountableError, load_of
from schemas.event_types import EventTypeSpec

MAX_SCHEMA_BYTES = 65_536
"""Longer than people read; what it takes to compile is bounded by its parts."""

MAX_SCHEMAS_BYTES = 131_072
"""Of one topic together: its record has room for 224 KiB."""

MAX_PARTS_A_TOPIC = 5_000
"""Of its schemas together: what a change of the topic may take, a quarter of a second, an expression as ten parts."""

MAX_CHECKS_A_VALUE = 2_000
"""Far beyond what people write: a value seldom has to pass fifty."""

MAX_CHECKS = 3_000_000
"""Of one body, all values together, at some 40 ns each: a tenth of a second in the worst case, which takes a body made
for it. An ordinary megabyte has thirty thousand values."""

MAX_PATTERN_BYTES = 33_554_432
"""Of one body, times the weight of the expressions that may meet one text: a tenth of a second in the worst case, in
which they run twice, to find the fault and to tell it. Light ones may be thirty for a megabyte."""

REGEX_WEIGHTS = {1: 1_000, 300: 1_500, 500: 3_000, 1_000: 6_000, 1_500: 12_000}
"""Weight and bytes, compiled, up to which an expression has it; a weight of one is 2 ns a byte of text, measured. The
engine never goes back, but what is too large for its table of states is followed place by place, at every byte. Beyond
12,000 it is a repetition in the hundreds, which `maxLength` says better."""

MAX_FAULTS = 5
"""That are told, of a body or of a topic; who mends it needs the first."""

MAX_LISTED_CHECKS = 5_000
"""Of one body: up to here all of its faults are looked for, 10 to 40 us each; of a larger one only the first."""

MAX_LISTED_BYTES = 1_000_000
"""As above, of the body times the checks of a value: the library copies the value for each branch that fails."""

MAX_PLACED_BYTES = 20_000_000
"""As above, when only the first fault is looked for: of a larger body it is known only that there is one."""

MAX_MESSAGE_CHARS = 300

_SOMEWHERE = "is not as its schema says; it is too large to find out where"
_TOO_DEEP = "is nested too deep to be checked"
_NO_REGEX = "is no expression that can be used: no look-around, no back-references, no repetitions in the hundreds"


class BadSchemaError(ValueError):
    """Refuse the config: this schema cannot be used. The message has the place."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Where a body is not as its schema says, and what is wrong; never a value of the body.

    Attributes:
        pointer: JSON pointer (RFC 6901); empty is the whole body.
        message: for people.
    """

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or 'the body'} {self.message}"


TOO_LARGE = Fault("", "is too large to be checked against this schema")


class EventSchema:
    """A schema that is ready to check bodies.

    Args:
        schema: as declared.

    Raises:
        BadSchemaError: it cannot be used.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.size_bytes = _size_of(schema)
        if self.size_bytes > MAX_SCHEMA_BYTES:
            raise BadSchemaError(f"has {self.size_bytes} bytes; at most {MAX_SCHEMA_BYTES} are taken")
        try:
            self._load, self.parts = load_of(schema, _weight)
        except UncountableError as error:
            raise BadSchemaError(str(error)) from None
        if self._load.checks > MAX_CHECKS_A_VALUE:
            raise BadSchemaError(f"one value may have to pass more than {MAX_CHECKS_A_VALUE} checks")
        self._validator = _compiled(schema)

    def faults(self, body: bytes) -> tuple[Fault, ...]:
        """The first faults of a body; none when it is as the schema says."""
        checks = _most_values(body) * self._load.checks
        if checks > MAX_CHECKS or len(body) * self._load.patterns > MAX_PATTERN_BYTES:
            return (TOO_LARGE,)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return (Fault("", "is not JSON"),)
        try:
            if self._validator.is_valid(value):
                return ()
            return self._told(value, checks, len(body) * self._load.checks)
        except ValueError:  # the library's own limit, 255 levels: a body that is read may have 1,024
            return (Fault("", _TOO_DEEP),)

    def _told(self, value: Any, checks: int, copied_bytes: int) -> tuple[Fault, ...]:
        if checks <= MAX_LISTED_CHECKS and copied_bytes <= MAX_LISTED_BYTES:
            return tuple(map(_fault, islice(self._validator.iter_errors(value), MAX_FAULTS)))
        if copied_bytes <= MAX_PLACED_BYTES:
            try:
                self._validator.validate(value)
            except jsonschema_rs.ValidationError as error:
                return (_fault(error),)
        return (Fault("", _SOMEWHERE),)


def matches(expression: str, text: str) -> bool:
    """Whether an expression of a schema is found in a text.

    Raises:
        BadSchemaError: it is none that can be used.
    """
    return _expression(expression).is_valid(text)


def event_type_errors(event_types: Mapping[str, EventTypeSpec]) -> list[tuple[str, str]]:
    """Field and message of each schema of a topic that cannot be used."""
    errors: list[tuple[str, str]] = []
    size_bytes = parts = 0
    for name, declared in event_types.items():
        try:
            schema = EventSchema(declared.json_schema)
        except BadSchemaError as error:
            errors.append((f"event_types.{name}.schema", str(error)))
            if len(errors) == MAX_FAULTS:
                return errors  # two hundred that fail late would take seconds
            continue
        size_bytes, parts = size_bytes + schema.size_bytes, parts + schema.parts
        if size_bytes > MAX_SCHEMAS_BYTES or parts > MAX_PARTS_A_TOPIC:
            limits = f"{MAX_SCHEMAS_BYTES} bytes and {MAX_PARTS_A_TOPIC} parts"
            return [*errors, ("event_types", f"the schemas have together more than {limits}")]
    return errors


def _size_of(schema: Mapping[str, Any]) -> int:
    try:
        return len(orjson.dumps(schema))
    except orjson.JSONEncodeError as error:  # a number beyond 64 bits, which no JSON that is read has
        raise BadSchemaError(f"/: {error}"[:MAX_MESSAGE_CHARS]) from None


def _compiled(schema: Mapping[str, Any], regex_bytes: int = max(REGEX_WEIGHTS.values())) -> Validator:
    try:
        return Validator(
            dict(schema),
            validate_formats=False,  # an annotation, as the draft says
            pattern_options=jsonschema_rs.RegexOptions(size_limit=regex_bytes),
            offline=True,
        )
    except jsonschema_rs.ValidationError as error:
        message = f"{_pointer(error.instance_path) or '/'}: {error.message}"
        raise BadSchemaError(message[:MAX_MESSAGE_CHARS]) from None
    except (ValueError, TypeError) as error:  # what the library cannot hold: too deep, or a number beyond 64 bits
        raise BadSchemaError(f"/: {error}"[:MAX_MESSAGE_CHARS]) from None


@lru_cache(maxsize=1_000)  # the same few stand everywhere in a schema
def _weight(expression: str) -> int:
    for weight, regex_bytes in REGEX_WEIGHTS.items():
        with suppress(BadSchemaError):
            _compiled({"pattern": expression}, regex_bytes)
            return weight
    raise ValueError(_NO_REGEX)


@lru_cache(maxsize=500)  # as many as a topic can have, each asked about every name
def _expression(expression: str) -> Validator:
    return _compiled({"pattern": expression})


def _most_values(body: bytes) -> int:
    """No fewer than the values that JSON has: each but the first comes after one of these characters."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def _fault(error: jsonschema_rs.ValidationError) -> Fault:
    return Fault(_pointer(error.instance_path), _message(error.kind))


def _message(kind: jsonschema_rs.ValidationErrorKind) -> str:
    # Of the schema alone: the library's own message repeats the value.
    match kind:
        case jsonschema_rs.ValidationErrorKind.Type():
            return f"is not of type {' or '.join(kind.types)}"
        case jsonschema_rs.ValidationErrorKind.Required():
            return f"lacks {kind.property}"[:MAX_MESSAGE_CHARS]
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties():
            return "has members that the schema does not allow"
        case jsonschema_rs.ValidationErrorKind.FalseSchema():
            return "is, or has, what the schema does not allow"
    limit = getattr(kind, "limit", None)
    return f"fails {kind.name}" if limit is None else f"fails {kind.name} {limit}"


def _pointer(path: Iterable[str | int]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)[:MAX_MESSAGE_CHARS]
