"""A URL fit to be stored with what was sent to it: parameters keep their names and lose their values."""

from functools import lru_cache

from schemas.stored import MASK


@lru_cache(maxsize=4_096)  # endpoints are few, and each is shown with every attempt
def shown_url(url: str) -> str:
    """The URL with every value in its query masked, because receivers put tokens there.

    What has no name is masked whole: it may be the token itself.
    """
    address, question, query = url.partition("?")
    if not query:
        return address + question
    return f"{address}?{'&'.join(map(_shown, query.split('&')))}"


def _shown(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    if equals:
        return f"{name}={MASK if value else ''}"
    return MASK if parameter else ""
