"""What is made of httpx: errors, bodies, and the two bindings, for its two kinds of client."""

from typing import Any, ClassVar

import httpx

from . import fast
from .binding import Binding, Streams
from .bodies import AsyncOneShot, AsyncPeeked, SyncOneShot, SyncPeeked
from .errors import ErrorClasses, ResilienceError, StatusError, ThrottleError, TokenError

fast.check(httpx)


class DeadlineExceeded(ResilienceError, httpx.TimeoutException):  # noqa: N818 - as httpx's
    """The call was still running when its ``deadline`` passed.

    Raised by the transport, from ``RetryPolicy(deadline=...)``. Catch it as what it is, or as
    ``httpx.TimeoutException``.
    """


class ThrottleTimeout(ThrottleError, httpx.TimeoutException):  # noqa: N818 - as httpx's
    """The rate-limit budget will not allow the call within ``max_wait``; it was not sent.

    Catch it as what it is, or as ``httpx.TimeoutException``.

    Attributes:
        retry_at: Epoch seconds from which there should be room, or None if that is unknown.
        scope: Whose budget it is: its category and a short hash, no credential.
    """


class TransportClosed(ResilienceError, httpx.TransportError):  # noqa: N818 - as its fellows
    """The transport was closed before the call was sent.

    Catch it as what it is, or as ``httpx.TransportError``. A call that waits to be sent again when
    its transport is closed ends with its last response or exception instead.
    """


class TokenRefused(TokenError):  # noqa: N818 - as its fellows
    """The token was revoked or is not valid, or the server would not give a new one.

    Raised by ``RefreshToken``; its text names the code, never the token.

    Attributes:
        code: The error code, or None if there was none.
    """

    @property
    def request(self) -> httpx.Request:
        """The request that wanted the token.

        Raises:
            RuntimeError: The error came out of a pickle, which holds no request.
        """
        if self._request is None:
            raise RuntimeError("The .request property has not been set.")
        request: httpx.Request = self._request
        return request


class ApiError(StatusError, httpx.HTTPStatusError):
    """An error response, with what the API said; raised by ``raise_for_error``.

    A subclass of ``httpx.HTTPStatusError``, so that existing handlers go on working. Its text
    has status, code, meaning, advice and attempts, never the server's message or details: those
    are in ``info``.

    Attributes:
        response: The error response.
        info: What the body said, or None if it carried no code.
    """

    response: httpx.Response


class AsyncOneShotStream(AsyncOneShot, httpx.AsyncByteStream):
    """A request body that ``httpx.AsyncClient`` can send once."""

    library: ClassVar[Any] = httpx


class OneShotStream(SyncOneShot, httpx.SyncByteStream):
    """A request body that ``httpx.Client`` can send once."""

    library: ClassVar[Any] = httpx


class AsyncPeekedStream(AsyncPeeked, httpx.AsyncByteStream):
    """The body of an error response that was looked at, for ``httpx.AsyncClient``."""

    library: ClassVar[Any] = httpx


class PeekedStream(SyncPeeked, httpx.SyncByteStream):
    """The body of an error response that was looked at, for ``httpx.Client``."""

    library: ClassVar[Any] = httpx


_ERRORS = ErrorClasses(ApiError, DeadlineExceeded, ThrottleTimeout, TransportClosed, TokenRefused)

ASYNC = Binding(httpx, Streams(AsyncOneShotStream, AsyncPeekedStream), _ERRORS, is_async=True)
"""For ``httpx.AsyncClient``."""

SYNC = Binding(httpx, Streams(OneShotStream, PeekedStream), _ERRORS, is_async=False)
"""For ``httpx.Client``."""
