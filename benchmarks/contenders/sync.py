"""Who takes part where clients are synchronous: bare, ours, httpx-retries."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import httpx

from httpx_resilience import Backoff, ErrorClass, Policy, ResilientTransport, RetryPolicy

from ..harness.rounds import Stopwatch, Turn
from ..harness.targets import OURS
from ..servers.vault import Stock
from .peers import RETRIES, why_missing
from .transports import BARE

SyncWrap = Callable[[httpx.BaseTransport], httpx.BaseTransport]
SOON = 0.0001
"""Seconds before a retry: threads wait in earnest."""


@dataclass(frozen=True, slots=True)
class SyncContender:
    """One way to send a request.

    Attributes:
        name: As the table shows it.
        wrap: Returns its transport around another one.
    """

    name: str
    wrap: SyncWrap


class TwiceByHand(httpx.BaseTransport):
    """Sends once more after a 503, and nothing else."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send once or twice."""
        response = self._inner.handle_request(request)
        return self._inner.handle_request(request) if response.status_code == 503 else response


def steady() -> tuple[list[SyncContender], list[tuple[str, str]]]:
    """Return who sends what succeeds at once, and who is missing and why."""
    alone = Policy(throttle=None, budget=None)
    own = [
        SyncContender(BARE, lambda inner: inner),
        SyncContender(OURS, ResilientTransport),
        SyncContender(
            f"{OURS}, only retries", lambda inner: ResilientTransport(inner, policy=alone)
        ),
    ]
    return _with_retries(own)


def retrying() -> tuple[list[SyncContender], list[tuple[str, str]]]:
    """Return who sends once more, next to at once, and who is missing and why."""
    soon = Backoff(initial=SOON, maximum=SOON)
    policy = Policy(retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: soon}))
    own = [
        SyncContender(BARE, TwiceByHand),
        SyncContender(OURS, lambda inner: ResilientTransport(inner, policy=policy)),
    ]
    return _with_retries(own, backoff_factor=SOON)


def patient() -> tuple[list[SyncContender], list[tuple[str, str]]]:
    """Return who may go on for long, and who is missing and why."""
    own = [SyncContender(BARE, lambda inner: inner), SyncContender(OURS, ResilientTransport)]
    return _with_retries(own, total=10)


def turn_of(vault: Stock, call: Callable[[], object]) -> Turn:
    """Return a turn of a call that blocks."""

    def lot(calls: int) -> float:
        vault.stock(calls)
        with Stopwatch() as watch:
            for _ in range(calls):
                call()
        return watch.seconds

    async def turn(calls: int) -> float:
        return lot(calls)

    return turn


def _with_retries(
    own: list[SyncContender], **options: float
) -> tuple[list[SyncContender], list[tuple[str, str]]]:
    try:
        library: Any = import_module("httpx_retries")
    except ImportError as error:
        return own, [(RETRIES, why_missing(error))]

    def wrap(inner: httpx.BaseTransport) -> httpx.BaseTransport:
        transport: httpx.BaseTransport = library.RetryTransport(
            transport=inner, retry=library.Retry(**options)
        )
        return transport

    return [*own, SyncContender(RETRIES, wrap)], []
