"""Notion: "Status codes" (developers.notion.com/reference/status-codes); notion-client 3.1.0.

The codes of 500, 503 and 504 are in no row: a POST may have been processed then, and Notion's own
SDK repeats them for GET and DELETE only (notion-client 3.1.0, ``client.py``, ``_can_retry``). So
their status decides, and the method.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import STATUSES_WITH_529, catalogue, row

_LOAD = "Rate limit / availability"
_ACCESS = "Access"

NOTION = Dialect(
    name="notion",
    codes=catalogue(
        # github.com/2anki/2anki.net/issues/1522
        row(
            "rate_limited",
            ErrorClass.RATE_LIMITED,
            429,
            "More requests than are allowed.",
            "Send about three a second on average.",
            category=_LOAD,
        ),
        # The rest: "Status codes".
        row(
            "service_overload",
            ErrorClass.TRANSIENT,
            529,
            "Notion is overloaded.",
            "Nothing to do; if it lasts, see the vendor's status page.",
            category=_LOAD,
        ),
        row(
            "conflict_error",
            ErrorClass.TRANSIENT,
            409,
            "The data was changed by somebody else at the same time.",
            "If it lasts, read the data again and send the change that is still to be made.",
            category="Conflict",
        ),
        row(
            "unauthorized",
            ErrorClass.PERMANENT,
            401,
            "The token is not valid.",
            "Check the token.",
            category=_ACCESS,
        ),
        row(
            "restricted_resource",
            ErrorClass.PERMANENT,
            403,
            "The token does not allow this.",
            "Give the integration the capability it lacks.",
            category=_ACCESS,
        ),
        row(
            "object_not_found",
            ErrorClass.PERMANENT,
            404,
            "There is no such thing, or it is not shared with the integration.",
            "Share the page with the integration.",
            category=_ACCESS,
        ),
    ),
    statuses=STATUSES_WITH_529,
    envelope=Envelope(
        code=(("code",),),
        message=(("message",),),
        details=(("additional_data",),),
        request_id=(("request_id",),),
    ),
    requests=RequestRules(
        response_id_header="x-notion-request-id",  # github.com/2anki/2anki.net/issues/1522
    ),
)
"""Notion's API."""
