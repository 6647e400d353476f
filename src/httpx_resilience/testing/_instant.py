"""``instant_waits``: waits of transports take no time."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, cast

from .._runtime import instant

_P = ParamSpec("_P")
_T = TypeVar("_T")


class InstantWaits:
    """What ``instant_waits`` returns: a context manager, and a decorator of any function.

    Attributes:
        seconds: How long each wait would have taken, in the order in which they began; a call may
            wait in several steps, so rather ask for their ``total``.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._block: AbstractContextManager[None] | None = None

    @property
    def total(self) -> float:
        """Seconds of all waits together; of waits at the same time, each counts."""
        return sum(self.seconds)

    def __enter__(self) -> Self:
        if self._block is not None:
            raise RuntimeError("instant_waits: this block is active already; make another one")
        self._block = instant.instant(self._add)
        self._block.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        if block is not None:
            block.__exit__(kind, error, traceback)

    def _add(self, seconds: float) -> None:
        self.seconds.append(round(seconds, 6))

    def __call__(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """Return a function that runs in a block of its own."""
        if inspect.iscoroutinefunction(function):
            return cast("Callable[_P, _T]", _around_async(function))

        @functools.wraps(function)
        def around(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            with InstantWaits():
                return function(*args, **kwargs)

        return around

    def __repr__(self) -> str:
        return f"<InstantWaits: {len(self.seconds)} waits, {self.total:.3f} s>"


def _around_async(
    function: Callable[..., Coroutine[Any, Any, Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(function)
    async def around(*args: Any, **kwargs: Any) -> Any:
        with InstantWaits():
            return await function(*args, **kwargs)

    return around


def instant_waits() -> InstantWaits:
    """Let waits of transports take no time: retries, the throttle, parking.

    Use it as ``with instant_waits() as waits:``, or as a decorator of a function, async or not.
    Within the block, in all threads and event loops, whoever waits is released in the order of the
    times that are waited for, once everybody else had a chance to run; the clock by which
    transports measure ``retry_for``, deadlines and ``max_wait`` jumps there. Transports may be made
    before the block or in it. ``FakeScaiVault`` goes by the same clock, so that its windows end.

    Everything else takes what it takes: your own sleeps, answers from a network, httpx's timeouts.
    An attempt that is under way is not cut by a jump. After the block the clocks go on from where
    they are; blocks may overlap, and all record.

    >>> import httpx
    >>> from httpx_resilience import ResilientTransport
    >>> from httpx_resilience.testing import ScriptedTransport
    >>> transport = ResilientTransport(ScriptedTransport([503, 503, 200]))
    >>> with instant_waits() as waits, httpx.Client(transport=transport) as client:
    ...     client.get("https://vault.example/v1/secrets").status_code
    200
    >>> len(waits.seconds), 0.75 < waits.total <= 2.0
    (2, True)
    """
    return InstantWaits()
