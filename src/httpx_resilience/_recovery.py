"""Recovery hooks: async callables that correct what a mere resend cannot."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from ._core import checks
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import ErrorInfo
from ._http import binding as http

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


Hook = Callable[[FailedAttempt, http.Request], Awaitable[http.Request | None]]
"""Returns the request to send now, or None to stop."""


class _HookRun:
    """One run of a hook. A task that the hook started inherits it, and may outlive it."""

    __slots__ = ("hook", "is_over", "outer")

    def __init__(self, hook: Hook, outer: "_HookRun | None") -> None:
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

    async def __call__(self, failed: FailedAttempt, request: http.Request) -> http.Request | None:
        run = _HookRun(self.hook, _run.get())
        token = _run.set(run)
        try:
            return await checks.awaitable(self._where, self.hook(failed, request))
        finally:
            run.is_over = True
            _run.reset(token)


def hooks_of(
    request: http.Request, ours: Mapping[str, Hook], dialect: Dialect
) -> Mapping[str, Hook]:
    """Return the hooks of one call: the transport's, and those that its request brings.

    What a hook sends is not recovered again: the transport's hooks do not run for it, nor does one
    that is running already. Others that the request itself brings do.
    """
    own, running = request.extensions.get(RECOVER), _running()
    hooks: Mapping[str, Hook] = {} if running else ours
    if own is not None:
        brought = checked_hooks(f'request.extensions["{RECOVER}"]', own, (dialect,))
        hooks = {**hooks, **{c: hook for c, hook in brought.items() if hook.hook not in running}}
    if dialect.envelope.ignore_case:
        return {dialect.key(code): hook for code, hook in hooks.items()}
    return hooks


def checked_hooks(where: str, hooks: object, dialects: tuple[Dialect, ...]) -> dict[str, _Guarded]:
    """Return a map from error code to hook, checked.

    Raises:
        TypeError: It is no map, or a hook cannot be called or is a plain function.
        ValueError: A code is in none of the catalogues, though each of them is one.
    """
    if not isinstance(hooks, Mapping):
        raise TypeError(f"{where}: got {hooks!r}, allowed is a mapping from error code to hook")
    known = [code for dialect in dialects for code in dialect.codes]
    is_open = any(not dialect.codes for dialect in dialects)
    for code, hook in hooks.items():
        checks.instance(f"{where} key", code, str, "an error code")
        if not callable(hook):
            raise TypeError(f"{where}[{code!r}]: got {hook!r}, allowed is an async callable")
        checks.asynchronous(f"{where}[{code!r}]", hook)
        if not is_open and all(dialect.spec(code) is None for dialect in dialects):
            hint = checks.nearest(code, known)
            raise ValueError(f"{where}[{code!r}]: not in the catalogue{hint}")
    return {code: _Guarded(f"{where}[{code!r}]", hook) for code, hook in hooks.items()}
