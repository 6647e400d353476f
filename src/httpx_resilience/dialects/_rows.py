"""What the shipped dialects share: how their rows are written, and statuses that many know."""

from .._core.dialect.catalog import ErrorClass, ErrorSpec
from .._core.dialect.dialect import UNCODED_STATUSES
from .._core.frozen import FrozenMap

STATUSES_WITH_529: FrozenMap[int, ErrorClass] = FrozenMap(
    {**UNCODED_STATUSES, 529: ErrorClass.TRANSIENT}
)
"""As usual, and 529: the site is overloaded (no RFC; Anthropic, Notion and others)."""

STAINLESS_STATUSES: FrozenMap[int, ErrorClass] = FrozenMap(
    {**STATUSES_WITH_529, 409: ErrorClass.TRANSIENT}
)
"""What the SDKs of OpenAI, Anthropic and Groq repeat: also 409, "lock timeouts" (their
``_base_client.py``, ``_should_retry``)."""


def catalogue(*rows: ErrorSpec) -> FrozenMap[str, ErrorSpec]:
    """Return rows by code."""
    return FrozenMap({row.code: row for row in rows})


def row(
    code: str,
    error_class: ErrorClass,
    status: int | None,
    meaning: str,
    advice: str,
    *,
    category: str,
    wait: float | None = None,
) -> ErrorSpec:
    """Return one row of a catalogue, on fewer lines."""
    return ErrorSpec(
        code=code,
        error_class=error_class,
        status=status,
        category=category,
        meaning=meaning,
        advice=advice,
        wait=wait,
    )
