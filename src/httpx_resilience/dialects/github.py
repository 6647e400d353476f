"""GitHub: errors without codes, and two kinds of rate limit that both come as 403 or 429.

Read: "Rate limits for the REST API" (docs.github.com), "Exceeding the rate limit": a Retry-After is
obeyed; else, with ``x-ratelimit-remaining: 0``, the reset; else at least one minute is waited.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, MessageRule, RequestRules
from .._core.dialect.dialect import UNCODED_STATUSES, Dialect
from .._core.frozen import FrozenMap
from ._rows import catalogue, row

_LIMITS = "Rate limit"
_STATUSES = (403, 429)

GITHUB = Dialect(
    name="github",
    codes=catalogue(
        # "API rate limit exceeded for xxx.xxx.xxx.xxx": github.com/hub4j/github-api/issues/220.
        row(
            "rate_limit_exceeded",
            ErrorClass.RATE_LIMITED,
            None,
            "The requests of the hour are spent.",
            "Authenticate, use conditional requests, or spread the calls.",
            category=_LIMITS,
        ),
        # github.com/hisxo/gitGraber/issues/41; the wait where none is named is the page's.
        row(
            "secondary_rate_limit",
            ErrorClass.RATE_LIMITED,
            None,
            "Too many requests at once, or too many of a dear kind.",
            "Make fewer requests at a time; leave a second between those that write.",
            category=_LIMITS,
            wait=60.0,
        ),
        # Its name before 2021: github.com/inaka/erlang-github/pull/27.
        row(
            "abuse_detection",
            ErrorClass.RATE_LIMITED,
            None,
            "Too many requests at once, or too many of a dear kind.",
            "Make fewer requests at a time; leave a second between those that write.",
            category=_LIMITS,
            wait=60.0,
        ),
    ),
    statuses=FrozenMap(UNCODED_STATUSES),
    # The same page: whatever the message, a Retry-After or an exhausted limit makes it one.
    statuses_that_wait=FrozenMap({403: ErrorClass.RATE_LIMITED}),
    envelope=Envelope(
        code=(),
        message=(("message",),),
        details=(),
        request_id=(),
        messages=(
            MessageRule(
                contains="secondary rate limit", code="secondary_rate_limit", statuses=_STATUSES
            ),
            MessageRule(contains="abuse detection", code="abuse_detection", statuses=_STATUSES),
            MessageRule(
                contains="API rate limit exceeded", code="rate_limit_exceeded", statuses=_STATUSES
            ),
        ),
    ),
    requests=RequestRules(
        response_id_header="x-github-request-id",  # github.com/inaka/erlang-github/pull/27
    ),
)
"""GitHub's REST API, for ``githubkit`` and plain clients."""
