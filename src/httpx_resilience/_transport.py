"""What the transports for every library and kind of client have in common: how they are set up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ._call import Calls, checked_transport
from ._core.dialect.dialect import Dialect
from ._core.outcome import Cancelled, Closed, HookDone, Waiter
from ._core.policy import Policy
from ._core.retry.budget import RetryBudget
from ._core.retry.origin_status import OriginStatus
from ._core.steps import CallFlow, Reply
from ._core.throttle import RateLimitStatus
from ._exchange.exchange import Lifetime
from ._http.binding import Binding
from ._nesting import holds
from ._observed import attach, is_observed
from ._recovery import FailedAttempt
from .dialects.scaivault import DEFAULT_DIALECT
from .instrumentation.sink import EventCallable, Listener, listeners_of

if TYPE_CHECKING:
    from ._store.redis import RedisStore

Request = TypeVar("Request")
Response = TypeVar("Response")
Inner = TypeVar("Inner")
Made = TypeVar("Made")


class Transport(Generic[Request, Response, Inner, Made]):
    """What the four transports have in common; their arguments are explained there."""

    _binding: ClassVar[Binding]
    _calls_type: ClassVar[type[Calls[Any]]]
    _observed_calls_type: ClassVar[type[Calls[Any]]]

    def __init__(
        self,
        transport: Inner | None = None,
        *,
        dialect: Dialect | Mapping[str, Dialect] = DEFAULT_DIALECT,
        policy: Policy | None = None,
        budget: RetryBudget | None = None,
        identity: Callable[[Request], str | None] | None = None,
        on_event: EventCallable | Listener | Iterable[EventCallable | Listener] | None = None,
        recover: Mapping[str, Callable[[FailedAttempt, Request], Made]] | None = None,
        redact: Callable[[str], str] | None = None,
        store: RedisStore | None = None,
        peers: int | None = None,
    ) -> None:
        self._transport: Any = checked_transport(transport, self._binding)
        listeners = listeners_of(on_event)
        settings = dialect, policy, budget, identity, listeners, recover, redact, store, peers
        kind = self._observed_calls_type if is_observed(listeners) else self._calls_type
        self._calls = kind(self._binding, *settings)
        self._life = Lifetime(self._calls.found_inner)
        if holds(self._transport, Transport):
            self._calls.found_inner()
        self._entered = 0
        self._runtime: Any = None
        attach(self, listeners)

    def __repr__(self) -> str:
        inner = type(self._transport).__name__
        return f"<{type(self).__name__} dialect={self._calls.dialects} over {inner}>"

    @property
    def policy(self) -> Policy:
        """The policy of calls that bring none of their own."""
        return self._calls.policy

    def rate_limits(self) -> tuple[RateLimitStatus, ...]:
        """Return a snapshot of what is known of the server's rate limits, for a status page.

        Returns:
            A row for each policy of each scope; empty before the first call.

        >>> from httpx_resilience import AsyncResilientTransport
        >>> AsyncResilientTransport().rate_limits()
        ()
        """
        now = time.monotonic() if self._runtime is None else self._runtime.now()
        return self._calls.statuses(now)

    def origins(self) -> tuple[OriginStatus, ...]:
        """Return a snapshot of what is known of the servers, for a status page.

        Returns:
            A row for each origin; empty before the first call.

        >>> from httpx_resilience import AsyncResilientTransport
        >>> AsyncResilientTransport().origins()
        ()
        """
        now = time.monotonic() if self._runtime is None else self._runtime.now()
        return self._calls.origins(now)


def cancel(flow: CallFlow, now: float) -> Sequence[Waiter]:
    """Let a flow give back what it holds; return whom to wake."""
    state: Any = flow
    if not state.gi_suspended:  # it has ended, or was interrupted before it began
        return ()
    try:
        flow.send(Cancelled(now))
    except StopIteration as ended:
        return ended.value or ()
    return ()


def unless_closed(reply: Reply, life: Lifetime) -> Reply:
    """Return what a wait came to: that the transport is closed, if the call would go on to send."""
    goes_on = not isinstance(reply, HookDone) or reply.outcome == "request"
    return Closed(reply.at) if life.is_closed and goes_on else reply


def wrong_client(binding: Binding, given: object) -> TypeError:
    """Return the error of a client that was given a transport for the other kind."""
    prefix = "" if binding.is_async else "Async"
    return TypeError(
        f"{binding.name}.{prefix}Client: got {type(given).__name__}, allowed is "
        f"{prefix}ResilientTransport: from {binding.door} import {prefix}ResilientTransport"
    )
