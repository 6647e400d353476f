"""Any API that nobody described yet: codes are read where they usually stand, statuses decide."""

from .._core.dialect.catalog import Envelope
from .._core.dialect.dialect import Dialect

GENERIC = Dialect(
    name="generic",
    envelope=Envelope(
        code=(
            ("error", "code"),
            ("code",),
            ("error",),  # OAuth 2 (RFC 6749, section 5.2)
            ("errors", "*", "code"),
            ("type",),  # problem details (RFC 9457, section 3.1.1)
        ),
        message=(("error", "message"), ("message",), ("error_description",), ("detail",)),
        details=(("error", "details"), ("details",)),
        request_id=(("error", "request_id"), ("request_id",)),
    ),
)
"""Reads the usual envelopes; a code says what happened, the HTTP status decides."""
