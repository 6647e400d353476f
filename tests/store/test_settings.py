"""What a store is made of: clients, namespaces, secrets, and what is said about wrong ones."""

import importlib
import logging
import subprocess
import sys
from typing import Any

import pytest

import httpx_resilience
import httpx_resilience.httpx2
from httpx_resilience import RedisStore
from httpx_resilience._store.errors import StoreError
from support.store_clients import KINDS, ClientKind, kind_parameters

THREADS = kind_parameters([kind for kind in KINDS if not kind.is_async])
PLAIN_SECRET = "sixteen bytes ok"
HOST = "store.example"


def a_client(kind: ClientKind, **options: Any) -> Any:
    return kind.client(6379, **options)


def test_both_doors_have_it() -> None:
    assert httpx_resilience.httpx2.RedisStore is httpx_resilience.RedisStore is RedisStore


def test_it_is_imported_when_it_is_first_used_and_brings_no_client_library() -> None:
    program = (
        "import sys, httpx_resilience\n"
        "assert not any(name.startswith('httpx_resilience._store.redis') for name in sys.modules)\n"
        "httpx_resilience.RedisStore\n"
        "assert not {'redis', 'coredis', 'valkey'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_client_says_whether_it_is_asynchronous(kind: ClientKind) -> None:
    store = kind.store(a_client(kind))
    assert store.is_async is kind.is_async
    assert kind.library in repr(store)


@pytest.mark.parametrize("client", ["redis://localhost", None, object()])
def test_what_is_no_client_is_refused_with_what_is_allowed(client: object) -> None:
    with pytest.raises(TypeError, match=r"client: got an? .*, allowed is a coredis\.Redis or"):
        RedisStore(client, namespace="team", secret=PLAIN_SECRET)


def test_a_class_is_no_client(kind: ClientKind) -> None:
    with pytest.raises(TypeError, match="client: got the class "):
        kind.store(type(a_client(kind)))


@pytest.mark.parametrize("namespace", ["", "a" * 65, "team a", "te{am", "team:a", "téam", "a\n"])
def test_a_namespace_is_letters_digits_and_three_signs(kind: ClientKind, namespace: str) -> None:
    with pytest.raises(ValueError, match=r"namespace: got .* allowed is 1 to 64 letters"):
        kind.store(a_client(kind), namespace=namespace)


def test_a_namespace_that_is_no_string_is_refused(kind: ClientKind) -> None:
    with pytest.raises(TypeError, match="namespace: got 7, allowed is a string"):
        kind.store(a_client(kind), namespace=7)


@pytest.mark.parametrize("secret", ["fifteen bytes .", b"", "ä" * 7])
def test_a_short_secret_is_refused_without_being_shown(
    kind: ClientKind, secret: str | bytes
) -> None:
    with pytest.raises(ValueError, match=r"secret: got \d+ bytes, allowed") as caught:
        kind.store(a_client(kind), secret=secret)
    assert not secret or str(secret) not in str(caught.value)


def test_a_secret_of_another_type_is_refused_without_being_shown(kind: ClientKind) -> None:
    with pytest.raises(TypeError, match="secret: got a list, allowed") as caught:
        kind.store(a_client(kind), secret=["hidden"])
    assert "hidden" not in str(caught.value)


def test_keys_are_hashes_with_one_tag_and_a_version(kind: ClientKind) -> None:
    store = kind.store(a_client(kind), secret=PLAIN_SECRET)
    key = store.key("lease", "https://vault.example", "alice", "reads")
    hashed = key.removeprefix("hr1:{team:").removesuffix("}:lease")
    assert len(hashed) == 16
    assert int(hashed, 16) >= 0
    assert (
        store.key("floor", "https://vault.example", "alice", "reads")
        == f"hr1:{{team:{hashed}}}:floor"
    )
    assert not any(word in repr(store) + key for word in (PLAIN_SECRET, "vault", "alice"))


def test_keys_depend_on_each_part_and_on_the_secret_and_on_nothing_else(kind: ClientKind) -> None:
    def key(*parts: str, secret: str | bytes = PLAIN_SECRET) -> str:
        return kind.store(a_client(kind), secret=secret).key("lease", *parts)

    assert key("a", "b") == key("a", "b") == key("a", "b", secret=PLAIN_SECRET.encode())
    others = {
        key("ab"),
        key("a", "b", ""),
        key("", "a", "b"),
        key("b", "a"),
        key("a:b"),
        key("\udc80"),
    }
    others.add(key("a", "b", secret=PLAIN_SECRET + "!"))
    assert len(others | {key("a", "b")}) == 8


@pytest.mark.parametrize("kind", THREADS)
@pytest.mark.parametrize(
    ("field", "value"),
    [  # without a socket_connect_timeout the other counts
        *[("socket_timeout", value) for value in (None, 0.26, 5)],
        *[("socket_connect_timeout", value) for value in (0.26, 5)],
    ],
)
def test_a_client_for_threads_needs_its_timeouts(
    kind: ClientKind, field: str, value: float | None
) -> None:
    with pytest.raises(ValueError, match=f"{field}: got {value}, allowed is seconds above 0 and"):
        kind.store(a_client(kind, **{field: value}))


@pytest.mark.parametrize("kind", THREADS)
def test_a_client_for_threads_may_not_repeat(kind: ClientKind) -> None:
    retry = importlib.import_module(f"{kind.library}.retry").Retry
    backoff = importlib.import_module(f"{kind.library}.backoff").NoBackoff
    with pytest.raises(ValueError, match=rf"retry: got 1 .* {kind.library}\.retry\.Retry\(.*, 0\)"):
        kind.store(a_client(kind, retry=retry(backoff(), 1)))


@pytest.mark.parametrize("kind", THREADS)
def test_a_client_for_threads_as_redis_py_makes_it_is_refused(kind: ClientKind) -> None:
    module = importlib.import_module(kind.library)
    client = (module.Valkey if kind.library == "valkey" else module.Redis)()
    with pytest.raises(ValueError, match="socket_timeout: got"):
        kind.store(client)


@pytest.mark.parametrize("kind", THREADS)
def test_a_pool_that_waits_for_long_is_refused(kind: ClientKind) -> None:
    module = importlib.import_module(kind.library)
    make = module.Valkey if kind.library == "valkey" else module.Redis
    for seconds in (20, None):
        pool = module.BlockingConnectionPool(timeout=seconds, **kind.limits())
        with pytest.raises(ValueError, match="timeout of the connection pool: got"):
            kind.store(make(connection_pool=pool))
    pool = module.BlockingConnectionPool(timeout=0.1, **kind.limits())
    assert not kind.store(make(connection_pool=pool)).is_async


EXPOSED = [HOST, "192.0.2.7", "2001:db8::1"]
PRIVATE = ["localhost", "127.0.0.1", "127.8.8.8", "::1", "store.localhost"]


@pytest.mark.parametrize(
    ("host", "lines"), [*((h, 1) for h in EXPOSED), *((h, 0) for h in PRIVATE)]
)
def test_a_connection_to_another_machine_without_tls_is_logged_once(
    kind: ClientKind, host: str, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "httpx_resilience"):
        kind.store(_at(kind, host))
    assert caplog.text.count("event=store_unencrypted") == lines
    assert host not in caplog.text


@pytest.mark.parametrize("url", [f"rediss://{HOST}:6380", "unix:///run/store.sock"])
def test_tls_and_a_socket_of_the_machine_are_no_reason_to_warn(
    kind: ClientKind, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "httpx_resilience"):
        kind.store(_from_url(kind, url))
    assert "store_unencrypted" not in caplog.text


def test_an_error_names_what_failed_and_nothing_else() -> None:
    assert str(StoreError("timeout")) == "the store did not answer within 0.25 s"
    assert str(StoreError("connection", "OSError")) == "the connection to the store failed: OSError"


def _at(kind: ClientKind, host: str) -> Any:
    package = f"{kind.library}.asyncio" if kind.is_async else kind.library
    module = importlib.import_module("coredis" if kind.library == "coredis" else package)
    options = {} if kind.is_async else kind.limits()
    return (module.Valkey if kind.library == "valkey" else module.Redis)(host=host, **options)


def _from_url(kind: ClientKind, url: str) -> Any:
    package = f"{kind.library}.asyncio" if kind.is_async else kind.library
    module = importlib.import_module("coredis" if kind.library == "coredis" else package)
    options = {} if kind.is_async else kind.limits()
    if kind.library == "valkey":
        url = url.replace("rediss://", "valkeys://")
    return (module.Valkey if kind.library == "valkey" else module.Redis).from_url(url, **options)
