"""The vault for httpx, which is imported when it is needed."""

from typing import TYPE_CHECKING, ClassVar

from ._vault import Vault

if TYPE_CHECKING:
    import httpx  # noqa: F401 - named in a string, below

__all__ = ["FakeScaiVault"]


class FakeScaiVault(Vault["httpx.ASGITransport", "httpx.BaseTransport"]):
    """Serve a small secrets API that behaves like ScaiVault, and misbehaves on demand.

    An ASGI application: use it in process with ``transport()`` or ``sync_transport()``, over
    loopback with ``serve`` or ``serve_in_thread``, or with ``uvicorn.run(vault,
    date_header=False)`` (the vault sends ``Date`` itself). It runs on asyncio and Trio. For httpx2
    it is ``httpx_resilience.testing.httpx2.FakeScaiVault``.

    ``GET``, ``PUT`` and ``DELETE /v1/secrets/{path}`` read (``?version=N``), write a new version
    (``{"value": ..., "cas": N}`` or ``If-Match``; ``?force=true`` over a deleted one) and delete
    softly (``?purge=true`` for good); ``POST`` creates. ``GET /v1/secrets?prefix=`` lists,
    ``GET /v1/auth/whoami`` names the caller, ``POST /v1/auth/token`` grants tokens by OAuth 2.

    Attributes:
        library: The name of the library that its transports and exceptions are of.
        log: What the server saw, in the order in which it was done with it.

    Args:
        limits: Token buckets by category, beside the defaults of ``DEFAULT_LIMITS``.
        reset: What ``X-RateLimit-Reset`` names: when the bucket is ``"full"`` again, or when the
            ``"next"`` unit is there.
        decimals: Decimals of that time, in [0, 9]; an integer is rounded up.
        anonymous: Serve requests without an Authorization header, too.
        retention: Seconds for which a deleted secret keeps its path, at least 0.
        clock: Monotonic seconds, for buckets, tokens and retention.
        wall: Unix seconds, for ``Date`` and ``X-RateLimit-Reset``.

    Raises:
        ValueError: An argument is out of range.

    >>> import httpx
    >>> from httpx_resilience.testing import Fault
    >>> vault = FakeScaiVault()
    >>> vault.script(path="/v1/secrets/app/*", faults=[Fault.code("internal_error")])
    >>> headers = {"Authorization": f"Bearer {vault.issue_token('alice')}"}
    >>> with httpx.Client(transport=vault.sync_transport(), headers=headers) as client:
    ...     url = "http://vault/v1/secrets/app/db"
    ...     [client.put(url, json={"value": 1}).status_code for _ in range(2)]
    [500, 201]
    >>> [(seen.identity, seen.code) for seen in vault.log]
    [('alice', 'internal_error'), ('alice', None)]

    In asynchronous programs:

    >>> import anyio
    >>> async def count() -> int:
    ...     async with httpx.AsyncClient(transport=vault.transport(), headers=headers) as client:
    ...         return len((await client.get("http://vault/v1/secrets")).json()["secrets"])
    >>> anyio.run(count)
    1
    """

    library: ClassVar[str] = "httpx"
