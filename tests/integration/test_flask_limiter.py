"""Over loopback against flask-limiter: the budget is spent, and nothing is refused."""

from collections import Counter

import flask
import pytest
from flask_limiter import Limiter

from httpx_resilience import GENERIC, AsyncResilientTransport
from support.servers import CALLS, run_job, serving_wsgi

pytestmark = pytest.mark.anyio

LIMIT = 100
WINDOW = 1
"""Seconds. The resets are in whole seconds, so that each window is known to be over late."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def limited(strategy: str) -> flask.Flask:
    app = flask.Flask(__name__)
    Limiter(
        lambda: "anybody",
        app=app,
        default_limits=[f"{LIMIT} per {WINDOW} second"],
        strategy=strategy,
        headers_enabled=True,
        storage_uri="memory://",
    )

    @app.get("/page")
    def page() -> dict[str, str]:
        return {}

    return app


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
async def test_a_job_of_three_windows_is_not_refused(strategy: str) -> None:
    statuses = Counter[int]()
    with serving_wsgi(limited(strategy), statuses) as url:
        report = await run_job(AsyncResilientTransport(dialect=GENERIC), f"{url}/page")
    assert report.endings == {200: CALLS}
    assert statuses[200] == CALLS
    assert statuses[429] <= 2, statuses
    assert report.seconds < 12.0
