"""What the HTTP library's exceptions mean for a retry."""

import ssl
import sys
import traceback
from typing import Any

from .._core.outcome import TransportFailure

_REFUSED_STREAM = 7
"""HTTP/2 error code: the stream was not processed at all (RFC 9113, section 7)."""

_H2_ERRORS = "h2.exceptions"
"""The module of h2's exceptions; h2 itself is an optional extra of httpx."""


def failure_from(error: Exception, library: Any) -> TransportFailure:
    """Return what an exception of the inner transport means for a retry.

    Args:
        error: The exception.
        library: Whose transport it is: the module ``httpx`` or ``httpx2``.

    >>> import httpx
    >>> failure_from(httpx.ConnectTimeout(""), httpx).sent
    False
    """
    name, causes = type(error).__name__, _causes(error)
    if isinstance(error, (library.ConnectError, library.ConnectTimeout)):
        is_certificate = any(isinstance(e, ssl.SSLCertVerificationError) for e in causes)
        return TransportFailure(name, connection=not is_certificate, sent=False)
    if _is_perhaps_sent(error, library) or _is_http2_broken(error, causes, library):
        return TransportFailure(name, connection=True, sent=not _is_unprocessed(causes))
    return TransportFailure(name, connection=False, sent=False)


def _is_perhaps_sent(error: Exception, library: Any) -> bool:
    broken = (library.ReadError, library.WriteError, library.CloseError)
    late = (library.ReadTimeout, library.WriteTimeout)
    return isinstance(error, (*broken, *late, library.RemoteProtocolError))


def _is_http2_broken(error: Exception, causes: list[BaseException], library: Any) -> bool:
    """Return whether what is called a local error is the connection's fault.

    httpcore calls so all that h2 raises: for a request that may not be sent, but also for frames
    that break the protocol or follow a GOAWAY in the same read, and where more streams are open
    than it knows, for it never resets one that it gives up.
    """
    return isinstance(error, library.LocalProtocolError) and any(
        _raised_in(cause, "receive_data")
        or "ConnectionState.CLOSED" in str(cause)
        or type(cause).__name__ == "TooManyStreamsError"
        for cause in causes
        if type(cause).__module__ == _H2_ERRORS
    )


def _is_unprocessed(causes: list[BaseException]) -> bool:
    """Return whether HTTP/2 says that the request was not processed at all (RFC 9113, 6.8 and 7).

    httpcore and httpcore2 pass h2's event as the argument of their own RemoteProtocolError: a
    StreamReset, or the GOAWAY. Of a GOAWAY they name no stream, so it is certain only if it
    excludes every stream, or if this request's headers were still to be sent. (Of streams above
    the GOAWAY's last that have been sent to their end, they repeat most by themselves.)
    """
    for cause in causes:
        if type(cause).__module__ == _H2_ERRORS and _raised_in(cause, "send_headers"):
            return True
        for argument in cause.args:
            last_stream = getattr(argument, "last_stream_id", None)
            refused = getattr(argument, "error_code", None) == _REFUSED_STREAM
            if last_stream == 0 or (last_stream is None and refused):
                return True
    return False


def _raised_in(error: BaseException, function: str) -> bool:
    return any(f.f_code.co_name == function for f, _ in traceback.walk_tb(error.__traceback__))


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception and what caused it, but not what its caller is handling already."""
    handled = sys.exception()
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link is not handled and link not in chain and len(chain) < 16:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain
