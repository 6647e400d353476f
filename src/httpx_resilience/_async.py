"""The driver for asynchronous clients: it sends, sleeps, closes, returns, raises; no more."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import NoReturn, Self

from ._call import AsyncCalls, closed_error, finish
from ._core.outcome import Waiter, Woken
from ._core.steps import START, Admit, Done, Lease, Pause, Reply, Send
from ._exchange.exchange import Lifetime
from ._observed import ObservedAsyncCalls
from ._runtime.anyio import Runtime, notify, running_loop
from ._transport import Inner, Request, Response, Transport, cancel, unless_closed, wrong_client


class AsyncTransport(Transport[Request, Response, Inner, Awaitable[Request | None]]):
    """What the transports for httpx's and httpx2's ``AsyncClient`` have in common: all they do.

    Belongs to one event loop, as httpx's own transports do; in the next one it starts afresh.
    """

    _calls_type = AsyncCalls
    _observed_calls_type = ObservedAsyncCalls
    _runtime: Runtime | None

    async def handle_async_request(self, request: Request) -> Response:
        """Send a request as often as it takes and is allowed; return the last response.

        Raises:
            DeadlineExceeded: The call was still running when its ``deadline`` passed.
            TransportClosed: The transport is closed, or was while the call waited to be sent.
            RuntimeError: Another event loop still runs, and calls of this transport in it.
            TypeError: The request is one of another library, or its ``extensions["resilience"]``
                neither a ``Policy`` nor None.
            Exception: Whatever the inner transport raised last, itself.
        """
        life, runtime = self._life, self._runtime
        if life.is_closed:
            raise closed_error(request, self._binding, "is closed")
        if runtime is None or running_loop() is not runtime.loop:
            runtime = self._runtime = self._calls.bind(runtime)
        flow, exchange, history = self._calls.begin(self._transport, request, runtime, life)
        registry = self._calls.registry
        try:
            registry.under_way.add(flow)
            step = flow.send(START)
            while not isinstance(step, Done):
                if step.wake:
                    _wake(step.wake)
                if isinstance(step, Send):
                    step = flow.send(await exchange.send(step))
                    continue
                if isinstance(step, Pause):
                    reply: Reply = await exchange.pause(step, registry.waiting)
                elif isinstance(step, Admit):
                    waited, waiter = exchange.admit(step)
                    del step  # thousands may wait here, each with what it holds
                    try:
                        registry.waiting.add(waiter)
                        reply = await waited or Woken(runtime.now())
                    finally:
                        registry.waiting.discard(waiter)
                elif isinstance(step, Lease):
                    reply = await exchange.lease(step, self._calls.store)
                else:
                    reply = await exchange.recover(step)
                step = flow.send(unless_closed(reply, life))
            if step.wake:
                _wake(step.wake)
            flow.close()
            registry.under_way.discard(flow)
            response: Response = finish(request, step, exchange, history)
            return response
        except BaseException as error:
            registry.under_way.discard(flow)
            _wake(cancel(flow, runtime.now()))
            if not isinstance(error, GeneratorExit):  # a closed coroutine may not await
                await exchange.release_connection()
                exchange.forget()
            raise

    async def aclose(self) -> None:
        """Close the inner transport, and end the calls that wait; nothing more is sent.

        A call that waits for its next attempt ends at once with the last one's response or
        exception, for the reason ``closed``. One that waits for its first raises
        ``TransportClosed``, and so do new calls, until the transport is entered (``async with``)
        again. What is being sent is left to the inner transport.
        """
        self._entered = 0
        self._end_waits()
        await self._transport.aclose()

    def _end_waits(self) -> None:
        self._life.is_closed = True
        registry, runtime = self._calls.registry, self._runtime
        if registry.waiting and runtime is not None and running_loop() is runtime.loop:
            for waiter in tuple(registry.waiting):
                notify(waiter)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        self._entered += 1
        if self._life.is_closed:
            self._life = Lifetime(self._calls.found_inner)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._entered = max(0, self._entered - 1)
        if not self._entered:  # else another client that shares it goes on
            self._end_waits()
        await self._transport.__aexit__(exc_type, exc_value, traceback)

    def handle_request(self, request: object) -> NoReturn:
        """Refuse to serve a synchronous client."""
        raise wrong_client(self._binding, self)

    def __enter__(self) -> NoReturn:
        raise wrong_client(self._binding, self)

    def __exit__(self, *_: object) -> None:
        raise wrong_client(self._binding, self)


def _wake(waiters: Sequence[Waiter]) -> None:
    for waiter in waiters:
        if waiter.wake is not None:
            notify(waiter.wake)
