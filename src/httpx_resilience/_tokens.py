"""Bearer tokens that are renewed in time: by one caller for all, and for their own servers only."""

import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import Any, Self
from urllib.parse import quote_plus

import anyio
import httpx

from ._body import always, replayable
from ._core import checks
from ._core.envelope import told
from ._errors import PEEKED, error_of
from ._exceptions import TokenRefused
from ._exchange import STAMP
from ._request import new_id, origin_of
from ._shared import IDENTITY
from .dialects.generic import GENERIC

Fetch = Callable[[], Awaitable[str | tuple[str, float | None]]]
"""Returns a token, or a token and its lifetime in seconds (None if unknown)."""

RENEWED = ("token_expired", "authentication_required")
"""Codes that a new token helps against, once per call."""

FINAL = ("token_revoked", "token_invalid")
"""Codes that say that somebody does not want this caller to go on."""


_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What h11 would tell in its error message otherwise: a token with the newline of its file."""


class RefreshToken(httpx.Auth):
    """Authenticate by a bearer token, and renew it before it expires or when the server says so.

    For ``httpx.AsyncClient(auth=...)``, over any transport. A hundred calls that find the token
    expired make one renewal. Over ``AsyncResilientTransport``, a call that waited in a queue goes
    out with the token of the moment, and the rate-limit scope stays the same across renewals.

    Args:
        fetch: An async function that returns a token, or a token and its lifetime in seconds.
        origins: The servers that may see the token, such as ``"https://vault.example"``; a
            redirect elsewhere never gets it.
        identity: Who this is, for the rate-limit scope; a name of its own if left out. Two
            instances with the same name share a scope.
        ahead: Seconds before its expiry at which a token is renewed; at most a tenth of its
            lifetime is taken.
        clock: Monotonic seconds.

    Raises:
        TypeError: ``fetch`` cannot be called.
        ValueError: ``origins`` is empty or holds something else than origins.

    >>> async def fetch() -> str:
    ...     return "a token"
    >>> RefreshToken(fetch, origins=["https://vault.example"])
    <RefreshToken for https://vault.example>
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        origins: Iterable[str],
        identity: str | None = None,
        ahead: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not callable(fetch):
            raise TypeError(f"fetch: got {type(fetch).__name__}, allowed is an async function")
        checks.number("ahead", ahead, low=0)
        self._fetch = fetch
        self._origins = _checked_origins(origins)
        self._identity = identity or f"token-{new_id()}"
        self._ahead = ahead
        self._clock = clock
        self._lock = anyio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._round = 0
        self._refusal: TokenRefused | None = None

    def __repr__(self) -> str:
        return f"<RefreshToken for {', '.join(sorted(self._origins))}>"

    @classmethod
    def client_credentials(
        cls,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        client: httpx.AsyncClient | None = None,
        **options: Any,
    ) -> Self:
        """Get tokens by OAuth 2 client credentials (RFC 6749, section 4.4).

        Args:
            token_url: The token endpoint.
            client_id: Sent by HTTP Basic, as is the secret (section 2.3.1).
            client_secret: Never told to anybody else.
            scope: Scopes to ask for, separated by spaces.
            client: What to ask with; a client of its own for each renewal if left out.
            **options: ``origins``, ``identity``, ``ahead``, ``clock`` as for ``RefreshToken``.
        """
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        grant = _Grant(token_url, form, (client_id, client_secret), client)
        return cls(grant.fetch, **options)

    @classmethod
    def refresh_token(
        cls,
        token_url: str,
        refresh_token: str,
        *,
        client_id: str | None = None,
        client_secret: str = "",
        client: httpx.AsyncClient | None = None,
        **options: Any,
    ) -> Self:
        """Get tokens by an OAuth 2 refresh token (RFC 6749, section 6).

        Args:
            token_url: The token endpoint.
            refresh_token: The first one; where the server gives a new one, that is used next.
            client_id: Sent by HTTP Basic, if given.
            client_secret: Likewise.
            client: What to ask with; a client of its own for each renewal if left out.
            **options: ``origins``, ``identity``, ``ahead``, ``clock`` as for ``RefreshToken``.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        basic = None if client_id is None else (client_id, client_secret)
        return cls(_Grant(token_url, form, basic, client).fetch, **options)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send a request with the token; once more with a new one if the server wants one.

        Raises:
            TokenRefused: The token was revoked or is not valid, or no new one was to be had.
        """
        if not self._covers(request.url):
            yield request
            return
        used = await self._current(request, stale=None)

        def stamp(outgoing: httpx.Request) -> None:
            nonlocal used
            if not self._covers(outgoing.url):  # httpx copies extensions onto redirects
                return
            used = self._token or used
            outgoing.headers["Authorization"] = f"Bearer {used}"

        stamp(request)
        request.extensions = {
            IDENTITY: self._identity,
            **request.extensions,
            STAMP: stamp,
        }
        response = yield request
        code = await self._code_of(response)
        if code in RENEWED:
            await self._current(request, stale=used)
            if replayable(request.stream)[1] is always:
                stamp(request)
                response = yield request
                code = await self._code_of(response)
        if code in FINAL:
            self._drop(used)
            raise TokenRefused(f"the server refused the token: {code}", request=request, code=code)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Refuse: tokens are fetched by an async function."""
        raise RuntimeError("RefreshToken needs httpx.AsyncClient")

    def _covers(self, url: httpx.URL) -> bool:
        return origin_of(url) in self._origins

    async def _code_of(self, response: httpx.Response) -> str | None:
        if response.status_code != 401 or not self._covers(response.request.url):
            return None
        if PEEKED not in response.extensions:
            await response.aread()
        info = error_of(response)
        return info.code if info is not None else None

    async def _current(self, request: httpx.Request, stale: str | None) -> str:
        """Return a token that is good for a while and is not ``stale``; renew it if need be."""
        seen = self._round
        if self._token is not None and self._is_good(stale):
            return self._token
        async with self._lock:
            if self._token is not None and self._is_good(stale):
                return self._token
            if self._round != seen and self._refusal is not None:  # while this call waited
                raise TokenRefused(str(self._refusal), request=request, code=self._refusal.code)
            return await self._renew(request)

    async def _renew(self, request: httpx.Request) -> str:
        began_at = self._clock()
        try:
            got = await self._fetch()
        except _Refused as refused:
            self._round += 1
            self._refusal = TokenRefused(str(refused), request=request, code=refused.code)
            raise self._refusal from None
        token, lifetime = _checked_token(got)
        self._round += 1
        self._refusal = None
        self._token = token
        self._renew_at = float("inf")
        if lifetime is not None:
            self._renew_at = began_at + lifetime - min(self._ahead, lifetime / 10)
        return token

    def _is_good(self, stale: str | None) -> bool:
        return self._token != stale and self._clock() < self._renew_at

    def _drop(self, used: str) -> None:
        if self._token == used:
            self._token = None


class _Refused(Exception):  # noqa: N818 - becomes a TokenRefused
    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


class _Grant:
    """One OAuth 2 grant at one token endpoint."""

    def __init__(
        self,
        token_url: str,
        form: dict[str, str],
        basic: tuple[str, str] | None,
        client: httpx.AsyncClient | None,
    ) -> None:
        self._token_url = token_url
        self._form = form
        self._basic = None if basic is None else httpx.BasicAuth(*map(quote_plus, basic))
        self._client = client

    async def fetch(self) -> tuple[str, float | None]:
        """Ask for a token; return it and its lifetime."""
        if self._client is not None:
            return self._read(await self._post(self._client))
        async with httpx.AsyncClient() as client:
            return self._read(await self._post(client))

    async def _post(self, client: httpx.AsyncClient) -> httpx.Response:
        auth = self._basic or httpx.Auth()  # not the client's own, which may be waiting for us
        return await client.post(
            self._token_url, data=self._form, auth=auth, follow_redirects=False
        )

    def _read(self, response: httpx.Response) -> tuple[str, float | None]:
        if response.status_code >= 400:
            info = error_of(response, dialect=GENERIC)
            code = told(info.code) if info is not None else None
            raise _Refused(
                f"the token endpoint answered {response.status_code} {code or ''}".rstrip(), code
            )
        try:
            answer = response.json()
        except ValueError:
            answer = None
        answer = answer if isinstance(answer, dict) else {}
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise _Refused("the token endpoint answered without an access_token", None)
        fresh = answer.get("refresh_token")
        if isinstance(fresh, str) and "refresh_token" in self._form:
            self._form["refresh_token"] = fresh
        lifetime = answer.get("expires_in")
        if not isinstance(lifetime, int | float) or isinstance(lifetime, bool):
            return token, None
        return token, float(lifetime) if 0 < lifetime < 1e9 else None


def _checked_token(got: object) -> tuple[str, float | None]:
    """Return a token and its lifetime; what is wrong with them is told without them."""
    token, lifetime = got if isinstance(got, tuple) and len(got) == 2 else (got, None)
    if not isinstance(token, str):
        raise TypeError(
            f"fetch: it returned a {type(token).__name__}, "
            "allowed is a string, or a string and a number of seconds"
        )
    if not _TOKEN.fullmatch(token):
        raise ValueError("fetch: it returned a token that fits no header, allowed is visible ASCII")
    checks.number("fetch: the lifetime it returned", lifetime, low=0, optional=True)
    return token, lifetime


def _checked_origins(origins: Iterable[str]) -> frozenset[str]:
    listed = [origins] if isinstance(origins, str) else list(origins)
    if not listed:
        raise ValueError("origins: got none, allowed are those that may see the token")
    found = set()
    for origin in listed:
        url = httpx.URL(origin)
        if not url.is_absolute_url or url.raw_path not in (b"/", b"") or url.userinfo:
            raise ValueError(
                f"origins: got {url.host or 'no host'!r}, allowed is an origin such as "
                "'https://vault.example'"
            )
        found.add(origin_of(url))
    return frozenset(found)
