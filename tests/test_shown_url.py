"""URLs as they are stored with attempts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.shown_url import shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.com/hook", "https://example.com/hook"),
        ("https://example.com/hook?", "https://example.com/hook?"),
        ("https://example.com/?token=hush&team=", "https://example.com/?token=********&team="),
        ("https://example.com/?hush", "https://example.com/?********"),
        ("https://example.com/?a=b=c&&d=e?f", "https://example.com/?a=********&&d=********"),
    ],
)
def test_parameters_keep_their_names_and_lose_their_values(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@given(st.lists(st.tuples(st.text("abc", max_size=3), st.text("xyz0123", min_size=1)), max_size=4))
def test_no_value_is_left_whatever_the_query(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{name}={value}" for name, value in pairs)
    shown = shown_url(f"https://host/?{query}")
    assert not set("xyz0123") & set(shown.partition("?")[2])
    assert shown_url(shown) == shown
