"""Over loopback with one connection: retries never deadlock the pool, and leave nothing open."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    ErrorClass,
    GaveUp,
    Policy,
    RetryPolicy,
)
from support.scripted import Ear

pytestmark = pytest.mark.anyio

CALLS = 300
AT_ONCE = 30
"""Far more than connections; httpcore's pool looks through all that wait at every turn."""

TINY = Backoff(initial=0.001, maximum=0.002)
EAGER = Policy(
    retry=RetryPolicy(
        max_attempts=3, backoff={ErrorClass.TRANSIENT: TINY, ErrorClass.CONNECTION: TINY}
    ),
    budget=None,
)
SMALL = json.dumps({"error": {"code": "service_unavailable", "message": "x"}}).encode()
LARGE = b"<html>" + b"x" * 300_000
"""More than the 64 KiB that are looked at, and than the socket's buffers hold."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server:
    """Answers every request with an error: small, large, endless in pieces, or cut off."""

    def __init__(self) -> None:
        self.open: set[asyncio.StreamWriter] = set()
        self.requests: Counter[str] = Counter()
        self.most_open = 0
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        self.most_open = max(self.most_open, len(self.open))
        try:
            while await self._answered(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        kind = head.split(b" ")[1].strip(b"/").decode()
        self.requests[kind] += 1
        if kind == "small":
            writer.write(_response(SMALL))
        elif kind == "large":
            writer.write(_response(LARGE))
        elif kind == "chunked":
            writer.write(b"HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(40):
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif kind == "cut":
            writer.write(_response(LARGE)[:1000])
            await writer.drain()
            return False
        else:
            return False  # dropped before the headers
        await writer.drain()
        return True


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body


KINDS = ("small", "large", "chunked", "cut", "dropped")


async def test_three_hundred_failing_calls_with_retries_share_one_connection() -> None:
    ear, endings = Ear(), Counter[str]()
    async with Server().running() as server:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        transport = AsyncResilientTransport(inner, policy=EAGER, on_event=ear)
        timeout = httpx.Timeout(20.0)
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:

            async def one(number: int) -> None:
                kind = KINDS[number % len(KINDS)]
                try:
                    response = await client.get(f"http://127.0.0.1:{server.port}/{kind}")
                except httpx.TransportError as error:
                    endings[f"{kind} {type(error).__name__}"] += 1
                else:
                    endings[f"{kind} {response.status_code} {len(response.content) > 70_000}"] += 1

            started = time.monotonic()
            numbers = iter(range(CALLS))

            async def some() -> None:
                for number in numbers:
                    await one(number)

            await asyncio.gather(*(some() for _ in range(AT_ONCE)))
            assert time.monotonic() - started < 20.0
            assert server.most_open <= 2  # one that closes while its successor opens
        for _ in range(200):
            if not server.open:
                break
            await asyncio.sleep(0.01)
        assert not server.open

    each = CALLS // len(KINDS)
    assert dict(server.requests) == dict.fromkeys(KINDS, 3 * each)
    assert endings == {
        "small 503 False": each,
        "large 503 True": each,
        "chunked 502 True": each,
        "cut RemoteProtocolError": each,  # the body breaks off for the caller too
        "dropped RemoteProtocolError": each,
    }
    ended = [event for event in ear.events if isinstance(event, GaveUp)]
    assert len(ended) == CALLS
    assert {event.reason for event in ended} == {"attempts_exhausted"}
    assert "PoolTimeout" not in {event.exception_type for event in ended}


async def test_a_cancelled_call_gives_the_one_connection_back() -> None:
    async with Server().running() as server:
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        slow = EAGER.replace(
            retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=5.0)})
        )
        transport = AsyncResilientTransport(inner, policy=slow)
        async with httpx.AsyncClient(transport=transport, timeout=5.0) as client:
            url = f"http://127.0.0.1:{server.port}"
            for kind in ("large", "chunked", "small"):
                task = asyncio.create_task(client.get(f"{url}/{kind}"))
                await asyncio.sleep(0.05)
                assert server.requests[kind] == 1
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            response = await client.get(f"{url}/small", extensions={"resilience": None})
            assert response.status_code == 503
