"""A program on gevent: ``python gevent_program.py URL``; it says what its calls came to."""

# ruff: noqa: E402 - what is imported before it is patched is not patched
from gevent import monkey  # type: ignore[import-untyped, unused-ignore]  # optional

monkey.patch_all()

import json
import sys
import time

import gevent  # pyright: ignore[reportMissingModuleSource] - installed where it is tried
import httpx

from httpx_resilience import GENERIC, ResilientTransport, TransportClosed

CALLS = 20


def main(url: str) -> dict[str, object]:
    transport = ResilientTransport(dialect=GENERIC)
    client = httpx.Client(transport=transport, base_url=url, timeout=5.0)
    retried = client.get("/flaky")
    began = time.monotonic()
    calls = [gevent.spawn(client.get, "/limited") for _ in range(CALLS)]
    gevent.joinall(calls, timeout=20.0)
    took = time.monotonic() - began
    waiting = gevent.spawn(client.get, "/spent")
    waiting.join(5.0)
    waiting = gevent.spawn(ended, client)
    while not transport._calls.registry.waiting:
        gevent.sleep(0.001)
    client.close()
    waiting.join(5.0)
    return {
        "retried": [retried.status_code, retried.extensions["resilience"].retries],
        "limited": [call.value.status_code if call.value else None for call in calls],
        "took": took,
        "closed": waiting.value,
    }


def ended(client: httpx.Client) -> str:
    try:
        return str(client.get("/spent"))
    except TransportClosed:
        return "TransportClosed"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
