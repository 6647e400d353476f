"""What a server says of a token in ``WWW-Authenticate``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._http import typed as http

INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error code, no secret
"""The code of RFC 6750, section 3.1: the token "is expired, revoked, malformed, or invalid"."""

_MAX_CHALLENGES = 4096
"""Characters of ``WWW-Authenticate`` that are looked at."""

# RFC 9110, section 11.6.1: a parameter of the challenge before it, or the scheme of the next one.
_CHALLENGE = re.compile(
    r"""
    [\s,]*+ (?:
        (?P<name>[\w!#$%&'*+.^`|~-]++) [ \t]*+ = [ \t]*+
            (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?P<word>[\w!#$%&'*+.^`|~-]++) )
            (?=[ \t]*+(?:,|$))
      | (?P<scheme>[\w!#$%&'*+.^`|~-]++) (?=[ \t,]|$)
            (?: [ \t]++ [\w.~+/-]++ =*+ (?=[ \t]*+(?:,|$)) )?
    )
    """,
    re.VERBOSE | re.ASCII,
)


def says_invalid_token(headers: http.Headers) -> bool:
    """Whether a ``Bearer`` challenge says ``error="invalid_token"`` (RFC 6750, section 3)."""
    text = ", ".join(headers.get_list("WWW-Authenticate"))[:_MAX_CHALLENGES]
    scheme, at = "", 0
    while found := _CHALLENGE.match(text, at):
        at = found.end()
        scheme = (found["scheme"] or scheme).lower()
        if scheme == "bearer" and (found["name"] or "").lower() == "error":
            value = found["word"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
            if value == INVALID_TOKEN:
                return True
    return False
