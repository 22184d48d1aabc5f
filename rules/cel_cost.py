"""What an expression may cost: some passes over the body of an event, whatever is in it.

The evaluator counts iterations, and not what each of them costs: one that looks through the body again for every item
takes seconds, one that doubles a list thirty times takes gigabytes. Both hold up all events, so a loop goes over
a path, and what it does with an item names little but the item.
"""

import re

MAX_CONCATENATIONS = 32
"""`+` in one expression: each may copy a body."""

MAX_NAMINGS = 32
"""How often variables may be named: a transform may give the whole body each time."""

SMALL = frozenset({"event_type", "source", "topic"})
"""Variables that are short whatever was posted, so that a loop may name them."""

_LOOPS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_LITERAL = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_UNPLAIN = re.compile(r"\\|//|'''|\"\"\"")
_PIECES = re.compile(r"[A-Za-z_]\w*|\d[\w.]*|\S")
_OVER_PATH = re.compile(r"(?<![\w.\])}])[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*|\s*\[\s*(?:''|\d+)\s*\])*$")


def cost_fault(text: str, variables: frozenset[str]) -> str:
    """Why evaluation could take more than some passes over the body; empty when it cannot.

    Args:
        text: an expression that compiles.
        variables: the names that stand for something of the event.
    """
    plain = _LITERAL.sub("''", text)
    pieces = list(_PIECES.finditer(plain))
    words = [piece[0] for piece in pieces]
    if words.count("+") > MAX_CONCATENATIONS or sum(word in variables for word in words) > MAX_NAMINGS:
        return f"joins more than {MAX_CONCATENATIONS} values, or names more than {MAX_NAMINGS} variables"
    if not _LOOPS.intersection(words):
        return ""
    if _UNPLAIN.search(text):
        return "has a loop beside an escape, a comment or a text in three quotes"
    scopes: list[str] = []  # of each open bracket: the variable of its loop, or nothing
    for at, word in enumerate(words):
        if word in "([{":
            if _loops(words, at) and not _OVER_PATH.search(plain[: pieces[at - 2].start()].rstrip()):
                return f"{words[at - 1]}() must stand behind a path, such as event.items.{words[at - 1]}(…)"
            scopes.append(words[at + 1] if _loops(words, at) and at + 1 < len(words) else "")
        elif word in ")]}":
            scopes.pop()
        elif word.isidentifier() and words[at - 1 : at] != ["."] and (fault := _naming(word, scopes, variables)):
            return fault
    return ""


def _loops(words: list[str], at: int) -> bool:
    return words[at] == "(" and at > 1 and words[at - 1] in _LOOPS and words[at - 2] == "."


def _naming(word: str, scopes: list[str], variables: frozenset[str]) -> str:
    loops = [name for name in scopes if name]
    if not loops:
        return ""
    if word in variables - SMALL or (word != loops[-1] and word in loops) or loops.count(word) > 1:
        return f"a loop must not name {word}: it would be looked through again for each item"
    return ""
