"""Tokens: renewed in time, once for all, for their own servers only, and told to nobody else."""

import functools
import gc
import io
import logging
import traceback
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, cast
from unittest.mock import AsyncMock

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    ApiError,
    AsyncResilientTransport,
    DeadlineExceeded,
    Dialect,
    Policy,
    RefreshToken,
    RetryPolicy,
    ThrottlePolicy,
    TokenRefused,
    error_of,
    history_of,
)
from httpx_resilience._http.with_httpx import ASYNC
from httpx_resilience.testing import FakeScaiVault, Fault, Limit
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, coded

pytestmark = pytest.mark.anyio

VAULT = "https://vault.example"
OTHER = "https://other.example"
PLENTY = {"list": Limit(1_000_000), "auth": Limit(1_000_000)}
EXPIRED = coded(401, "token_expired")


class Server(httpx.AsyncBaseTransport):
    """A vault some way off, in virtual time; it notes what authorizations came."""

    def __init__(self, *, takes: float = 0.05, lifetime: float = 300.0) -> None:
        self.vault = FakeScaiVault(clock=anyio.current_time, limits=PLENTY)
        self.lifetime = lifetime
        self.takes = takes
        self.fetches = 0
        self.sent: list[tuple[float, str]] = []
        self._inner = httpx.ASGITransport(self.vault)

    async def fetch(self) -> tuple[str, float | None]:
        """Issue a token, as a login would; its lifetime is not told."""
        self.fetches += 1
        await anyio.sleep(0.5)
        return self.vault.issue_token("alice", lifetime=self.lifetime), None

    async def fetch_timed(self) -> tuple[str, float | None]:
        token, _ = await self.fetch()
        return token, self.lifetime

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        at = anyio.current_time()
        self.sent.append((at, request.headers.get("Authorization", "")))
        await anyio.sleep(self.takes)
        return await self._inner.handle_async_request(request)


OVER: dict[str, Callable[[Server], httpx.AsyncBaseTransport]] = {
    "ours": lambda server: AsyncResilientTransport(server),
    "a bare one": lambda server: server,
}


@pytest.fixture(params=OVER)
def over(request: pytest.FixtureRequest) -> Callable[[Server], httpx.AsyncBaseTransport]:
    return OVER[request.param]


def auth_of(fetch: Any, **more: Any) -> RefreshToken:
    more.setdefault("clock", anyio.current_time)
    return RefreshToken(fetch, origins=[VAULT], **more)


async def together(client: httpx.AsyncClient, count: int, url: str = f"{VAULT}/v1/secrets") -> Any:
    """Send calls at the same time; return what each came to."""
    results: list[httpx.Response | Exception] = []

    async def one() -> None:
        try:
            results.append(await client.get(url))
        except Exception as error:  # noqa: BLE001 - it is looked at
            results.append(error)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(one)
    return results


def nothing_old_was_sent(server: Server) -> bool:
    """Whether no token was sent after a later one had been."""
    tokens = [token for _, token in server.sent]
    order = list(dict.fromkeys(tokens))
    return tokens == sorted(tokens, key=order.index)


# One renewal for all.


async def test_a_hundred_calls_that_find_the_token_expired_make_one_renewal(over: Any) -> None:
    server = Server(lifetime=60.0)
    auth = auth_of(server.fetch)
    async with httpx.AsyncClient(transport=over(server), auth=auth) as client:
        for round_number in range(1, 5):
            results = await together(client, 100)
            assert [r.status_code for r in results] == [200] * 100
            assert server.fetches == round_number
            assert nothing_old_was_sent(server)
            await anyio.sleep(100.0)
    assert {seen.identity for seen in server.vault.log} == {"alice"}
    assert {seen.code for seen in server.vault.log} == {None, "token_expired"}


async def test_calls_that_come_while_tokens_expire_lose_none_and_go_back_to_no_old_one(
    over: Any,
) -> None:
    server = Server(lifetime=3.0)
    auth = auth_of(server.fetch)
    statuses: list[int] = []

    async def one(client: httpx.AsyncClient, n: int) -> None:
        await anyio.sleep(n * 0.1)
        statuses.append((await client.get(f"{VAULT}/v1/secrets")).status_code)

    async with (
        httpx.AsyncClient(transport=over(server), auth=auth) as client,
        anyio.create_task_group() as group,
    ):
        for n in range(100):
            group.start_soon(one, client, n)
    assert statuses == [200] * 100
    assert server.fetches == 3  # ten seconds: half a second for each, and three that it lives
    assert nothing_old_was_sent(server)


async def test_a_token_is_renewed_ahead_of_its_expiry(over: Any) -> None:
    server = Server(lifetime=100.0)
    auth = auth_of(server.fetch_timed, ahead=5.0)
    async with httpx.AsyncClient(transport=over(server), auth=auth) as client:
        await client.get(f"{VAULT}/v1/secrets")
        began = anyio.current_time()
        await anyio.sleep_until(began + 93.0)
        await client.get(f"{VAULT}/v1/secrets")
        assert server.fetches == 1
        await anyio.sleep_until(began + 95.5)
        results = await together(client, 20)
    assert server.fetches == 2
    assert [r.status_code for r in results] == [200] * 20
    assert all(seen.code is None for seen in server.vault.log)


async def test_ahead_takes_at_most_a_tenth_of_a_lifetime() -> None:
    server = Server(lifetime=10.0)
    auth = auth_of(server.fetch_timed, ahead=30.0)
    async with httpx.AsyncClient(transport=server, auth=auth) as client:
        for _ in range(80):  # 8 s
            await client.get(f"{VAULT}/v1/secrets")
            await anyio.sleep(0.05)
    assert server.fetches == 1


async def test_a_token_whose_lifetime_nobody_knows_is_used_until_it_is_refused() -> None:
    server = Server(lifetime=1e6)
    async with httpx.AsyncClient(transport=server, auth=auth_of(server.fetch)) as client:
        for _ in range(3):
            await client.get(f"{VAULT}/v1/secrets")
            await anyio.sleep(40_000.0)
    assert server.fetches == 1


async def test_a_server_that_wants_a_token_gets_a_new_one(over: Any) -> None:
    server = Server()
    server.vault.script([Fault.code("authentication_required")])
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client:
        assert (await client.get(f"{VAULT}/v1/secrets")).status_code == 200
    assert server.fetches == 2


async def test_a_cancelled_renewal_hands_on_to_the_next_call() -> None:
    server = Server()
    auth = auth_of(server.fetch)
    done: list[int] = []

    async def one(client: httpx.AsyncClient) -> None:
        done.append((await client.get(f"{VAULT}/v1/secrets")).status_code)

    async with (
        httpx.AsyncClient(transport=server, auth=auth) as client,
        anyio.create_task_group() as group,
    ):
        with anyio.move_on_after(0.2):
            async with anyio.create_task_group() as first:
                first.start_soon(one, client)
                await anyio.sleep(0.1)
                group.start_soon(one, client)
                group.start_soon(one, client)
    assert (done, server.fetches) == ([200, 200], 2)


async def test_what_a_fetch_raises_comes_out_and_the_next_call_tries_again() -> None:
    server, failures = Server(), [httpx.ConnectError("x"), KeyError("y")]

    async def fetch() -> tuple[str, float | None]:
        if failures:
            raise failures.pop(0)
        return await server.fetch()

    async with httpx.AsyncClient(transport=server, auth=auth_of(fetch)) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{VAULT}/v1/secrets")
        with pytest.raises(KeyError):
            await client.get(f"{VAULT}/v1/secrets")
        assert (await client.get(f"{VAULT}/v1/secrets")).status_code == 200


# A token endpoint that is down.


class Login:
    """A fetch that takes a while, and does what its script says; the last line again."""

    def __init__(
        self, *script: str | Exception, takes: float = 1.0, lifetime: float = 100.0
    ) -> None:
        self.script: Sequence[str | Exception] = script
        self.takes = takes
        self.lifetime = lifetime
        self.began_at: list[float] = []

    async def __call__(self) -> tuple[str, float | None]:
        self.began_at.append(anyio.current_time())
        line, *rest = self.script
        self.script = rest or [line]
        await anyio.sleep(self.takes)
        if isinstance(line, Exception):
            raise line
        return line, self.lifetime


DOWN = httpx.ConnectError("the login is down")


async def test_one_failed_fetch_fails_all_who_wait_and_the_next_new_call_tries_again(
    over: Any,
) -> None:
    login, server = Login(DOWN), Server()
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(login)) as client:
        began = anyio.current_time()
        results = await together(client, 20)
        assert anyio.current_time() - began == pytest.approx(1.0)
        assert len(login.began_at) == 1
        assert [(type(e), str(e)) for e in results] == [(httpx.ConnectError, str(DOWN))] * 20
        assert len({id(error) for error in results}) == 20
        assert server.sent == []
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{VAULT}/v1/secrets")
        assert len(login.began_at) == 2
        login.script = [server.vault.issue_token("alice")]
        assert [r.status_code for r in await together(client, 20)] == [200] * 20
    assert len(login.began_at) == 3


async def test_one_failed_renewal_of_a_token_that_the_server_refused_fails_all_who_wait() -> None:
    login, inner = Login("t1", DOWN), Scripted(EXPIRED._replace(takes=1.0))
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner, policy=Policy(throttle=None)), auth=auth_of(login)
    ) as client:
        results = await together(client, 20)
    assert {type(error) for error in results} == {httpx.ConnectError}
    assert len(login.began_at) == 2


class DemandingError(Exception):
    """An error that wants more than its text."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


async def test_each_who_waited_gets_the_failure_with_its_text_and_attributes_alone() -> None:
    failure = DemandingError(7, why="because")
    failure.add_note("once")
    async with httpx.AsyncClient(transport=Server(), auth=auth_of(Login(failure))) as client:
        results = await together(client, 3)
    assert [(str(e), e.args, e.code) for e in results] == [("7: because", ("7: because",), 7)] * 3
    for error in results:
        error.add_note("mine")
    assert [error.__notes__ for error in results] == [["once", "mine"]] * 3
    waited = [error for error in results if error is not failure]
    assert len(waited) == 2
    for error in waited:
        assert error.__cause__ is None
        assert error.__context__ is None


@pytest.mark.parametrize("failure", [DOWN, "late", "refused"])
async def test_a_shared_failure_leaves_no_reference_cycle(failure: Any) -> None:
    made: list[weakref.ref[httpx.Request]] = []

    async def refuse(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(1.0)
        return httpx.Response(400, json={"error": "invalid_grant"})

    async def down() -> str:
        await anyio.sleep(1.0)
        raise httpx.ConnectError("down")

    auths = {
        "late": auth_of(Login("t", takes=99.0), fetch_timeout=2.0),
        "refused": RefreshToken.refresh_token(
            f"{OTHER}/token",
            "r",
            origins=[VAULT],
            client=httpx.AsyncClient(transport=httpx.MockTransport(refuse)),
        ),
    }
    auth = auths.get(failure, auth_of(down))

    async def one(client: httpx.AsyncClient) -> None:
        request = client.build_request("PUT", URL, content=b"x" * 1000)
        made.append(weakref.ref(request))
        with pytest.raises((httpx.TransportError, TokenRefused)):
            await client.send(request)

    async with httpx.AsyncClient(transport=Server(), auth=auth) as client:
        gc.collect()
        gc.disable()
        try:
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(one, client)
            await anyio.sleep(1.0)
            assert [ref() for ref in made] == [None] * 10
        finally:
            gc.enable()


async def test_the_fetch_is_within_the_deadline_of_the_call() -> None:
    login, server = Login("t", takes=9999.0), Server()
    policy = Policy(retry=RetryPolicy(deadline=2.0))
    errors: list[tuple[float, Exception]] = []

    async def one(client: httpx.AsyncClient) -> None:
        began = anyio.current_time()
        try:
            await client.get(URL, extensions={"resilience": policy})
        except httpx.TimeoutException as error:
            errors.append((anyio.current_time() - began, error))

    async with (
        httpx.AsyncClient(transport=AsyncResilientTransport(server), auth=auth_of(login)) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):  # who fetches, and who waits
            group.start_soon(one, client)
            await anyio.sleep(0.5)
    assert [round(took, 6) for took, _ in errors] == [2.0] * 3
    for _, error in errors:
        assert isinstance(error, DeadlineExceeded)
        assert str(error) == "no token came within the call's deadline"
        assert error.request.url == URL
    assert server.sent == []


async def test_one_whose_deadline_ends_the_fetch_does_not_fail_the_others() -> None:
    server = Server()
    login = Login(server.vault.issue_token("alice"), takes=3.0)
    short = {"resilience": Policy(retry=RetryPolicy(deadline=2.0))}
    results: list[httpx.Response] = []

    async def one(client: httpx.AsyncClient) -> None:
        results.append(await client.get(f"{VAULT}/v1/secrets"))

    async def hasty(client: httpx.AsyncClient) -> None:
        with pytest.raises(DeadlineExceeded):
            await client.get(f"{VAULT}/v1/secrets", extensions=short)

    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(server), auth=auth_of(login)
    ) as client:
        began = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(hasty, client)
            await anyio.sleep(0.5)
            for _ in range(3):
                group.start_soon(one, client)
    assert [response.status_code for response in results] == [200] * 3
    assert [at - began for at in login.began_at] == pytest.approx([0.0, 2.0])


async def test_cancelling_the_one_who_fetches_has_the_next_fetch_and_fails_nobody(
    over: Any,
) -> None:
    server = Server()
    login = Login(server.vault.issue_token("alice"))
    results: list[httpx.Response] = []

    async def one(client: httpx.AsyncClient) -> None:
        results.append(await client.get(f"{VAULT}/v1/secrets"))

    async with (
        httpx.AsyncClient(transport=over(server), auth=auth_of(login)) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(3):  # three are cancelled, one after the other
            scope = anyio.CancelScope()

            async def cancelled(scope: anyio.CancelScope = scope) -> None:
                with scope:
                    await one(client)

            group.start_soon(cancelled)
            await anyio.sleep(0.1)
            group.start_soon(one, client)
            await anyio.sleep(0.1)
            scope.cancel()
    assert [response.status_code for response in results] == [200] * 3
    assert len(login.began_at) == 2  # the first was cancelled, the next who waited went on


@pytest.mark.parametrize(("more", "bound"), [({}, 30.0), ({"fetch_timeout": 4.0}, 4.0)])
async def test_a_fetch_has_a_bound_of_its_own(over: Any, more: Any, bound: float) -> None:
    login = Login("t", takes=9999.0)
    async with httpx.AsyncClient(transport=over(Server()), auth=auth_of(login, **more)) as client:
        began = anyio.current_time()
        results = await together(client, 5)
        assert anyio.current_time() - began == pytest.approx(bound)
    assert len(login.began_at) == 1
    assert {type(error) for error in results} == {httpx.TimeoutException}
    assert {str(error) for error in results} == {f"fetch: no token came within {bound:g} s"}
    assert len({id(error.request) for error in results}) == 5


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), "30", None])
def test_a_bound_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^fetch_timeout: got .* a finite number"):
        RefreshToken(token, origins=[VAULT], fetch_timeout=value)


@pytest.mark.parametrize(
    "failure", [DOWN, ValueError("x"), "a token\n"], ids=["down", "raised", "no token"]
)
async def test_a_failed_renewal_ahead_of_expiry_leaves_the_good_token_in_use(
    over: Any, failure: Any
) -> None:
    server = Server()
    login = Login(server.vault.issue_token("alice"), failure, takes=0.1)
    auth = auth_of(login, ahead=5.0)
    async with httpx.AsyncClient(transport=over(server), auth=auth) as client:
        await client.get(f"{VAULT}/v1/secrets")
        (began,) = login.began_at
        await anyio.sleep_until(began + 94.0)
        for _ in range(100):  # 5 s
            assert (await client.get(f"{VAULT}/v1/secrets")).status_code == 200
        assert anyio.current_time() < began + 100.0
        tries = login.began_at[1:]
        assert 3 <= len(tries) <= 5
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert min(gaps) >= 1.0
        assert max(gaps) < 1.3
        await anyio.sleep_until(began + 100.0)
        count = len(login.began_at)
        with pytest.raises((httpx.ConnectError, ValueError)):  # now there is none that is good
            await client.get(f"{VAULT}/v1/secrets")
        assert len(login.began_at) == count + 1
        login.script = [server.vault.issue_token("alice")]
        assert (await client.get(f"{VAULT}/v1/secrets")).status_code == 200


async def test_a_renewal_ahead_of_expiry_that_is_refused_leaves_the_good_token_in_use() -> None:
    async def grant(_: httpx.Request) -> httpx.Response:
        if login.attempts == 1:
            return httpx.Response(200, json={"access_token": "t1", "expires_in": 100})
        return httpx.Response(400, json={"error": "invalid_grant"})

    login, api = Scripted(grant), Scripted(OK)
    async with (
        httpx.AsyncClient(transport=login) as asking,
        httpx.AsyncClient(transport=api) as client,
    ):
        client.auth = RefreshToken.refresh_token(
            f"{OTHER}/token", "r0", client=asking, origins=[VAULT], clock=anyio.current_time
        )
        began = anyio.current_time()
        for seconds in (0, 95, 99):
            await anyio.sleep_until(began + seconds)
            assert (await client.get(URL)).status_code == 200
        await anyio.sleep_until(began + 100)
        with pytest.raises(TokenRefused):
            await client.get(URL)
    assert login.attempts == 4


async def test_a_renewal_ahead_of_expiry_that_hangs_costs_no_call_its_good_token() -> None:
    login, inner = Login("t1"), Scripted(OK)
    async with httpx.AsyncClient(transport=inner, auth=auth_of(login, ahead=10.0)) as client:
        await client.get(URL)
        (began,) = login.began_at
        login.takes = 9999.0
        await anyio.sleep_until(began + 90.0)
        took: list[float] = []

        async def one() -> None:
            at = anyio.current_time()
            assert (await client.get(URL)).status_code == 200
            took.append(anyio.current_time() - at)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(one)
                await anyio.sleep(0.1)
    assert len(took) == 20
    assert sorted(took)[:19] == pytest.approx([0.0] * 19)  # one tries, the others need not wait
    assert max(took) == pytest.approx(5.0)  # half of what is left


async def test_a_deadline_that_ends_a_renewal_ahead_of_expiry_leaves_the_good_token_in_use() -> (
    None
):
    login, inner = Login("t1"), Scripted(OK)
    short = {"resilience": Policy(retry=RetryPolicy(deadline=2.0))}
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner), auth=auth_of(login, ahead=10.0)
    ) as client:
        await client.get(URL)
        login.takes = 9999.0
        await anyio.sleep_until(login.began_at[0] + 90.0)
        for took in (2.0, 0.0):  # the second is within a second of the first
            began = anyio.current_time()
            assert (await client.get(URL, extensions=short)).status_code == 200
            assert anyio.current_time() - began == pytest.approx(took)
    assert len(login.began_at) == 2


# For its own servers only.


def redirecting(to: str) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(307, headers={"Location": to})

    return answer


async def token() -> str:
    return "t0ken"


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    "to", [OTHER, "https://vault.example:8443", "https://x.vault.example", "http://vault.example"]
)
async def test_a_redirect_to_another_origin_never_carries_the_token(to: str, bare: bool) -> None:
    inner = Scripted(redirecting(f"{to}/v1"), UNAVAILABLE, OK)
    transport = inner if bare else AsyncResilientTransport(inner)
    async with httpx.AsyncClient(
        transport=transport, auth=auth_of(token), follow_redirects=True
    ) as client:
        await client.get(f"{VAULT}/v1")
    assert inner.requests[0].headers["Authorization"] == "Bearer t0ken"
    assert inner.attempts == (2 if bare else 3)
    for sent in inner.requests[1:]:
        assert str(sent.url) == f"{to}/v1"
        assert "Authorization" not in sent.headers


async def test_a_redirect_within_the_origin_carries_the_token() -> None:
    inner = Scripted(redirecting("/v2"), OK)
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner), auth=auth_of(token), follow_redirects=True
    ) as client:
        await client.get(f"{VAULT}/v1")
    assert [sent.headers["Authorization"] for sent in inner.requests] == ["Bearer t0ken"] * 2


async def test_a_redirect_that_comes_back_asks_nobody_else_for_a_new_token() -> None:
    asked: list[bool] = []

    async def fetch() -> str:
        asked.append(True)
        return "t0ken"

    inner = Scripted(redirecting(f"{OTHER}/v1"), EXPIRED)
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner), auth=auth_of(fetch), follow_redirects=True
    ) as client:
        assert (await client.get(f"{VAULT}/v1")).status_code == 401
    assert asked == [True]  # what another server says of tokens is not about this one


async def test_a_request_to_another_server_goes_without_token_and_fetches_none() -> None:
    server, inner = Server(), Scripted(OK)
    async with httpx.AsyncClient(transport=inner, auth=auth_of(server.fetch)) as client:
        await client.get(f"{OTHER}/v1")
    assert "Authorization" not in inner.requests[0].headers
    assert server.fetches == 0


@pytest.mark.parametrize(
    "origins", [[], [""], ["vault.example"], [f"{VAULT}/v1"], ["https://u:p@vault.example"], "/"]
)
def test_origins_that_are_none_are_refused(origins: Any) -> None:
    with pytest.raises(ValueError, match="origins: got"):
        RefreshToken(token, origins=origins)


def test_one_origin_may_stand_alone_and_with_its_schemes_port() -> None:
    assert repr(RefreshToken(token, origins=f"{VAULT}:443")) == f"<RefreshToken for {VAULT}>"


# Where it ends.


@pytest.mark.parametrize("code", ["token_revoked", "token_invalid"])
async def test_a_token_that_is_not_wanted_ends_in_one_clear_error(over: Any, code: str) -> None:
    server = Server()
    server.vault.script([Fault.code(code)])
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client:
        with pytest.raises(TokenRefused, match=f"the server refused the token: {code}") as caught:
            await client.get(f"{VAULT}/v1/secrets")
        assert caught.value.code == code
        assert caught.value.request.url == f"{VAULT}/v1/secrets"
        assert (server.fetches, len(server.sent)) == (1, 1)
        assert (await client.get(f"{VAULT}/v1/secrets")).status_code == 200  # with a new one
    assert server.fetches == 2


async def test_a_token_that_is_not_wanted_after_its_renewal_ends_there_too(over: Any) -> None:
    server = Server()
    server.vault.script([Fault.code("token_expired"), Fault.code("token_revoked")])
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client:
        with pytest.raises(TokenRefused, match="token_revoked"):
            await client.get(f"{VAULT}/v1/secrets")
    assert (server.fetches, len(server.sent)) == (2, 2)


async def test_a_token_that_is_expired_twice_ends_in_the_second_answer(over: Any) -> None:
    server = Server(lifetime=0.0)
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client:
        response = await client.get(f"{VAULT}/v1/secrets")
    info = error_of(response)
    assert info is not None
    assert (response.status_code, info.code) == (401, "token_expired")
    assert (server.fetches, len(server.sent)) == (2, 2)


@pytest.mark.parametrize("answer", [Reply(401, (b"<html>",)), coded(401, "mfa_required"), OK])
async def test_any_other_answer_is_left_alone(answer: Reply) -> None:
    inner = Scripted(answer)
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner), auth=auth_of(token)
    ) as client:
        response = await client.get(URL)
    assert (response.status_code, response.content) == (answer.status, b"".join(answer.chunks))
    assert inner.attempts == 1


async def test_a_one_shot_body_is_not_sent_again_after_a_401(over: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"value": 1}'

    server = Server()
    server.vault.script([Fault.code("token_expired")])
    async with httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client:
        url = f"{VAULT}/v1/secrets/a"
        response = await client.put(url, content=chunks())
        assert (response.status_code, len(server.sent)) == (401, 1)
        assert response.json()["error"]["code"] == "token_expired"
        assert (await client.put(url, json={"value": 1})).status_code == 201
    assert server.fetches == 2  # the next call finds a fresh token


async def test_the_body_of_a_401_is_read_once() -> None:
    large = Reply(401, (*EXPIRED.chunks, *[b" " * 9000] * 20), EXPIRED.headers)
    inner = Scripted(large)
    async with httpx.AsyncClient(
        transport=AsyncResilientTransport(inner), auth=auth_of(token)
    ) as client:
        response = await client.get(URL)
    assert len(response.content) == sum(map(len, large.chunks))
    assert [stream.iterations for stream in inner.streams] == [1, 1]
    assert all(stream.is_closed for stream in inner.streams)


async def test_a_401_that_is_streamed_is_looked_at_and_not_read_to_its_end() -> None:
    denied = coded(401, "mfa_required")
    inner = Scripted(denied._replace(chunks=(*denied.chunks, *[b" " * 9000] * 20)))
    async with (
        httpx.AsyncClient(transport=AsyncResilientTransport(inner), auth=auth_of(token)) as client,
        client.stream("GET", URL) as response,
    ):
        assert response.status_code == 401
        assert not inner.streams[0].is_read_to_its_end


async def test_a_stream_that_is_asked_for_can_be_read_after_a_renewal(over: Any) -> None:
    server = Server()
    server.vault.script([Fault.code("token_expired")])
    async with (
        httpx.AsyncClient(transport=over(server), auth=auth_of(server.fetch)) as client,
        client.stream("GET", f"{VAULT}/v1/secrets") as response,
    ):
        assert await response.aread() == b'{"secrets":[]}'


# What counts as expired.


LOUD = Dialect.from_toml('name = "loud"\nenvelope = {ignore_case = true}')


async def renewals(answer: Reply, dialect: Dialect | None) -> int:
    """Return how often a token was renewed for an answer that stays the same."""
    login, inner = Login("t1", "t2", "t3"), Scripted(answer)
    transport = AsyncResilientTransport(inner, dialect=dialect) if dialect is not None else inner
    async with httpx.AsyncClient(transport=transport, auth=auth_of(login)) as client:
        response = await client.get(URL)
    assert response.status_code == answer.status
    assert len(login.began_at) == inner.attempts
    return len(login.began_at) - 1


@pytest.mark.parametrize("code", ["TOKEN_EXPIRED", "Token_Expired", "AUTHENTICATION_REQUIRED"])
async def test_a_code_is_compared_as_the_dialect_says(code: str) -> None:
    assert await renewals(coded(401, code), LOUD) == 1
    assert await renewals(coded(401, code), GENERIC) == 0


async def test_a_final_code_is_compared_as_the_dialect_says() -> None:
    transport = AsyncResilientTransport(Scripted(coded(401, "TOKEN_REVOKED")), dialect=LOUD)
    async with httpx.AsyncClient(transport=transport, auth=auth_of(token)) as client:
        with pytest.raises(TokenRefused, match="the server refused the token: token_revoked"):
            await client.get(URL)


def challenged(*challenges: str, body: bytes = b"", status: int = 401) -> Reply:
    return Reply(status, (body,), tuple(("WWW-Authenticate", each) for each in challenges))


@pytest.mark.parametrize("dialect", [None, GENERIC, LOUD], ids=["bare", "generic", "loud"])
@pytest.mark.parametrize(
    "challenges",
    [
        ('Bearer error="invalid_token"',),
        ("Bearer error=invalid_token",),
        ('bearer ERROR = "invalid_token"',),
        ('Bearer realm="a, b", error="invalid_token", error_description="it \\"expired\\""',),
        ('Bearer error="invalid\\_token"',),
        ('Bearer realm="x"', 'Bearer error="invalid_token"'),
        ('Basic realm="x", Bearer realm="y", error="invalid_token"',),
        ("Negotiate YWJj==, Bearer error=invalid_token",),
        (', ,Bearer scope="a b" ,, error="invalid_token"',),
    ],
)
async def test_a_challenge_that_says_invalid_token_counts_as_expired(
    challenges: tuple[str, ...], dialect: Dialect | None
) -> None:
    assert await renewals(challenged(*challenges), dialect) == 1
    assert await renewals(challenged(*challenges, body=b"<html>no"), dialect) == 1


@pytest.mark.parametrize(
    "challenges",
    [
        (),
        ("Bearer",),
        ('Bearer realm="x"',),
        ('Bearer error="invalid_request"',),
        ('Bearer error="insufficient_scope"',),
        ('Bearer error_description="invalid_token"',),
        ('Bearer realm="error=invalid_token"',),
        ('Basic realm="Bearer error=invalid_token"',),
        ('Basic realm="\\", Bearer error=\\"invalid_token\\""',),
        ('DPoP error="invalid_token"',),
        ('Bearer realm="x", DPoP error="invalid_token"',),
        ('Bearer error="invalid_token',),
        ('Bearer error="INVALID_TOKEN"',),
        ('error="invalid_token"',),
        (f'Bearer realm="{"x" * 10_000}", error="invalid_token"',),
        ("Bearer " + "a" * 100_000 + '"',),
        ('Bearer x="' + "\\" * 100_001,),
    ],
    ids=lambda challenges: " | ".join(challenges)[:60],
)
async def test_any_other_challenge_renews_nothing(challenges: tuple[str, ...]) -> None:
    assert await renewals(challenged(*challenges), GENERIC) == 0


async def test_a_body_that_says_something_else_comes_before_the_challenge() -> None:
    said = coded(401, "mfa_required", {"WWW-Authenticate": 'Bearer error="invalid_token"'})
    assert await renewals(said, GENERIC) == 0
    assert await renewals(said, None) == 0


async def test_a_body_that_says_invalid_token_counts_as_expired_too() -> None:
    body = b'{"error": "invalid_token", "error_description": "The access token expired"}'
    assert await renewals(challenged(body=body), GENERIC) == 1


async def test_a_challenge_of_another_status_renews_nothing() -> None:
    assert await renewals(challenged('Bearer error="invalid_token"', status=403), GENERIC) == 0


async def test_a_401_that_is_a_stream_of_events_is_not_read(over: Any) -> None:
    stream = (("Content-Type", "text/event-stream"),)
    inner, began = Scripted(Reply(401, (b"data: x",) * 9, stream, pause=60.0)), anyio.current_time()
    async with (
        httpx.AsyncClient(transport=over(inner), auth=auth_of(token)) as client,
        client.stream("GET", URL) as response,
    ):
        assert response.status_code == 401
        assert anyio.current_time() - began < 3.0
    assert inner.streams[0].iterations == 0


# The user's request.


ONLY = {"resilience.identity", "resilience.stamp"}


@pytest.mark.parametrize("auth", [("user", "password"), auth_of(Login("t2", takes=0.0)), None])
async def test_a_request_that_is_sent_again_bears_nothing_of_the_last_credentials(
    over: Any, auth: Any
) -> None:
    inner = Scripted(OK)
    scopes: list[str] = []
    transport: Any = over(inner)
    async with httpx.AsyncClient(transport=transport) as client:
        request = client.build_request("PUT", URL, content=b"x", headers={"X-A": "b"})
        before = dict(request.headers), dict(request.extensions)
        response = await client.send(request, auth=auth_of(Login("t1", takes=0.0)))
        assert response.request is request
        assert (dict(request.headers), dict(request.extensions)) == before
        await client.send(request, auth=auth)
        if transport is not inner:
            scopes = [status.scope for status in transport.rate_limits()]
    sent = [request.headers.get("Authorization", "") for request in inner.requests]
    assert sent[0] == "Bearer t1"
    expected = {tuple: "Basic dXNlcjpwYXNzd29yZA==", RefreshToken: "Bearer t2"}
    assert sent[1] == expected.get(type(auth), "")
    assert inner.bodies == [b"x", b"x"]
    assert len(set(scopes)) in (0, 2)  # and not counted as the first one's


@pytest.mark.parametrize(
    "story",
    [
        (EXPIRED, OK),
        (coded(401, "token_revoked"), OK),
        (httpx.ReadError("x"), OK),
        (UNAVAILABLE, OK),
    ],
    ids=["renewed", "revoked", "lost", "repeated"],
)
async def test_a_request_is_as_it_was_however_its_call_ended(
    over: Any, story: tuple[Line, ...]
) -> None:
    inner = Scripted(*story)
    async with httpx.AsyncClient(transport=over(inner)) as client:
        request = client.build_request("POST", URL, json={}, extensions={"mine": 7})
        before = request.headers.raw, dict(request.extensions)
        with suppress(TokenRefused, httpx.ReadError):
            await client.send(request, auth=auth_of(Login("t1", "t2", takes=0.0)))
        assert (request.headers.raw, dict(request.extensions)) == before
        await client.send(request, auth=None)
    assert "Authorization" in inner.requests[0].headers
    assert "Authorization" not in inner.requests[-1].headers


async def test_a_request_that_is_cancelled_is_as_it_was(over: Any) -> None:
    inner = Scripted(OK._replace(takes=9.0))
    request = httpx.Request("GET", URL)
    async with httpx.AsyncClient(transport=over(inner), auth=auth_of(token)) as client:
        with anyio.move_on_after(1.0):
            await client.send(request)
    assert "Authorization" in inner.requests[0].headers
    assert "Authorization" not in request.headers
    assert not ONLY & set(request.extensions)


async def test_one_request_can_be_sent_by_two_at_the_same_time(over: Any) -> None:
    inner, request = Scripted(OK._replace(takes=1.0)), httpx.Request("GET", URL)
    async with (
        httpx.AsyncClient(transport=over(inner)) as client,
        anyio.create_task_group() as group,
    ):
        for name in ("t1", "t2"):
            auth = auth_of(Login(name, takes=0.0))
            group.start_soon(functools.partial(client.send, request, auth=auth))
    sent = sorted(each.headers["Authorization"] for each in inner.requests)
    assert sent == ["Bearer t1", "Bearer t2"]
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("follow", [True, False])
async def test_requests_of_redirects_bear_no_stamp_once_the_call_is_over(
    over: Any, follow: bool
) -> None:
    inner = Scripted(redirecting("/v2"), OK, OK)
    auth = auth_of(Login("t1", takes=0.0))
    async with httpx.AsyncClient(transport=over(inner), follow_redirects=follow) as client:
        response = await client.get(URL, auth=auth)
        again = response.request if follow else response.next_request
        assert again is not None
        assert not ONLY & set(again.extensions)
        for each in response.history:
            assert not ONLY & set(each.request.extensions)
        await client.send(again, auth=("user", "password"))
    assert inner.requests[-1].headers["Authorization"].startswith("Basic ")


# OAuth 2.


@pytest.fixture
def oauth(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that is also what a client of the grant's own would reach."""
    server = Server()
    server.vault.add_client("app", "s3cr+t %/:&", identity="app", lifetime=60.0)
    real = httpx.AsyncClient

    def client(**options: Any) -> httpx.AsyncClient:
        return real(**{"transport": server, **options})

    monkeypatch.setattr(ASYNC, "client", client)
    return server


def grants(server: Server) -> int:
    return sum(seen.path == "/v1/auth/token" for seen in server.vault.log)


@pytest.mark.parametrize("own", [True, False], ids=["a client of its own", "the same client"])
async def test_client_credentials_bring_tokens_that_are_renewed(oauth: Server, own: bool) -> None:
    async with httpx.AsyncClient(transport=AsyncResilientTransport(oauth)) as client:
        client.auth = RefreshToken.client_credentials(
            f"{VAULT}/v1/auth/token",
            "app",
            "s3cr+t %/:&",
            client=None if own else client,
            origins=[VAULT],
            clock=anyio.current_time,
        )
        for round_number in range(1, 4):
            with anyio.fail_after(30):
                results = await together(client, 100, f"{VAULT}/v1/auth/whoami")
            assert [r.json() for r in results] == [{"identity": "app"}] * 100
            assert grants(oauth) == round_number
            await anyio.sleep(60.0)
    assert all(seen.code is None for seen in oauth.vault.log)


async def test_scopes_are_asked_for_in_the_form() -> None:
    inner = Scripted(Reply(200, (b'{"access_token": "t", "expires_in": 60}',)), OK)
    async with httpx.AsyncClient(transport=inner) as client:
        grant = RefreshToken.client_credentials
        client.auth = grant(f"{OTHER}/token", "id", "s", scope="a b", client=client, origins=VAULT)
        await client.get(URL)
    assert inner.bodies[0] == b"grant_type=client_credentials&scope=a+b"
    assert inner.requests[0].headers["Authorization"] == "Basic aWQ6cw=="


async def test_a_refresh_token_brings_tokens(oauth: Server) -> None:
    refresh = oauth.vault.issue_refresh_token("alice", lifetime=60.0)
    async with httpx.AsyncClient(transport=oauth) as client:
        client.auth = RefreshToken.refresh_token(
            f"{VAULT}/v1/auth/token", refresh, origins=[VAULT], clock=anyio.current_time
        )
        for _ in range(3):
            response = await client.get(f"{VAULT}/v1/auth/whoami")
            assert response.json() == {"identity": "alice"}
            await anyio.sleep(60.0)
    assert grants(oauth) == 3


async def test_a_refresh_token_that_rotates_is_followed() -> None:
    forms: list[bytes] = []

    async def grant(request: httpx.Request) -> httpx.Response:
        forms.append(request.content)
        answer: dict[str, Any] = {"access_token": f"t{len(forms)}", "expires_in": 10}
        if len(forms) < 3:
            answer["refresh_token"] = f"r{len(forms)}"
        return httpx.Response(200, json=answer)

    login, api = Scripted(grant), Scripted(OK)
    async with (
        httpx.AsyncClient(transport=login) as asking,
        httpx.AsyncClient(transport=api) as client,
    ):
        client.auth = RefreshToken.refresh_token(
            f"{OTHER}/token", "r0", client=asking, origins=[VAULT], clock=anyio.current_time
        )
        for _ in range(4):
            await client.get(URL)
            await anyio.sleep(20.0)
    assert [form.rpartition(b"=")[2] for form in forms] == [b"r0", b"r1", b"r2", b"r2"]
    assert [sent.headers["Authorization"] for sent in api.requests] == [
        f"Bearer t{n}" for n in (1, 2, 3, 4)
    ]


async def test_a_refused_renewal_is_one_clear_error_for_each_call_that_waits(
    oauth: Server,
) -> None:
    oauth.vault.revoke(refresh := oauth.vault.issue_refresh_token("alice"))
    async with httpx.AsyncClient(transport=AsyncResilientTransport(oauth)) as client:
        client.auth = RefreshToken.refresh_token(f"{VAULT}/v1/auth/token", refresh, origins=[VAULT])
        results = await together(client, 100)
        assert grants(oauth) == 1
        assert {type(error) for error in results} == {TokenRefused}
        assert {(str(e), e.code) for e in results} == {
            ("the token endpoint answered 400 invalid_grant", "invalid_grant")
        }
        assert len({id(error) for error in results}) == 100
        with pytest.raises(TokenRefused):
            await client.get(f"{VAULT}/v1/secrets")
    assert grants(oauth) == 2  # a new call asks anew


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, (b"<html>",)),
        Reply(200, (b"[]",)),
        Reply(200, (b'{"access_token": 7}',)),
        Reply(200, (b'{"access_token": ""}',)),
        Reply(204),
        Reply(307, (b"",), (("Location", f"{VAULT}/elsewhere"),)),
    ],
)
async def test_a_token_endpoint_that_gives_no_token_is_a_refusal(answer: Reply) -> None:
    login = Scripted(answer)
    async with httpx.AsyncClient(transport=login, follow_redirects=True) as client:
        client.auth = RefreshToken.refresh_token(
            f"{OTHER}/token", "r0", client=client, origins=[VAULT]
        )
        with pytest.raises(TokenRefused, match="without an access_token"):
            await client.get(URL)
    assert login.attempts == 1  # a redirect would carry the refresh token elsewhere


GRANTED = Reply(200, (b'{"access_token": "t", "expires_in": 60}',))
PLAIN_503 = Reply(503, (b"<html>",))


def granting(
    monkeypatch: pytest.MonkeyPatch, *script: Line, own: bool, **options: Any
) -> tuple[RefreshToken, Scripted]:
    """Return an auth that asks a scripted token endpoint, by a client of its own or another."""
    login, real = Scripted(*script), httpx.AsyncClient
    asking = None if own else real(transport=login)
    monkeypatch.setattr(ASYNC, "client", lambda: real(transport=login))
    auth = RefreshToken.client_credentials(
        f"{OTHER}/token?tenant=hunter2",
        "id",
        "secret",
        client=asking,
        origins=[VAULT],
        clock=anyio.current_time,
        **options,
    )
    return auth, login


@pytest.mark.parametrize(
    "trouble",
    [
        PLAIN_503,
        Reply(500),
        Reply(502),
        Reply(429),
        Reply(408),
        Reply(429, headers=(("Retry-After", "5"),)),
        Reply(503, (b'{"error": "temporarily_unavailable"}',)),
        httpx.ConnectError("x"),
        httpx.ReadError("x"),
    ],
    ids=repr,
)
async def test_a_token_endpoint_in_trouble_is_asked_again_by_a_client_of_the_grants_own(
    monkeypatch: pytest.MonkeyPatch, trouble: Line
) -> None:
    real = httpx.AsyncClient
    auth, login = granting(monkeypatch, trouble, GRANTED, own=True)
    async with real(transport=Scripted(OK), auth=auth) as client:
        assert (await client.get(URL)).status_code == 200
    assert login.attempts == 2
    assert {request.headers["Authorization"] for request in login.requests} == {
        "Basic aWQ6c2VjcmV0"
    }
    assert set(login.bodies) == {b"grant_type=client_credentials"}


@pytest.mark.parametrize(
    "own", [True, False], ids=["a client of its own", "a client that is given"]
)
@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (PLAIN_503, "the token endpoint answered 503"),
        (Reply(500), "the token endpoint answered 500"),
        (Reply(429, (b'{"error": "slow_down"}',)), "the token endpoint answered 429 slow_down"),
        (Reply(501), "the token endpoint answered 501"),
    ],
    ids=repr,
)
async def test_trouble_of_the_token_endpoint_is_a_failure_and_no_refusal(
    monkeypatch: pytest.MonkeyPatch, trouble: Reply, words: str, own: bool
) -> None:
    real = httpx.AsyncClient
    auth, login = granting(monkeypatch, trouble, own=own)
    async with real(transport=Scripted(OK), auth=auth) as client:
        began = anyio.current_time()
        results = await together(client, 10)
        assert anyio.current_time() - began < 30.0
    assert {type(error) for error in results} == {ApiError}
    assert all(isinstance(error, httpx.HTTPStatusError) for error in results)
    assert {str(error) for error in results} == {words}
    assert {error.response.status_code for error in results} == {trouble.status}
    assert {error.request.url.path for error in results} == {"/token"}
    assert login.attempts == {True: {500: 2, 501: 1}.get(trouble.status, 4), False: 1}[own]


async def test_a_token_endpoint_is_not_asked_again_beyond_the_bound_of_a_fetch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = httpx.AsyncClient
    later = Reply(503, headers=(("Retry-After", "20"),))
    auth, login = granting(monkeypatch, later, GRANTED, own=True, fetch_timeout=10.0)
    async with real(transport=Scripted(OK), auth=auth) as client:
        began = anyio.current_time()
        with pytest.raises(httpx.HTTPStatusError):
            await client.get(URL)
        assert anyio.current_time() == began
    assert login.attempts == 1


@pytest.mark.parametrize("lifetime", ["7", None, True, -1, 0, 1e300])
async def test_a_lifetime_that_is_none_counts_as_unknown(lifetime: Any) -> None:
    async def grant(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"access_token": "t", "expires_in": lifetime})

    login, api = Scripted(grant), Scripted(OK)
    async with (
        httpx.AsyncClient(transport=login) as asking,
        httpx.AsyncClient(transport=api) as client,
    ):
        client.auth = RefreshToken.refresh_token(
            f"{OTHER}/token", "r0", client=asking, origins=[VAULT], clock=anyio.current_time
        )
        await client.get(URL)
        await anyio.sleep(40_000.0)
        await client.get(URL)
    assert login.attempts == 1


# The throttle.


async def test_a_scope_stays_the_same_across_renewals() -> None:
    server = Server(lifetime=10.0)
    transport = AsyncResilientTransport(server)
    names: set[str] = set()
    async with httpx.AsyncClient(transport=transport, auth=auth_of(server.fetch)) as client:
        for _ in range(3):
            await client.get(f"{VAULT}/v1/secrets/a")
            names |= {status.scope for status in transport.rate_limits()}
            await anyio.sleep(20.0)
    assert server.fetches == 3
    assert len(names) == 1


async def test_two_auths_have_scopes_of_their_own_unless_they_share_a_name() -> None:
    inner = Scripted(OK)
    transport = AsyncResilientTransport(inner)
    async with httpx.AsyncClient(transport=transport) as client:
        for name in ("svc", "svc", None, None):
            await client.get(URL, auth=auth_of(token, identity=name))
    assert len(transport.rate_limits()) == 3
    assert all("svc" not in status.scope for status in transport.rate_limits())


async def test_a_call_that_waited_in_a_queue_goes_out_with_the_token_of_the_moment() -> None:
    tokens = iter(["t1", "t2"])

    async def fetch() -> tuple[str, float]:
        return next(tokens), 20.0

    slow = Reply(
        200,
        (b"",),
        (("X-RateLimit-Limit", "1"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60")),
    )
    inner = Scripted(slow, OK)
    transport = AsyncResilientTransport(inner, policy=Policy(throttle=ThrottlePolicy()))
    auth = auth_of(fetch)
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:
        await client.get(URL)
        async with anyio.create_task_group() as group:
            group.start_soon(client.get, URL)  # waits for 60 s, beyond the token's 20
            await anyio.sleep(30.0)
            await client.get(URL, extensions={"resilience": None})
    sent = [request.headers["Authorization"] for request in inner.requests]
    assert sent == ["Bearer t1", "Bearer t2", "Bearer t2"]


async def test_a_retry_goes_out_with_the_token_of_the_moment() -> None:
    tokens = iter(["t1", "t2"])

    async def fetch() -> tuple[str, float]:
        return next(tokens), 20.0

    sent: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["Authorization"])
        busy = len(sent) == 1
        return httpx.Response(429 if busy else 200, headers={"Retry-After": "30"} if busy else {})

    transport = AsyncResilientTransport(Scripted(answer), policy=Policy(throttle=None))
    async with (
        httpx.AsyncClient(transport=transport, auth=auth_of(fetch)) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(client.get, URL)
        await anyio.sleep(25.0)
        await client.get(URL)
    assert sent == ["Bearer t1", "Bearer t2", "Bearer t2"]


# Told to nobody.

SECRET = "hunter2"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    loggers = [logging.getLogger(name) for name in ("httpx_resilience", "httpx")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield out
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


STORIES: dict[str, tuple[Line, ...]] = {
    "success": (OK,),
    "outage": (UNAVAILABLE, OK),
    "expired": (EXPIRED, OK),
    "expired twice": (EXPIRED,),
    "revoked": (coded(401, "token_revoked"),),
    "odd": (coded(401, f"token {SECRET}"),),
    "lost": (httpx.ReadError("lost"),),
}


@pytest.mark.parametrize("story", STORIES)
async def test_a_token_is_in_nothing_that_is_told(story: str, log: io.StringIO) -> None:
    async def fetch() -> str:
        return SECRET

    ear = Ear()
    transport = AsyncResilientTransport(Scripted(*STORIES[story]), on_event=ear)
    auth = auth_of(fetch)
    told = [repr(auth), str(auth)]
    async with httpx.AsyncClient(transport=transport, auth=auth) as client:
        try:
            source: Any = await client.post(URL, json={})
        except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
            source = error
            told.append("".join(traceback.format_exception(error)))
    told += [repr(source), repr(history_of(source)), repr(transport), repr(transport.rate_limits())]
    told += [repr(event) + str(event.as_fields()) for event in ear.events]
    told += [log.getvalue(), repr(auth)]
    assert log.getvalue()
    assert not [text for text in told if SECRET in text]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(401, (b'{"error": "invalid_client", "error_description": "hunter2 is wrong"}',)),
        Reply(400, (b'{"error": "hunter2 is no word"}',)),
        Reply(200, (b'{"token": "hunter2"}',)),
        Reply(200, (b"hunter2",)),
        httpx.ConnectError("refused"),
    ],
)
async def test_a_credential_is_in_no_refusal(answer: Line, log: io.StringIO) -> None:
    login = AsyncResilientTransport(Scripted(answer))
    async with httpx.AsyncClient(transport=login) as client:
        auths = [
            RefreshToken.client_credentials(
                f"{OTHER}/token", SECRET, SECRET, client=client, origins=[VAULT]
            ),
            RefreshToken.refresh_token(
                f"{OTHER}/token",
                SECRET,
                client_id="id",
                client_secret=SECRET,
                client=client,
                origins=[VAULT],
            ),
        ]
        for auth in auths:
            with pytest.raises((TokenRefused, httpx.ConnectError)) as caught:
                await client.get(URL, auth=auth)
            told = "".join(traceback.format_exception(caught.value))
            assert SECRET not in told + repr(auth) + repr(caught.value) + log.getvalue()


@pytest.mark.parametrize(
    ("returned", "error", "words"),
    [
        (SECRET.encode(), TypeError, "it returned a bytes"),
        ({"access_token": SECRET}, TypeError, "it returned a dict"),
        ((SECRET, 60.0, "more"), TypeError, "it returned a tuple"),
        (f"{SECRET}\n", ValueError, "fits no header"),
        (f"{SECRET} {SECRET}", ValueError, "fits no header"),
        ("", ValueError, "fits no header"),
        ((SECRET, "60"), TypeError, "lifetime"),
        ((SECRET, -1.0), ValueError, "lifetime"),
    ],
)
async def test_what_a_fetch_must_not_return_is_refused_without_telling_it(
    returned: Any, error: type[Exception], words: str
) -> None:
    async def fetch() -> Any:
        return returned

    inner = Scripted(OK)
    async with httpx.AsyncClient(transport=inner, auth=auth_of(fetch)) as client:
        with pytest.raises(error, match=words) as caught:
            await client.get(URL)
    assert SECRET not in str(caught.value)
    assert inner.attempts == 0


def test_what_is_no_function_is_refused_without_telling_it() -> None:
    with pytest.raises(TypeError, match="fetch: got str") as caught:
        RefreshToken(SECRET, origins=[VAULT])  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def plain() -> str:
    return SECRET


async def stream() -> AsyncIterator[str]:
    yield SECRET


class Caller:
    def __call__(self) -> str:
        return SECRET


def test_a_fetch_that_is_an_async_generator_is_refused_when_its_owner_is_made() -> None:
    with pytest.raises(TypeError, match=r"^fetch: got an async generator, allowed is an async"):
        RefreshToken(cast("Any", stream), origins=[VAULT])


@pytest.mark.parametrize(
    "fetch",
    [plain, Caller(), Caller().__call__, functools.partial(plain)],
    ids=["plain", "object", "method", "partial"],
)
async def test_a_plain_fetch_is_refused_by_an_asynchronous_client(over: Any, fetch: Any) -> None:
    inner = Scripted()
    auth = RefreshToken(fetch, origins=[VAULT])
    async with httpx.AsyncClient(transport=over(inner), auth=auth) as client:
        with pytest.raises(TypeError, match=r"^fetch: got a plain function, allowed is an async"):
            await client.get(URL)
    assert inner.attempts == 0


async def test_a_fetch_may_be_whatever_returns_an_awaitable(over: Any) -> None:
    async def two(name: str) -> str:
        return name

    def declared() -> Awaitable[str]:
        return two("declared")

    @functools.wraps(two)
    def wrapped(*names: str) -> Any:
        return two(*names)

    for fetch in (
        functools.partial(two, "partial"),
        lambda: two("lambda"),
        declared,
        functools.partial(wrapped, "wrapped"),
        AsyncMock(return_value="mock"),
        Login("object").__call__,
        Login("object"),
    ):
        inner = Scripted(OK)
        async with httpx.AsyncClient(transport=over(inner), auth=auth_of(fetch)) as client:
            await client.get(URL)
        assert inner.requests[0].headers["Authorization"].startswith("Bearer ")


async def test_a_lambda_that_returns_no_awaitable_is_refused_at_the_call() -> None:
    inner = Scripted(OK)
    async with httpx.AsyncClient(transport=inner, auth=auth_of(lambda: SECRET)) as client:
        with pytest.raises(TypeError, match=r"^fetch: it returned a str at once, allowed is") as e:
            await client.get(URL)
    assert SECRET not in str(e.value)
    assert inner.attempts == 0


def test_an_async_fetch_is_refused_by_a_synchronous_client() -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    auth = RefreshToken(token, origins=[VAULT])
    client = httpx.Client(transport=transport, auth=auth)
    with client, pytest.raises(TypeError, match=r"^fetch: got .*allowed is a plain function"):
        client.get(URL)
    assert not sent
