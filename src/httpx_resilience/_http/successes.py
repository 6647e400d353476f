"""Which bodies of successes may be looked at: some APIs send errors with status 200.

Only documents are: JSON of at most 64 KiB. What is no such document by its type or length is handed
over as it comes. Where no length is stated, as with compressed bodies, up to 64 KiB are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .._core.outcome import RawHeaders
from .bodies import PEEK_BYTES, body_headers

if TYPE_CHECKING:
    from . import typed as http
    from .binding import Binding

_JSON = re.compile(rb"\s*(?:application|text)/(?:[\w.-]{1,100}\+)?json\s*(?:;|$)", re.IGNORECASE)


def is_json(headers: RawHeaders) -> bool:
    """Return whether a body is one JSON document, by its type.

    >>> is_json([(b"Content-Type", b"application/problem+json; charset=utf-8")])
    True
    >>> is_json([(b"Content-Type", b"application/x-ndjson")])
    False
    """
    types = [value for name, value in headers if name.lower() == b"content-type"]
    return len(types) == 1 and _JSON.match(types[0]) is not None


def may_hold_error(response: http.Response, binding: Binding) -> bool:
    """Return whether a success may be looked at: a document of at most 64 KiB, no stream."""
    status, headers, stream = response.status_code, response.headers.raw, response.stream
    if not 200 <= status < 300 or not is_json(headers):
        return False
    if type(stream) is binding.byte_stream:
        return sum(map(len, stream)) <= PEEK_BYTES
    length, _ = body_headers(headers)
    return isinstance(stream, binding.stream) and (length is None or length <= PEEK_BYTES)
