"""Our ``key=value`` lines are those of structlog, which is not imported for them."""

from typing import Any

import structlog
from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience._core.dialect.catalog import ErrorClass
from httpx_resilience.instrumentation.log import logfmt

TEXTS = st.text(st.sampled_from("ab/=\"\\ \n\t'é\u2028\x1b{}"), max_size=12) | st.text(max_size=12)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(ErrorClass),
    st.lists(TEXTS, max_size=2),
)
NAMES = st.text(st.sampled_from("abc_"), min_size=1, max_size=6)

theirs = structlog.processors.LogfmtRenderer(
    key_order=["event", "level", "timestamp"], drop_missing=True, bool_as_flag=False
)


@given(st.dictionaries(NAMES, VALUES, max_size=6), TEXTS)
def test_a_line_is_the_one_that_structlog_would_write(fields: dict[str, Any], name: str) -> None:
    line = {"event": name, "level": "info", "timestamp": "2026-01-01T00:00:00+00:00", **fields}
    assert logfmt(line) == theirs(None, "", dict(line))
