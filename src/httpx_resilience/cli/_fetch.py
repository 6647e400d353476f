"""``fetch``: the transport against any URL."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import anyio
import httpx
import typer

from .. import (
    AsyncResilientTransport,
    Dialect,
    Event,
    Level,
    Listener,
    Policy,
    RateLimitStatus,
    RetryPolicy,
    RetryScheduled,
)
from . import _tables
from ._dialects import CHOICES, dialect_of
from ._exchange import Result, exchange
from ._lines import JsonLines
from ._options import (
    body_of,
    headers_of,
    method_of,
    origin_of,
    seconds_of,
    url_of,
)
from ._progress import progress, repeating
from ._screen import complain, console, quiet_log
from ._tally import Tally, word_of

_WORDS = {
    "ConnectError": "cannot connect",
    "ConnectTimeout": "cannot connect in time",
    "ReadTimeout": "no answer in time",
    "RemoteProtocolError": "the connection broke, or what came is not HTTP",
    "ReadError": "the connection broke",
    "WriteError": "the connection broke",
    "DeadlineExceeded": "the deadline passed",
    "ThrottleTimeout": "the rate limit leaves no room in time",
}
_MOST = 1_000_000_000
_MOST_AT_A_TIME = 10_000
_SAFE_TEXT = (httpx.ConnectError,)
"""Errors whose own text comes from the operating system, so that it can hold no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, how often, and how."""

    method: str
    url: httpx.URL
    headers: list[tuple[str, str]]
    body: bytes | None
    number: int
    concurrency: int
    timeout: float
    dialect: Dialect
    policy: Policy


@dataclass(slots=True)
class _FetchRun:
    """What the calls came to so far."""

    tally: Tally = field(default_factory=Tally)
    results: Counter[str] = field(default_factory=Counter[str])
    failures: int = 0
    body_is_shown: bool = False
    last_error: Exception | None = None
    limits: tuple[RateLimitStatus, ...] = ()
    began: float = field(default_factory=time.monotonic)

    def take(self, result: Result) -> None:
        if result.has_lost_body and result.status is not None:
            self.tally.lose_body(result.status)
        self.results[result.word] += 1
        self.failures += result.is_failure
        self.last_error = result.error or self.last_error


def fetch(
    url: Annotated[str, typer.Argument(metavar="URL", help="What to call; http:// or https://.")],
    number: Annotated[
        int,
        typer.Option("--number", "-n", metavar="N", min=1, max=_MOST, help="How many calls."),
    ] = 1,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            "-c",
            metavar="N",
            min=1,
            max=_MOST_AT_A_TIME,
            help="How many at a time.",
        ),
    ] = 10,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "-X",
            metavar="METHOD",
            help="The method; GET, or POST with --data, if not given.",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            "-H",
            metavar="HEADER",
            help='A header as "Name: value"; may be given repeatedly.',
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The request body; @FILE for a file's content, @- for standard input.",
        ),
    ] = None,
    dialect: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"What the API speaks: {CHOICES}")
    ] = "generic",
    max_attempts: Annotated[
        int, typer.Option(min=1, max=_MOST, metavar="N", help="Attempts of one call in all.")
    ] = RetryPolicy().max_attempts,
    retry_for: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds for which retries of a call go on.")
    ] = RetryPolicy().retry_for,
    deadline: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Seconds after which a call is cut off.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Seconds to connect, and between two pieces of the answer."
        ),
    ] = 30.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the log lines only, one JSON object each.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="With --json: also every attempt (level debug).")
    ] = False,
) -> None:
    """Call a URL, once or many times.

    Shows what was retried, how it ended and what the server said of its limits. One call prints the
    response's body on standard output, everything else on standard error; many calls print a table.
    Ends with status 0 if all calls succeeded, 1 if one did not, 2 if an argument cannot be used.
    """
    body = body_of(data)
    retry = RetryPolicy(
        max_attempts=max_attempts,
        retry_for=seconds_of("--retry-for", retry_for, or_none=True),
        deadline=None if deadline is None else seconds_of("--deadline", deadline),
    )
    job = Job(
        method=method_of(method, has_body=body is not None),
        url=url_of(url),
        headers=headers_of(header or []),
        body=body,
        number=number,
        concurrency=min(concurrency, number),
        timeout=seconds_of("--timeout", timeout),
        dialect=dialect_of(dialect),
        policy=Policy(retry=retry),
    )
    level = (Level.DEBUG if verbose else Level.INFO) if as_json else None
    run, was_interrupted = _FetchRun(), False
    try:
        with quiet_log():
            anyio.run(_make_all, job, run, level)
    except KeyboardInterrupt:
        was_interrupted = True
        run.tally.interrupt()
    _report(job, run, to_stderr=as_json or number == 1)
    if was_interrupted:
        complain(f"interrupted after {sum(run.results.values())} of {number} calls")
        raise typer.Exit(130)
    raise typer.Exit(1 if run.failures else 0)


def _report(job: Job, run: _FetchRun, *, to_stderr: bool) -> None:
    lone_error = job.number == 1 and run.last_error is not None
    if run.tally.calls and not lone_error:
        screen = console(stderr=to_stderr)
        if run.body_is_shown:
            screen.print()  # a body need not end with a line break
        _tables.show(run.tally, time.monotonic() - run.began, screen)
        came = ", ".join(
            f"{'status ' * word.isdigit()}{word} ({count} of {run.results.total()})"
            for word, count in run.results.most_common()
        )
        screen.print(f"\nWhat came back: {came or 'nothing yet'}")
        _tables.show_limits(run.limits, screen)
    if run.last_error is not None:
        attempts = f" ({run.tally.attempts} attempts)" if lone_error else ""
        which = (
            ""
            if lone_error
            else f"{run.failures} of {job.number} calls failed; the last exception: "
        )
        complain(f"{origin_of(job.url)}: {which}{_in_words(run.last_error)}{attempts}")


def _in_words(error: Exception) -> str:
    name = type(error).__name__
    said = _WORDS.get(name, "the call failed")
    own = f": {error}" if isinstance(error, _SAFE_TEXT) and str(error) else ""
    return f"{said} ({name}{own})"


async def _make_all(job: Job, run: _FetchRun, json_from: Level | None) -> None:
    scope = anyio.CancelScope()
    lines = JsonLines(json_from or Level.ERROR, scope.cancel)
    with scope:
        listeners = [Listener(run.tally, level=Level.DEBUG)]
        if json_from is not None:
            listeners.append(Listener(lines, level=json_from))
        elif job.number == 1 and sys.stderr.isatty():
            listeners.append(Listener(_announce_wait))
        limits = httpx.Limits(max_connections=job.concurrency)
        transport = AsyncResilientTransport(
            httpx.AsyncHTTPTransport(limits=limits),
            dialect=job.dialect,
            policy=job.policy,
            on_event=listeners,
        )
        async with httpx.AsyncClient(transport=transport) as client:
            try:
                if job.number == 1:
                    run.body_is_shown = json_from is None
                    run.take(await _call(client, job, _Body() if run.body_is_shown else None))
                else:
                    await _make_many(client, job, run)
            finally:
                run.limits = transport.rate_limits()
    lines.close()


async def _make_many(client: httpx.AsyncClient, job: Job, run: _FetchRun) -> None:
    left = iter(range(job.number))

    async def work() -> None:
        for _ in left:
            run.take(await _call(client, job, None))
            advance(repeating(run.tally))

    with progress(job.number) as advance:
        async with anyio.create_task_group() as group:
            for _ in range(job.concurrency):
                group.start_soon(work)


async def _call(
    client: httpx.AsyncClient, job: Job, on_chunk: Callable[[bytes], object] | None
) -> Result:
    timeout = httpx.Timeout(job.timeout, pool=None)
    request = client.build_request(
        job.method, job.url, headers=job.headers, content=job.body, timeout=timeout
    )
    return await exchange(client, request, on_chunk or len)


class _Body:
    """Writes a response's body on stdout as it comes; not what would upset a terminal."""

    def __init__(self) -> None:
        self._is_withheld = False

    def __call__(self, chunk: bytes) -> None:
        if sys.stdout.isatty() and b"\0" in chunk and not self._is_withheld:
            self._is_withheld = True
            complain("the body is binary and is not shown; send standard output to a file")
        if not self._is_withheld:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def _announce_wait(event: Event) -> None:
    if isinstance(event, RetryScheduled):
        complain(
            f"attempt {event.attempt} of {event.max_attempts}: {word_of(event)}; "
            f"the next in {event.delay:g} s ({event.delay_source})"
        )
