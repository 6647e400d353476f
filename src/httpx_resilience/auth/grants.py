"""OAuth 2 grants: how an access token is got from a token endpoint."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from .._async import AsyncResilientTransport
from .._core.dialect.envelope import safe_token
from .._core.policy import Policy, RetryPolicy
from .._http import binding as http
from .._http.errors import ApiError
from .._http.results import error_of
from ..dialects.generic import GENERIC

FETCH_TIMEOUT = 30.0
"""Seconds that a fetch may take."""

_NOT_NOW = (408, 429)
"""Statuses below 500 that say nothing of whether there is a token."""


class Refused(Exception):  # noqa: N818 - becomes a TokenRefused
    """The token endpoint will not give a token."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class _Through(http.AsyncBaseTransport):
    """A client as a transport: with its proxies and certificates, which a transport lacks."""

    def __init__(self, client: http.AsyncClient, auth: http.Auth) -> None:
        self._client = client
        self._auth = auth

    async def handle_async_request(self, request: http.Request) -> http.Response:
        return await self._client.send(
            request, auth=self._auth, stream=True, follow_redirects=False
        )


class Grant:
    """One OAuth 2 grant at one token endpoint."""

    def __init__(
        self,
        token_url: str,
        form: dict[str, str],
        basic: tuple[str, str] | None,
        client: http.AsyncClient | None,
        options: Mapping[str, Any],
    ) -> None:
        self._token_url = token_url
        self._form = form
        # Never the client's own, which may be waiting for us.
        self._auth = http.Auth() if basic is None else http.BasicAuth(*map(quote_plus, basic))
        self._client = client
        self._retry_for = options.get("fetch_timeout", FETCH_TIMEOUT)

    async def fetch(self) -> tuple[str, float | None]:
        """Ask for a token; return it and its lifetime."""
        if self._client is not None:
            return self._read(await self._send(self._client, _Through(self._client, self._auth)))
        async with http.AsyncClient() as client:
            # Sent again, too, where it was perhaps carried out: the next fetch would do the same.
            retry = RetryPolicy(retry_for=self._retry_for, retry_non_idempotent=True)
            transport = AsyncResilientTransport(
                _Through(client, self._auth),
                dialect=GENERIC,
                policy=Policy(retry=retry, budget=None, throttle=None),
            )
            return self._read(await self._send(client, transport))

    async def _send(
        self, client: http.AsyncClient, through: http.AsyncBaseTransport
    ) -> http.Response:
        request = client.build_request("POST", self._token_url, data=self._form)
        response = await through.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        response.request = request
        return response

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
        status, info = response.status_code, error_of(response, dialect=GENERIC)
        code = safe_token(info.code) if info is not None else None
        text = f"the token endpoint answered {status} {code or ''}".rstrip()
        if status < 500 and status not in _NOT_NOW:
            return Refused(text, code)
        return ApiError(text, request=response.request, response=response, info=info)
