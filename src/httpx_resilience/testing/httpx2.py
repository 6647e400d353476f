"""The same for httpx2, which is imported when it is needed."""

from typing import TYPE_CHECKING, Any, ClassVar

from . import (
    DEFAULT_LIMITS,
    CapturedEvents,
    Fault,
    InstantWaits,
    Limit,
    SeenRequest,
    When,
    Where,
    capture_events,
    instant_waits,
    serve,
    serve_in_thread,
)
from ._vault import Vault

if TYPE_CHECKING:
    import httpx2  # noqa: F401 - named in a string, below

    from ._with_httpx2 import ScriptedTransport

__all__ = [
    "DEFAULT_LIMITS",
    "CapturedEvents",
    "FakeScaiVault",
    "Fault",
    "InstantWaits",
    "Limit",
    "ScriptedTransport",
    "SeenRequest",
    "When",
    "Where",
    "capture_events",
    "instant_waits",
    "serve",
    "serve_in_thread",
]


def __getattr__(name: str) -> Any:
    if name == "ScriptedTransport":  # it is made of httpx2, which is imported when it is needed
        from ._with_httpx2 import ScriptedTransport

        return ScriptedTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class FakeScaiVault(Vault["httpx2.ASGITransport", "httpx2.BaseTransport"]):
    """Serve a small secrets API that behaves like ScaiVault, to clients of httpx2.

    As ``httpx_resilience.testing.FakeScaiVault`` in everything, with the same arguments; its
    transports are httpx2's, and so is what they raise for a connection that ends too early.

    >>> import httpx2
    >>> vault = FakeScaiVault(anonymous=True)
    >>> vault.script(Fault.drop("before"))
    >>> with httpx2.Client(transport=vault.sync_transport(), base_url="http://vault") as client:
    ...     try:
    ...         client.get("/v1/secrets")
    ...     except httpx2.RemoteProtocolError as error:
    ...         print(error)
    Server disconnected without sending a response.
    """

    library: ClassVar[str] = "httpx2"
