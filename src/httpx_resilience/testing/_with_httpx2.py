"""What is made of httpx2."""

from typing import Any, ClassVar

import httpx2

from ._in_process import InProcess
from ._scripted import Scripted


class InProcessTransport(InProcess, httpx2.BaseTransport):
    """Serves a vault to an ``httpx2.Client``."""

    library: ClassVar[Any] = httpx2


class ScriptedTransport(Scripted, httpx2.BaseTransport, httpx2.AsyncBaseTransport):
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

    >>> import httpx2
    >>> from httpx_resilience.httpx2 import ResilientTransport
    >>> from httpx_resilience.testing import instant_waits
    >>> script = [503, httpx2.ConnectError("no"), httpx2.Response(200, text="fine")]
    >>> inner = ScriptedTransport(script)
    >>> with instant_waits(), httpx2.Client(transport=ResilientTransport(inner)) as client:
    ...     client.get("https://vault.example/v1/secrets").text
    'fine'
    >>> len(inner.requests), inner.left
    (3, 0)
    """

    library: ClassVar[Any] = httpx2
