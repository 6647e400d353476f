"""Things to test one's own code with: a secrets service that fails on demand.

For clients of httpx; for httpx2's the same names are in ``httpx_resilience.testing.httpx2``. Needs
starlette and uvicorn: ``pip install 'httpx-resilience[cli]'``.
"""

from ._exchange import SeenRequest
from ._faults import Fault, When, Where
from ._httpx import FakeScaiVault
from ._limits import DEFAULT_LIMITS, Limit
from ._server import serve, serve_in_thread

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
