"""Whether what is further in makes a span for each request itself."""

from __future__ import annotations

import inspect
from typing import Any

from ..._nesting import within_reach
from ._api import context

_METHODS = ("handle_request", "handle_async_request")
_INSTRUMENTATIONS = "opentelemetry.instrumentation."

_SUPPRESSED = ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY")
"""Names of the API's keys in the context that keep instrumentations from making spans."""


class InnerTransports:
    """The transports that requests go through further in.

    OpenTelemetry's instrumentation of httpx is one of them, or has replaced a method of one: of
    its class (``instrument()``), or of the object (``instrument_client()``), before a transport of
    ours is made or after. Nothing of theirs is called.

    Args:
        transport: The one that is wrapped.
    """

    def __init__(self, transport: object) -> None:
        self._found = [each for each in within_reach(transport) if _is_transport(each)]

    def make_spans(self) -> bool:
        """Return whether one of them makes a span for each request."""
        return any(map(_is_instrumented, self._found))


def is_suppressed() -> bool:
    """Return whether instrumentations are to make no spans here."""
    keys = (getattr(context, name, None) for name in _SUPPRESSED)
    return any(key is not None and context.get_value(key) for key in keys)


def _is_transport(thing: object) -> bool:
    return any(_static(type(thing), name) is not None for name in _METHODS)


def _is_instrumented(transport: object) -> bool:
    kind = type(transport)
    if kind.__module__.startswith(_INSTRUMENTATIONS):
        return True
    methods = (_static(transport, name) for name in _METHODS)
    return any(map(_is_replaced, methods))


def _is_replaced(method: Any) -> bool:
    """Return whether a method is one that ``wrapt`` has put in the place of another for them."""
    wrapper = getattr(method, "_self_wrapper", None)
    wrapper = getattr(wrapper, "func", wrapper)
    return str(getattr(wrapper, "__module__", "")).startswith(_INSTRUMENTATIONS)


def _static(thing: object, name: str) -> object:
    return inspect.getattr_static(thing, name, None)
