"""``demo --scenario faults``: a server that misbehaves, and what the transport makes of it."""

import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anyio
import httpx
from rich.console import Console
from rich.text import Text

from .. import AsyncResilientTransport, Event, GaveUp, Level, Listener, Recovered, RetryScheduled
from .._core.retry.decision import NOT_IDEMPOTENT, RETRY_AFTER_TOO_LONG
from ..testing import FakeScaiVault, Limit, serve
from . import _tables
from ._exchange import Result, exchange
from ._lines import line_of, readable
from ._progress import progress, repeating
from ._scenario import WRITE, Ending, Planned, planned
from ._tally import Tally

_CONNECTIONS = 20
"""httpcore looks at all of them for every request, so that more would be slower."""

_PLENTY = {name: Limit(1_000_000) for name in ("read", "write", "delete")}

_INTRODUCTION = (
    "A fake vault on this machine that misbehaves on purpose, and an httpx client\n"
    "that calls it through AsyncResilientTransport(), nearly always as it comes.\n"
)

_SHOWN: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    (
        "The server named a time to wait: the retry comes then, not before",
        lambda e: isinstance(e, RetryScheduled) and e.delay_source == "retry_after",
    ),
    (
        "A call that took retries and came out well",
        lambda e: isinstance(e, Recovered) and e.attempt > 2,
    ),
    (
        "internal_error is tried once more, then logged as an error, with the request id",
        lambda e: isinstance(e, GaveUp) and bool(e.escalated),
    ),
    (
        "A POST that the server may have carried out is not sent twice",
        lambda e: isinstance(e, GaveUp) and e.reason == NOT_IDEMPOTENT and e.method == "POST",
    ),
    (
        "The server asks for an hour: the call ends at once and says so",
        lambda e: isinstance(e, GaveUp) and e.reason == RETRY_AFTER_TOO_LONG,
    ),
)
"""The log lines that are shown: what each one shows, and the first event to be taken for it."""


class _LineSample:
    """Keeps the first log line of each kind that is shown; an ``on_event`` callable."""

    def __init__(self) -> None:
        self._found: dict[int, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        for index, (_, is_meant) in enumerate(_SHOWN):
            if index not in self._found and is_meant(event):
                self._found[index] = line_of(event)

    def show(self, screen: Console) -> None:
        screen.print("\nFive of its log lines", style="bold")
        for index, line in sorted(self._found.items()):
            screen.print(Text(f"\n{_SHOWN[index][0]}:", "italic"))
            screen.print(readable(line, screen.width))


class Faults:
    """A vault, a client, and the calls between them.

    Args:
        seed: Decides the order of the calls.

    Attributes:
        finished: Calls that have ended.
        differences: What did not go as it should, a line each.
    """

    def __init__(self, seed: int) -> None:
        self.finished = 0
        self.differences: list[str] = []
        self._calls = planned(seed)
        self._vault = FakeScaiVault(limits=_PLENTY)
        self._shared_token = self._vault.issue_token("demo")
        self._tally = Tally()
        self._sample = _LineSample()
        self._seconds = 0.0

    async def play(self, listeners: Sequence[Listener]) -> None:
        """Write the secrets, then make all other calls at once."""
        calls = self._calls
        writes = [Planned(WRITE, call.path) for call in calls if call.scene.is_written]
        transport = AsyncResilientTransport(
            httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=_CONNECTIONS)),
            on_event=[
                Listener(self._tally, level=Level.DEBUG),
                self._sample,
                *listeners,
            ],
        )
        began = time.monotonic()
        async with serve(self._vault) as up, httpx.AsyncClient(transport=transport) as client:
            with _nobody_listens() as down, progress(len(writes) + len(calls)) as advance:
                for act in (writes, calls):
                    async with anyio.create_task_group() as group:
                        for call in act:
                            origin = down if call.scene.is_down else up
                            group.start_soon(self._make, client, origin, call, advance)
            self._seconds = time.monotonic() - began
        self._compare_with_server(calls)  # the log is whole once the server has stopped

    def show(self, screen: Console) -> None:
        """Show what was counted, some log lines, and whether all went as it should."""
        screen.print(_INTRODUCTION)
        _tables.show(self._tally, self._seconds, screen)
        self._sample.show(screen)
        wrong, all_of_them = len(self.differences), self.finished
        screen.print()
        if wrong:
            text = Text(f"{wrong} of {all_of_them} calls did not end as they should.", "red")
        else:
            said = f"All {all_of_them} calls ended as they should, the failed ones included."
            text = Text(said, "green")
        screen.print(text)

    async def _make(
        self,
        client: httpx.AsyncClient,
        origin: str,
        call: Planned,
        advance: Callable[[str], None],
    ) -> None:
        scene = call.scene
        if scene.faults:
            self._vault.script(scene.faults, path=call.path, method=scene.method)
        result = await exchange(client, self._request(client, origin, call))
        if result.has_lost_body and result.status is not None:
            self._tally.lose_body(result.status)
        ended = _ending_of(result)
        if ended != scene.ends:
            self.differences.append(f"{scene.method} {call.path}: {ended} instead of {scene.ends}")
        self.finished += 1
        advance(repeating(self._tally))

    def _request(self, client: httpx.AsyncClient, origin: str, call: Planned) -> httpx.Request:
        scene = call.scene
        body: dict[str, Any] = {}
        if scene.one_shot:
            body["content"] = _stream(b'{"value": "s3cret"}')
        elif scene.method in ("PUT", "POST"):
            body["json"] = {"value": "s3cret", **({"cas": scene.cas} if scene.cas else {})}
        extensions = {} if scene.policy == "default" else {"resilience": scene.policy}
        return client.build_request(
            scene.method,
            origin + call.path,
            headers={"Authorization": f"Bearer {self._token_of(call)}"},
            timeout=httpx.Timeout(10.0, read=scene.timeout, pool=None),
            extensions=extensions,
            **body,
        )

    def _token_of(self, call: Planned) -> str:
        if call.scene.token == "own":  # noqa: S105 - not a password
            return self._vault.issue_token(call.path)
        return "nobody-issued-this" if call.scene.token == "wrong" else self._shared_token  # noqa: S105

    def _compare_with_server(self, calls: Sequence[Planned]) -> None:
        """Ask the other side, too, whether each call's attempts arrived there, and no others."""
        arrived = Counter((seen.method, seen.path) for seen in self._vault.log)
        for call in calls:
            scene, got = call.scene, arrived[call.scene.method, call.path]
            got -= scene.method == WRITE.method and scene.is_written
            wanted = 0 if scene.is_down else scene.ends.attempts
            # A deadline may pass before there is a free connection to send on.
            if got != wanted and not (got < wanted and scene.ends.result == "DeadlineExceeded"):
                self.differences.append(
                    f"{scene.method} {call.path}: the server saw {got} attempts instead of {wanted}"
                )


def _ending_of(result: Result) -> Ending:
    history = result.history
    if history is None:
        return Ending("no history", result.word, 0)
    return Ending(history.reason or "no reason", result.word, len(history.attempts))


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


@contextmanager
def _nobody_listens() -> Iterator[str]:
    """Hold a port on which every connection is refused: bound, but not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"
