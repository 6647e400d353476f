"""The secrets API of FakeScaiVault, in process, on asyncio and Trio, in virtual time."""

import email.utils
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from httpx_resilience.testing import FakeScaiVault

pytestmark = pytest.mark.anyio

URL = "http://vault"
SECRET = "/v1/secrets/app/db"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> FakeScaiVault:
    return FakeScaiVault(clock=clock, wall=Clock(1_714_478_400.0), retention=100.0)


def client_of(vault: FakeScaiVault, token: str | None = None) -> httpx.AsyncClient:
    token = vault.issue_token("alice") if token is None else token
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(vault)
    return httpx.AsyncClient(transport=transport, base_url=URL, headers=headers)


def code_of(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert set(error) == {"code", "message", "details", "request_id"}
    assert error["request_id"] == response.headers["X-Request-ID"]
    return str(error["code"])


async def put(client: httpx.AsyncClient, value: object, **payload: object) -> httpx.Response:
    return await client.put(SECRET, json={"value": value, **payload})


async def test_what_is_written_is_read(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        written = await put(client, {"user": "u", "password": "p"})
        read = await client.get(SECRET)
    assert (written.status_code, written.json()) == (201, {"path": "app/db", "version": 1})
    assert read.json()["value"] == {"user": "u", "password": "p"}
    assert read.headers["ETag"] == '"1"'


async def test_each_write_makes_a_version_and_old_ones_stay_readable(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        for value in ("a", "b", "c"):
            await put(client, value)
        current = await client.get(SECRET)
        old = await client.get(SECRET, params={"version": 2})
        missing = await client.get(SECRET, params={"version": 9})
        nonsense = await client.get(SECRET, params={"version": "x"})
    assert (current.json()["value"], current.json()["version"]) == ("c", 3)
    assert old.json()["value"] == "b"
    assert (missing.status_code, code_of(missing)) == (404, "version_not_found")
    assert (nonsense.status_code, code_of(nonsense)) == (422, "validation_error")


async def test_a_listing_names_the_secrets_below_a_prefix_that_are_not_deleted(
    vault: FakeScaiVault,
) -> None:
    async with client_of(vault) as client:
        for path in ("app/b", "app/a", "web/c", "app/gone"):
            await client.put(f"/v1/secrets/{path}", json={"value": 1})
        await client.delete("/v1/secrets/app/gone")
        listed = await client.get("/v1/secrets", params={"prefix": "app/"})
    assert [entry["path"] for entry in listed.json()["secrets"]] == ["app/a", "app/b"]


async def test_post_creates_once_and_then_the_name_is_taken(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        first = await client.post(SECRET, json={"value": 1})
        second = await client.post(SECRET, json={"value": 1})
    assert first.status_code == 201
    assert (second.status_code, code_of(second)) == (409, "name_conflict")


async def test_a_deleted_secret_is_hidden_and_keeps_its_path(
    vault: FakeScaiVault, clock: Clock
) -> None:
    async with client_of(vault) as client:
        await put(client, "a")
        deleted = await client.delete(SECRET)
        clock.now += 99
        read, written = await client.get(SECRET), await put(client, "b")
        again = await client.delete(SECRET)
        clock.now += 1
        after_retention = await put(client, "c")
    assert deleted.status_code == 200
    assert (read.status_code, code_of(read)) == (404, "secret_not_found")
    assert (written.status_code, code_of(written)) == (409, "secret_exists")
    assert written.json()["error"]["details"] == {"path": "app/db", "retained_for": 1.0}
    assert code_of(again) == "secret_not_found"
    assert after_retention.json()["version"] == 1


async def test_a_deleted_secret_is_purged_or_written_over_by_force(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        await put(client, "a")
        await client.delete(SECRET)
        forced = await client.put(SECRET, json={"value": "b"}, params={"force": "true"})
        await client.delete(SECRET)
        await client.delete(SECRET, params={"purge": "true"})
        fresh = await put(client, "c")
        purged_nothing = await client.delete("/v1/secrets/none", params={"purge": "true"})
    assert forced.json()["version"] == 2
    assert (fresh.status_code, fresh.json()["version"]) == (201, 1)
    assert code_of(purged_nothing) == "secret_not_found"


async def test_a_write_against_another_version_is_a_conflict_that_names_the_current_one(
    vault: FakeScaiVault,
) -> None:
    async with client_of(vault) as client:
        created = await put(client, "a", cas=0)
        updated = await put(client, "b", cas=1)
        late = await put(client, "c", cas=1)
        tagged = await client.put(SECRET, json={"value": "d"}, headers={"If-Match": '"1"'})
        good_tag = await client.put(SECRET, json={"value": "d"}, headers={"If-Match": '"2"'})
        again = await put(client, "e", cas=0)
    assert [created.status_code, updated.status_code, good_tag.status_code] == [201, 200, 200]
    for conflict, expected in ((late, 1), (tagged, 1), (again, 0)):
        assert (conflict.status_code, code_of(conflict)) == (409, "version_conflict")
        assert conflict.json()["error"]["details"]["expected_version"] == expected
    assert late.json()["error"]["details"]["current_version"] == 2
    assert again.json()["error"]["details"]["current_version"] == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_request"),
        (b"{", "invalid_request"),
        (b"[1]", "invalid_request"),
        (b'{"value": NaN}', "invalid_request"),
        (b'{"value": "\\ud800"}', "invalid_request"),
        (b"[" * 100_000, "invalid_request"),
        (b'{"other": 1}', "validation_error"),
        (b'{"value": 1, "cas": -1}', "validation_error"),
        (b'{"value": 1, "cas": true}', "validation_error"),
    ],
)
async def test_a_bad_body_is_refused(vault: FakeScaiVault, content: bytes, code: str) -> None:
    async with client_of(vault) as client:
        response = await client.put(SECRET, content=content)
    assert code_of(response) == code
    if code == "validation_error":
        assert response.json()["error"]["details"]["fields"][0]["field"] in ("value", "cas")


@pytest.mark.parametrize("path", ["/v1/secrets/a//b", "/v1/secrets/a%20b", "/v1/none", "/"])
async def test_a_bad_path_is_refused(vault: FakeScaiVault, path: str) -> None:
    async with client_of(vault) as client:
        response = await client.get(path)
    assert (response.status_code, code_of(response)) == (400, "invalid_path")


async def test_an_impossible_method_is_refused(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        assert code_of(await client.patch(SECRET, json={"value": 1})) == "invalid_request"
        assert code_of(await client.delete("/v1/secrets")) == "invalid_request"


async def test_whoami_names_who_holds_the_token(vault: FakeScaiVault) -> None:
    async with client_of(vault, vault.issue_token("bob")) as client:
        assert (await client.get("/v1/auth/whoami")).json() == {"identity": "bob"}


async def test_a_token_works_until_it_expires(vault: FakeScaiVault, clock: Clock) -> None:
    async with client_of(vault, vault.issue_token(lifetime=5.0)) as client:
        clock.now += 4.9
        before = await client.get("/v1/auth/whoami")
        clock.now += 0.1
        after = await client.get("/v1/auth/whoami")
    assert before.status_code == 200
    assert (after.status_code, code_of(after)) == (401, "token_expired")
    assert vault.log[-1].identity == "alice"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (lambda vault: None, "authentication_required"),
        (lambda vault: "Basic YTpi", "authentication_required"),
        (lambda vault: "Bearer", "authentication_required"),
        (lambda vault: "Bearer forged", "token_invalid"),
        (lambda vault: f"Bearer {revoked(vault)}", "token_revoked"),
    ],
)
async def test_a_bad_token_is_refused_with_its_own_code(
    vault: FakeScaiVault, header: Callable[[FakeScaiVault], str | None], code: str
) -> None:
    given = header(vault)
    async with client_of(vault, token="") as client:
        headers = {} if given is None else {"Authorization": given}
        response = await client.get(SECRET, headers=headers)
    assert (response.status_code, code_of(response)) == (401, code)
    assert response.headers["WWW-Authenticate"] == "Bearer"


def revoked(vault: FakeScaiVault) -> str:
    token = vault.issue_token()
    vault.revoke(token)
    return token


async def test_an_anonymous_vault_serves_without_a_token_but_refuses_a_bad_one() -> None:
    vault = FakeScaiVault(anonymous=True)
    async with client_of(vault, token="") as client:
        allowed = await client.get("/v1/auth/whoami")
        refused = await client.get("/v1/auth/whoami", headers={"Authorization": "Bearer forged"})
    assert allowed.json() == {"identity": "anonymous"}
    assert code_of(refused) == "token_invalid"


async def test_client_credentials_and_refresh_tokens_bring_access_tokens(
    vault: FakeScaiVault, clock: Clock
) -> None:
    vault.add_client("job", "s3cret", identity="alice", lifetime=60.0)
    refresh = vault.issue_refresh_token("bob", lifetime=30.0)
    grants: list[dict[str, object]] = []
    names: list[str] = []
    async with client_of(vault, token="") as client:
        for form, auth in (
            ({"grant_type": "client_credentials"}, ("job", "s3cret")),
            (
                {
                    "grant_type": "client_credentials",
                    "client_id": "job",
                    "client_secret": "s3cret",
                },
                httpx.USE_CLIENT_DEFAULT,
            ),
            ({"grant_type": "refresh_token", "refresh_token": refresh}, httpx.USE_CLIENT_DEFAULT),
        ):
            granted = (await client.post("/v1/auth/token", data=form, auth=auth)).json()
            headers = {"Authorization": f"Bearer {granted['access_token']}"}
            grants.append(granted)
            names.append((await client.get("/v1/auth/whoami", headers=headers)).json()["identity"])
        clock.now += 30
        expired = await client.get("/v1/auth/whoami", headers=headers)
    assert names == ["alice", "alice", "bob"]
    assert [granted["expires_in"] for granted in grants] == [60.0, 60.0, 30.0]
    assert {granted["token_type"] for granted in grants} == {"Bearer"}
    assert code_of(expired) == "token_expired"


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "client_id": "job"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "none"}, 401, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "none"}, 400, "invalid_grant"),
    ],
)
async def test_a_refused_grant_speaks_oauth(
    vault: FakeScaiVault, form: dict[str, str], status: int, error: str
) -> None:
    vault.add_client("job", "s3cret")
    async with client_of(vault, token="") as client:
        response = await client.post("/v1/auth/token", data=form)
    assert (response.status_code, response.json()) == (status, {"error": error})


async def test_a_revoked_refresh_token_is_refused(vault: FakeScaiVault) -> None:
    refresh = vault.issue_refresh_token()
    vault.revoke(refresh)
    async with client_of(vault, token="") as client:
        form = {"grant_type": "refresh_token", "refresh_token": refresh}
        response = await client.post("/v1/auth/token", data=form)
    assert response.json() == {"error": "invalid_grant"}


async def test_the_request_id_is_echoed_or_made(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        echoed = await client.get(SECRET, headers={"X-Request-ID": "mine-1"})
        made = await client.get(SECRET)
    assert echoed.headers["X-Request-ID"] == echoed.json()["error"]["request_id"] == "mine-1"
    assert made.headers["X-Request-ID"].startswith("req_")
    assert code_of(made) == "secret_not_found"


async def test_the_date_is_the_servers_own(vault: FakeScaiVault) -> None:
    async with client_of(vault) as client:
        dates = (await client.get(SECRET)).headers.get_list("Date")
    assert [email.utils.parsedate_to_datetime(d).timestamp() for d in dates] == [1_714_478_400.0]


async def test_the_log_tells_what_was_seen_and_no_secret(
    vault: FakeScaiVault, clock: Clock
) -> None:
    token = vault.issue_token("alice")
    async with client_of(vault, token) as client:
        await client.put(
            SECRET,
            json={"value": "hunter2"},
            headers={"Idempotency-Key": "k1", "X-Request-ID": "r1"},
        )
        clock.now += 1
        await client.get("/v1/secrets/none?q=hunter2")
    first, second = vault.log
    assert (first.method, first.path, first.status, first.code) == ("PUT", SECRET, 201, None)
    assert (first.request_id, first.idempotency_key, first.identity) == ("r1", "k1", "alice")
    assert (second.code, second.status, second.at - first.at) == ("secret_not_found", 404, 1.0)
    assert token not in repr(vault.log)
    assert "hunter2" not in repr(vault.log)


async def test_ten_writers_who_retry_their_conflicts_lose_no_change() -> None:
    vault = FakeScaiVault(anonymous=True)
    async with client_of(vault, token="") as client:
        await put(client, 0)
        seen = [(await client.get(SECRET)).json() for _ in range(10)]
        for stale in seen:
            response = await put(client, stale["value"] + 1, cas=stale["version"])
            if response.status_code == 409:
                fresh = (await client.get(SECRET)).json()
                response = await put(client, fresh["value"] + 1, cas=fresh["version"])
            assert response.status_code == 200
        assert (await client.get(SECRET)).json()["value"] == 10
    assert sum(entry.code == "version_conflict" for entry in vault.log) == 9


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"retention: got -1"):
        FakeScaiVault(retention=-1)
    with pytest.raises(ValueError, match=r"reset: got 'ful'.*did you mean 'full'"):
        FakeScaiVault(reset="ful")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"issue_token.lifetime: got -1"):
        FakeScaiVault().issue_token(lifetime=-1)
    with pytest.raises(ValueError, match=r"revoke: got an unknown token"):
        FakeScaiVault().revoke("none")
    with pytest.raises(TypeError, match=r"script.faults: got 'x'"):
        FakeScaiVault().script(["x"])  # type: ignore[list-item]


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; import httpx_resilience.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'httpx-resilience[cli]'" in done.stderr.splitlines()[-1]
