"""Whether what a client sends can be read on the way."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from .clients import Kind


def is_exposed(client: Any, kind: Kind) -> bool:
    """Return whether a client connects without TLS to another machine, as far as can be seen."""
    return any(_leaves_the_machine(host) for host in _plain_hosts(client, kind))


def _plain_hosts(client: Any, kind: Kind) -> Iterator[str]:
    """Yield the hosts that are connected to without TLS."""
    if kind.library == "coredis":
        pool = client.connection_pool
        if pool.connection_kwargs.get("ssl_context") is None:
            nodes = pool.startup_nodes if kind.is_cluster else [pool.location]
            yield from (node.host for node in nodes if hasattr(node, "host"))
    elif kind.is_cluster:
        manager = client.nodes_manager
        if not _has_tls(getattr(client, "connection_kwargs", None) or manager.connection_kwargs):
            yield from (node.host for node in manager.startup_nodes.values())
    else:
        pool = client.connection_pool
        names = {base.__name__ for base in pool.connection_class.__mro__}
        if "SSLConnection" not in names and "host" in pool.connection_kwargs:
            yield pool.connection_kwargs["host"]


def _has_tls(kwargs: Any) -> bool:
    kind = kwargs.get("connection_class")
    return bool(kwargs.get("ssl")) or "SSLConnection" in {
        base.__name__ for base in getattr(kind, "__mro__", ())
    }


def _leaves_the_machine(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return True
