"""The formats that an answer can have: all that clients ask for and that read no schema or template from a file."""

from projections.sqlport.refusals import RefusedError

DEFAULT = "TabSeparated"
"""ClickHouse's own, of its HTTP interface."""

_JSON = "application/json; charset=UTF-8"
_LINES = "application/x-ndjson; charset=UTF-8"
_TSV = "text/tab-separated-values; charset=UTF-8"
_TEXT = "text/plain; charset=UTF-8"
_BYTES = "application/octet-stream"

CONTENT_TYPES = {
    "Arrow": _BYTES,
    "ArrowStream": _BYTES,
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "CSVWithNamesAndTypes": "text/csv; charset=UTF-8; header=present",
    "JSON": _JSON,
    "JSONColumns": _JSON,
    "JSONColumnsWithMetadata": _JSON,
    "JSONCompact": _JSON,
    "JSONCompactColumns": _JSON,
    "JSONCompactEachRow": _LINES,
    "JSONCompactEachRowWithNames": _LINES,
    "JSONCompactEachRowWithNamesAndTypes": _LINES,
    "JSONCompactStrings": _JSON,
    "JSONCompactStringsEachRow": _LINES,
    "JSONCompactStringsEachRowWithNames": _LINES,
    "JSONCompactStringsEachRowWithNamesAndTypes": _LINES,
    "JSONEachRow": _LINES,
    "JSONLines": _LINES,
    "JSONObjectEachRow": _JSON,
    "JSONStrings": _JSON,
    "JSONStringsEachRow": _LINES,
    "Markdown": _TEXT,
    "NDJSON": _LINES,
    "Native": _BYTES,
    "Null": _TEXT,
    "Parquet": _BYTES,
    "Pretty": _TEXT,
    "PrettyCompact": _TEXT,
    "PrettyCompactMonoBlock": _TEXT,
    "PrettySpace": _TEXT,
    "RowBinary": _BYTES,
    "RowBinaryWithNames": _BYTES,
    "RowBinaryWithNamesAndTypes": _BYTES,
    "TSV": _TSV,
    "TSVRaw": _TSV,
    "TSVWithNames": _TSV,
    "TSVWithNamesAndTypes": _TSV,
    "TabSeparated": _TSV,
    "TabSeparatedRaw": _TSV,
    "TabSeparatedWithNames": _TSV,
    "TabSeparatedWithNamesAndTypes": _TSV,
    "Values": _TEXT,
    "Vertical": _TEXT,
    "XML": "application/xml; charset=UTF-8",
}


def known_format(name: str) -> str:
    """The format with this name.

    Raises:
        RefusedError: there is none here.
    """
    if name not in CONTENT_TYPES:
        raise RefusedError(400, 73, "UNKNOWN_FORMAT", f"the format {name[:50]} is not written here")
    return name
