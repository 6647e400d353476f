"""Who is calling, for the rate-limit scope: a keyed hash, never the credential itself."""

import hashlib
import os

_SECRET = os.urandom(32)
"""Per process, so that a hash that gets out reveals nothing, not even to another process."""

_STABLE_SCHEMES = (b"bearer", b"basic")
"""Other schemes (Digest, signatures) change the header with each request; they share a scope."""


_KEYED = hashlib.blake2b(key=_SECRET, digest_size=16)
"""Copied for each hash: half the price of a new one."""


def identity_of(authorization: bytes | None, api_key: bytes | None) -> str:
    """Return a keyed hash of the credential a request carries; empty if it carries none.

    >>> identity_of(None, None)
    ''
    """
    credential = authorization
    if credential is None:
        if api_key is None:
            return ""
        credential = api_key
    elif credential.partition(b" ")[0].lower() not in _STABLE_SCHEMES:
        return ""
    return hashed(credential)


def hashed(name: bytes) -> str:
    """Return a keyed hash of whatever names an identity."""
    digest = _KEYED.copy()
    digest.update(name)
    return digest.hexdigest()
