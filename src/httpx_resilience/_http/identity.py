"""Who is calling, for the rate-limit scope: a keyed hash, never the credential itself."""

import hashlib
import os
from collections.abc import Callable

from .._runtime.fork import reset_in_children

_STABLE_SCHEMES = (b"bearer", b"basic")
"""Other schemes (Digest, signatures) change the header with each request; they share a scope."""


class _Hash:
    """A hash with a secret key, copied for each use: half the price of a new one.

    The secret is per process, so that a hash that gets out reveals nothing, not even to another
    process; the child of a fork is another.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Take another secret."""
        self.keyed = hashlib.blake2b(key=os.urandom(32), digest_size=16)


_HASH = _Hash()
reset_in_children(_HASH.reset)


def hashed(name: bytes) -> str:
    """Return a keyed hash of whatever names an identity."""
    digest = _HASH.keyed.copy()
    digest.update(name)
    return digest.hexdigest()


def identity_of(
    authorization: bytes | None,
    api_key: bytes | None,
    hashed: Callable[[bytes], str] = hashed,
) -> str:
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
