"""Mistral: "Error glossary" (docs.mistral.ai/resources/error-glossary); codes are numbers as text.

A code of 429 that is not listed is a rate limit all the same, for the status decides.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import STATUSES_WITH_529, catalogue, row

_LOAD = "Rate limit / availability"

MISTRAL = Dialect(
    name="mistral",
    codes=catalogue(
        # github.com/earendil-works/pi/issues/9815
        row(
            "1300",
            ErrorClass.RATE_LIMITED,
            429,
            "The workspace's requests or tokens of the second, minute or month are spent.",
            "Spread the calls, or raise the workspace's limits.",
            category=_LOAD,
        ),
        # github.com/earendil-works/pi/issues/9815: the type of the same error.
        row(
            "rate_limited",
            ErrorClass.RATE_LIMITED,
            429,
            "The workspace's requests or tokens of the second, minute or month are spent.",
            "Spread the calls, or raise the workspace's limits.",
            category=_LOAD,
        ),
    ),
    statuses=STATUSES_WITH_529,
    envelope=Envelope(
        code=(("code",), ("type",)),
        message=(("message",),),
        details=(),
        request_id=(),
    ),
    requests=RequestRules(
        # mistralai 3.7.0 repeats POST on 429, 500, 502, 503 and 504 where it repeats at all.
        post_is_repeatable=True,
        response_id_header="mistral-correlation-id",  # seen in public code that logs it
    ),
    stop_layers_above=True,  # for SDKs above that obey x-should-retry
)
"""Mistral's API, for ``mistralai`` and plain clients."""
