"""httpx and httpx2: neither is needed for the other's users, and nothing mixes them up."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

import httpx_resilience
import httpx_resilience.httpx2
from support.parity import LIBRARIES, door_of

OTHER = {"httpx": "httpx2", "httpx2": "httpx"}
MADE = httpx_resilience.httpx2.__all__

USE = """
import asyncio, sys
sys.modules["{blocked}"] = None
import {library}
from {door} import AsyncResilientTransport, ResilientTransport, RefreshToken, raise_for_error
from httpx_resilience import Policy, history_of

statuses = [503, 200, 503, 200, 401]

def answer(request):
    return {library}.Response(statuses.pop(0))

def fetch():
    return "t"

async def main():
    transport = AsyncResilientTransport({library}.MockTransport(answer), policy=Policy(budget=None))
    async with {library}.AsyncClient(transport=transport) as client:
        return raise_for_error(await client.get("https://vault.example/a"))

with {library}.Client(
    transport=ResilientTransport({library}.MockTransport(answer), policy=Policy(budget=None)),
    auth=RefreshToken(fetch, origins=["https://vault.example"]),
) as client:
    first = client.get("https://vault.example/a")
    second = asyncio.run(main())
    print(history_of(first).retries, history_of(second).retries)
    try:
        raise_for_error(client.get("https://vault.example/b"))
    except {library}.HTTPStatusError as error:
        print(type(error).__name__)
print("{blocked}core" in sys.modules, [m for m in sys.modules if m.startswith("{blocked}.")])
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_program_needs_the_library_that_it_uses_and_no_other(library: str) -> None:
    blocked, door = OTHER[library], door_of(library).__name__
    program = USE.format(library=library, blocked=blocked, door=door)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1 1", "ApiError", "False []"], done.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_missing_is_missed_only_where_it_is_needed(library: str) -> None:
    program = (
        f"import sys\nsys.modules['{library}'] = None\nimport httpx_resilience\n"
        "print(httpx_resilience.Policy(), 'AsyncResilientTransport' in dir(httpx_resilience))\n"
        f"import {door_of(library).__name__} as door\ndoor.AsyncResilientTransport\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("True\n")
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError")
    assert library in done.stderr.splitlines()[-1]


def test_import_star_and_dir_show_every_name() -> None:
    names: dict[str, Any] = {}
    exec("from httpx_resilience import *", names)
    assert set(httpx_resilience.__all__) <= set(names)
    assert set(httpx_resilience.__all__) <= set(dir(httpx_resilience))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = httpx_resilience.Nothing  # pyright: ignore[reportAttributeAccessIssue] - wrong on purpose


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", [name for name in MADE if name[0].isupper()])
def test_a_class_is_made_of_its_own_library_alone(library: str, name: str) -> None:
    kind = getattr(door_of(library), name)
    tops = {each.__module__.partition(".")[0] for each in kind.__mro__}
    assert OTHER[library] not in tops
    assert name in ("TokenRefused", "RedisStore") or library in tops
    assert set(MADE) <= set(httpx_resilience.__all__)


def test_errors_of_both_libraries_have_one_root() -> None:
    for library in LIBRARIES:
        for name in ("ApiError", "DeadlineExceeded", "ThrottleTimeout", "TransportClosed"):
            kind = getattr(door_of(library), name)
            assert issubclass(kind, httpx_resilience.ResilienceError)
            assert issubclass(kind, importlib.import_module(library).HTTPError)
    assert not issubclass(httpx_resilience.httpx2.ApiError, httpx_resilience.ApiError)


def well(_: Any) -> httpx.Response:
    return httpx.Response(200)


def well2(_: Any) -> httpx2.Response:
    return httpx2.Response(200)


def token() -> str:
    return "t"


ONE, TWO = httpx_resilience, httpx_resilience.httpx2
URL = "https://vault.example/v1/secrets/a"
SYNC_ONE, SYNC_TWO = ONE.ResilientTransport(), TWO.ResilientTransport()
MIXED: dict[str, tuple[Callable[[], object], str]] = {
    "httpx2's in httpx's": (
        lambda: ONE.AsyncResilientTransport(httpx2.AsyncHTTPTransport()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2 import AsyncResilientTransport",
    ),
    "httpx's in httpx2's": (
        lambda: TWO.ResilientTransport(httpx.HTTPTransport()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience import ResilientTransport",
    ),
    "an asynchronous one in a synchronous one": (
        lambda: ONE.ResilientTransport(httpx.AsyncHTTPTransport()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience import AsyncResilientTransport",
    ),
    "a synchronous one in an asynchronous one": (
        lambda: TWO.AsyncResilientTransport(httpx2.HTTPTransport()),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2 import ResilientTransport",
    ),
    "ours for AsyncClient in a Client": (
        lambda: httpx.Client(transport=ONE.AsyncResilientTransport()).get(URL),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience import ResilientTransport",
    ),
    "ours for AsyncClient in a Client that is entered": (
        lambda: httpx2.Client(transport=TWO.AsyncResilientTransport()).__enter__(),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2 import ResilientTransport",
    ),
    "ours for httpx in httpx2's Client": (
        lambda: httpx2.Client(transport=SYNC_ONE).get(URL),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2 import ResilientTransport",
    ),
    "ours for httpx2 in httpx's Client": (
        lambda: httpx.Client(transport=SYNC_TWO).get(URL),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience import ResilientTransport",
    ),
    "a token for httpx in httpx2's Client": (
        lambda: httpx2.Client(
            transport=httpx2.MockTransport(well2),
            auth=ONE.RefreshToken(token, origins=[URL[:21]]),  # pyright: ignore[reportArgumentType] - wrong on purpose
        ).get(URL),
        "from httpx_resilience.httpx2 import RefreshToken",
    ),
    "a token for httpx2 in httpx's Client": (
        lambda: httpx.Client(
            transport=httpx.MockTransport(well),
            auth=TWO.RefreshToken(token, origins=[URL[:21]]),  # pyright: ignore[reportArgumentType] - wrong on purpose
        ).get(URL),
        "from httpx_resilience import RefreshToken",
    ),
    "a response of httpx2": (
        lambda: ONE.raise_for_error(httpx2.Response(200)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2",
    ),
    "a response of httpx": (
        lambda: TWO.error_of(httpx.Response(200)),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "from httpx_resilience",
    ),
    "a client of httpx2": (
        lambda: ONE.read_change_write(httpx2.Client(), URL, dict),  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType] - wrong on purpose
        "from httpx_resilience.httpx2",
    ),
    "a hook that is async": (
        lambda: ONE.ResilientTransport(recover={"version_conflict": later}),  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType] - wrong on purpose
        "a plain function",
    ),
}


async def later(*_: object) -> None: ...


@pytest.mark.parametrize("what", MIXED)
def test_what_is_for_another_library_or_kind_is_a_type_error_that_says_what_is_right(
    what: str,
) -> None:
    do, right = MIXED[what]
    with pytest.raises(TypeError) as caught:
        do()
    assert right in str(caught.value)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.anyio
async def test_ours_for_a_client_is_refused_by_an_async_client(library: str) -> None:
    door = door_of(library)
    for use in ("get", "__aenter__"):
        client = importlib.import_module(library).AsyncClient(transport=door.ResilientTransport())
        right = f"from {door.__name__} import AsyncResilientTransport"
        with pytest.raises(TypeError, match=right):
            await getattr(client, use)(*([URL] if use == "get" else []))


@pytest.mark.parametrize("library", LIBRARIES)
def test_nonsense_is_refused_in_its_own_words(library: str) -> None:
    door = door_of(library)
    nonsense: Any = "x"
    with pytest.raises(TypeError, match=rf"transport: got 'x', allowed is an {library}\.BaseTr"):
        door.ResilientTransport(nonsense)
    with pytest.raises(TypeError, match=rf"request: got str, allowed is an {library}\.Request"):
        door.ResilientTransport().handle_request(nonsense)
    with pytest.raises(TypeError, match=rf"response: got a str, allowed is an {library}\.Respon"):
        door.error_of(nonsense)
    with pytest.raises(TypeError, match=rf"client: got a str, allowed is a client of {library}"):
        door.read_change_write(nonsense, URL, dict)
