"""Azure OpenAI: OpenAI's errors, with a status for a code where it limits the rate itself."""

from .._core.dialect.catalog import ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import STAINLESS_STATUSES, catalogue, row
from .openai import CODES, ENVELOPE

AZURE_OPENAI = Dialect(
    name="azure_openai",
    codes=catalogue(
        # github.com/jasonacox/TinyLLM/issues/17: the code is the status, as a string.
        row(
            "429",
            ErrorClass.RATE_LIMITED,
            429,
            "The deployment's tokens or calls of the minute are spent.",
            "Spread the calls, or raise the deployment's quota.",
            category="Rate limit / availability",
        ),
        *CODES.values(),  # what it passes on
    ),
    statuses=STAINLESS_STATUSES,
    envelope=ENVELOPE,
    requests=RequestRules(
        post_is_repeatable=True,  # it is used through openai, which repeats every method
        response_id_header="x-request-id",  # openai 3.54.0, _exceptions.py
    ),
    stop_layers_above=True,  # as openai
)
"""OpenAI's models at Azure, for ``openai``'s ``AzureOpenAI`` and plain clients."""
