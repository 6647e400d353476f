"""Who is calling, for the rate-limit scope: a keyed hash, never the credential itself."""

import hashlib
import os

import httpx

_SECRET = os.urandom(32)
"""Per process, so that a hash that gets out tells nothing, not even to another process."""

_STABLE_SCHEMES = ("bearer", "basic")
"""Other schemes (Digest, signatures) change the header with each request; they share a scope."""


def identity_of(request: httpx.Request) -> str:
    """Return a keyed hash of the credential a request carries; empty if it carries none.

    >>> identity_of(httpx.Request("GET", "https://vault.example"))
    ''
    """
    headers = request.headers
    credential = headers.get("authorization")
    if credential is not None:
        if credential.partition(" ")[0].lower() not in _STABLE_SCHEMES:
            return ""
    else:
        credential = headers.get("x-api-key")
        if credential is None:
            return ""
    return hashed(credential)


def hashed(name: str) -> str:
    """Return a keyed hash of whatever names an identity."""
    return hashlib.blake2b(name.encode(), key=_SECRET, digest_size=16).hexdigest()
