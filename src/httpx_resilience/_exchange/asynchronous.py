"""One call's steps, carried out by the tasks of an event loop."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from .._core.outcome import HookDone, Leased, Outcome, Woken, make_outcome
from .._core.steps import Admit, Lease, Pause, Recover, Send
from .._http.bodies import decode, without_this_frame
from .._runtime.anyio import wait
from .._store.errors import StoreError
from ..instrumentation.attempts import outside_attempts
from .exchange import Exchange, Outer

if TYPE_CHECKING:
    from .._http import typed as http


class AsyncExchange(Exchange):
    """One call of an ``AsyncClient``."""

    __slots__ = ()

    async def send(self, step: Send) -> Outcome:
        """Send the request once; return what it came to."""
        request = self._next()
        attempt, clock = self.last, self._runtime.now
        cut = False
        sent_at = clock()
        try:
            if step.cut_at is None:
                attempt.response = await self._transport.handle_async_request(request)
            else:
                with self._runtime.scope(deadline=step.cut_at) as scope:
                    attempt.response = await self._transport.handle_async_request(request)
                cut = scope.cancelled_caught
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
                outcome = await self._succeeded(response, outcome)
        elif response is None:
            outcome = self._raised(attempt, sent_at, at, cut=cut)
        else:
            outcome = await self._failed(response, sent_at, at, step.cut_at)
        attempt.outcome = outcome
        del attempt  # its error's traceback keeps this frame, on CPython 3.13.0 with what it holds
        return outcome

    async def _succeeded(self, response: http.Response, outcome: Outcome) -> Outcome:
        peeked, encoding = self._peek_success(response)
        if peeked is None:
            return outcome
        await peeked.look_patiently(self._runtime)
        return self._looked_at(response, peeked, encoding, outcome)

    async def _failed(
        self, response: http.Response, sent_at: float, at: float, cut_at: float | None
    ) -> Outcome:
        wall = time.time()
        headers, body = response.headers.raw, b""
        peeked, encoding = self._peek(response)
        if peeked is not None:
            if not peeked.is_exhausted:
                await peeked.look(self._runtime, cut_at)
            body = decode(peeked.head, encoding)
        status = response.status_code
        return Outcome(sent_at, at, self._runtime.now(), wall, status, headers, body)

    def admit(self, step: Admit) -> tuple[Awaitable[Woken | None], object]:
        """Return what to await until the call is woken, or the time that this call keeps comes.

        It comes to None if somebody woke it. Thousands may wait here: no frame of ours for each.

        Returns:
            What to await, and the waiter.
        """
        step.waiter.wake = waiter = self._runtime.waiter()
        return wait(waiter) if step.until is None else self._keep(waiter, step.until), waiter

    async def _keep(self, waiter: Any, until: float) -> Woken | None:
        if await self._runtime.wait_until(
            waiter, until
        ):  # a clock may show a rounding error less than its timer
            return Woken(max(until, self._runtime.now()))
        return None

    async def lease(self, step: Lease, store: Any) -> Leased:
        """Have the store that processes share limits by run scripts; nothing else waits for it."""
        try:
            with outside_attempts():
                replies = await store.run(step.commands)
        except StoreError as error:
            return Leased(self._runtime.now(), None, error.reason)
        return self._leased(replies)

    async def pause(self, step: Pause, waiting: set[Any]) -> Woken:
        """Give the connection back, then sleep, while the transport is open."""
        await self.release_connection()
        if not self.life.is_closed:
            await self._runtime.rest(step.until, waiting)
        return Woken(max(step.until, self._runtime.now()))

    async def recover(self, step: Recover) -> HookDone:
        """Run the hook for a failure, with the connection free; take the request it returns."""
        failed = self._failed_attempt(step)
        made: http.Request | None = None
        try:
            with self._runtime.scope(deadline=step.cut_at) as scope:
                made = await self._hook_for(failed.code)(failed, self._request)
            if scope.cancelled_caught:
                return HookDone(self._runtime.now(), "cut")
            if made is not None:
                self._replace(made, failed.code)
        except Exception as error:  # noqa: BLE001 - it is raised as itself later
            return self._hook_raised(error)
        if made is None:
            return HookDone(self._runtime.now(), "stopped")
        return HookDone(self._runtime.now(), "request", call=self._call)

    async def release_connection(self) -> None:
        """Close a response that nobody will read on."""
        body = self._to_close()
        if body is not None:
            await body.close_quietly()


class OuterAsyncExchange(Outer, AsyncExchange):
    """One call of a client whose transport has another one of ours further in."""

    __slots__ = ()
