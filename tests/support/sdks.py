"""What the tests of SDKs have in common; ``sdk_clients`` has the SDKs.

Each is imported only when it is used, for none of them is needed for anything else.
"""

import asyncio
import importlib
from typing import Any, NamedTuple

import pytest

import httpx_resilience
from httpx_resilience import Backoff, Dialect, ErrorClass, Policy, RetryPolicy
from support.sdk_apis import Api

QUICK = Backoff(initial=0.01, maximum=0.01)
POLICY = Policy(
    retry=RetryPolicy(
        backoff=dict.fromkeys(
            (ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT, ErrorClass.CONNECTION), QUICK
        )
    ),
    throttle=None,  # it would slow down for seconds after a 429
    park=None,
    budget=None,  # what is counted here are the attempts of one call
)

each_kind = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])


def installed(module: str, package: str) -> Any:
    """Return a module of an SDK; skip the test where it is not installed."""
    return pytest.importorskip(
        module, reason=f"{package} is not installed: pip install httpx-resilience[sdks]"
    )


class Errors(NamedTuple):
    """The names of what an SDK raises, with their modules."""

    quota: str
    overload: str
    invalid: str
    unreachable: str


class Sdk:
    """One SDK.

    Attributes:
        package: Its name on PyPI.
        module: Its name for ``import``.
        library: What it is made of.
        api: What it is made for.
        dialect: The name of the dialect that goes with it.
        errors: What it raises.
        streams: Whether it has answers that are streamed.
        own_attempts: How often it sends a request for which it gets 503 if its own retries are on.
        obeys: Whether it does that only where no ``x-should-retry: false`` forbids it.
    """

    package = ""
    module = ""
    library = "httpx2"
    api: Api
    dialect = "GENERIC"
    errors: Errors
    streams = True
    own_attempts = 1
    obeys = False

    def __repr__(self) -> str:
        return self.package

    def load(self, module: str | None = None) -> Any:
        return installed(module or self.module, self.package)

    def error(self, which: str) -> Any:
        """Return the class of an error."""
        module, _, name = getattr(self.errors, which).rpartition(".")
        return getattr(self.load(module), name)

    def speaks(self) -> Dialect:
        """Return the dialect that goes with it."""
        dialect = getattr(httpx_resilience, self.dialect)
        assert isinstance(dialect, Dialect)
        return dialect

    def transport(
        self, *, is_async: bool, dialect: Dialect | None = None, policy: Policy = POLICY
    ) -> Any:
        door = "httpx_resilience" if self.library == "httpx" else "httpx_resilience.httpx2"
        name = "AsyncResilientTransport" if is_async else "ResilientTransport"
        kind = getattr(importlib.import_module(door), name)
        return kind(dialect=dialect or self.speaks(), policy=policy)

    def http_client(self, transport: Any, *, is_async: bool, **more: Any) -> Any:
        library = importlib.import_module(self.library)
        kind = library.AsyncClient if is_async else library.Client
        return kind(transport=transport, **more)

    def undo(self) -> None:
        """Undo what making a client changed for the whole process."""

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        """Return the SDK's client over a transport; ``retries``: with its own left on."""
        raise NotImplementedError

    def ask(self, client: Any, *, is_async: bool) -> Any:
        """Ask; return the answer, or what gives it when it is awaited."""
        raise NotImplementedError

    def text(self, answer: Any) -> str:
        """Return what an answer says."""
        return str(answer.choices[0].message.content)

    def stream(self, client: Any, *, is_async: bool) -> Any:
        """Ask for a stream; return an iterator, or what gives one when it is awaited."""
        raise NotImplementedError

    def piece(self, event: Any) -> str:
        """Return what one event of a stream says."""
        return str(event.choices[0].delta.content)


def of_each(sdks: list[Sdk]) -> pytest.MarkDecorator:
    """Run a test with each of some SDKs."""
    return pytest.mark.parametrize("sdk", sdks, ids=repr)


def asked(sdk: Sdk, url: str, *, is_async: bool, retries: bool = False) -> str:
    """Ask once; return what the answer says."""
    if not is_async:
        with sdk.transport(is_async=False) as transport:
            client = sdk.client(url, transport, is_async=False, retries=retries)
            return sdk.text(sdk.ask(client, is_async=False))

    async def ask() -> str:
        async with sdk.transport(is_async=True) as transport:
            client = sdk.client(url, transport, is_async=True, retries=retries)
            return sdk.text(await sdk.ask(client, is_async=True))

    return asyncio.run(ask())
