"""Bare httpx2 and ours: one of each kind, in process. Only who has httpx2 can import it."""

from collections.abc import Awaitable, Callable
from functools import partial

import httpx2

from httpx_resilience.httpx2 import AsyncResilientTransport, ResilientTransport

from ..harness.rounds import Stopwatch, Turn
from ..servers.vault import BODY, CREDENTIAL, URL, Stock
from .sync import turn_of


class _Vault(Stock, httpx2.AsyncBaseTransport):
    """Answers 200, with headers out of its stock."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        self.served += 1
        return httpx2.Response(200, headers=next(self._headers), stream=httpx2.ByteStream(BODY))


class _SyncVault(Stock, httpx2.BaseTransport):
    """Answers 200, with headers out of its stock."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        self.served += 1
        return httpx2.Response(200, headers=next(self._headers), stream=httpx2.ByteStream(BODY))


def _async_transport(is_ours: bool) -> Turn:
    vault = _Vault()
    transport = AsyncResilientTransport(vault) if is_ours else vault
    request = httpx2.Request("GET", URL, headers=CREDENTIAL)
    return _async_turn(vault, partial(transport.handle_async_request, request))


def _async_client(is_ours: bool) -> Turn:
    vault = _Vault()
    transport = AsyncResilientTransport(vault) if is_ours else vault
    client = httpx2.AsyncClient(transport=transport, headers=CREDENTIAL)
    return _async_turn(vault, partial(client.get, URL))


def _async_turn(vault: _Vault, call: Callable[[], Awaitable[object]]) -> Turn:
    async def turn(calls: int) -> float:
        vault.stock(calls)
        with Stopwatch() as watch:
            for _ in range(calls):
                await call()
        return watch.seconds

    return turn


def _transport(is_ours: bool) -> Turn:
    vault = _SyncVault()
    transport = ResilientTransport(vault) if is_ours else vault
    request = httpx2.Request("GET", URL, headers=CREDENTIAL)
    return turn_of(vault, partial(transport.handle_request, request))


def _client(is_ours: bool) -> Turn:
    vault = _SyncVault()
    transport = ResilientTransport(vault) if is_ours else vault
    client = httpx2.Client(transport=transport, headers=CREDENTIAL)
    return turn_of(vault, partial(client.get, URL))


PLANS: dict[str, tuple[Callable[[bool], Turn], int]] = {
    "async transport": (_async_transport, 1000),
    "AsyncClient.get": (_async_client, 250),
    "transport": (_transport, 1000),
    "Client.get": (_client, 250),
}
"""By what is measured: from whether ours takes part to a turn, and calls a round."""
