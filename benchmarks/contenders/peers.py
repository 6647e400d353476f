"""The peers: other libraries that retry or limit, each wrapped around a transport.

They come with the extra ``bench`` and are looked up by name when they are asked for, so that
whatever is not installed stands in the table and keeps nobody else from running. That is also
why they are ``Any`` here: the type checkers run without them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import httpx

Wrap = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]
PLENTY = 1_000_000_000
"""A rate at which nobody is ever held back."""

RETRIES, LIMITER, STAMINA = "httpx-retries", "httpx-retries + -limiter", "stamina"
AIOLIMITER, PYRATE = "aiolimiter", "pyrate-limiter"
TENACITY, HEDGED = "httpx-tenacity", "httpx-hedged"


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that takes part.

    Attributes:
        name: As the table shows it.
        wrap: Returns a transport around another one.
        does: What it does of what we do.
    """

    name: str
    wrap: Wrap
    does: str


class Refused(httpx.HTTPError):
    """What a 503 becomes for a library that retries on exceptions only."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(str(response.status_code))
        self.response = response


class _StaminaTransport(httpx.AsyncBaseTransport):
    """stamina wraps functions; so this is what its users write around a transport."""

    def __init__(self, inner: httpx.AsyncBaseTransport, **waits: float) -> None:
        self._inner = inner
        stamina: Any = import_module("stamina")
        self._send = stamina.retry(on=httpx.HTTPError, attempts=4, **waits)(self._once)

    async def _once(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if response.status_code in (429, 502, 503, 504):
            await response.aclose()
            raise Refused(response)
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await self._send(request)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _retries(backoff: float = 0.5, total: int = 3) -> Wrap:
    library: Any = import_module("httpx_retries")

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        retry = library.Retry(total=total, backoff_factor=backoff)
        transport: httpx.AsyncBaseTransport = library.RetryTransport(transport=inner, retry=retry)
        return transport

    return wrap


def limited(inner: httpx.AsyncBaseTransport, limit: float, per: float) -> httpx.AsyncBaseTransport:
    """Return httpx-limiter around a transport, set to a rate by hand."""
    library: Any = import_module("httpx_limiter")
    backend: Any = import_module("httpx_limiter.aiolimiter")
    limiter = backend.AiolimiterAsyncLimiter.create(library.Rate.create(math.floor(limit), per))
    transport: httpx.AsyncBaseTransport = library.AsyncRateLimitedTransport(
        limiter=limiter, transport=inner
    )
    return transport


def patient(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """Return httpx-retries around a transport, with as many attempts as it has by default."""
    return _retries(total=10)(inner)


def aiolimiter_of(limit: float, per: float) -> Any:
    """Return aiolimiter's limiter."""
    return import_module("aiolimiter").AsyncLimiter(limit, per)


def pyrate_of(limit: int, per: float, clock: Callable[[], float]) -> Any:
    """Return pyrate-limiter's limiter, which goes by ``clock`` instead of by its own."""
    library: Any = import_module("pyrate_limiter")
    now = {"now": lambda self: round(clock() * 1000)}  # AbstractBucket.now, in milliseconds
    bucket = type("Bucket", (library.InMemoryBucket,), now)([library.Rate(limit, per * 1000)])
    return library.Limiter(bucket)


def _limiter() -> Wrap:
    wrap_retries = _retries()
    import_module("httpx_limiter.aiolimiter")
    return lambda inner: wrap_retries(limited(inner, PLENTY, 1.0))


def _stamina() -> Wrap:
    import_module("stamina")
    return _StaminaTransport


def _tenacity(**waits: float) -> Wrap:
    library: Any = import_module("httpx_tenacity")

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        transport: httpx.AsyncBaseTransport = library.AsyncTenaciousTransport.create(
            max_attempts=4, transport=inner, **waits
        )
        return transport

    return wrap


def _hedged() -> Wrap:
    library: Any = import_module("httpx_hedged")

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        transport: httpx.AsyncBaseTransport = library.HedgedTransport(inner)
        return transport

    return wrap


_WRAPPING: dict[str, tuple[Callable[[], Wrap], str]] = {
    RETRIES: (_retries, "retries by status"),
    LIMITER: (_limiter, "retries by status, a rate set by hand"),
    STAMINA: (_stamina, "retries by exception"),
    TENACITY: (_tenacity, "retries by status"),
    HEDGED: (_hedged, "no retries, but a second request where the first is slow"),
}


def wrapping_peers(*names: str) -> tuple[list[Peer], list[tuple[str, str]]]:
    """Return the peers that wrap a transport (all, or those named), and who is missing and why."""
    present, missing = [], []
    for name in names or _WRAPPING:
        load, does = _WRAPPING[name]
        try:
            present.append(Peer(name, load(), does))
        except ImportError as error:
            missing.append((name, why_missing(error)))
    return present, missing


def retrying_at_once(name: str) -> Wrap:
    """Return a peer that retries as before, but a thousandth of a second later."""
    if name == RETRIES:
        return _retries(backoff=0.001)
    if name == STAMINA:
        return partial(_StaminaTransport, wait_initial=0.001, wait_jitter=0.0)
    return _tenacity(multiplier=0.001, min_wait_seconds=0.001)


def why_missing(error: ImportError) -> str:
    """Return in a few words why a peer cannot take part."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} not installed (extra bench)"
    return f"cannot be imported: {error}"
