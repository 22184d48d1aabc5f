"""How long an endpoint asks to be left alone: `Retry-After` (RFC 9110, section 10.2.3)."""

import re
from datetime import UTC, datetime

MAX_RETRY_AFTER_S = 86_400
"""A day, the longest delay of the default schedule. Beyond that it is milliseconds taken for seconds or a clock that is
wrong, and must not use up the days that a delivery has."""

_SECONDS = re.compile(r"[0-9]+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_DATES = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"[a-z]{{3}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",  # IMF-fixdate
        rf"[a-z]{{6,9}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",  # RFC 850
        rf"[a-z]{{3}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",  # asctime
    )
)
"""The three forms of RFC 9110, section 5.6.7. The name of the day is not held against its date."""


def retry_after_s(text: str, now_s: int) -> int:
    """Seconds to wait at least; 0 when the header is absent, in the past, or neither seconds nor a date.

    Args:
        text: the header as it came.
        now_s: epoch seconds.
    """
    text = text.strip(" \t")
    if _SECONDS.fullmatch(text):
        digits = text.lstrip("0") or "0"
        too_long = len(digits) > len(str(MAX_RETRY_AFTER_S))
        return MAX_RETRY_AFTER_S if too_long else min(int(digits), MAX_RETRY_AFTER_S)
    moment_s = _date_s(text, now_s)
    return 0 if moment_s is None else min(max(moment_s - now_s, 0), MAX_RETRY_AFTER_S)


def _date_s(text: str, now_s: int) -> int | None:
    for form in _DATES:
        if found := form.fullmatch(text):
            part = found.groupdict()
            year = int(part["year"])
            if len(part["year"]) == 2:  # noqa: PLR2004 - RFC 850 has two digits
                year = _full_year(year, now_s)
            month = _MONTHS.index(part["month"].lower()) + 1
            try:
                minute = datetime(year, month, int(part["day"]), int(part["hour"]), int(part["minute"]), tzinfo=UTC)
            except ValueError:
                return None
            return int(minute.timestamp()) + int(part["second"])  # a leap second is the 60th
    return None


def _full_year(two_digits: int, now_s: int) -> int:
    """The year that ends so and is no more than 50 years ahead (RFC 9110, section 5.6.7)."""
    last = datetime.fromtimestamp(now_s, UTC).year + 50
    return last - (last - two_digits) % 100
