"""Every way in which a user reads a response, and all that is seen of it then."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from support.scripted import URL

Reader = Callable[[httpx.Response, list[Any]], Awaitable[None]]


async def each(response: httpx.Response, parts: AsyncIterator[Any], seen: list[Any]) -> None:
    async for part in parts:
        seen.append((part, response.num_bytes_downloaded))  # noqa: PERF401 - kept if it breaks off


async def read(response: httpx.Response, seen: list[Any]) -> None:
    seen.append(await response.aread())
    seen.append(await response.aread())


async def aiter_raw(response: httpx.Response, seen: list[Any]) -> None:
    await each(response, response.aiter_raw(), seen)


async def aiter_raw_in_pieces(response: httpx.Response, seen: list[Any]) -> None:
    await each(response, response.aiter_raw(chunk_size=999), seen)


async def aiter_bytes(response: httpx.Response, seen: list[Any]) -> None:
    await each(response, response.aiter_bytes(), seen)


async def aiter_lines(response: httpx.Response, seen: list[Any]) -> None:
    await each(response, response.aiter_lines(), seen)


async def as_json(response: httpx.Response, seen: list[Any]) -> None:
    await response.aread()
    seen.append(response.json())


async def first_chunk_only(response: httpx.Response, seen: list[Any]) -> None:
    async for chunk in response.aiter_raw():
        seen.append(chunk)
        break


async def twice(response: httpx.Response, seen: list[Any]) -> None:
    await each(response, response.aiter_raw(), seen)
    await each(response, response.aiter_raw(), seen)


READERS = (
    read, aiter_raw, aiter_raw_in_pieces, aiter_bytes, aiter_lines, as_json, twice,
)  # fmt: skip


async def observed(transport: httpx.AsyncBaseTransport, reader: Reader) -> list[Any]:
    """Everything that a user sees of a response."""
    seen: list[Any] = []
    async with httpx.AsyncClient(transport=transport) as client:
        started = anyio.current_time()
        async with client.stream("GET", URL) as response:
            seen += [response.status_code, response.headers.raw, response.num_bytes_downloaded]
            seen += [response.is_closed, response.is_stream_consumed, response.reason_phrase]
            with pytest.raises(RuntimeError):
                _ = response.elapsed
            try:
                await reader(response, seen)
            except httpx.HTTPError as error:
                seen += [type(error), str(error)]
            except httpx.StreamError as error:
                seen.append(type(error))
        seen += [response.num_bytes_downloaded, response.is_closed, response.is_stream_consumed]
        seen += [response.elapsed.total_seconds() < 60]
        seen.append(round(anyio.current_time() - started, 6))
    return seen
