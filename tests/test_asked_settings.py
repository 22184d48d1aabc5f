"""Whatever a request says of settings: nothing is lifted, and nothing of it can become more than a value."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from projections.query.readers import SETTINGS
from projections.sqlport.asked_settings import IGNORED, LIMITS, LOOKS, settings_of
from projections.sqlport.refusals import RefusedError

NAMES = st.one_of(st.sampled_from([*LIMITS, *LOOKS, *sorted(IGNORED), "readonly", "final"]), st.text(max_size=40))
VALUES = st.one_of(
    st.integers().map(str), st.text(max_size=40), st.sampled_from(["0", "1", "true", "UTC", "1&readonly=0"])
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
@example({"max_threads": "1&readonly=0"})
@example({"session_timezone": "UTC&readonly=0"})
@example({"max_execution_time": "٣", "limit": "٣"})
@example({"limit": "1\n"})
@example({"readonly": "0"})
def test_a_request_gets_what_is_on_the_lists_or_a_refusal(asked: dict[str, str]) -> None:
    try:
        changes = settings_of(asked)
    except RefusedError:
        return
    assert set(changes) <= {*LIMITS, *LOOKS}
    assert asked.get("readonly", "1") in {"1", "2"}
    for name, value in changes.items():
        assert re.fullmatch(r"[A-Za-z0-9_+/-]+", str(value), re.ASCII), (name, value)
        if name in LIMITS:
            assert 0 < int(value) < SETTINGS[name]


@given(st.sampled_from(LIMITS), st.integers(min_value=0, max_value=10**12))
def test_a_limit_is_the_lower_one_of_both(name: str, asked: int) -> None:
    granted = int(settings_of({name: str(asked)}).get(name, SETTINGS[name]))
    assert granted == (min(asked, SETTINGS[name]) or SETTINGS[name])
