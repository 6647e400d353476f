"""The one place that imports what only comes with an extra."""

try:
    import uvicorn
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Router
    from starlette.types import Receive, Scope, Send
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise ImportError(
        "httpx_resilience.testing needs starlette and uvicorn, which come with an extra: "
        "pip install 'httpx-resilience[cli]'"
    ) from error

__all__ = [
    "ClientDisconnect",
    "H11Protocol",
    "JSONResponse",
    "Receive",
    "Request",
    "Response",
    "Router",
    "Scope",
    "Send",
    "uvicorn",
]
