"""Which client it is: coredis, redis-py in its asynchronous or its threaded kind, or valkey-py.

None of them is imported: whoever passes a client has imported its library.
"""

from typing import Any, NamedTuple

_ALLOWED = (
    "a coredis.Redis or coredis.RedisCluster (asyncio and Trio), a redis.asyncio.Redis or "
    "redis.asyncio.RedisCluster (asyncio), or a redis.Redis or redis.RedisCluster (threads)"
)
_NAMES = {"Redis": False, "Valkey": False, "RedisCluster": True, "ValkeyCluster": True}


class Kind(NamedTuple):
    """A client's kind.

    Attributes:
        library: ``coredis``, ``redis`` or ``valkey``.
        is_async: Whether its methods are to be awaited.
        is_cluster: Whether it speaks to a cluster.
    """

    library: str
    is_async: bool
    is_cluster: bool


def kind_of(client: Any) -> Kind:
    """Return the kind of a client.

    Raises:
        TypeError: It is none of those that are allowed.

    >>> kind_of("redis://localhost")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: client: got a str, allowed is a coredis.Redis or ...
    """
    for base in type(client).__mro__:
        library, _, rest = base.__module__.partition(".")
        if library in ("coredis", "redis", "valkey") and base.__name__ in _NAMES:
            is_async = library == "coredis" or rest.startswith("asyncio")
            return Kind(library, is_async, _NAMES[base.__name__])
    name = client.__name__ if isinstance(client, type) else type(client).__name__
    got = f"the class {name}" if isinstance(client, type) else f"a {name}"
    raise TypeError(f"client: got {got}, allowed is {_ALLOWED}")
