"""`If-Match`, `If-None-Match` and `ETag` (RFC 9110, section 13): changes that hold for one version only."""

import re

from starlette.datastructures import Headers

from runtime.problem import ProblemError
from schemas.config import Spec
from schemas.stored import Record

_TAGS = re.compile(r'\s*(?:W/)?"[^"]*"\s*(?:,\s*(?:W/)?"[^"]*"\s*)*')
_STRONG_TAG = re.compile(r'(W/)?"([^"]*)"')


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def require_preconditions(headers: Headers, current: Record[Spec] | None) -> bool:
    """Passes when the record is as the caller knows it.

    Returns:
        Whether there was a condition: then a change that comes in between is an error, not to be repeated.

    Raises:
        ProblemError: 412 it is not; 400 the header cannot be read.
    """
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_none_match is not None and (if_none_match.strip() != "*" or current is not None):
        raise ProblemError(412, detail="If-None-Match takes * alone, and there must be no record of this id")
    if if_match is None:
        return if_none_match is not None
    if current is None or not _matches(if_match, current.version):
        found = f"version {current.version}" if current else "no record"
        raise ProblemError(412, detail=f"there is {found} now")
    return True


def _matches(if_match: str, version: int) -> bool:
    if if_match.strip() == "*":
        return True
    if not _TAGS.fullmatch(if_match):
        raise ProblemError(400, detail='If-Match must be * or quoted tags, such as "17"')
    return any(not weak and tag == str(version) for weak, tag in _STRONG_TAG.findall(if_match))
