"""What the transports for every library and kind of client have in common: how they are set up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

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
from ._recovery import FailedAttempt
from .dialects.scaivault import DEFAULT_DIALECT
from .instrumentation.sink import EventCallable, Listener

Request = TypeVar("Request")
Response = TypeVar("Response")
Inner = TypeVar("Inner")
Made = TypeVar("Made")


class Transport(Generic[Request, Response, Inner, Made]):
    """What the four transports have in common.

    Args:
        transport: The transport it wraps; an ``AsyncHTTPTransport()`` of its own if left out. The
            client's ``verify``, ``cert``, ``http2``, ``limits`` and ``proxy`` are ignored once a
            transport is given: set them here.
        dialect: How the API speaks; or a map from origin to dialect, for a client of several APIs,
            with ``"*"`` for all others (``GENERIC`` if left out).
        policy: When, how often and for how long failed attempts are repeated.
        budget: A retry budget to draw on instead of one per origin of its own; it may be shared
            with other transports, in other threads.
        identity: From a request to who is calling, for tokens that are rotated: a plain function
            that returns a string or None. By default callers are distinguished by the
            credential that the request carries. Only a keyed hash of it is kept.
        on_event: A plain function, or several, that are given every event of level info or above,
            or a ``Listener``, which names the level itself; they should be quick, and what they
            raise is logged once.
        recover: From error code to a hook that is given the failure and the request and returns the
            request to send now, or None to stop: an async function for an ``AsyncClient``, a plain
            one for a ``Client``. What a hook sends while it runs, or a
            task that it started, is not recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is logged or recorded; see
            ``redact_path``.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.
    """

    binding: ClassVar[Binding]
    _calls_type: ClassVar[type[Calls[Any]]]

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
    ) -> None:
        self._transport: Any = checked_transport(transport, self.binding)
        settings = dialect, policy, budget, identity, on_event, recover, redact
        self._calls = self._calls_type(self.binding, *settings)
        self._life = Lifetime()
        self._entered = 0
        self._runtime: Any = None

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

        """
        now = time.monotonic() if self._runtime is None else self._runtime.now()
        return self._calls.statuses(now)

    def origins(self) -> tuple[OriginStatus, ...]:
        """Return a snapshot of what is known of the servers, for a status page.

        Returns:
            A row for each origin; empty before the first call.

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


def wrong_client(transport: Transport[Any, Any, Any, Any]) -> TypeError:
    """Return the error of a client that was given a transport for the other kind."""
    binding, prefix = transport.binding, "" if transport.binding.is_async else "Async"
    return TypeError(
        f"{binding.name}.{prefix}Client: got {type(transport).__name__}, allowed is "
        f"{prefix}ResilientTransport: from {binding.door} import {prefix}ResilientTransport"
    )
