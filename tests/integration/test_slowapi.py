"""Over loopback against slowapi: the budget is spent, and nothing is refused."""

from collections import Counter

import pytest
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from httpx_resilience import GENERIC, AsyncResilientTransport
from support.servers import CALLS, run_job, serving_asgi

pytestmark = pytest.mark.anyio

LIMIT = 100
WINDOW = 1
"""Seconds. The resets are in whole seconds, so that each window is known to be over late."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RateLimitExceeded)
    return _rate_limit_exceeded_handler(request, error)


def limited() -> Starlette:
    limiter = Limiter(key_func=lambda: "anybody", headers_enabled=True)

    @limiter.limit(f"{LIMIT}/{WINDOW}second")
    async def page(request: Request) -> Response:
        return JSONResponse({})

    app = Starlette(routes=[Route("/page", page)])
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, refused)
    return app


async def test_a_job_of_three_windows_is_not_refused() -> None:
    statuses = Counter[int]()
    with serving_asgi(limited(), statuses) as url:
        report = await run_job(AsyncResilientTransport(dialect=GENERIC), f"{url}/page")
    assert report.endings == {200: CALLS}
    assert statuses[200] == CALLS
    assert statuses[429] <= 2, statuses
    assert report.seconds < 12.0
