"""What only a synchronous transport does: threads that wait for each other, and bounded reads."""

import contextvars
import gzip
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from httpx_resilience import (
    GENERIC,
    Backoff,
    ErrorClass,
    Event,
    Level,
    Listener,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
    history_of,
)
from support.parity import LIBRARIES, door_of
from support.scripted import URL, coded

CODE = coded(503, "service_unavailable").chunks[0]
LIMITED = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60"}
PATIENT = Policy(throttle=ThrottlePolicy(max_wait=600))
STEADY = RetryPolicy(
    backoff={ErrorClass.TRANSIENT: Backoff(initial=60.0, maximum=60.0, jitter="none")}
)
QUICK = RetryPolicy(
    backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, maximum=0.001, jitter="none")}
)


@pytest.fixture(params=LIBRARIES)
def http(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def over(http: ModuleType, handler: Callable[[Any], Any], **options: Any) -> Any:
    """Return a transport over a handler."""
    return door_of(http.__name__).ResilientTransport(http.MockTransport(handler), **options)


def eventually(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.001)


def left(transport: Any) -> list[int]:
    """What a transport still holds of calls: none of it, once they have ended."""
    shared, rows = transport._calls.registry, transport.rate_limits()
    counted = [sum(row.in_flight for row in rows), sum(row.queued for row in rows)]
    return [*counted, len(shared.waiting), len(shared.under_way)]


class Stalled:
    """A server that has nothing left for a minute after the first call."""

    def __init__(self, http: ModuleType) -> None:
        self.http = http
        self.came: list[str] = []

    def __call__(self, request: Any) -> Any:
        self.came.append(request.url.path)
        return self.http.Response(200, headers=LIMITED)


class TestClosing:
    """close() ends whoever waits, at once, and nothing more is sent."""

    def test_calls_that_wait_for_the_rate_limit(self, http: ModuleType) -> None:
        server = Stalled(http)
        transport = over(http, server, policy=PATIENT)
        client = http.Client(transport=transport)
        client.get(URL)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(client.get, URL) for _ in range(4)]
            eventually(lambda: sum(row.queued for row in transport.rate_limits()) == 4)
            began = time.monotonic()
            transport.close()
            errors = [call.exception(timeout=5) for call in calls]
        assert time.monotonic() - began < 0.5
        assert {type(e) for e in errors} == {door_of(http.__name__).TransportClosed}
        assert len(server.came) == 1
        assert left(transport) == [0, 0, 0, 0]
        with pytest.raises(http.TransportError, match="is closed"):
            client.get(URL)

    def test_a_call_between_two_attempts(self, http: ModuleType) -> None:
        came: list[Any] = []

        def handler(request: Any) -> Any:
            came.append(request)
            return http.Response(503, content=CODE)

        transport = over(http, handler, policy=Policy(retry=STEADY))
        client = http.Client(transport=transport)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(client.get, URL)
            eventually(lambda: transport._calls.registry.waiting)
            transport.close()
            response = call.result(timeout=5)
        history = history_of(response)
        assert (response.status_code, len(came)) == (503, 1)
        assert history is not None
        assert history.reason == "closed"
        assert left(transport) == [0, 0, 0, 0]

    def test_a_transport_that_is_entered_again_is_open_again(self, http: ModuleType) -> None:
        transport = over(http, lambda _: http.Response(200))
        for _ in range(2):
            with transport:
                assert http.Client(transport=transport).get(URL).status_code == 200
        with pytest.raises(http.TransportError):
            transport.handle_request(http.Request("GET", URL))


class TestQueue:
    """The queue is one for all threads, and in order."""

    def test_threads_are_admitted_in_the_order_of_their_arrival(self, http: ModuleType) -> None:
        came: list[str] = []
        one = {"X-RateLimit-Limit": "1", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "0.05"}

        def handler(request: Any) -> Any:
            came.append(request.url.path)
            return http.Response(200, headers=one)

        transport = over(http, handler, policy=PATIENT)
        client = http.Client(transport=transport, base_url="https://vault.example")
        client.get("/first")
        shared = transport._calls.registry
        with ThreadPoolExecutor(4) as pool:
            calls = []
            for number in range(4):
                calls.append(pool.submit(client.get, f"/{number}"))
                eventually(lambda last=number: len(came) - 1 + len(shared.under_way) > last)  # type: ignore[misc]  # its default is an int
            assert [call.result(timeout=5).status_code for call in calls] == [200] * 4
        assert came == ["/first", *(f"/{number}" for number in range(4))]
        assert left(transport) == [0, 0, 0, 0]

    def test_who_waits_is_woken_by_another_thread(self, http: ModuleType) -> None:
        came: list[str] = []

        def handler(request: Any) -> Any:
            came.append(request.url.path)
            headers = {**LIMITED, "X-RateLimit-Reset": "0.1"}
            return http.Response(200, headers=headers if len(came) == 1 else {})

        transport = over(http, handler, policy=PATIENT)
        client = http.Client(transport=transport)
        client.get(URL)
        began = time.monotonic()
        with ThreadPoolExecutor(6) as pool:  # one of them looks at the clock for all
            calls = [pool.submit(client.get, URL) for _ in range(6)]
            assert [call.result(timeout=5).status_code for call in calls] == [200] * 6
        assert time.monotonic() - began < 0.9  # each looks for itself after a second


class TestEvents:
    """Listeners are called outside of all locks, in the thread of the call."""

    def test_a_listener_may_send_requests_and_take_its_time(self, http: ModuleType) -> None:
        statuses = [503, 200, 200]
        told: list[str] = []

        def listen(event: Event) -> None:
            told.append(event.name)
            if event.name == "retry_scheduled":
                with ThreadPoolExecutor(1) as pool:  # another thread needs the lock meanwhile
                    assert pool.submit(client.get, URL).result(timeout=5).status_code == 200

        transport = over(
            http,
            lambda _: http.Response(statuses.pop(0), content=CODE),
            policy=Policy(retry=QUICK),
            on_event=listen,
        )
        client = http.Client(transport=transport)
        assert client.get(URL).status_code == 200
        assert told == ["retry_scheduled", "recovered"]

    def test_each_call_is_reported_in_its_own_context(self, http: ModuleType) -> None:
        mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine")
        told: list[tuple[int, int]] = []

        def listen(event: Event) -> None:
            if event.name == "call_finished":
                told.append((mine.get(), int(event.as_fields()["path"].lstrip("/"))))

        transport = over(
            http,
            lambda _: http.Response(200),
            on_event=Listener(listen, level=Level.DEBUG),
            dialect=GENERIC,
        )
        client = http.Client(transport=transport, base_url="https://vault.example")

        def call(number: int) -> None:
            mine.set(number)
            client.get(f"/{number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, range(64)))
        assert len(told) == 64
        assert all(context == path for context, path in told)


class TestBounds:
    """What bounds an attempt in a thread."""

    @pytest.mark.parametrize("takes", [0.02, 0.0])
    def test_a_deadline_bounds_each_operation_and_the_users_timeouts_come_back(
        self, http: ModuleType, takes: float
    ) -> None:
        seen: list[dict[str, float]] = []
        kept: list[Any] = []

        def handler(request: Any) -> Any:
            seen.append(dict(request.extensions["timeout"]))
            kept.append(request)
            time.sleep(takes)
            if takes:
                raise http.ReadTimeout("x")
            return http.Response(200)

        policy = Policy(retry=RetryPolicy(deadline=0.02, max_attempts=2))
        client = http.Client(
            transport=over(http, handler, policy=policy),
            timeout=http.Timeout(5.0, read=None, connect=0.001),
        )
        if takes:
            with pytest.raises(door_of(http.__name__).DeadlineExceeded) as caught:
                client.get(URL)
            history = history_of(caught.value)
            assert history is not None
            assert history.reason == "out_of_time"
        else:
            assert client.get(URL).status_code == 200
        assert len(seen) == 1
        assert seen[0]["connect"] == 0.001
        assert all(0 < seen[0][phase] <= 0.02 for phase in ("read", "write", "pool"))
        own = {"connect": 0.001, "read": None, "write": 5.0, "pool": 5.0}
        assert kept[0].extensions["timeout"] == own

    def test_an_attempt_without_a_deadline_keeps_the_users_timeouts(self, http: ModuleType) -> None:
        seen: list[Any] = []

        def handler(request: Any) -> Any:
            seen.append(request.extensions["timeout"])
            return http.Response(200)

        http.Client(transport=over(http, handler), timeout=7.0).get(URL)
        assert seen == [{"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 7.0}]

    def test_a_look_at_an_error_body_waits_two_seconds_at_most(self, http: ModuleType) -> None:
        class Body(http.SyncByteStream):  # type: ignore[misc, name-defined]  # of either library
            def __init__(self, request: Any) -> None:
                self.request = request
                self.is_closed = False

            def __iter__(self) -> Iterator[bytes]:
                bounds.append(self.request.extensions["timeout"]["read"])
                yield CODE[:10]
                raise http.ReadTimeout("stood still")

            def close(self) -> None:
                self.is_closed = True

        bounds: list[float] = []
        bodies: list[Any] = []

        def handler(request: Any) -> Any:
            bodies.append(Body(request))
            return http.Response(503, stream=bodies[-1])

        policy = Policy(retry=RetryPolicy(max_attempts=1))
        client = http.Client(transport=over(http, handler, policy=policy), timeout=9.0)
        with pytest.raises(http.ReadTimeout, match="stood still"):
            client.get(URL)
        assert bounds == [2.0]
        assert bodies[0].request.extensions["timeout"]["read"] == 9.0
        assert bodies[0].is_closed


class TestBodies:
    """Bodies, both ways, as they are for an asynchronous client."""

    def test_an_error_body_reads_as_if_nobody_had_looked(self, http: ModuleType) -> None:
        class Body(http.SyncByteStream):  # type: ignore[misc, name-defined]  # of either library
            def __iter__(self) -> Iterator[bytes]:
                for at in range(0, len(packed), 7000):
                    yield packed[at : at + 7000]

        packed = gzip.compress(bytes(range(256)) * 2000 + CODE, compresslevel=0)
        assert len(packed) > 5 * 65_536
        headers = {"Content-Encoding": "gzip"}
        policy = Policy(retry=RetryPolicy(max_attempts=1))
        transport = over(
            http, lambda _: http.Response(404, headers=headers, stream=Body()), policy=policy
        )
        with http.Client(transport=transport).stream("GET", URL) as response:
            assert response.read() == bytes(range(256)) * 2000 + CODE

    def test_a_body_that_can_be_read_once_is_sent_once(self, http: ModuleType) -> None:
        sent: list[bytes] = []

        def handler(request: Any) -> Any:
            sent.append(b"".join(request.stream))
            return http.Response(503, content=CODE)

        client = http.Client(transport=over(http, handler, policy=Policy(retry=QUICK)))
        response = client.put(URL, content=iter([b"a", b"b"]))
        history = history_of(response)
        assert sent == [b"ab"]
        assert history is not None
        assert history.reason == "body_not_replayable"

    def test_a_stream_that_no_header_announces_is_no_body_to_miss(self, http: ModuleType) -> None:
        """Caches wrap requests without a body so, as hishel does for githubkit."""

        class Empty(http.SyncByteStream):  # type: ignore[name-defined,misc]  # of either library
            left = 1

            def __iter__(self) -> Iterator[bytes]:
                assert self.left, "it was read twice"
                self.left -= 1
                return iter([b""])

        sent: list[bytes] = []

        def handler(request: Any) -> Any:
            sent.append(b"".join(request.stream))
            return http.Response(503 if len(sent) < 3 else 200)

        client = http.Client(transport=over(http, handler, policy=Policy(retry=QUICK)))
        request = http.Request("GET", URL, stream=Empty())
        assert client.send(request).status_code == 200
        assert sent == [b"", b"", b""]

    def test_a_body_for_an_asynchronous_client_is_refused(self, http: ModuleType) -> None:
        async def chunks() -> Any:
            yield b"a"

        request = http.Request("PUT", URL, content=chunks())
        transport = over(http, lambda _: http.Response(200))
        with pytest.raises(TypeError, match=rf"allowed is an {http.__name__}\.SyncByteStream"):
            transport.handle_request(request)


class TestTokens:
    """One fetch for all threads."""

    def test_threads_that_find_no_token_make_one_fetch(self, http: ModuleType) -> None:
        fetched, bearers = [], []

        def fetch() -> tuple[str, float]:
            fetched.append(threading.get_ident())
            time.sleep(0.05)
            return f"t{len(fetched)}", 60.0

        def handler(request: Any) -> Any:
            bearers.append(request.headers["Authorization"])
            return http.Response(200)

        auth = door_of(http.__name__).RefreshToken(fetch, origins=["https://vault.example"])
        client = http.Client(transport=over(http, handler), auth=auth)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: client.get(URL), range(16)))
        assert len(fetched) == 1
        assert set(bearers) == {"Bearer t1"}

    def test_a_token_that_the_server_refuses_is_renewed_once(self, http: ModuleType) -> None:
        fetched: list[str] = []

        def fetch() -> str:
            fetched.append(f"t{len(fetched)}")
            return fetched[-1]

        def handler(request: Any) -> Any:
            if request.headers["Authorization"] == "Bearer t0":
                return http.Response(401, content=coded(401, "token_expired").chunks[0])
            return http.Response(200)

        auth = door_of(http.__name__).RefreshToken(fetch, origins=["https://vault.example"])
        client = http.Client(transport=over(http, handler), auth=auth)
        assert client.get(URL).status_code == 200
        assert fetched == ["t0", "t1"]

    def test_a_fetch_that_fails_fails_for_all_who_waited(self, http: ModuleType) -> None:
        tried: list[int] = []

        def fetch() -> str:
            tried.append(1)
            time.sleep(0.05)
            raise LookupError("no token here")

        auth = door_of(http.__name__).RefreshToken(fetch, origins=["https://vault.example"])
        client = http.Client(transport=over(http, lambda _: http.Response(200)), auth=auth)
        with ThreadPoolExecutor(8) as pool:
            errors = [c.exception() for c in [pool.submit(client.get, URL) for _ in range(8)]]
        assert {type(error) for error in errors} == {LookupError}
        assert 1 <= len(tried) <= 2  # one that came late may try again

    def test_who_waits_for_a_fetch_waits_no_longer_than_its_bound(self, http: ModuleType) -> None:
        going, stop = threading.Event(), threading.Event()

        def fetch() -> str:
            going.set()
            assert stop.wait(5)
            return "t"

        door = door_of(http.__name__)
        auth = door.RefreshToken(fetch, origins=["https://vault.example"], fetch_timeout=0.05)
        client = http.Client(transport=over(http, lambda _: http.Response(200)), auth=auth)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(client.get, URL)
            assert going.wait(5)
            with pytest.raises(http.TimeoutException, match=r"no token came within 0\.05 s"):
                client.get(URL)
            own = Policy(retry=RetryPolicy(deadline=0.01))
            with pytest.raises(door.DeadlineExceeded, match="no token came within the call's"):
                client.get(URL, extensions={"resilience": own})
            stop.set()
            assert first.result(timeout=5).status_code == 200

    def test_client_credentials_are_fetched_by_a_synchronous_client(self, http: ModuleType) -> None:
        statuses = [503, 200]
        asked: list[str] = []

        def login(request: Any) -> Any:
            asked.append(request.headers["Authorization"][:6])
            status = statuses.pop(0)
            return http.Response(status, json={"access_token": "t", "expires_in": 60})

        door = door_of(http.__name__)
        asking = http.Client(
            transport=door.ResilientTransport(
                http.MockTransport(login),
                dialect=GENERIC,
                policy=Policy(retry=RetryPolicy(retry_non_idempotent=True)),
            )
        )
        auth = door.RefreshToken.client_credentials(
            "https://login.example/token", "id", "secret", client=asking, origins=[URL[:21]]
        )
        bearers: list[str] = []

        def handler(request: Any) -> Any:
            bearers.append(request.headers["Authorization"])
            return http.Response(200)

        http.Client(transport=over(http, handler), auth=auth).get(URL)
        assert bearers == ["Bearer t"]
        assert asked == ["Basic "] * 2

    def test_a_client_of_the_other_kind_is_refused(self, http: ModuleType) -> None:
        door = door_of(http.__name__)
        auth = door.RefreshToken.client_credentials(
            "https://login.example/token", "i", "s", client=http.AsyncClient(), origins=[URL[:21]]
        )
        client = http.Client(transport=over(http, lambda _: http.Response(200)), auth=auth)
        with pytest.raises(TypeError, match=rf"^client: .*allowed is an {http.__name__}\.Client$"):
            client.get(URL)


class TestUpdates:
    """read_change_write and hooks."""

    def test_a_conflict_is_read_again_changed_again_and_written_again(
        self, http: ModuleType
    ) -> None:
        version = [1]

        def handler(request: Any) -> Any:
            if request.method == "GET":
                return http.Response(200, json={"value": 10 * version[0], "version": version[0]})
            version[0] += 1
            if version[0] == 2:
                return http.Response(409, content=coded(409, "version_conflict").chunks[0])
            return http.Response(200, content=request.read())

        def change(current: Any) -> Any:
            return {"value": current["value"] + 1, "cas": current["version"]}

        door = door_of(http.__name__)
        client = http.Client(transport=over(http, handler))
        written = door.read_change_write(client, URL, change)
        assert written.json() == {"value": 21, "cas": 2}

    def test_a_change_that_is_async_is_refused(self, http: ModuleType) -> None:
        async def change(_: Any) -> Any:
            return {}

        client = http.Client(transport=over(http, lambda _: http.Response(200, json={})))
        with pytest.raises(TypeError, match=r"^change: it returned an awaitable"):
            door_of(http.__name__).read_change_write(client, URL, change)

    def test_a_hook_may_use_the_same_client(self, http: ModuleType) -> None:
        statuses = [409, 200, 200]

        def handler(_: Any) -> Any:
            return http.Response(statuses.pop(0), content=coded(409, "version_conflict").chunks[0])

        def hook(_: Any, request: Any) -> Any:
            assert client.get(URL + "/other").status_code == 200
            return request

        transport = over(http, handler, recover={"version_conflict": hook})
        client = http.Client(transport=transport)
        assert client.get(URL).status_code == 200
        assert not statuses
