"""Errors for what the HTTP library has no word for. All carry ``.request``.

Each library has its own, which are its errors, too; here is what they have in common.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .._core.dialect.envelope import ErrorInfo


class ResilienceError(Exception):
    """Root of the errors that this library raises itself, over httpx and httpx2 alike.

    Their own come out as themselves.

    A pickle of one holds neither request nor response, nor what a server said in words.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: v for name, v in vars(self).items() if name not in _CONFIDENTIAL}
        return _restored, (type(self), str(self), {**state, **self._substitutes()})

    def _substitutes(self) -> dict[str, Any]:
        """Return what a pickle holds in place of what is left out."""
        return {"_request": None}


_CONFIDENTIAL = ("_request", "request", "response")


def _restored(kind: type[ResilienceError], message: str, state: dict[str, Any]) -> ResilienceError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


class ThrottleError(ResilienceError):
    """What each library's ``ThrottleTimeout`` says."""

    def __init__(self, message: str, *, request: Any, retry_at: float | None, scope: str) -> None:
        as_the_library: Any = super().__init__
        as_the_library(message, request=request)
        self.retry_at = retry_at
        self.scope = scope


class StatusError(ResilienceError):
    """What each library's ``ApiError`` says."""

    response: Any

    def __init__(
        self, message: str, *, request: Any, response: Any, info: ErrorInfo | None
    ) -> None:
        as_the_library: Any = super().__init__
        as_the_library(message, request=request, response=response)
        self.info = info

    def _substitutes(self) -> dict[str, Any]:
        info = self.info and replace(self.info, message=None, details={}, fields=())
        bare = type(self.response)(self.response.status_code)
        return {**super()._substitutes(), "response": bare, "info": info}

    @property
    def code(self) -> str | None:
        """The machine-readable error code, or None if the body carried none."""
        return self.info.code if self.info is not None else None


class TokenError(ResilienceError):
    """What each library's ``TokenRefused`` says."""

    def __init__(self, message: str, *, request: Any, code: str | None) -> None:
        super().__init__(message)
        self._request: Any = request
        self.code = code


class ErrorClasses(NamedTuple):
    """Our errors that are one library's errors, too."""

    api: type[StatusError]
    deadline: type[ResilienceError]
    throttle: type[ThrottleError]
    closed: type[ResilienceError]
    token: type[TokenError]
