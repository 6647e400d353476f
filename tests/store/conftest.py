"""Servers, and scripts that show what became of them."""

from collections.abc import Iterator

import pytest

from httpx_resilience._store import exchange
from httpx_resilience._store.script import Script, of_text
from httpx_resilience._store.script import script as shipped
from support.store_clients import ClientKind, kind_parameters
from support.stores import Engine, Server, any_engine, engine_parameters, serving, serving_cluster

SCRIPTS = {
    "echo": "return {ARGV[1]}",
    "count": "return {redis.call('INCR', KEYS[1]), ARGV[1]}",
    "kinds": "return {'text', 7, redis.call('TIME')[1], '1.5', '\\255'}",
    "number": "return 7",
    "nested": "return {{'in'}}",
    "lease": "redis.call('SET', KEYS[1], '1', 'PX', 60000) return {}",
}


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Script]:
    """The scripts that these tests run, beside those that are shipped."""
    own = {name: of_text(text.encode()) for name, text in SCRIPTS.items()}
    monkeypatch.setattr(exchange, "script", lambda name: own.get(name) or shipped(name))
    return own


@pytest.fixture
def only_shipped_scripts(monkeypatch: pytest.MonkeyPatch, scripts: object) -> None:
    """No others, whatever the names."""
    monkeypatch.setattr(exchange, "script", shipped)


@pytest.fixture(scope="session", params=engine_parameters())
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each kind of server."""
    found: Engine = request.param
    return found


@pytest.fixture(scope="session", params=kind_parameters())
def kind(request: pytest.FixtureRequest) -> ClientKind:
    """Each kind of client."""
    found: ClientKind = request.param
    return found


@pytest.fixture(scope="module")
def each_server(engine: Engine) -> Iterator[Server]:
    """A server of each kind."""
    with serving(engine) as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of a test's own, which may kill it."""
    with serving(any_engine()) as server:
        yield server


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Server]]:
    """Three nodes that a module's tests share."""
    with serving_cluster(any_engine()) as servers:
        yield servers
