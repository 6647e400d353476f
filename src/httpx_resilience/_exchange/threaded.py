"""One call's steps, carried out by a thread.

A thread has no cancel scope. What bounds an attempt are the timeouts of each operation: on our copy
of the request they are the user's, or the time that is left, if that is less, until headers and
the beginning of an error's body are there; then they are the user's again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core.outcome import HookDone, Leased, Outcome, Woken, make_outcome
from .._core.steps import Admit, Lease, Pause, Recover, Send
from .._http.bodies import PEEK_SECONDS, decode, without_this_frame
from .._runtime.threads import SLICE
from .._store.errors import StoreError
from ..instrumentation.attempts import outside_attempts
from .exchange import Exchange, Outer

if TYPE_CHECKING:
    from .._http import typed as http

_PHASES = ("connect", "read", "write", "pool")
"""What a timeout of httpx has a bound for, each for itself."""

_LEAST = 1e-3
"""Seconds that an operation gets at least: 0 would mean not to wait, even for what is there."""


class SyncExchange(Exchange):
    """One call of a ``Client``."""

    __slots__ = ()

    needs_copy = True  # for its timeouts are changed

    def send(self, step: Send) -> Outcome:
        """Send the request once; return what it came to."""
        request = self._next()
        attempt, clock = self.last, self._runtime.now
        sent_at = clock()
        try:
            if step.cut_at is None:
                attempt.response = self._transport.handle_request(request)
            else:
                own = self._bound(step.cut_at - sent_at)
                try:
                    attempt.response = self._transport.handle_request(request)
                finally:
                    self._unbound(own)
        except Exception as error:  # noqa: BLE001 - it is classified, and raised as itself later
            attempt.error = without_this_frame(error)
        at = clock()
        response = attempt.response
        if response is not None and response.status_code < 400:
            headers = response.headers.raw
            outcome = make_outcome(
                (sent_at, at, at, time.time(), response.status_code, headers, b"", None, False)
            )
            if self._dialect.looks_at_successes:
                outcome = self._succeeded(response, outcome)
        elif response is None:
            outcome = self._cut_or_raised(attempt.error, sent_at, at, step.cut_at)
        else:
            outcome = self._failed(response, sent_at, at, step.cut_at)
        attempt.outcome = outcome
        del attempt  # as in the asynchronous exchange
        return outcome

    def _cut_or_raised(
        self, error: Exception | None, sent_at: float, at: float, cut_at: float | None
    ) -> Outcome:
        timeout, is_cut = self._binding.library.TimeoutException, False
        if cut_at is not None and isinstance(error, timeout) and at >= cut_at - _LEAST:
            is_cut, at = True, max(at, cut_at)
        return self._raised(self.last, sent_at, at, cut=is_cut)

    def _bound(self, left: float, phases: tuple[str, ...] = _PHASES) -> Any:
        """Let each operation take so many seconds at most; return the user's own timeouts."""
        timeouts = self._request.extensions.get("timeout")
        own: Mapping[str, float | None] = timeouts or {}
        bounds = dict(own)
        for phase in phases:
            bound = own.get(phase)
            bounds[phase] = max(_LEAST, left if bound is None else min(bound, left))
        self._request.extensions["timeout"] = bounds
        return timeouts

    def _unbound(self, timeouts: Any) -> None:
        """Give operations the user's own timeouts again."""
        if timeouts is None:
            self._request.extensions.pop("timeout", None)
        else:
            self._request.extensions["timeout"] = timeouts

    def _succeeded(self, response: http.Response, outcome: Outcome) -> Outcome:
        peeked, encoding = self._peek_success(response)
        if peeked is None:
            return outcome
        peeked.look(self._runtime)
        return self._looked_at(response, peeked, encoding, outcome)

    def _failed(
        self, response: http.Response, sent_at: float, at: float, cut_at: float | None
    ) -> Outcome:
        wall = time.time()
        headers, body = response.headers.raw, b""
        peeked, encoding = self._peek(response)
        if peeked is not None:
            if not peeked.is_exhausted:
                left = PEEK_SECONDS if cut_at is None else min(PEEK_SECONDS, cut_at - at)
                own = self._bound(left, ("read",))
                peeked.look(self._runtime)
                self._unbound(own)
            body = decode(peeked.head, encoding)
        status = response.status_code
        return Outcome(sent_at, at, self._runtime.now(), wall, status, headers, body)

    def admit(self, step: Admit) -> tuple[Callable[[], Woken | None], object]:
        """Return what waits until the call is woken, or until it is to look for itself.

        Returns:
            What to call, and the waiter.
        """
        waiter = step.waiter.wake  # made while the core was held: others may have used it already
        return partial(self._wait, waiter, step.until), waiter

    def _wait(self, waiter: Any, until: float | None) -> Woken | None:
        now = self._runtime.now()
        to = now + SLICE if until is None else min(until, now + SLICE)
        if self.life.is_closed or self._runtime.wait(waiter, to):
            return None
        return Woken(max(to, self._runtime.now()))

    def lease(self, step: Lease, store: Any) -> Leased:
        """Have the store that processes share limits by run scripts; nothing else waits for it."""
        try:
            with outside_attempts():
                replies = store.run(step.commands)
        except StoreError as error:
            return Leased(self._runtime.now(), None, error.reason)
        return self._leased(replies)

    def pause(self, step: Pause, waiting: set[Any]) -> Woken:
        """Give the connection back, then sleep, while the transport is open."""
        self.release_connection()
        waiter = self._runtime.waiter()
        try:
            waiting.add(waiter)
            if not self.life.is_closed:
                self._runtime.wait(waiter, step.until)
        finally:
            waiting.discard(waiter)
        return Woken(max(step.until, self._runtime.now()))

    def recover(self, step: Recover) -> HookDone:
        """Run the hook for a failure, with the connection free; take the request it returns."""
        failed = self._failed_attempt(step)
        try:
            made = self._hook_for(failed.code)(failed, self._request)
            if made is not None and self._runtime.now() < step.cut_at:
                self._replace(made, failed.code)
        except Exception as error:  # noqa: BLE001 - it is raised as itself later
            return self._hook_raised(error)
        now = self._runtime.now()
        if now >= step.cut_at:
            return HookDone(now, "cut")
        if made is None:
            return HookDone(now, "stopped")
        return HookDone(now, "request", call=self._call)

    def release_connection(self) -> None:
        """Close a response that nobody will read on."""
        body = self._to_close()
        if body is not None:
            body.close_quietly()


class OuterSyncExchange(Outer, SyncExchange):
    """One call of a client whose transport has another one of ours further in."""

    __slots__ = ()
