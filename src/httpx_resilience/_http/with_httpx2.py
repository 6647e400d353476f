"""What is made of httpx2: errors, bodies, and the two bindings, for its two kinds of client."""

from typing import Any, ClassVar

import httpx2

from . import fast
from .binding import Binding, Streams
from .bodies import AsyncOneShot, AsyncPeeked, SyncOneShot, SyncPeeked
from .errors import ErrorClasses, ResilienceError, StatusError, ThrottleError, TokenError

fast.check(httpx2)


class DeadlineExceeded(ResilienceError, httpx2.TimeoutException):  # noqa: N818 - as httpx2's
    """The call was still running when its ``deadline`` passed.

    Raised by the transport, from ``RetryPolicy(deadline=...)``. Catch it as what it is, or as
    ``httpx2.TimeoutException``.
    """


class ThrottleTimeout(ThrottleError, httpx2.TimeoutException):  # noqa: N818 - as httpx2's
    """The rate-limit budget will not allow the call within ``max_wait``; it was not sent.

    Catch it as what it is, or as ``httpx2.TimeoutException``.

    Attributes:
        retry_at: Epoch seconds from which there should be room, or None if that is unknown.
        scope: Whose budget it is: its category and a short hash, no credential.
    """


class TransportClosed(ResilienceError, httpx2.TransportError):  # noqa: N818 - as its fellows
    """The transport was closed before the call was sent.

    Catch it as what it is, or as ``httpx2.TransportError``. A call that waits to be sent again when
    its transport is closed ends with its last response or exception instead.
    """


class TokenRefused(TokenError):  # noqa: N818 - as its fellows
    """The token was revoked or is not valid, or the server would not give a new one.

    Raised by ``RefreshToken``; its text names the code, never the token.

    Attributes:
        code: The error code, or None if there was none.
    """

    @property
    def request(self) -> httpx2.Request:
        """The request that wanted the token.

        Raises:
            RuntimeError: The error came out of a pickle, which holds no request.
        """
        if self._request is None:
            raise RuntimeError("The .request property has not been set.")
        request: httpx2.Request = self._request
        return request


class ApiError(StatusError, httpx2.HTTPStatusError):
    """An error response, with what the API said; raised by ``raise_for_error``.

    A subclass of ``httpx2.HTTPStatusError``, so that existing handlers go on working. Its text
    has status, code, meaning, advice and attempts, never the server's message or details: those
    are in ``info``.

    Attributes:
        response: The error response.
        info: What the body said, or None if it carried no code.
    """

    response: httpx2.Response


class AsyncOneShotStream(AsyncOneShot, httpx2.AsyncByteStream):
    """A request body that ``httpx2.AsyncClient`` can send once."""

    library: ClassVar[Any] = httpx2


class OneShotStream(SyncOneShot, httpx2.SyncByteStream):
    """A request body that ``httpx2.Client`` can send once."""

    library: ClassVar[Any] = httpx2


class AsyncPeekedStream(AsyncPeeked, httpx2.AsyncByteStream):
    """The body of an error response that was looked at, for ``httpx2.AsyncClient``."""

    library: ClassVar[Any] = httpx2


class PeekedStream(SyncPeeked, httpx2.SyncByteStream):
    """The body of an error response that was looked at, for ``httpx2.Client``."""

    library: ClassVar[Any] = httpx2


_ERRORS = ErrorClasses(ApiError, DeadlineExceeded, ThrottleTimeout, TransportClosed, TokenRefused)

ASYNC = Binding(httpx2, Streams(AsyncOneShotStream, AsyncPeekedStream), _ERRORS, is_async=True)
"""For ``httpx2.AsyncClient``."""

SYNC = Binding(httpx2, Streams(OneShotStream, PeekedStream), _ERRORS, is_async=False)
"""For ``httpx2.Client``."""
