"""OAuth 2 grants: how an access token is got from a token endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote_plus

from .._core import checks
from .._core.dialect.envelope import safe_token
from .._core.policy import Policy, RetryPolicy
from .._http.binding import Binding
from .._http.results import error_of
from ..dialects.generic import GENERIC

if TYPE_CHECKING:
    from .._http import typed as http

FETCH_TIMEOUT = 30.0
"""Seconds that a fetch may take."""

_NOT_NOW = (408, 429)
"""Statuses below 500 that say nothing of whether there is a token."""


class Kinds(NamedTuple):
    """One library, for both kinds of client, and what carries a client as a transport.

    Attributes:
        asynchronous: For ``AsyncClient``.
        synchronous: For ``Client``.
        async_transport: Our transport for ``AsyncClient``.
        sync_transport: Our transport for ``Client``.
        async_through: A transport that sends through an ``AsyncClient``.
        sync_through: A transport that sends through a ``Client``.
    """

    asynchronous: Binding
    synchronous: Binding
    async_transport: Any
    sync_transport: Any
    async_through: Any
    sync_through: Any


class Refused(Exception):  # noqa: N818 - becomes a TokenRefused
    """The token endpoint will not give a token."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class Through:
    """A client as a transport: with its proxies and certificates, which a transport lacks."""

    def __init__(self, client: Any, auth: http.Auth) -> None:
        self._client = client
        self._options = {"auth": auth, "stream": True, "follow_redirects": False}

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request through an ``AsyncClient``."""
        return await self._client.send(request, **self._options)

    def handle_request(self, request: Any) -> Any:
        """Send a request through a ``Client``."""
        return self._client.send(request, **self._options)


class Grant:
    """One OAuth 2 grant at one token endpoint."""

    def __init__(
        self,
        kinds: Kinds,
        token_url: str,
        form: dict[str, str],
        basic: tuple[str, str] | None,
        client: Any,
        options: Mapping[str, Any],
    ) -> None:
        library = kinds.asynchronous.library
        self._kinds = kinds
        self._token_url = token_url
        self._form = form
        # Never the client's own, which may be waiting for us.
        self._auth = library.Auth() if basic is None else library.BasicAuth(*map(quote_plus, basic))
        self._client = client
        # Sent again, too, where it was perhaps carried out: the next fetch would do the same.
        retry_for = options.get("fetch_timeout", FETCH_TIMEOUT)
        retry = RetryPolicy(retry_for=retry_for, retry_non_idempotent=True)
        self._policy = Policy(retry=retry, budget=None, throttle=None)

    async def fetch(self) -> tuple[str, float | None]:
        """Ask for a token; return it and its lifetime."""
        kinds = self._kinds
        if self._client is not None:
            client = self._checked(kinds.asynchronous)
            return self._read(await self._sent(client, kinds.async_through(client, self._auth)))
        async with kinds.asynchronous.client() as client:
            through = kinds.async_through(client, self._auth)
            retried = kinds.async_transport(through, dialect=GENERIC, policy=self._policy)
            return self._read(await self._sent(client, retried))

    async def _sent(self, client: Any, through: Any) -> http.Response:
        request = client.build_request("POST", self._token_url, data=self._form)
        response: http.Response = await through.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        response.request = request
        return response

    def fetch_now(self) -> tuple[str, float | None]:
        """As ``fetch``, in a thread."""
        kinds = self._kinds
        if self._client is not None:
            client = self._checked(kinds.synchronous)
            return self._read(self._sent_now(client, kinds.sync_through(client, self._auth)))
        with kinds.synchronous.client() as client:
            through = kinds.sync_through(client, self._auth)
            retried = kinds.sync_transport(through, dialect=GENERIC, policy=self._policy)
            return self._read(self._sent_now(client, retried))

    def _sent_now(self, client: Any, through: Any) -> http.Response:
        request = client.build_request("POST", self._token_url, data=self._form)
        response: http.Response = through.handle_request(request)
        try:
            response.read()
        finally:
            response.close()
        response.request = request
        return response

    def _checked(self, binding: Binding) -> Any:
        name = "AsyncClient" if binding.is_async else "Client"
        kind = getattr(binding.library, name)
        return checks.instance("client", self._client, kind, f"an {binding.name}.{name}")

    def _read(self, response: http.Response) -> tuple[str, float | None]:
        if response.status_code >= 400:
            raise self._failure(response)
        try:
            answer = response.json()
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise Refused("the token endpoint answered without an access_token", None)
        fresh = answer.get("refresh_token")
        if isinstance(fresh, str) and "refresh_token" in self._form:
            self._form["refresh_token"] = fresh
        lifetime = answer.get("expires_in")
        if not isinstance(lifetime, int | float) or isinstance(lifetime, bool):
            return token, None
        return token, float(lifetime) if 0 < lifetime < 1e9 else None

    def _failure(self, response: http.Response) -> Exception:
        """Return what an error response of the token endpoint means: no, or not now."""
        status, info = response.status_code, error_of(response, GENERIC)
        code = safe_token(info.code) if info is not None else None
        text = f"the token endpoint answered {status} {code or ''}".rstrip()
        if status < 500 and status not in _NOT_NOW:
            return Refused(text, code)
        errors = self._kinds.asynchronous.errors
        return errors.api(text, request=response.request, response=response, info=info)
