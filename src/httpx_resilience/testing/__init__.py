"""Things to test one's own code with: a secrets service that fails on demand.

Needs starlette and uvicorn: ``pip install 'httpx-resilience[cli]'``.
"""

from ._exchange import SeenRequest
from ._faults import Fault, When, Where
from ._limits import DEFAULT_LIMITS, Limit
from ._server import serve, serve_in_thread
from ._vault import FakeScaiVault

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
