"""Bearer tokens that are renewed in time: by one caller for all, and for their own servers only."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Self, TypeVar, cast

from .._call import EXTENSION
from .._core import checks
from .._core.dialect.dialect import Dialect
from .._core.policy import Policy
from .._exchange.exchange import BEFORE_SEND
from .._http.binding import Binding, door_of, library_of
from .._http.bodies import always, is_event_stream, replayable
from .._http.fast import copy_of
from .._http.requests import new_id, origin_of
from .._http.results import DIALECT, PEEKED, error_of
from .._registry import IDENTITY
from .._runtime.anyio import new_lock, within
from .._runtime.fork import reset_in_children
from .._runtime.threads import Flight
from ..dialects.scaivault import SCAIVAULT
from ..instrumentation.attempts import outside_attempts
from .challenge import INVALID_TOKEN, says_invalid_token
from .grants import FETCH_TIMEOUT, Grant, Kinds, Refused
from .token_state import Late, TokenState

if TYPE_CHECKING:
    from .._http import typed as http

Token = str | tuple[str, float | None]
"""A token, or a token and its lifetime in seconds (None if unknown)."""

Fetch = Callable[[], Awaitable[Token]] | Callable[[], Token]
"""Returns a token: an async function for asynchronous clients, a plain one for synchronous ones."""

Request = TypeVar("Request")
Response = TypeVar("Response")
Client = TypeVar("Client")

RENEWED = ("token_expired", "authentication_required", INVALID_TOKEN)
"""Codes that a new token helps against, once per call."""

FINAL = ("token_revoked", "token_invalid")
"""Codes that say that somebody does not want this caller to go on."""


class TokenAuth(Generic[Request, Response, Client]):
    """What the ``RefreshToken`` of each library is made of; its arguments are explained there."""

    _kinds: ClassVar[Kinds]

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
            raise TypeError(f"fetch: got {type(fetch).__name__}, allowed is a function")
        checks.no_generator("fetch", fetch)
        checks.number("ahead", ahead, low=0)
        checks.number("fetch_timeout", fetch_timeout, low=0, above=True)
        self._fetch: Any = fetch
        self._fetch_now: Any = fetch
        binding = self._kinds.asynchronous
        self._origins = _checked_origins(origins, binding.library.URL)
        self._identity = identity or f"token-{new_id()}"
        self._fetch_timeout = fetch_timeout
        self._clock = clock
        self._state = TokenState(binding, ahead, clock)
        self._reset_locks()
        reset_in_children(self._reset_locks)

    def _reset_locks(self) -> None:
        """Make new locks: in the child of a fork, a thread of the parent may have held them."""
        self._lock = new_lock()
        self._flight = Flight()

    def __repr__(self) -> str:
        return f"<RefreshToken for {', '.join(sorted(self._origins))}>"

    def __call__(self, request: object) -> NoReturn:
        """Refuse to serve a client of the other library, which takes it for a function."""
        name, other = self._kinds.asynchronous.name, library_of(request)
        text = f"auth: got the RefreshToken for {name}, allowed is one for {other}"
        raise TypeError(
            text if other is None else f"{text}: from {door_of(other)} import RefreshToken"
        )

    @classmethod
    def client_credentials(
        cls,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str | None = None,
        client: Client | None = None,
        **options: Any,
    ) -> Self:
        """Get tokens by OAuth 2 client credentials (RFC 6749, section 4.4).

        A 4xx of the token endpoint raises ``TokenRefused``; 408, 429, 5xx and what happens on the
        way are failures: repeated within ``fetch_timeout`` by a client of the grant's own, raised
        at once where ``client`` is given (whose transport may repeat them), as ``ApiError`` or
        whatever the library raises.

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
        basic = (client_id, client_secret)
        return cls._of(Grant(cls._kinds, token_url, form, basic, client, options), options)

    @classmethod
    def refresh_token(
        cls,
        token_url: str,
        refresh_token: str,
        *,
        client_id: str | None = None,
        client_secret: str = "",
        client: Client | None = None,
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
        return cls._of(Grant(cls._kinds, token_url, form, basic, client, options), options)

    @classmethod
    def _of(cls, grant: Grant, options: dict[str, Any]) -> Self:
        token = cls(grant.fetch, **options)
        token._fetch_now = grant.fetch_now
        return token

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Send a request with the token; once more with a new one if the server wants one.

        The request itself stays as it is: copies of it are sent.

        Raises:
            TokenRefused: The token was revoked or is not valid, or no new one was to be had.
            TimeoutException: No token came within ``fetch_timeout``, or within the ``deadline`` of
                the call's own policy (``DeadlineExceeded``); the library's own class.
        """
        call = self._stamped(request, self._kinds.asynchronous)
        if not call.is_covered:
            yield request
            return
        call.used = await self._current(call.request, stale=None)
        try:
            response: Any = yield call.stamped()
            if call.is_refused(response):
                await response.aread()
            if call.is_stale(response):
                await self._current(call.request, stale=call.used)
                if call.is_replayable:
                    response = yield call.stamped()
                    if call.is_refused(response):
                        await response.aread()
            call.finish(response)
        finally:
            call.close()

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """As ``async_auth_flow``, for synchronous clients."""
        call = self._stamped(request, self._kinds.synchronous)
        if not call.is_covered:
            yield request
            return
        call.used = self._current_now(call.request, stale=None)
        try:
            response: Any = yield call.stamped()
            if call.is_refused(response):
                response.read()
            if call.is_stale(response):
                self._current_now(call.request, stale=call.used)
                if call.is_replayable:
                    response = yield call.stamped()
                    if call.is_refused(response):
                        response.read()
            call.finish(response)
        finally:
            call.close()

    def _stamped(self, request: Any, binding: Binding) -> _Stamped:
        return _Stamped(self._state, self._origins, self._identity, request, binding)

    async def _current(self, request: http.Request, stale: str | None) -> str:
        """Return a token that is good for a while and is not ``stale``; renew it if need be."""
        state = self._state
        token = state.good(stale, is_renewed=self._lock.locked())
        if token is not None:
            return token
        with within(_deadline_of(request)):
            seen = state.round
            async with self._lock:
                return state.news(seen, stale, request) or await self._renewed(request, stale)
        return self._late(request, stale)

    async def _renewed(self, request: http.Request, stale: str | None) -> str:
        state, began_at = self._state, self._clock()
        bound = state.bound(self._fetch_timeout, stale)
        try:
            checks.asynchronous("fetch", self._fetch)
            with within(bound), outside_attempts():
                return state.took(await checks.awaitable("fetch", self._fetch()), began_at)
            raise Late(f"fetch: no token came within {bound:g} s")
        except Exception as error:
            kept = state.failed(error, stale)
            if kept is not None:
                return kept
            if isinstance(error, Refused | Late) and state.failure is not None:
                raise state.failure.error(request) from None
            raise

    def _current_now(self, request: http.Request, stale: str | None) -> str:
        """As ``_current``, in a thread."""
        state = self._state
        token = state.good(stale, is_renewed=self._flight.is_under_way)
        if token is not None:
            return token
        deadline = _deadline_of(request)
        bound = self._fetch_timeout if deadline is None else min(deadline, self._fetch_timeout)
        seen, flight = state.round, self._flight
        if flight.take(bound):
            try:
                return state.news(seen, stale, request) or self._renewed_now(request, stale)
            finally:
                flight.land()
        if deadline is None or bound < deadline:
            kept = state.kept(stale)
            if kept is None:
                error: Exception = self._kinds.synchronous.library.TimeoutException(
                    f"fetch: no token came within {bound:g} s", request=request
                )
                raise error
            return kept
        return self._late(request, stale)

    def _renewed_now(self, request: http.Request, stale: str | None) -> str:
        state, began_at = self._state, self._clock()
        try:
            checks.plain("fetch", self._fetch_now, allowed="a plain function")
            with outside_attempts():
                got = self._fetch_now()
            checks.no_awaitable("fetch", got)
            return state.took(got, began_at)
        except Exception as error:
            kept = state.failed(error, stale)
            if kept is not None:
                return kept
            if isinstance(error, Refused) and state.failure is not None:
                raise state.failure.error(request) from None
            raise

    def _late(self, request: http.Request, stale: str | None) -> str:
        """Return the token to go on with when a call's deadline is over."""
        token = self._state.kept(stale)
        if token is None:
            late: Any = self._kinds.asynchronous.errors.deadline
            raise cast(
                "Exception", late("no token came within the call's deadline", request=request)
            )
        return token


class _Stamped:
    """One call's copies of its request, which bear the token of the moment."""

    def __init__(
        self,
        state: TokenState,
        origins: frozenset[str],
        identity: str,
        request: Any,
        binding: Binding,
    ) -> None:
        self._state = state
        self._origins = origins
        self._identity = identity
        self._binding = binding
        self._copies: list[http.Request] = []
        self.request: http.Request = request
        self.is_covered = self._covers(request.url)
        self.used = ""

    def _covers(self, url: http.URL) -> bool:
        return origin_of(url) in self._origins

    def _stamp(self, outgoing: http.Request) -> None:
        # httpx copies extensions, too: a redirect elsewhere has us in them.
        if not self._copies or not self._covers(outgoing.url):
            return
        self.used = self._state.token or self.used
        outgoing.headers["Authorization"] = f"Bearer {self.used}"

    def stamped(self) -> Any:
        """Return a copy of the request that is stamped, again before each send."""
        self._copies.append(copy := copy_of(self.request, self.request.stream, []))
        own = {IDENTITY: self._identity, **copy.extensions, BEFORE_SEND: self._stamp}
        copy.extensions = own
        self._stamp(copy)
        return copy

    @property
    def is_replayable(self) -> bool:
        """Whether the body can be sent again."""
        return replayable(self.request.stream, self._binding)[1] is always

    def is_refused(self, response: http.Response) -> bool:
        """Return whether a response has to be read, for it may say that the token is no good."""
        if response.status_code != 401 or not self._covers(response.request.url):
            return False
        return PEEKED not in response.extensions and not is_event_stream(response.headers.raw)

    def _code_of(self, response: http.Response) -> str | None:
        if response.status_code != 401 or not self._covers(response.request.url):
            return None
        info = error_of(response)
        if info is None:
            return INVALID_TOKEN if says_invalid_token(response.headers) else None
        dialect = response.extensions.get(DIALECT)
        return (dialect if isinstance(dialect, Dialect) else SCAIVAULT).key(info.code)

    def is_stale(self, response: http.Response) -> bool:
        """Return whether a new token helps."""
        return self._code_of(response) in RENEWED

    def finish(self, response: http.Response) -> None:
        """Give the response back.

        Raises:
            TokenRefused: The server does not want this caller to go on.
        """
        code = self._code_of(response)
        if code in FINAL:
            self._state.drop(self.used)
            text = f"the server refused the token: {code}"
            raise self._binding.errors.token(text, request=self.request, code=code)
        _give_back(response, self.request, self._copies)

    def close(self) -> None:
        """Stamp nothing from now on."""
        self._copies.clear()


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


def _checked_origins(origins: Iterable[str], parse: type[http.URL]) -> frozenset[str]:
    listed = [origins] if isinstance(origins, str) else list(origins)
    if not listed:
        raise ValueError("origins: got none, allowed are those that may see the token")
    found = set()
    for origin in listed:
        url = parse(origin)
        if not url.is_absolute_url or url.raw_path not in (b"/", b"") or url.userinfo:
            raise ValueError(
                f"origins: got {url.host or 'no host'!r}, allowed is an origin such as "
                "'https://vault.example'"
            )
        found.add(origin_of(url))
    return frozenset(found)
