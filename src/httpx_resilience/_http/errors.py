"""Errors for what httpx has no word for. All carry ``.request``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from .._core.dialect.envelope import ErrorInfo


class ResilienceError(Exception):
    """Root of the errors that this library raises itself; httpx's own come out as themselves.

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


class DeadlineExceeded(ResilienceError, httpx.TimeoutException):  # noqa: N818 - as httpx's
    """The call was still running when its ``deadline`` passed.

    Raised by the transport, from ``RetryPolicy(deadline=...)``. Catch it as what it is, or as
    ``httpx.TimeoutException``.
    """


class ThrottleTimeout(ResilienceError, httpx.TimeoutException):  # noqa: N818 - as httpx's
    """The rate-limit budget will not allow the call within ``max_wait``; it was not sent.

    Catch it as what it is, or as ``httpx.TimeoutException``.

    Attributes:
        retry_at: Epoch seconds from which there should be room, or None if that is unknown.
        scope: Whose budget it is: its category and a short hash, no credential.
    """

    def __init__(
        self, message: str, *, request: httpx.Request, retry_at: float | None, scope: str
    ) -> None:
        super().__init__(message, request=request)
        self.retry_at = retry_at
        self.scope = scope


class TransportClosed(ResilienceError, httpx.TransportError):  # noqa: N818 - as its fellows
    """The transport was closed before the call was sent.

    Catch it as what it is, or as ``httpx.TransportError``. A call that waits to be sent again when
    its transport is closed ends with its last response or exception instead.
    """


class TokenRefused(ResilienceError):  # noqa: N818 - as its fellows
    """The token was revoked or is not valid, or the server would not give a new one.

    Raised by ``RefreshToken``; its text names the code, never the token.

    Attributes:
        code: The error code, or None if there was none.
    """

    def __init__(self, message: str, *, request: httpx.Request, code: str | None) -> None:
        super().__init__(message)
        self._request: httpx.Request | None = request
        self.code = code

    @property
    def request(self) -> httpx.Request:
        """The request that wanted the token.

        Raises:
            RuntimeError: The error came out of a pickle, which holds no request.
        """
        if self._request is None:
            raise RuntimeError("The .request property has not been set.")
        return self._request


class ApiError(ResilienceError, httpx.HTTPStatusError):
    """An error response, with what the API said; raised by ``raise_for_error``.

    A subclass of ``httpx.HTTPStatusError``, so that existing handlers go on working. Its text
    has status, code, meaning, advice and attempts, never the server's message or details: those
    are in ``info``.

    Attributes:
        info: What the body said, or None if it carried no code.
    """

    def __init__(
        self,
        message: str,
        *,
        request: httpx.Request,
        response: httpx.Response,
        info: ErrorInfo | None,
    ) -> None:
        super().__init__(message, request=request, response=response)
        self.info = info

    def _substitutes(self) -> dict[str, Any]:
        info = self.info and replace(self.info, message=None, details={}, fields=())
        bare = httpx.Response(self.response.status_code)
        return {**super()._substitutes(), "response": bare, "info": info}

    @property
    def code(self) -> str | None:
        """The machine-readable error code, or None if the body carried none."""
        return self.info.code if self.info is not None else None
