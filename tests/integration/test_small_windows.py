"""Over loopback against the limiters of frameworks, with windows of five seconds."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median

import anyio
import flask
import flask_limiter
import pytest
import slowapi
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from httpx_resilience import GENERIC, AsyncResilientTransport
from support.servers import CALLS, Report, run_job, serving_asgi, serving_wsgi

pytestmark = [pytest.mark.anyio, pytest.mark.long]

LIMIT = "50 per 5 second"
LEAST = 25.0
"""Seconds that the job takes at least: six windows, of which the first opens at once."""

RUNS = 5

Limited = Callable[[str, Counter[int]], contextlib.AbstractContextManager[str]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.contextmanager
def flask_limited(strategy: str, statuses: Counter[int]) -> Iterator[str]:
    app = flask.Flask(__name__)
    flask_limiter.Limiter(
        lambda: "anybody",
        app=app,
        default_limits=[LIMIT],
        strategy=strategy,
        headers_enabled=True,
        storage_uri="memory://",
    )

    @app.get("/page")
    def page() -> dict[str, str]:
        return {}

    with serving_wsgi(app, statuses) as url:
        yield url


@contextlib.contextmanager
def slowapi_limited(strategy: str, statuses: Counter[int]) -> Iterator[str]:
    limiter = slowapi.Limiter(key_func=lambda: "anybody", headers_enabled=True, strategy=strategy)

    @limiter.limit(LIMIT)
    async def page(request: Request) -> Response:
        return JSONResponse({})

    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, RateLimitExceeded)
        return slowapi._rate_limit_exceeded_handler(request, error)

    app = Starlette(routes=[Route("/page", page)])
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, refused)
    # uvicorn's five seconds would have each window begin with connections that just are closed.
    with serving_asgi(app, statuses, keep_alive=30) as url:
        yield url


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
@pytest.mark.parametrize("limited", [flask_limited, slowapi_limited])
async def test_a_job_of_six_windows_takes_little_longer_than_it_must(
    limited: Limited, strategy: str
) -> None:
    statuses = Counter[int]()
    reports: list[Report] = []

    async def run(delay: float) -> None:
        await anyio.sleep(delay)  # each begins at another fraction of a second
        with limited(strategy, statuses) as url:
            reports.append(await run_job(AsyncResilientTransport(dialect=GENERIC), f"{url}/page"))

    async with anyio.create_task_group() as group:
        for index in range(RUNS):
            group.start_soon(run, 1.2 * index)
    shares = sorted(LEAST / report.seconds for report in reports)
    assert all(report.endings == {200: CALLS} for report in reports)
    assert statuses[429] <= 2, statuses
    assert median(shares) >= 0.9, shares
