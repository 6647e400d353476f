"""``demo``: a server that misbehaves, and what the transport makes of it."""

import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
import httpx
import typer
from rich.console import Console
from rich.text import Text

from .. import AsyncResilientTransport, Event, GaveUp, Level, Recovered, RetryScheduled
from .._core.decision import NOT_IDEMPOTENT, RETRY_AFTER_TOO_LONG
from ..testing import FakeScaiVault, Limit, serve
from . import _tables
from ._exchange import Result, exchange
from ._lines import JsonLines, line_of, readable
from ._progress import progress
from ._scenario import WRITE, Ending, Planned, planned
from ._screen import complain, console, quiet_log
from ._tally import Tally

Listener = Callable[[Event], object]

_CONNECTIONS = 20
"""httpcore looks at all of them for every request, so that more would be slower."""

_PLENTY = {name: Limit(1_000_000) for name in ("read", "write", "delete")}

_INTRODUCTION = (
    "A fake vault on this machine that misbehaves on purpose, and an httpx client\n"
    "that calls it through AsyncResilientTransport(), nearly always as it comes.\n"
)

_TELLING: tuple[tuple[str, Callable[[Event], bool]], ...] = (
    (
        "The server named a time to wait: the retry comes then, not before",
        lambda e: isinstance(e, RetryScheduled) and e.delay_source == "retry_after",
    ),
    (
        "A call that took retries and came out well",
        lambda e: isinstance(e, Recovered) and e.attempt > 2,
    ),
    (
        "internal_error is tried once more, then told as an error, with the request id",
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


@dataclass(slots=True)
class _Run:
    """What a run of the demo came to so far."""

    seconds: float = 0.0
    finished: int = 0
    differences: list[str] = field(default_factory=list[str])


class _Telling:
    """Keeps the first log line of each telling kind; an ``on_event`` callable."""

    def __init__(self) -> None:
        self._found: dict[int, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        for index, (_, is_meant) in enumerate(_TELLING):
            if index not in self._found and is_meant(event):
                self._found[index] = line_of(event)

    def show(self, screen: Console) -> None:
        screen.print("\nFive of its log lines", style="bold")
        for index, line in sorted(self._found.items()):
            screen.print(Text(f"\n{_TELLING[index][0]}:", "italic"))
            screen.print(readable(line, screen.width))


def demo(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the log lines only, one JSON object each.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --json: every attempt, too (level debug).")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides the order of the calls.")] = 1,
) -> None:
    """Watch it deal with a server that misbehaves.

    Runs a few hundred calls and shows what was retried, how it ended and why. Takes some seconds,
    needs no network, and ends with status 0 if every call ended as it should.
    """
    tally, telling, run = Tally(), _Telling(), _Run()
    listeners: list[Listener] = [tally, telling]
    level = Level.DEBUG if verbose else Level.INFO
    try:
        with quiet_log():
            anyio.run(_play, seed, listeners, level if as_json else None, tally, run)
    except KeyboardInterrupt:
        complain(f"interrupted; calls that had ended: {run.finished}")
        raise typer.Exit(130) from None
    if not as_json:
        screen = console()
        screen.print(_INTRODUCTION)
        _tables.show(tally, run.seconds, screen)
        telling.show(screen)
        _conclude(run, screen)
    for difference in run.differences:
        complain(difference)
    raise typer.Exit(1 if run.differences else 0)


def _conclude(run: _Run, screen: Console) -> None:
    screen.print()
    wrong = len(run.differences)
    if wrong:
        screen.print(Text(f"{wrong} of {run.finished} calls did not end as they should.", "red"))
    else:
        screen.print(
            Text(
                f"All {run.finished} calls ended as they should, the failed ones included.", "green"
            )
        )


async def _play(
    seed: int,
    listeners: list[Listener],
    json_from: Level | None,
    tally: Tally,
    run: _Run,
) -> None:
    scope = anyio.CancelScope()
    lines = JsonLines(json_from or Level.ERROR, scope.cancel)
    heard: list[Listener] = [*listeners, lines] if json_from is not None else [*listeners]
    with scope:
        await _Stage(heard, tally, run).play(planned(seed))
    lines.close()


class _Stage:
    """A vault, a client, and the calls between them."""

    def __init__(self, listeners: list[Listener], tally: Tally, run: _Run) -> None:
        self._vault = FakeScaiVault(limits=_PLENTY)
        self._shared_token = self._vault.issue_token("demo")
        self._listeners = listeners
        self._tally = tally
        self._run = run

    async def play(self, calls: Sequence[Planned]) -> None:
        """Write the secrets, then make all other calls at once."""
        writes = [Planned(WRITE, call.path) for call in calls if call.scene.is_written]
        transport = AsyncResilientTransport(
            httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=_CONNECTIONS)),
            on_event=self._listeners,
        )
        began = time.monotonic()
        async with serve(self._vault) as up, httpx.AsyncClient(transport=transport) as client:
            with _nobody_listens() as down, progress(len(writes) + len(calls)) as advance:
                for act in (writes, calls):
                    async with anyio.create_task_group() as group:
                        for call in act:
                            origin = down if call.scene.is_down else up
                            group.start_soon(self._make, client, origin, call, advance)
            self._run.seconds = time.monotonic() - began
        self._compare_with_server(calls)  # the log is whole once the server has stopped

    async def _make(
        self,
        client: httpx.AsyncClient,
        origin: str,
        call: Planned,
        advance: Callable[[Tally], None],
    ) -> None:
        scene = call.scene
        if scene.faults:
            self._vault.script(scene.faults, path=call.path, method=scene.method)
        result = await exchange(client, self._request(client, origin, call))
        if result.has_lost_body and result.status is not None:
            self._tally.lose_body(result.status)
        ended = _ending_of(result)
        if ended != scene.ends:
            self._run.differences.append(
                f"{scene.method} {call.path}: {ended} instead of {scene.ends}"
            )
        self._run.finished += 1
        advance(self._tally)

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
                self._run.differences.append(
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
