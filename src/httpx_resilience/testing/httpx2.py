"""The same for httpx2, which is imported when it is needed."""

from typing import TYPE_CHECKING, ClassVar

from . import (
    DEFAULT_LIMITS,
    Fault,
    Limit,
    SeenRequest,
    When,
    Where,
    serve,
    serve_in_thread,
)
from ._vault import Vault

if TYPE_CHECKING:
    import httpx2  # noqa: F401 - named in a string, below

__all__ = [
    "DEFAULT_LIMITS",
    "FakeScaiVault",
    "Fault",
    "Limit",
    "SeenRequest",
    "When",
    "Where",
    "serve",
    "serve_in_thread",
]


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
