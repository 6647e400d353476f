"""Recovery hooks: callables that correct what a mere resend cannot; async ones, or plain ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import ErrorInfo
from .instrumentation.attempts import outside_attempts

if TYPE_CHECKING:
    from ._http import typed as http

RECOVER = "resilience.recover"
"""Key in a request's extensions: hooks of that one call, beside the transport's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """What a recovery hook is given.

    Attributes:
        code: The error code that the hook is for.
        status: HTTP status of the response.
        attempt: Number of the attempt that failed, from 1.
        error: Everything that the body said; in no repr.
    """

    code: str
    status: int
    attempt: int
    error: ErrorInfo | None = field(default=None, repr=False)


Hook = Callable[[FailedAttempt, Any], Any]
"""Returns the request to send now, or None to stop; an async function for asynchronous clients."""


class _HookRun:
    """One run of a hook. A task that the hook started inherits it, and may outlive it."""

    __slots__ = ("hook", "is_over", "outer")

    def __init__(self, hook: Hook, outer: _HookRun | None) -> None:
        self.hook = hook
        self.outer = outer
        self.is_over = False


_run: ContextVar[_HookRun | None] = ContextVar("httpx_resilience_hook", default=None)


def _running() -> list[Hook]:
    """Return the hooks that run around here, the innermost first."""
    run, hooks = _run.get(), []
    while run is not None:
        if not run.is_over:
            hooks.append(run.hook)
        run = run.outer
    return hooks


class _Guarded:
    """A user's hook: while it runs, that is known to whatever it sends."""

    __slots__ = ("_where", "hook")

    def __init__(self, where: str, hook: Hook) -> None:
        self._where = where
        self.hook = hook

    @contextmanager
    def _running(self) -> Iterator[None]:
        run = _HookRun(self.hook, _run.get())
        token = _run.set(run)
        try:
            with outside_attempts():
                yield
        finally:
            run.is_over = True
            _run.reset(token)


class _GuardedAsync(_Guarded):
    __slots__ = ()

    async def __call__(self, failed: FailedAttempt, request: http.Request) -> object:
        with self._running():
            made: Any = await checks.awaitable(self._where, self.hook(failed, request))
            return made


class _GuardedPlain(_Guarded):
    __slots__ = ()

    def __call__(self, failed: FailedAttempt, request: http.Request) -> object:
        with self._running():
            made = self.hook(failed, request)
            checks.no_awaitable(self._where, made)
            return made


def hooks_of(
    request: http.Request, ours: Mapping[str, Hook], dialect: Dialect, *, is_async: bool
) -> Mapping[str, Hook]:
    """Return the hooks of one call: the transport's, and those that its request brings.

    What a hook sends is not recovered again: the transport's hooks do not run for it, nor does one
    that is running already. Others that the request itself brings do.
    """
    own, running = request.extensions.get(RECOVER), _running()
    hooks: Mapping[str, Hook] = {} if running else ours
    if own is not None:
        where = f'request.extensions["{RECOVER}"]'
        brought = checked_hooks(where, own, (dialect,), is_async=is_async)
        hooks = {**hooks, **{c: hook for c, hook in brought.items() if hook.hook not in running}}
    if dialect.envelope.ignore_case:
        return {dialect.key(code): hook for code, hook in hooks.items()}
    return hooks


def checked_hooks(
    where: str, hooks: object, dialects: tuple[Dialect, ...], *, is_async: bool
) -> dict[str, Any]:
    """Return a map from error code to hook, checked.

    Raises:
        TypeError: It is no map, or a hook cannot be called or is of the wrong kind for its client:
            a plain function for an asynchronous one, an async function for a synchronous one.
        ValueError: A code is in none of the catalogues, though each of them is one.
    """
    if not isinstance(hooks, Mapping):
        raise TypeError(f"{where}: got {hooks!r}, allowed is a mapping from error code to hook")
    known = [code for dialect in dialects for code in dialect.codes]
    is_open = any(not dialect.codes for dialect in dialects)
    for code, hook in hooks.items():
        checks.instance(f"{where} key", code, str, "an error code")
        allowed = "an async callable" if is_async else "a plain function"
        if not callable(hook):
            raise TypeError(f"{where}[{code!r}]: got {hook!r}, allowed is {allowed}")
        if is_async:
            checks.asynchronous(f"{where}[{code!r}]", hook)
        else:
            checks.plain(f"{where}[{code!r}]", hook, allowed=allowed)
        if not is_open and all(dialect.spec(code) is None for dialect in dialects):
            hint = checks.nearest(code, known)
            raise ValueError(f"{where}[{code!r}]: not in the catalogue{hint}")
    guarded = _GuardedAsync if is_async else _GuardedPlain
    return {code: guarded(f"{where}[{code!r}]", hook) for code, hook in hooks.items()}
