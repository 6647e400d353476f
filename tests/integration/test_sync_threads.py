"""Over loopback against slowapi: many threads share a transport, and spend the budget in order."""

import importlib
import itertools
import threading
import time
from collections import Counter
from typing import Any

import pytest
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from httpx_resilience import GENERIC
from support.servers import serving_asgi

pytestmark = pytest.mark.long

THREADS = 32
CALLS = 90
LIMIT = 20
WINDOW = 1
"""Seconds. The resets are in whole seconds, so that each window is known to be over late."""

WINDOWS = -(-CALLS // LIMIT)
"""How many the calls need at least."""


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


class Job:
    """Threads of which each sends one call after the other, through one transport.

    Attributes:
        came: The numbers of the calls in the order in which the transport got them.
        windows: The numbers that each window of the server served, by the time of its end.
        endings: The statuses that the calls ended with.
        failed: What was raised.
    """

    def __init__(self, library: str, url: str) -> None:
        module: Any = importlib.import_module(library)
        door = "httpx_resilience" if library == "httpx" else f"httpx_resilience.{library}"
        transport = importlib.import_module(door).ResilientTransport(
            dialect=GENERIC, identity=self._identity
        )
        self.transport = transport
        timeout = module.Timeout(10.0, pool=None)
        self._client = module.Client(transport=transport, timeout=timeout)
        self._url = url
        self._numbers = iter(range(CALLS))
        self._lock = threading.Lock()
        self.came: list[int] = []
        self.windows: dict[float, set[int]] = {}
        self.endings = Counter[int]()
        self.failed: list[Exception] = []

    def _identity(self, request: Any) -> str:
        self.came.append(int(request.url.params["n"]))
        return "anybody"

    def run(self) -> float:
        """Return the seconds it took."""
        threads = [threading.Thread(target=self._work) for _ in range(THREADS)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        assert not any(thread.is_alive() for thread in threads)
        self._client.close()
        return time.monotonic() - began

    def _work(self) -> None:
        try:
            while (n := self._next()) is not None:
                response = self._client.get(self._url, params={"n": n})
                with self._lock:
                    self.endings[response.status_code] += 1
                    reset = float(response.headers["X-RateLimit-Reset"])
                    self.windows.setdefault(reset, set()).add(n)
        except Exception as error:  # noqa: BLE001 - told in the main thread
            self.failed.append(error)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_job_of_many_threads_is_not_refused_and_keeps_its_order(library: str) -> None:
    statuses = Counter[int]()
    with serving_asgi(limited(), statuses) as url:
        job = Job(library, f"{url}/page")
        began = time.time()
        seconds = job.run()
    assert job.failed == []
    assert job.endings == {200: CALLS}
    assert statuses[429] <= 2, statuses
    # The last window the calls need begins at the end that was announced of the one before it.
    ends = sorted(job.windows)
    assert seconds <= 1.1 * (ends[WINDOWS - 2] - began), ends
    came = iter(job.came)
    for end in ends:
        served = job.windows[end]
        first = set(itertools.islice(came, len(served)))
        # A thread that was admitted may still lose the processor at the end of a window.
        assert len(served - first) <= 2, job.came
    assert job.transport._calls.registry.waiting == set()
    assert [row for row in job.transport.rate_limits() if row.in_flight or row.queued] == []
