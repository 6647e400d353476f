"""Servers in this process for synchronous clients."""

import threading
import time

import httpx

from simulation.servers import FixedWindow

from .vault import BODY, BUSY, Stock, Stumbling

_TOO_MANY = b'{"error":{"code":"rate_limited","message":"Slow down.","request_id":"req_1"}}'


class SyncVault(Stock, httpx.BaseTransport):
    """Answers 200, with headers out of its stock."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.served += 1
        return httpx.Response(200, headers=next(self._headers), stream=httpx.ByteStream(BODY))


class SyncStumblingVault(Stumbling, SyncVault):
    """Answers 503 ``service_unavailable`` and then 200, in turns."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        self._is_up = not self._is_up
        if self._is_up:
            return super().handle_request(request)
        return httpx.Response(503, headers=self._busy, stream=httpx.ByteStream(BUSY))


class SyncLimitingVault(httpx.BaseTransport):
    """Admits so many requests in each window, some milliseconds away; for any number of threads.

    A window begins with a request, and the headers name its end with fractions of a second.
    """

    DISTANCE = 0.002

    def __init__(self, limit: int, window: float) -> None:
        self._limiter = FixedWindow(limit, window, aligned=False)
        self._lock = threading.Lock()
        self.refused = 0
        self.began: float | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer, in time."""
        time.sleep(self.DISTANCE)
        now = time.time()
        with self._lock:
            answer = self._limiter.take(now)
            self.refused += not answer.accepted
            self.began = self.began or now
        said = {
            "X-RateLimit-Limit": str(self._limiter.limit),
            "X-RateLimit-Remaining": str(answer.remaining),
            "X-RateLimit-Reset": f"{answer.reset:.3f}",
        }
        if answer.accepted:
            return httpx.Response(200, headers=said, stream=httpx.ByteStream(BODY))
        said["Retry-After"] = "1"
        return httpx.Response(429, headers=said, stream=httpx.ByteStream(_TOO_MANY))
