"""Bearer tokens that are renewed in time: by one caller for all, and for their own servers only."""

import math
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import Any, Self

from .._call import EXTENSION
from .._core import checks
from .._core.dialect.dialect import Dialect
from .._core.policy import Policy
from .._exchange import BEFORE_SEND
from .._http import binding as http
from .._http.bodies import always, is_event_stream, replayable
from .._http.errors import DeadlineExceeded, TokenRefused
from .._http.fast import copy_of
from .._http.requests import new_id, origin_of
from .._http.results import DIALECT, PEEKED, error_of
from .._registry import IDENTITY
from .._runtime.anyio import new_lock, within
from ..dialects.scaivault import SCAIVAULT
from .grants import FETCH_TIMEOUT, Grant, Refused

Fetch = Callable[[], Awaitable[str | tuple[str, float | None]]]
"""Returns a token, or a token and its lifetime in seconds (None if unknown)."""

INVALID_TOKEN = "invalid_token"  # noqa: S105 - an error code, no secret
"""The code of RFC 6750, section 3.1: the token "is expired, revoked, malformed, or invalid"."""

RENEWED = ("token_expired", "authentication_required", INVALID_TOKEN)
"""Codes that a new token helps against, once per call."""

FINAL = ("token_revoked", "token_invalid")
"""Codes that say that somebody does not want this caller to go on."""

_PAUSE = 1.0
"""Seconds after a failed renewal ahead of expiry before the next."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""What a token must look like: h11 would quote any other in its error message, such as one with the
newline of its file."""

_MAX_CHALLENGES = 4096
"""Characters of ``WWW-Authenticate`` that are looked at."""

# RFC 9110, section 11.6.1: a parameter of the challenge before it, or the scheme of the next one.
_CHALLENGE = re.compile(
    r"""
    [\s,]*+ (?:
        (?P<name>[\w!#$%&'*+.^`|~-]++) [ \t]*+ = [ \t]*+
            (?: "(?P<quoted>(?:[^"\\]|\\.)*+)" | (?P<word>[\w!#$%&'*+.^`|~-]++) )
            (?=[ \t]*+(?:,|$))
      | (?P<scheme>[\w!#$%&'*+.^`|~-]++) (?=[ \t,]|$)
            (?: [ \t]++ [\w.~+/-]++ =*+ (?=[ \t]*+(?:,|$)) )?
    )
    """,
    re.VERBOSE | re.ASCII,
)


class RefreshToken(http.Auth):
    """Authenticate by a bearer token, and renew it before it expires or when the server says so.

    For ``httpx.AsyncClient(auth=...)``, over any transport. A hundred calls that find the token
    expired make one renewal. Over ``AsyncResilientTransport``, a call that waited in a queue goes
    out with the token of the moment, and the rate-limit scope stays the same across renewals.

    A fetch that fails fails all calls that were waiting for it; the next new call tries again. A
    renewal ahead of expiry that fails costs no call: the good token is used until it expires, and
    the next renewal is tried a second later. A call that brings a policy with a ``deadline`` waits
    no longer than that for a token; the transport's own policy is not known here, so where that
    has a ``deadline``, set ``fetch_timeout``, too.

    Args:
        fetch: An async function that returns a token, or a token and its lifetime in seconds.
        origins: The servers that may see the token, such as ``"https://vault.example"``; a
            redirect elsewhere never gets it.
        identity: Who this is, for the rate-limit scope; a name of its own if left out. Two
            instances with the same name share a scope.
        ahead: Seconds before its expiry at which a token is renewed; at most a tenth of its
            lifetime is taken.
        fetch_timeout: Seconds that a fetch may take, above 0; then it is cancelled, and the calls
            fail with ``httpx.TimeoutException``. A renewal ahead of expiry gets half of the time
            that its token is still good, if that is less.
        clock: Monotonic seconds.

    Raises:
        TypeError: ``fetch`` cannot be called, or is no async function.
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
        fetch_timeout: float = FETCH_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not callable(fetch):
            raise TypeError(f"fetch: got {type(fetch).__name__}, allowed is an async function")
        checks.asynchronous("fetch", fetch)
        checks.number("ahead", ahead, low=0)
        checks.number("fetch_timeout", fetch_timeout, low=0, above=True)
        self._fetch = fetch
        self._origins = _checked_origins(origins)
        self._identity = identity or f"token-{new_id()}"
        self._ahead = ahead
        self._fetch_timeout = fetch_timeout
        self._clock = clock
        self._lock = new_lock()
        self._token: str | None = None
        self._renew_at = self._expires_at = 0.0
        self._round = 0
        self._failure: _Failure | None = None

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
        client: http.AsyncClient | None = None,
        **options: Any,
    ) -> Self:
        """Get tokens by OAuth 2 client credentials (RFC 6749, section 4.4).

        A 4xx of the token endpoint raises ``TokenRefused``; 408, 429, 5xx and what happens on the
        way are failures: repeated within ``fetch_timeout`` by a client of the grant's own, raised
        at once where ``client`` is given (whose transport may repeat them), as ``ApiError`` or
        whatever httpx raises.

        Args:
            token_url: The token endpoint.
            client_id: Sent by HTTP Basic, as is the secret (section 2.3.1).
            client_secret: Never sent to anyone else.
            scope: Scopes to ask for, separated by spaces.
            client: What to ask with; a client of its own for each renewal if left out.
            **options: ``origins``, ``identity``, ``ahead``, ``fetch_timeout``, ``clock`` as for
                ``RefreshToken``.
        """
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        grant = Grant(token_url, form, (client_id, client_secret), client, options)
        return cls(grant.fetch, **options)

    @classmethod
    def refresh_token(
        cls,
        token_url: str,
        refresh_token: str,
        *,
        client_id: str | None = None,
        client_secret: str = "",
        client: http.AsyncClient | None = None,
        **options: Any,
    ) -> Self:
        """Get tokens by an OAuth 2 refresh token (RFC 6749, section 6).

        Failures and refusals are distinguished as by ``client_credentials``.

        Args:
            token_url: The token endpoint.
            refresh_token: The first one; where the server gives a new one, that is used next.
            client_id: Sent by HTTP Basic, if given.
            client_secret: Likewise.
            client: What to ask with; a client of its own for each renewal if left out.
            **options: ``origins``, ``identity``, ``ahead``, ``fetch_timeout``, ``clock`` as for
                ``RefreshToken``.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        basic = None if client_id is None else (client_id, client_secret)
        return cls(Grant(token_url, form, basic, client, options).fetch, **options)

    async def async_auth_flow(
        self, request: http.Request
    ) -> AsyncGenerator[http.Request, http.Response]:
        """Send a request with the token; once more with a new one if the server wants one.

        The request itself stays as it is: copies of it are sent.

        Raises:
            TokenRefused: The token was revoked or is not valid, or no new one was to be had.
            httpx.TimeoutException: No token came within ``fetch_timeout``, or within the
                ``deadline`` of the call's own policy (``DeadlineExceeded``).
        """
        if not self._covers(request.url):
            yield request
            return
        used = await self._current(request, stale=None)
        copies: list[http.Request] = []

        def stamp(outgoing: http.Request) -> None:
            nonlocal used
            if not copies or not self._covers(outgoing.url):  # httpx copies extensions, too
                return
            used = self._token or used
            outgoing.headers["Authorization"] = f"Bearer {used}"

        def stamped() -> http.Request:
            copies.append(copy := copy_of(request, request.stream, []))
            copy.extensions = {IDENTITY: self._identity, **copy.extensions, BEFORE_SEND: stamp}
            stamp(copy)
            return copy

        try:
            response = yield stamped()
            code = await self._code_of(response)
            if code in RENEWED:
                await self._current(request, stale=used)
                if replayable(request.stream)[1] is always:
                    response = yield stamped()
                    code = await self._code_of(response)
            if code in FINAL:
                self._drop(used)
                raise TokenRefused(
                    f"the server refused the token: {code}", request=request, code=code
                )
            _give_back(response, request, copies)
        finally:
            copies.clear()  # nothing is stamped from now on

    def sync_auth_flow(self, request: http.Request) -> Generator[http.Request, http.Response, None]:
        """Refuse: tokens are fetched by an async function."""
        raise RuntimeError("RefreshToken needs httpx.AsyncClient")

    def _covers(self, url: http.URL) -> bool:
        return origin_of(url) in self._origins

    async def _code_of(self, response: http.Response) -> str | None:
        if response.status_code != 401 or not self._covers(response.request.url):
            return None
        if PEEKED not in response.extensions and not is_event_stream(response.headers.raw):
            await response.aread()
        info = error_of(response)
        if info is None:
            return INVALID_TOKEN if _says_invalid_token(response.headers) else None
        dialect = response.extensions.get(DIALECT)
        return (dialect if isinstance(dialect, Dialect) else SCAIVAULT).key(info.code)

    async def _current(self, request: http.Request, stale: str | None) -> str:
        """Return a token that is good for a while and is not ``stale``; renew it if need be."""
        token = self._token
        if token is not None and self._is_usable(stale):
            is_renewed = self._lock.locked()  # by somebody, ahead of expiry
            if is_renewed or self._clock() < self._renew_at:
                return token
        with within(_deadline_of(request)):
            return await self._renewed(request, stale)
        token = self._kept(stale)
        if token is None:
            raise DeadlineExceeded("no token came within the call's deadline", request=request)
        return token

    async def _renewed(self, request: http.Request, stale: str | None) -> str:
        seen = self._round
        async with self._lock:
            token, is_news = self._token, self._round != seen
            if token is not None and self._is_usable(stale) and self._clock() < self._renew_at:
                return token
            if is_news and self._failure is not None:  # one fetch for all who waited for it
                raise self._failure.error(request)
            if is_news and token is not None:
                return token
            return await self._renew(request, stale)

    async def _renew(self, request: http.Request, stale: str | None) -> str:
        began_at = self._clock()
        try:
            token, lifetime = _checked_token(await self._fetched(stale))
        except Exception as error:
            self._round += 1
            self._failure = _Failure(error)
            kept = self._kept(stale)
            if kept is not None:
                return kept
            if isinstance(error, Refused | _Late):
                raise self._failure.error(request) from None
            raise
        self._round += 1
        self._failure = None
        self._token = token
        self._renew_at = self._expires_at = math.inf
        if lifetime is not None:
            self._expires_at = began_at + lifetime
            self._renew_at = self._expires_at - min(self._ahead, lifetime / 10)
        return token

    async def _fetched(self, stale: str | None) -> object:
        bound = self._fetch_timeout
        if self._is_usable(stale):
            bound = min(bound, (self._expires_at - self._clock()) / 2)
        with within(bound):
            return await checks.awaitable("fetch", self._fetch())
        raise _Late(f"fetch: no token came within {bound:g} s")

    def _is_usable(self, stale: str | None) -> bool:
        """Whether there is a token that has not expired yet, though it may be renewed soon."""
        return self._token not in (None, stale) and self._clock() < self._expires_at

    def _kept(self, stale: str | None) -> str | None:
        """Return the token to go on with after a failed renewal, if it is good for a while."""
        if not self._is_usable(stale):
            return None
        self._renew_at = self._clock() + _PAUSE
        return self._token

    def _drop(self, used: str) -> None:
        if self._token == used:
            self._token = None


class _Late(Exception):  # noqa: N818 - becomes a TimeoutException
    """The fetch took too long."""


class _Failure:
    """How a fetch failed: an error of its own for each call that waited for it."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = _twin(error)

    def error(self, request: http.Request) -> Exception:
        """Return the error for a call."""
        error = self._error
        if isinstance(error, Refused):
            return TokenRefused(str(error), request=request, code=error.code)
        if isinstance(error, _Late):
            return http.TimeoutException(str(error), request=request)
        return _twin(error)


def _twin(error: Exception) -> Exception:
    """Return an error that says the same, without the traceback and with notes of its own."""
    kind = type(error)
    twin = kind.__new__(kind, *error.args)  # its __init__ may want something else
    twin.__dict__.update(vars(error))
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    return twin


def _deadline_of(request: http.Request) -> float | None:
    policy = request.extensions.get(EXTENSION)
    return policy.retry.deadline if isinstance(policy, Policy) else None


def _give_back(response: http.Response, request: http.Request, copies: list[http.Request]) -> None:
    """Let responses name the user's request, and nothing that redirects copied stay in theirs."""
    for each in (response, *response.history):
        if any(each.request is copy for copy in copies):
            each.request = request
        _strip(each.request)
    if response.next_request is not None:
        _strip(response.next_request)


def _strip(request: http.Request) -> None:
    if BEFORE_SEND in request.extensions:
        kept = {k: v for k, v in request.extensions.items() if k not in (BEFORE_SEND, IDENTITY)}
        request.extensions = kept


def _says_invalid_token(headers: http.Headers) -> bool:
    """Whether a ``Bearer`` challenge says ``error="invalid_token"`` (RFC 6750, section 3)."""
    text = ", ".join(headers.get_list("WWW-Authenticate"))[:_MAX_CHALLENGES]
    scheme, at = "", 0
    while found := _CHALLENGE.match(text, at):
        at = found.end()
        scheme = (found["scheme"] or scheme).lower()
        if scheme == "bearer" and (found["name"] or "").lower() == "error":
            value = found["word"] or re.sub(r"\\(.)", r"\1", found["quoted"] or "")
            if value == INVALID_TOKEN:
                return True
    return False


def _checked_token(got: object) -> tuple[str, float | None]:
    """Return a token and its lifetime; what is wrong with them is reported without them."""
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
        url = http.URL(origin)
        if not url.is_absolute_url or url.raw_path not in (b"/", b"") or url.userinfo:
            raise ValueError(
                f"origins: got {url.host or 'no host'!r}, allowed is an origin such as "
                "'https://vault.example'"
            )
        found.add(origin_of(url))
    return frozenset(found)
