"""Reads YAML and JSON that people wrote: bounded, without surprises, and with line numbers when it cannot be read."""

import json
from collections.abc import Iterator
from typing import Any

import yaml

MAX_NODES = 100_000
"""Of one document with its anchors written out: the largest record has some hundred, a file of a thousand records
some ten thousand, and nine lines of aliases of aliases a billion."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is


class UnreadableError(ValueError):
    """The text is not what its name says; the message has the line."""


def read_json(text: str) -> list[Any]:
    """The one document in the text.

    Raises:
        UnreadableError: it is not JSON, or an object says the same name twice.
    """
    try:
        return [json.loads(text, object_pairs_hook=_without_repetition)]
    except json.JSONDecodeError as error:
        raise UnreadableError(f"line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except UnreadableError:
        raise
    except ValueError as error:  # of a number with thousands of digits
        raise UnreadableError(str(error)) from None


def read_yaml(text: str) -> list[Any]:
    """Every document in the text; empty ones are `None`.

    Raises:
        UnreadableError: it is not YAML, too large, or a mapping says the same name twice.
    """
    loader = _LOADER(text)
    try:
        return list(_documents(loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(f"line {mark.line + 1 if mark else '?'}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply") from None
    except ValueError as error:  # of a date that is none, such as 2026-13-01
        raise UnreadableError(str(error)) from None
    finally:
        loader.dispose()


def _documents(loader: Any) -> Iterator[Any]:
    while loader.check_node():
        node = loader.get_node()
        if _nodes(node, {}) > MAX_NODES:
            raise UnreadableError(f"line {node.start_mark.line + 1}: a document of more than {MAX_NODES} values")
        yield loader.construct_document(node)


def _nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes it is with every alias written out; counted before anything is built of them."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # until it is counted: what contains itself is too large
        children = list(node.value) if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            _refuse_repetition(node)
            children = [child for pair in node.value for child in pair]
        known[id(node)] = 1 + sum(_nodes(child, known) for child in children)
    return known[id(node)]


def _refuse_repetition(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if key.value in seen and isinstance(key, yaml.ScalarNode):
            raise UnreadableError(f"line {key.start_mark.line + 1}: {key.value} is there twice")
        seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        raise UnreadableError(f"{next(name for name in names if names.count(name) > 1)} is there twice in an object")
    return document
