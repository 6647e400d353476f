"""Bytes → what they say as JSON. Nothing in them is trusted; whatever is odd says nothing."""

import json
import re
from functools import cached_property
from itertools import accumulate
from typing import Any

MAX_DEPTH = 100
"""Levels of nesting; a body beyond it says nothing (and is no strain on the parser's stack)."""

MAX_NESTED = 10_000
"""Objects and lists in a body: by far the dearest to parse."""

MAX_REQUEST = 1_048_576
"""Bytes of a request's body that is looked at."""

_WHITESPACE = " \t\n\r"
_decoder = json.JSONDecoder()

# A string that is never closed ends with the body: searched for again behind each of its quotes
# it would take quadratic time.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def parse(body: bytes, largest: int) -> Any:
    """Return a body's object or list; None if it is no JSON, too large or too deeply nested.

    >>> parse(b'{"model": "m-1"}', largest=100)
    {'model': 'm-1'}
    """
    if not body or len(body) > largest or _is_too_nested(body):
        return None
    try:  # as json.loads does, which takes a third longer
        is_utf8 = body.startswith(b'{"')  # as with nearly all, and there is nothing to detect
        encoding = "utf-8" if is_utf8 else json.detect_encoding(body)
        text = body.decode(encoding, "surrogatepass").strip(_WHITESPACE)
        document, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) and end == len(text) else None


def _is_too_nested(body: bytes) -> bool:
    nested = body.count(b"[") + body.count(b"{")
    if not MAX_DEPTH < nested <= MAX_NESTED:
        return nested > MAX_NESTED
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKET)
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    return any(depth > MAX_DEPTH for depth in depths)


class Contents:
    """A request's body, parsed at most once, to see what the request counts as.

    Args:
        body: The body; None where it is not in memory.

    >>> Contents(b'{"model": "m-1"}').document
    {'model': 'm-1'}
    """

    def __init__(self, body: bytes | None) -> None:
        self.body = body

    def __repr__(self) -> str:
        return "<Contents>"

    @cached_property
    def document(self) -> Any:
        """The JSON object or list; None if it is none, or too large, or too deeply nested."""
        return parse(self.body, MAX_REQUEST) if self.body else None
