"""Bodies as examples show them: their beginning, and what differs between two."""

import base64
import difflib
from typing import Any

import orjson

from schemas.values import is_too_deep

MAX_SHOWN_BYTES = 4_096
"""Of a body in an answer with dozens of them."""

MAX_COMPARED_BYTES = 65_536
MAX_COMPARED_LINES = 1_000
"""Of each side: to compare takes up to the product of both."""

MAX_DIFF_LINES = 100
MAX_LINE_CHARS = 500

TOO_LARGE = "(too large to compare line by line)"


def shown_body(body: bytes) -> dict[str, Any]:
    """`body` as text, or as base64 where it is none, `body_encoding`, and `body_bytes`, its whole length."""
    beginning = body[:MAX_SHOWN_BYTES]
    try:
        body.decode()
        text, encoding = beginning.decode(errors="ignore"), "text"  # it may end within a character
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(beginning).decode(), "base64"
    return {"body": text, "body_encoding": encoding, "body_bytes": len(body)}


def body_diff(before: bytes, after: bytes) -> list[str]:
    """The lines of a unified diff, JSON spread over lines with sorted keys; none when only its spelling differs."""
    left, right = _lines(before), _lines(after)
    if left is None or right is None:
        return [TOO_LARGE]
    lines = [line[:MAX_LINE_CHARS] for line in difflib.unified_diff(left, right, "today", "tried", lineterm="", n=2)]
    more = len(lines) - MAX_DIFF_LINES
    return lines[:MAX_DIFF_LINES] + ([f"({more} more lines)"] if more > 0 else [])


def _lines(body: bytes) -> list[str] | None:
    if len(body) > MAX_COMPARED_BYTES:
        return None
    try:
        value = orjson.loads(body)
        text = body if is_too_deep(value) else orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        text = body
    lines = text.decode(errors="backslashreplace").splitlines()
    return lines if len(lines) <= MAX_COMPARED_LINES else None
