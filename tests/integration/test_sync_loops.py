"""Over loopback on what takes the place of threads and of asyncio's loop: gevent and uvloop."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from httpx_resilience import GENERIC, AsyncResilientTransport, TransportClosed, history_of
from support.servers import serving_asgi
from support.vitals import eventually

CALLS = 20
LIMIT = 15
"""Calls per second: a second window is needed."""

PROGRAM = Path(__file__).parents[1] / "support" / "gevent_program.py"


class Server:
    """``/flaky`` fails once, ``/limited`` has a limit and keeps it, that of ``/spent`` is spent."""

    def __init__(self) -> None:
        self._flaky = iter([503])
        self._window = -1.0
        self._left = 0

    def app(self) -> Starlette:
        paths = {"/flaky": self._fail_once, "/limited": self._limit, "/spent": self._spend}
        return Starlette(routes=[Route(path, page) for path, page in paths.items()])

    async def _fail_once(self, request: Request) -> Response:
        return JSONResponse({}, next(self._flaky, 200))

    async def _limit(self, request: Request) -> Response:
        now = asyncio.get_running_loop().time()
        if now - self._window >= 1.0:
            self._window, self._left = now, LIMIT
        self._left -= 1
        status = 200 if self._left >= 0 else 429
        return JSONResponse({}, status, _announced(LIMIT, max(0, self._left), 1))

    async def _spend(self, request: Request) -> Response:
        return JSONResponse({}, 200, _announced(1, 0, 30))


def _announced(limit: int, remaining: int, reset: int) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(limit),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(reset),
    }


@pytest.mark.long
def test_a_synchronous_program_on_gevent_retries_keeps_limits_and_closes() -> None:
    pytest.importorskip("gevent", reason="gevent is not installed: pip install gevent")
    statuses = Counter[int]()
    with serving_asgi(Server().app(), statuses) as url:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), url], capture_output=True, text=True, timeout=30
        )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["retried"] == [200, 1]
    assert said["limited"] == [200] * CALLS
    assert said["took"] < 5.0
    assert said["closed"] == "TransportClosed"
    assert statuses[429] == 0


@pytest.mark.long
def test_an_asynchronous_program_on_uvloop_retries_keeps_limits_and_closes() -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed: pip install uvloop")
    statuses = Counter[int]()
    with (
        serving_asgi(Server().app(), statuses) as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(program(url))
    assert statuses[429] == 0


async def program(url: str) -> None:
    transport = AsyncResilientTransport(dialect=GENERIC)
    async with httpx.AsyncClient(transport=transport, base_url=url, timeout=5.0) as client:
        history = history_of(await client.get("/flaky"))
        assert history is not None
        assert history.retries == 1
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(client.get("/limited") for _ in range(CALLS)))
        assert [each.status_code for each in answers] == [200] * CALLS
        assert asyncio.get_running_loop().time() - began < 5.0
        await client.get("/spent")
        waiting = asyncio.create_task(client.get("/spent"))
        assert await eventually(lambda: bool(transport._calls.registry.waiting))
        await transport.aclose()
        with pytest.raises(TransportClosed):
            await waiting
