"""Recovery hooks: async callables that mend what a blind resend cannot."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import httpx

from ._core import checks
from ._core.dialect import Dialect
from ._core.envelope import ErrorInfo

RECOVER = "resilience.recover"
"""Key in a request's extensions: hooks of that one call, beside the transport's."""

IN_HOOK: ContextVar[bool] = ContextVar("httpx_resilience_in_hook", default=False)
"""Set while a hook runs: what it sends itself is not recovered again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """What a recovery hook is told.

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


Hook = Callable[[FailedAttempt, httpx.Request], Awaitable[httpx.Request | None]]
"""Returns the request to send now, or None to stop."""


def checked_hooks(where: str, hooks: object, dialects: tuple[Dialect, ...]) -> dict[str, Hook]:
    """Return a map from error code to hook, checked.

    Raises:
        TypeError: It is no map, or a hook cannot be called.
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
        if not is_open and all(dialect.spec(code) is None for dialect in dialects):
            hint = checks.nearest(code, known)
            raise ValueError(f"{where}[{code!r}]: not in the catalogue{hint}")
    return dict(hooks)
