"""One process of a fleet: it calls a server for some seconds, and prints what came of it as JSON.

python -m support.fleet_program URL STORE_PORT TASKS SECONDS
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

import httpx

from httpx_resilience import AsyncResilientTransport, RedisStore

SECRET = "what the processes of a fleet share"


class CountedStore(RedisStore):
    """Counts how often it is asked."""

    asks = 0

    def run(self, commands: Any) -> Any:
        self.asks += 1
        return super().run(commands)


async def main(url: str, store_port: int, tasks: int, seconds: float) -> None:
    """Call until the time is up."""
    import redis.asyncio  # not installed wherever the tests are collected

    endings: Counter[str] = Counter()
    events: Counter[str] = Counter()
    slowest = 0.0
    until = time.monotonic() + seconds
    async with redis.asyncio.Redis(port=store_port) as client:
        store = CountedStore(client, namespace="fleet", secret=SECRET)
        transport = AsyncResilientTransport(
            store=store, on_event=lambda event: events.update([event.name])
        )
        timeout = httpx.Timeout(10.0, pool=None)

        async def work() -> None:
            nonlocal slowest
            while (left := until - time.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        endings[str((await calls.get(url)).status_code)] += 1
                except TimeoutError:
                    pass  # the time is up
                except Exception as error:  # noqa: BLE001 - it is counted by its name
                    endings[type(error).__name__] += 1

        async with httpx.AsyncClient(transport=transport, timeout=timeout) as calls:
            await asyncio.gather(*(work() for _ in range(tasks)))
    said = {"endings": endings, "events": events, "asks": store.asks}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
