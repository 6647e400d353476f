"""Things to test one's own code with: a secrets service that fails on demand.

For clients of httpx; for httpx2's the same names are in ``httpx_resilience.testing.httpx2``. Needs
starlette and uvicorn: ``pip install 'httpx-resilience[cli]'``.
"""

from typing import TYPE_CHECKING, Any

from ._events import CapturedEvents, capture_events
from ._exchange import SeenRequest
from ._faults import Fault, When, Where
from ._httpx import FakeScaiVault
from ._instant import InstantWaits, instant_waits
from ._limits import DEFAULT_LIMITS, Limit
from ._server import serve, serve_in_thread

if TYPE_CHECKING:
    from ._with_httpx import ScriptedTransport

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
    if name == "ScriptedTransport":  # it is made of httpx, which is imported when it is needed
        from ._with_httpx import ScriptedTransport

        return ScriptedTransport
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
