"""The attributes that spans and instruments have in common, by OpenTelemetry's conventions."""

from __future__ import annotations

from ..observer import ObservedCall

SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"
METHOD, STATUS = "http.request.method", "http.response.status_code"
ERROR_TYPE = "error.type"
RESEND_COUNT = "http.request.resend_count"
URL = "url.full"

DIALECT = "resilience.dialect"
CATEGORY = "resilience.category"
REASON = "resilience.reason"
ERROR_CLASS = "resilience.error.class"
DELAY_SOURCE = "resilience.delay.source"
ATTEMPT_TYPE = "resilience.attempt.type"
RATE_LIMIT_UNIT = "resilience.rate_limit.unit"
CALL_ID = "resilience.call_id"
ATTEMPTS = "resilience.attempts"

OTHER = "_OTHER"
"""Stands for what would make a new time series for each thing that somebody writes."""

TIMEOUT = "timeout"
"""An attempt that was cut, which comes to neither a response nor an exception."""

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)

_PORTS = {"http": 80, "https": 443}

Attributes = dict[str, "str | int"]


def of_server(origin: str) -> Attributes:
    """Return what names a server.

    >>> of_server("https://vault.example"), of_server("http://[::1]:8200")
    ({'server.address': 'vault.example', 'server.port': 443}, \
{'server.address': '::1', 'server.port': 8200})
    """
    scheme, _, rest = origin.partition("://")
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isdecimal():
        host, port = rest, ""
    named: Attributes = {SERVER_ADDRESS: host.removeprefix("[").removesuffix("]")}
    number = int(port) if port else _PORTS.get(scheme)
    return named if number is None else {**named, SERVER_PORT: number}


def method_of(method: str) -> str:
    """Return a method as an attribute: one that HTTP knows, or ``_OTHER``.

    >>> method_of("GET"), method_of("BREW")
    ('GET', '_OTHER')
    """
    return method if method in _METHODS else OTHER


def error_type(
    call: ObservedCall, status: int | None, code: str | None, exception_type: str | None
) -> str:
    """Return what names a failure: the API's code, else the status, else the exception's class.

    A code that the catalogue does not know is ``_OTHER``; where there is no catalogue, codes are
    ignored. An attempt that was cut at the call's deadline is a ``timeout``.
    """
    if code is not None and call.knows is not None:
        return code if call.knows(code) else OTHER
    if status is not None and status >= 400:
        return str(status)
    if exception_type is not None:
        return exception_type
    return TIMEOUT if status is None else OTHER


def category_of(scope: str) -> str:
    """Return the category of a scope, without whose budget it is.

    >>> category_of("read#1f3a"), category_of("read")
    ('read', 'read')
    """
    return scope.rpartition("#")[0] or scope
