"""What is made of httpx."""

from typing import Any, ClassVar

import httpx

from ._in_process import InProcess
from ._scripted import Scripted


class InProcessTransport(InProcess, httpx.BaseTransport):
    """Serves a vault to an ``httpx.Client``."""

    library: ClassVar[Any] = httpx


class ScriptedTransport(Scripted, httpx.BaseTransport, httpx.AsyncBaseTransport):
    """An inner transport that answers request n with line n of its script, and keeps the requests.

    For a synchronous client and for an asynchronous one.

    Args:
        script: Statuses (100 to 599), responses, exceptions to raise, or functions that are given
            the request and return one of these; async functions for an asynchronous client. A
            response is used once: make one for each line.

    Attributes:
        requests: The requests, in the order in which they came.

    Raises:
        TypeError: A line is none of these.

    >>> import httpx
    >>> from httpx_resilience import ResilientTransport
    >>> from httpx_resilience.testing import instant_waits
    >>> script = [503, httpx.ConnectError("no"), httpx.Response(200, text="fine")]
    >>> inner = ScriptedTransport(script)
    >>> with instant_waits(), httpx.Client(transport=ResilientTransport(inner)) as client:
    ...     client.get("https://vault.example/v1/secrets").text
    'fine'
    >>> len(inner.requests), inner.left
    (3, 0)
    """

    library: ClassVar[Any] = httpx
