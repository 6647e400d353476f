"""Names of keys: hashes with the user's secret, so that all processes have the same."""

import hashlib
import re

from .._core.checks import instance

FORMAT = 1
"""The version of what keys hold. Another one has other keys, so that two may share a store."""

SHORTEST_SECRET = 16
_SIZE = 8
"""Bytes of a hash: two scopes of 10,000 share one by chance once in 10**11 times."""

_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Keys:
    """Makes keys; nothing of what they are made from can be read in them."""

    __slots__ = ("_hash", "namespace")

    def __init__(self, namespace: object, secret: object) -> None:
        self.namespace = _checked_namespace(namespace)
        key = hashlib.blake2b(_checked_secret(secret), digest_size=32).digest()
        self._hash = hashlib.blake2b(key=key, digest_size=_SIZE)

    def key(self, kind: str, *parts: str) -> str:
        """Return the key of what some parts name; its hash tag keeps all kinds on one node."""
        return f"hr{FORMAT}:{{{self.namespace}:{self.token(*parts)}}}:{kind}"

    def token(self, *parts: str) -> str:
        """Return the keyed hash of some parts."""
        encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
        # With their lengths, or ("ab", "c") were ("a", "bc").
        return self.hashed(b"".join(b"%d:%b" % (len(part), part) for part in encoded))

    def hashed(self, name: bytes) -> str:
        """Return the keyed hash of a name."""
        digest = self._hash.copy()
        digest.update(name)
        return digest.hexdigest()

    def key_pattern(self, kind: str) -> str:
        """Return what all keys of a kind match, as a regular expression."""
        return rf"hr{FORMAT}:\{{{re.escape(self.namespace)}:[0-9a-f]{{{2 * _SIZE}}}\}}:{kind}"

    @property
    def index(self) -> str:
        """The key of the list of scopes."""
        return f"hr{FORMAT}:{{{self.namespace}}}:index"


def _checked_namespace(namespace: object) -> str:
    text = instance("namespace", namespace, str, "a string")
    if not _NAMESPACE.fullmatch(text):
        allowed = "1 to 64 letters, digits, '_', '.' and '-'"
        raise ValueError(f"namespace: got {text!r}, allowed is {allowed}")
    return text


def _checked_secret(secret: object) -> bytes:
    """Return a secret's bytes; what is wrong with it is said without it."""
    allowed = f"a string or bytes of at least {SHORTEST_SECRET} bytes"
    if not isinstance(secret, str | bytes):
        raise TypeError(f"secret: got a {type(secret).__name__}, allowed is {allowed}")
    encoded = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    if len(encoded) < SHORTEST_SECRET:
        raise ValueError(f"secret: got {len(encoded)} bytes, allowed is {allowed}")
    return encoded
