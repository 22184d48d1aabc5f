"""Lets through only SQL that reads Hooklog's own tables.

Grants and `readonly=1` refuse most of what does harm, but not all: the function `file()`, `INTO OUTFILE`, chDB's
`Python()` and the `SETTINGS` of a subquery pass both, and a server's user may be granted more than it should. So
ClickHouse itself parses a query, what runs is the canonical text that comes out, and what that text may name is
listed here. The canonical text has no comments and one way of quoting, so that this module and the engine cannot
read it differently.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from runtime.clickhouse import Client

MAX_QUERY_CHARS = 65_536
"""Far beyond what a person writes; the parser's work grows with it."""

SYSTEM_TABLES = frozenset(
    {
        "columns",
        "data_type_families",
        "databases",
        "events",
        "formats",
        "functions",
        "merges",
        "metrics",
        "numbers",
        "one",
        "parts",
        "settings",
        "tables",
    }
)
TABLE_FUNCTIONS = frozenset({"numbers", "numbers_mt", "zeros", "generateseries", "generate_series", "values", "null"})
"""Table functions that touch nothing but memory; all others read files, networks or other tables."""

_READS = re.compile(
    r"(?:EXPLAIN(?: (?:AST|SYNTAX|PLAN|PIPELINE|ESTIMATE|QUERY TREE))?(?: \w+ = \w+,?)* )?(?:SELECT|WITH) "
    r"|SHOW DATABASES\b|SHOW TABLES\b|DESCRIBE TABLE "
)
_OF_ONE_TABLE = re.compile(r"(?:SHOW CREATE (?:TABLE|VIEW)|EXISTS (?:TABLE|VIEW)) (?:(\w+)\.)?\w+")
_FORMAT = re.compile(r"(.*) FORMAT (`?)(\w+)\2", re.DOTALL)  # some, such as Null, are words of SQL and quoted
_NAME_OF_A_VALUE = re.compile(r"\{(\w+):[^}]+\}")
"""As the client finds them, to the letter: where it finds none, it writes the values into the text itself."""
_KEYWORDS = frozenset(
    {
        "INFILE",
        "OUTFILE",
        "PARALLEL",  # a second statement
        "SETTINGS",  # those of a subquery lift the limits of a read-only connection
        "Identifier",  # a value that is a name would be read after all names were looked at
        "APPLY",  # what it applies is not in the tree
    }
)
_TABLES_WITH_PATHS = frozenset({"system.databases", "system.merges", "system.parts", "system.tables"})
"""Grants cannot keep their columns from anybody: ClickHouse lets everybody read these tables."""
_PATHS = frozenset(
    {"data_path", "data_paths", "disk_name", "metadata_path", "path", "result_part_path", "source_part_paths"}
)
_IS_EMPTY = [("Function", "empty (children 1)"), ("ExpressionList", "(children 1)")]
"""Of a path: how JDBC knows remote tables from others."""
_FUNCTIONS = re.compile(
    # of files, of the host, and of tables that are named in a text; also where they are named without being called, as
    # in arrayMap(file, …)
    r"(?i:file|python|arrowstream|executable|catboostevaluate|showcertificate|filesystem\w*|sleep\w*|get(?:macro|os|server"
    r"|client)\w*|joinget\w*|dict(?:get|has|is)\w*)"
    r"|(?:ai|AI)[A-Z]\w*"  # of language models, which are asked over the network
    # 9 s for two texts of 60 KB, hours for an array of a million numbers, and no limit stops them
    r"|(?i:\w*levenshtein\w*|editdistance\w*|arraysimilarity|arrayenumerate\w+ranked|arrayexcept)"
)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|\w+|[^\w\s]", re.DOTALL)
_NODE = re.compile(r"( *)(\w+) ?(.*)")
_IN = re.compile(r"(?i:(?:global)?(?:not)?(?:null)?in(?:ignoreset)?)")
"""Functions whose last argument may be the name of a table: `x IN system.users`."""


class NotReadOnlyError(Exception):
    """The query does more than read Hooklog's tables; the message says what."""


class AsWritten:
    """A value as ClickHouse's HTTP interface takes it: a string as in TabSeparated, an array with quotes.

    The client would write texts anew, and knows no type of theirs; what it does not know, it asks for its text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


@dataclass(frozen=True, slots=True)
class Readable:
    """A query that may run.

    Attributes:
        text: canonical, without a format.
        format: that it named at its end, if it did.
        values: of those given, the ones that it names.
    """

    text: str
    format: str | None
    values: dict[str, AsWritten]


def readable(client: Client, query: str, values: Mapping[str, str] = MappingProxyType({})) -> Readable:
    """The query that may run.

    Args:
        client: a reading client; nothing of the query runs on it, it is only parsed.
        query: as written.
        values: of its `{name:Type}`, as ClickHouse's HTTP interface takes them.

    Raises:
        NotReadOnlyError: it does more than read.
        ClickHouseError: it is no SQL, or more than one statement, or a value of it is missing.
    """
    if len(query) > MAX_QUERY_CHARS:
        raise NotReadOnlyError(f"the query is longer than {MAX_QUERY_CHARS} characters")
    whole = _canonical(client, query)
    text, form = (match[1], match[3]) if (match := _FORMAT.fullmatch(whole)) else (whole, None)
    one_table = _OF_ONE_TABLE.fullmatch(text)
    if (one_table and one_table[1] not in {None, client.database}) or (not one_table and not _READS.match(text)):
        raise NotReadOnlyError("only SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN of a SELECT can run here")
    _check_words(text)
    # Only those: the client would write values into a query that names none of them.
    named = {name: AsWritten(values[name]) for name in _NAME_OF_A_VALUE.findall(text) if name in values}
    _check_tree(_tree(client, text, named), client.database)
    return Readable(text, form, named)


def _canonical(client: Client, query: str) -> str:
    parsed = client.raw_query("SELECT formatQuerySingleLine({q:String})", parameters={"q": query}, fmt="TSVRaw")
    return bytes(parsed).decode().strip()


def _check_words(text: str) -> None:
    words = [token for token in _TOKEN.findall(text) if not token.startswith("'")]
    for word in words:
        if word[0] in '`"' and "\\" in word:
            raise NotReadOnlyError(f"{word} has an escape, which no name of ours has")
        if word in _KEYWORDS or _FUNCTIONS.fullmatch(word.strip('`"')):
            raise NotReadOnlyError(f"{word} cannot be used here")


def _tree(client: Client, text: str, values: Mapping[str, AsWritten]) -> list[str]:
    return bytes(client.raw_query(f"EXPLAIN AST {text}", dict(values), fmt="TSVRaw")).decode().splitlines()


def _check_tree(lines: list[str], database: str) -> None:
    in_table = False
    found = [match for line in lines if (match := _NODE.match(line))]
    _check_sets([(len(match[1]), match[2], _name(match[3])) for match in found], database)
    nodes = [(match[2], match[3]) for match in found]
    if any(kind == "TableIdentifier" and _name(rest) in _TABLES_WITH_PATHS for kind, rest in nodes):
        _check_columns(nodes)
    for kind, rest in nodes:
        name = _name(rest)
        if kind == "Function" and in_table and name.lower() not in TABLE_FUNCTIONS:
            raise NotReadOnlyError(f"the table function {name} cannot be used here")
        if kind == "TableIdentifier":
            _check_table(name, database)
        in_table = kind == "TableExpression"


def _name(rest: str) -> str:
    return rest.partition(" (")[0]


def _check_sets(nodes: list[tuple[int, str, str]], database: str) -> None:
    """Tables that are the right side of `IN`, where the tree calls them no tables; nodes come with their depth."""
    for index, (depth, kind, name) in enumerate(nodes):
        if kind != "Function" or not _IN.fullmatch(name):
            continue
        below = itertools.takewhile(lambda node: node[0] > depth, nodes[index + 1 :])  # noqa: B023 - taken at once
        last = [node for node in below if node[0] == depth + 2][-1:]
        for _, of_set, table in last:
            if of_set == "Identifier" and table in _TABLES_WITH_PATHS:
                raise NotReadOnlyError(f"select the columns of {table}: some tell paths of this machine")
            if of_set == "Identifier":
                _check_table(table, database)


def _check_columns(nodes: list[tuple[str, str]]) -> None:
    """Of tables that also tell paths of this machine, those columns alone that are named and tell none."""
    for index, (kind, rest) in enumerate(nodes):
        if "Asterisk" in kind or "Matcher" in kind or (kind == "Function" and _name(rest) in {"untuple", "columns"}):
            raise NotReadOnlyError("name the columns of system tables: some tell paths of this machine")
        emptiness = nodes[max(index - 2, 0) : index] == _IS_EMPTY and rest == _name(rest)  # without an alias
        if kind == "Identifier" and _name(rest).rpartition(".")[2] in _PATHS and not emptiness:
            raise NotReadOnlyError(f"{_name(rest)} cannot be read here")


def _check_table(name: str, database: str) -> None:
    owner, dot, table = name.partition(".")
    if dot and owner != database and not (owner == "system" and table in SYSTEM_TABLES):
        raise NotReadOnlyError(f"the table {name} cannot be read here")
