"""Which settings a request may bring: such as change how an answer looks, and limits, which they can only lower.

The list is short on purpose. A read-only connection would refuse all of them, and one that is not would let a request
lift its own limits; so they are checked here, and part of a connection that is opened for the request.
"""

import re
from collections.abc import Mapping

from projections.query.readers import SETTINGS
from projections.sqlport.refusals import RefusedError, not_done, wrong

IGNORED = frozenset(
    {
        "add_http_cors_header",
        "async_insert",
        "buffer_size",
        "compress",  # answered: packed.py
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "connect_timeout",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_receive_timeout",
        "http_send_timeout",
        "log_comment",
        "query_id",
        "quota_key",
        "receive_timeout",
        "send_progress_in_http_headers",
        "send_timeout",
        "session_check",
        "session_id",  # there is nothing that a session could keep: no temporary tables, no SET
        "session_timeout",
        "wait_end_of_query",
    }
)
"""Of the transport, or about what only a server has: they would change nothing here, and clients send them unasked."""

LIMITS = ("max_execution_time", "max_memory_usage", "max_result_rows", "max_result_bytes", "max_threads")
"""A request may lower these; 0, which is no limit, and more than ours are ours."""

_FLAG = re.compile(r"[01]|true|false")
_NUMBER = re.compile(r"[0-9]{1,18}")

LOOKS = {
    "date_time_output_format": re.compile(r"simple|iso|unix_timestamp"),
    "join_use_nulls": _FLAG,
    "limit": _NUMBER,
    "result_overflow_mode": re.compile(r"throw|break"),  # with max_result_rows: how JDBC takes the first rows
    "session_timezone": re.compile(r"[A-Za-z0-9_+/-]{1,64}"),
    "output_format_arrow_compression_method": re.compile(r"none|lz4_frame|zstd"),
    "output_format_arrow_low_cardinality_as_dictionary": _FLAG,
    "output_format_arrow_string_as_string": _FLAG,
    "output_format_binary_write_json_as_string": _FLAG,
    "output_format_csv_crlf_end_of_line": _FLAG,
    "output_format_json_array_of_rows": _FLAG,
    "output_format_json_escape_forward_slashes": _FLAG,
    "output_format_json_named_tuples_as_objects": _FLAG,
    "output_format_json_quote_64bit_floats": _FLAG,
    "output_format_json_quote_64bit_integers": _FLAG,
    "output_format_json_quote_decimals": _FLAG,
    "output_format_json_quote_denormals": _FLAG,
    "output_format_native_write_json_as_string": _FLAG,
    "output_format_parquet_string_as_string": _FLAG,
    "output_format_pretty_max_rows": _NUMBER,
    "output_format_pretty_row_numbers": _FLAG,
    "output_format_tsv_crlf_end_of_line": _FLAG,
}
"""By setting, what may be said. A value becomes part of a connection string: nothing that could end one may pass."""

_TAKEN_AS_IT_IS = {
    "final": ("1",),
    "readonly": ("1", "2"),
    "network_compression_method": ("lz4", "LZ4"),
    "extremes": ("0", "false"),  # others would also change what we read of a query: its text, and its tree
    "offset": ("0",),
}
"""What every connection has anyhow, so that clients which insist on it are content."""


def settings_of(asked: Mapping[str, str]) -> dict[str, int | str]:
    """What a connection must have beside the usual settings; empty for most requests.

    Args:
        asked: all of a request's parameters that are about no query, user or database.

    Raises:
        RefusedError: one of them is none that a request may bring, or has no value that it can have.
    """
    changes: dict[str, int | str] = {}
    for name, value in asked.items():
        if name == "decompress":
            _check_plain(value)
        elif name in LIMITS:
            changes |= _lowered(name, value)
        elif name in LOOKS:
            _check(name, value, LOOKS[name])
            changes[name] = value
        elif name not in IGNORED and value not in _TAKEN_AS_IT_IS.get(name, ()):
            raise RefusedError(403, 164, "READONLY", f"the setting {name[:100]} cannot be changed here")
    return changes


def _lowered(name: str, value: str) -> dict[str, int | str]:
    # As text, JDBC says 20.0 seconds.
    _check(name, value, re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,6})?"))
    asked = int(value.partition(".")[0])
    return {name: asked} if 0 < asked < SETTINGS[name] else {}


def _check(name: str, value: str, allowed: re.Pattern[str]) -> None:
    if not allowed.fullmatch(value):
        raise wrong(f"{name} cannot have this value here")


def _check_plain(value: str) -> None:
    if value not in {"", "0", "false"}:
        raise not_done("a query in ClickHouse's own compressed blocks is not taken: send decompress=0")
