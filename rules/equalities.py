"""What a filter asks for first: the equalities that it begins with, such as `branch == 'main' && …`.

An index finds filters by them without evaluating any. That is exact, because CEL evaluates `&&` from the left and an
equality with a text is false, never an error, once the left side is another text: what stands after it has no say.
Whatever is not plainly such an equality ends the search; a filter without any is evaluated like every other.
"""

import re
from typing import NamedTuple

from rules.cel import VARIABLES, BadExpressionError, compile_filter

_PATH = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:'[^'\n]*'|\"[^\"\n]*\")\])*"
_TEXT = r"'[^'\n]*'|\"[^\"\n]*\""
_EQUALITY = re.compile(
    rf"\s*(?:(?P<path>{_PATH})\s*==\s*(?P<text>{_TEXT})|(?P<first>{_TEXT})\s*==\s*(?P<last>{_PATH}))\s*"
)
_PIECE = re.compile(rf"{_TEXT}|&&|.", re.DOTALL)
_UNPLAIN = re.compile(r"\\|//|'''|\"\"\"|\|\||[?]")
"""Escapes, comments, long texts, and operators that bind weaker than `&&`."""


class Equality(NamedTuple):
    """`path == 'text'`."""

    path: str
    text: str


class Beginning(NamedTuple):
    """What a filter begins with.

    Attributes:
        equalities: all must hold.
        whole: whether the filter says nothing else.
    """

    equalities: tuple[Equality, ...]
    whole: bool


NOTHING = Beginning((), whole=False)


def beginning_of(filter_text: str) -> Beginning:
    """The equalities that a filter begins with."""
    if _UNPLAIN.search(filter_text):
        return NOTHING
    parts = _conjuncts(filter_text)
    found: list[Equality] = []
    for part in parts:
        equality = _equality(part)
        if equality is None:
            break
        found.append(equality)
    whole = len(found) == len(parts)
    return Beginning(tuple(found), whole) if whole or _compiles(filter_text) else NOTHING


def _compiles(text: str) -> bool:
    # One that does not, which only another release can have stored, fails for every event.
    try:
        compile_filter(text)
    except BadExpressionError:
        return False
    return True


def _conjuncts(text: str) -> list[str]:
    parts, depth = [""], 0
    for piece in _PIECE.findall(text):
        depth += (piece in {"(", "[", "{"}) - (piece in {")", "]", "}"})
        if piece == "&&" and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _equality(part: str) -> Equality | None:
    found = _EQUALITY.fullmatch(part)
    if found is None:
        return None
    path, text = found["path"] or found["last"], found["text"] or found["first"]
    root = re.split(r"[.\[]", path, maxsplit=1)[0]
    return Equality(path, text[1:-1]) if root in VARIABLES else None
