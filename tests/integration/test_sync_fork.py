"""The child of a fork starts afresh, whatever the parent's threads and event loops were doing."""

import asyncio
import contextlib
import os
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator

import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Policy,
    RefreshToken,
    ResilientTransport,
    RetryBudget,
    TransportClosed,
)
from httpx_resilience._http import identity
from httpx_resilience._runtime import threads
from support.loopback import Loopback

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    # Python 3.12 and later warn of what is tried here.
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

PATIENCE = 5.0
"""Seconds after which a child that says nothing hangs."""

SPENT = b"RateLimit-Limit: 1\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 30\r\n"


def in_child(work: Callable[[], object]) -> str:
    """Return what some work comes to in the child of a fork, in words."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = repr(work())
        except BaseException:  # noqa: BLE001 - the parent says it
            said = traceback.format_exc()
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    try:
        if not select.select([reading], [], [], PATIENCE)[0]:
            return "it hangs"
        return os.read(reading, 65_536).decode()
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


class Server:
    """Answers at once, but for ``/slow``, which waits to be let; the limit of ``/spent`` is."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.answer = threading.Event()

    def serve(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65_536)
            if not more:
                return
            received += more
        path = received.split()[1]
        if path == b"/slow":
            self.asked.set()
            self.answer.wait(PATIENCE)
        headers = SPENT if path == b"/spent" else b""
        connection.sendall(
            b"HTTP/1.1 200 OK\r\n" + headers + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
        )


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with Loopback(server.serve).running() as url:
        yield url
        server.answer.set()


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(transport=ResilientTransport(), base_url=url) as client:
        yield client


def transport_of(client: httpx.Client) -> ResilientTransport:
    transport = client._transport
    assert isinstance(transport, ResilientTransport)
    return transport


def lock_of(client: httpx.Client) -> object:
    runtime = transport_of(client)._runtime
    assert runtime is not None
    return runtime.lock


def status(client: httpx.Client) -> int:
    return client.get("/", headers={"Authorization": "Bearer x"}).status_code


@contextlib.contextmanager
def elsewhere(work: Callable[[threading.Event, threading.Event], object]) -> Iterator[None]:
    """Have another thread work: it says when it is there, and goes on until it is to end."""
    there, end = threading.Event(), threading.Event()
    thread = threading.Thread(target=work, args=(there, end))
    thread.start()
    assert there.wait(PATIENCE)
    try:
        yield
    finally:
        end.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def holding(*locks: object) -> contextlib.AbstractContextManager[None]:
    """Have another thread hold locks."""

    def hold(there: threading.Event, end: threading.Event) -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)  # type: ignore[arg-type]  # a lock is one
            there.set()
            end.wait(PATIENCE)

    return elsewhere(hold)


def test_a_child_calls_while_a_thread_of_the_parent_holds_the_transports_lock(
    client: httpx.Client,
) -> None:
    assert status(client) == 200
    with holding(lock_of(client), threads.process().lock):
        assert in_child(lambda: status(client)) == "200"
    assert status(client) == 200


def test_a_child_asks_for_the_rate_limits_before_it_calls(client: httpx.Client) -> None:
    assert status(client) == 200
    transport = transport_of(client)
    with holding(lock_of(client)):
        assert in_child(lambda: (transport.rate_limits(), transport.origins())) == "((), ())"


def test_a_child_calls_while_threads_of_the_parent_wait_for_the_rate_limit(
    client: httpx.Client,
) -> None:
    assert client.get("/spent").status_code == 200
    transport = transport_of(client)

    def wait(there: threading.Event, end: threading.Event) -> None:
        def until_closed() -> None:
            with contextlib.suppress(TransportClosed):
                client.get("/spent")

        waiter = threading.Thread(target=until_closed)
        waiter.start()
        while not transport._calls.registry.waiting:
            time.sleep(0.001)
        there.set()
        end.wait(PATIENCE)
        client.close()
        waiter.join(PATIENCE)

    def call() -> tuple[int, int]:
        response = client.get("/spent")
        return response.status_code, len(transport._calls.registry.waiting)

    with elsewhere(wait):
        assert in_child(call) == "(200, 0)"


def test_a_child_calls_while_a_thread_of_the_parent_is_in_the_middle_of_a_call(
    client: httpx.Client, server: Server
) -> None:
    def call(there: threading.Event, end: threading.Event) -> None:
        slow = threading.Thread(target=client.get, args=("/slow",))
        slow.start()
        server.asked.wait(PATIENCE)
        there.set()
        end.wait(PATIENCE)
        server.answer.set()
        slow.join(PATIENCE)

    def fresh() -> tuple[int, list[int]]:
        return status(client), [row.in_flight for row in transport_of(client).rate_limits()]

    with elsewhere(call):
        assert sum(row.in_flight for row in transport_of(client).rate_limits()) == 1
        assert in_child(fresh) == "(200, [0])"
    assert sum(row.in_flight for row in transport_of(client).rate_limits()) == 0


def test_a_child_closes_the_transport_and_calls_of_the_parent_go_on(client: httpx.Client) -> None:
    assert status(client) == 200
    assert in_child(client.close) == "None"
    assert status(client) == 200


def test_a_child_hashes_identities_with_a_secret_of_its_own() -> None:
    here = identity.hashed(b"somebody")
    there = in_child(lambda: identity.hashed(b"somebody"))
    assert len(there) == len(repr(here))
    assert there != repr(here)
    assert identity.hashed(b"somebody") == here


def test_a_child_draws_on_a_budget_whose_lock_a_thread_of_the_parent_holds(url: str) -> None:
    budget = RetryBudget()
    with httpx.Client(transport=ResilientTransport(budget=budget), base_url=url) as client:
        assert status(client) == 200
        with holding(budget._lock):
            assert in_child(lambda: (status(client), budget.balance())) == "(200, 3.0)"


def test_a_child_gets_a_token_while_a_thread_of_the_parent_renews_it(url: str) -> None:
    fetching, fetched = threading.Event(), threading.Event()
    parent = os.getpid()

    def fetch() -> str:
        if os.getpid() == parent:
            fetching.set()
            fetched.wait(PATIENCE)
        return "token"

    auth = RefreshToken(fetch, origins=[url])
    client = httpx.Client(transport=ResilientTransport(), base_url=url, auth=auth)

    def renew(there: threading.Event, end: threading.Event) -> None:
        call = threading.Thread(target=client.get, args=("/",))
        call.start()
        fetching.wait(PATIENCE)
        there.set()
        end.wait(PATIENCE)
        fetched.set()
        call.join(PATIENCE)

    with client, elsewhere(renew):
        assert in_child(lambda: client.get("/").status_code) == "200"


def test_a_child_is_interrupted_by_ctrl_c_that_the_parent_had_put_off() -> None:
    """A thread forks while the main thread is in the middle of what is not interrupted."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    said: list[str] = []

    def ctrl_c() -> str:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            return "interrupted"
        return "lost"

    try:
        with threads.uninterrupted():
            forking = threading.Thread(target=lambda: said.append(in_child(ctrl_c)))
            forking.start()
            forking.join(2 * PATIENCE)
        assert said == ["'interrupted'"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_child_of_a_running_event_loop_calls_in_a_loop_of_its_own(
    url: str, server: Server
) -> None:
    transport = AsyncResilientTransport(policy=Policy())

    async def call() -> int:
        async with httpx.AsyncClient() as other:  # the pool of the parent's loop is not ours
            transport._transport = other._transport
            return (
                await transport.handle_async_request(other.build_request("GET", url))
            ).status_code

    async def parent() -> tuple[str, int]:
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            slow = asyncio.create_task(client.get("/slow"))
            await asyncio.to_thread(server.asked.wait, PATIENCE)
            said = in_child(lambda: asyncio.run(call()))
            server.answer.set()
            return said, (await slow).status_code

    assert asyncio.run(parent()) == ("200", 200)
