"""Search in what was sent and answered: for text, and for the value of a field of a JSON body.

A text is found where it stands as whole words, exactly as written: words are what the token index knows, so that
granules without them are not read. A field is found by its JSON pointer (RFC 6901), which is walked step by step,
because a number in it may be the index of an array or the name of a member.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from projections.query.filters import Condition

MAX_SEARCHES = 5
"""Texts or fields of one question; each is looked for in every row that the others leave."""

MAX_STEPS = 10
"""Of a pointer: each reads what is left of the body once more."""

MAX_SEARCH_CHARS = 512
"""As of any filter."""

MAX_INDEX_DIGITS = 6
"""Of an index into an array: a body of a MiB has no more items."""

# What ClickHouse takes for a word: letters and digits of ASCII, and everything beyond ASCII.
_WORD = re.compile(r"[^\x00-/:-@\[-`{-\x7f]+")
_INDEX = re.compile(rf"0|[1-9][0-9]{{0,{MAX_INDEX_DIGITS - 1}}}")
# Everybody writes these as they are in JSON, so that the words of such a value stand in the body.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ._:@-]*|[0-9]{1,15}")


class Field(NamedTuple):
    """What a field of the body must be.

    Attributes:
        steps: of the pointer, unescaped.
        value: as it was asked for; `None`: the field must only be there.
    """

    steps: tuple[str, ...]
    value: str | None


def words_of(text: str) -> list[str]:
    """The words of a text, as ClickHouse divides it."""
    return _WORD.findall(text)


def checked_text(text: str) -> str:
    """The text, if it can be looked for.

    Raises:
        ValueError: it has no word.
    """
    if not words_of(text):
        raise ValueError("has no letter or digit to look for")
    return text


def checked_field(text: str) -> str:
    """The text, if it is `POINTER` or `POINTER=VALUE`.

    Raises:
        ValueError: it is neither.
    """
    field_of(text)
    return text


def field_of(text: str) -> Field:
    """The field that `POINTER` or `POINTER=VALUE` asks for.

    Raises:
        ValueError: it is neither, or the pointer is too long.
    """
    pointer, equals, value = text.partition("=")
    if not pointer.startswith("/") or re.search(r"~(?![01])", pointer):
        raise ValueError("write a JSON pointer and a value, such as /order/id=42, or only the pointer")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
    if len(steps) > MAX_STEPS:
        raise ValueError(f"a pointer has at most {MAX_STEPS} steps")
    return Field(steps, value if equals else None)


def text_conditions(texts: Sequence[str], columns: Sequence[str]) -> Iterator[Condition]:
    """Conditions that hold for rows where each text stands in one of the columns.

    Args:
        texts: `checked_text`.
        columns: names of ours.
    """
    for number, text in enumerate(texts):
        name = f"text{number}"
        words = words_of(text)
        asked = {f"{name}w{place}": word for place, word in enumerate(words)}
        exact = [] if words == [text] else [f"position({{column}}, {{{{{name}:String}}}}) > 0"]
        parts = [f"hasToken({{column}}, {{{{{word}:String}}}})" for word in asked] + exact
        each = " AND ".join(parts)
        anywhere = " OR ".join(f"({each.format(column=column)})" for column in columns)
        yield Condition(f"({anywhere})", {**asked, name: text})


def field_conditions(fields: Sequence[str]) -> Iterator[Condition]:
    """Conditions that hold for events whose JSON body has these fields: `checked_field`.

    A value is compared as text and as JSON: `42` is the number, also written 42.0, and the text "42"; `"42"` in quotes
    is the text alone.
    """
    for number, text in enumerate(fields):
        field = field_of(text)
        name = f"field{number}"
        found, parameters = _walk(field.steps, name)
        if field.value is None:
            yield Condition(f"{found} != ''", parameters)
            continue
        words = {f"{name}w{place}": word for place, word in enumerate(_certain_words(field.value))}
        value = f"{{{name}:String}}"
        wanted = field.value or '""'  # JSONExtractString gives an empty text for null and objects too
        parts = [f"hasToken(payload, {{{word}:String}})" for word in words] + [
            f"({found} AS {name}v) != ''",
            f"(JSONExtractString({name}v) = {value} OR {name}v = JSONExtractRaw({value}))",
        ]
        yield Condition(f"({' AND '.join(parts)})", {**parameters, **words, name: wanted})


def _certain_words(value: str) -> list[str]:
    """Words that stand in every body with this value, so that the index can be asked for them."""
    return words_of(value) if _PLAIN.fullmatch(value) else []


def _walk(steps: Sequence[str], name: str) -> tuple[str, dict[str, object]]:
    """SQL for what a pointer leads to, as JSON, or an empty text; and what it binds."""
    found = "payload"
    parameters: dict[str, object] = {}
    for place, step in enumerate(steps):
        key = f"{name}s{place}"
        parameters[key] = step
        if not _INDEX.fullmatch(step):
            found = f"JSONExtractRaw({found}, {{{key}:String}})"
            continue
        # ClickHouse counts from 1, and would count the members of an object as well. The lambda names what is walked:
        # an alias would be written out at each place, and three places a step are too much of a query after ten.
        item, member = f"JSONExtractRaw(w, {int(step) + 1})", f"JSONExtractRaw(w, {{{key}:String}})"
        found = f"arrayMap(w -> if(JSONType(w) = 'Array', {item}, {member}), [{found}])[1]"
    return found, parameters
