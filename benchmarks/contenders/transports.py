"""Who takes part where single requests are measured: bare, ours with parts off, the peers."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from httpx_resilience import (
    SCAIVAULT,
    AsyncResilientTransport,
    Level,
    Listener,
    Policy,
    RetryPolicy,
)

from ..harness.targets import OURS
from ..servers.vault import CREDENTIAL, URL
from .peers import Wrap, wrapping_peers

BARE = "bare"
_LOGGER = logging.getLogger("httpx_resilience")


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to send a request.

    Attributes:
        name: As the table shows it.
        wrap: Returns its transport around another one.
        extensions: What each request carries for it.
        around: What surrounds its turns.
    """

    name: str
    wrap: Wrap
    extensions: Mapping[str, Any] = field(default_factory=dict)
    around: Callable[[], AbstractContextManager[None]] = nullcontext


def bare() -> Contender:
    """Return the yardstick: the inner transport itself."""
    return Contender(BARE, lambda inner: inner)


def ours(name: str = OURS, **options: Any) -> Contender:
    """Return our transport, with these options of its own."""
    return Contender(name, partial(AsyncResilientTransport, **options))


def parts_off() -> list[Contender]:
    """Return our transport with one part of it switched off, or on, at a time."""
    no_id = replace(SCAIVAULT, requests=replace(SCAIVAULT.requests, request_id_header=None))
    wrap: Wrap = AsyncResilientTransport
    return [
        ours(f"{OURS}, no throttle", policy=Policy(throttle=None)),
        ours(f"{OURS}, no retry budget", policy=Policy(budget=None)),
        ours(f"{OURS}, no request id", dialect=no_id),
        ours(f"{OURS}, only retries", dialect=no_id, policy=Policy(throttle=None, budget=None)),
        ours(f"{OURS}, a deadline", policy=Policy(retry=RetryPolicy(deadline=60.0))),
        ours(f"{OURS}, a listener", on_event=lambda event: None),
        ours(f"{OURS}, a listener at debug", on_event=Listener(lambda _: None, level=Level.DEBUG)),
        Contender(f"{OURS}, logger off", wrap, around=logger_off),
        Contender(f"{OURS}, policy None", wrap, extensions={"resilience": None}),
    ]


@contextmanager
def logger_off() -> Iterator[None]:
    """Keep our log to ourselves."""
    _LOGGER.disabled = True
    try:
        yield
    finally:
        _LOGGER.disabled = False


def peers(*names: str) -> tuple[list[Contender], list[tuple[str, str]]]:
    """Return the peers (all, or those named) that are there, and who is missing and why."""
    present, missing = wrapping_peers(*names)
    return [Contender(peer.name, peer.wrap) for peer in present], missing


def request_for(contender: Contender) -> httpx.Request:
    """Build the request that everybody sends."""
    return httpx.Request("GET", URL, headers=CREDENTIAL, extensions=dict(contender.extensions))
