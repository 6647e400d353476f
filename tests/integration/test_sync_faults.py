"""The table of faults over loopback, met by a synchronous client of either library."""

import importlib
import ssl
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from httpx_resilience import Backoff, ErrorClass, Policy, RetryPolicy, history_of
from support.fault_table import CASES, Case
from support.faults import FaultyServer
from support.parity import LIBRARIES, door_of

BOUND = 5.0
"""Seconds for a whole case, most of which take hundredths: a hang, not a busy machine."""

SOON = Backoff(initial=0.004, maximum=0.004)
POLICY = Policy(
    retry=RetryPolicy(
        max_attempts=3,
        backoff={
            ErrorClass.RATE_LIMITED: SOON,
            ErrorClass.TRANSIENT: SOON,
            ErrorClass.CONNECTION: SOON,
        },
    ),
    throttle=None,
)
CHANCE = "an early 429 to a large upload, and a reset"
"""A thread may read the 429 before the reset makes the kernel forget it."""

TLS = ssl.create_default_context()  # takes longer than most cases


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether something comes to be so."""
    until = time.monotonic() + 2.0
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)
    return condition()


def ended(http: ModuleType, client: Any, url: str, case: Case) -> dict[str, Any]:
    """Return what the caller of a case got."""
    door, got = door_of(http.__name__), {"code": None, "reading": "whole"}
    source: Any
    try:
        with client.stream(case.method, url, content=case.content) as response:
            source, got["ending"] = response, response.status_code
            info = door.error_of(response)
            got["code"] = None if info is None else info.code
            got["reading"] = "unread" if case.reading == "unread" else reading(http, response)
    except http.HTTPError as error:
        source, got["ending"] = error, type(error).__name__
    history = history_of(source)
    assert history is not None
    return {**got, "attempts": len(history.attempts), "reason": history.reason}


def reading(http: ModuleType, response: Any) -> str:
    try:
        response.read()
    except http.HTTPError as error:
        return type(error).__name__
    return "whole"


@pytest.mark.parametrize("name", [name for name in CASES if name != CHANCE])
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_fault_ends_in_a_thread_as_the_table_says(library: str, name: str) -> None:
    case, http = CASES[name], importlib.import_module(library)
    server, inner = FaultyServer(*case.script), http.HTTPTransport(verify=TLS)
    transport = door_of(library).ResilientTransport(inner, policy=POLICY, dialect=case.dialect)
    timeout = http.Timeout(2.0, read=case.read_timeout)
    began = time.monotonic()
    with server.running() as url, http.Client(transport=transport, timeout=timeout) as client:
        close = {} if case.reused else {"Connection": "close"}
        assert client.get(url, headers=close).status_code == 200
        server.broken = True
        got = ended(http, client, url, case)
        assert not [each for each in inner._pool.connections if not each.is_idle()]
        server.broken = False
        assert client.get(url).status_code == 200
    assert eventually(lambda: server.open == 0)
    assert got == {key: getattr(case, key) for key in got}
    assert server.requests == case.attempts
    assert time.monotonic() - began < BOUND
    assert not transport._calls.registry.under_way
