"""``fetch``: the transport against any URL."""

import time
from typing import Annotated

import typer

from .. import Level, Policy, RetryPolicy
from . import _fetch_async, _fetch_sync, _tables
from ._dialects import CHOICES, dialect_of
from ._job import FetchRun, Job, library_of
from ._options import (
    body_of,
    headers_of,
    method_of,
    origin_of,
    seconds_of,
    url_of,
)
from ._screen import complain, console, quiet_log
from ._store import SECRET, Cluster, Namespace, SecretName, StoreUrl, store_of

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
_SAFE_TEXT = ("ConnectError",)
"""Errors whose own text comes from the operating system, so that it can hold no secret."""


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
    client: Annotated[
        str, typer.Option(metavar="NAME", help="Whose client sends: httpx or httpx2.")
    ] = "httpx",
    sync: Annotated[
        bool, typer.Option("--sync", help="With its synchronous client, in threads.")
    ] = False,
    store: StoreUrl = None,
    namespace: Namespace = None,
    secret_env: SecretName = SECRET,
    cluster: Cluster = False,
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
    library, body = library_of(client), body_of(data)
    retry = RetryPolicy(
        max_attempts=max_attempts,
        retry_for=seconds_of("--retry-for", retry_for, or_none=True),
        deadline=None if deadline is None else seconds_of("--deadline", deadline),
    )
    job = Job(
        library=library,
        method=method_of(method, has_body=body is not None),
        url=url_of(url, library.http),
        headers=headers_of(header or []),
        body=body,
        number=number,
        concurrency=min(concurrency, number),
        timeout=seconds_of("--timeout", timeout),
        dialect=dialect_of(dialect),
        policy=Policy(retry=retry),
        store=store_of(store, namespace, secret_env, is_cluster=cluster),
        json_from=(Level.DEBUG if verbose else Level.INFO) if as_json else None,
    )
    run, was_interrupted = FetchRun(), False
    try:
        with quiet_log():
            (_fetch_sync if sync else _fetch_async).make_all(job, run)
    except KeyboardInterrupt:
        was_interrupted = True
        run.tally.interrupt()
    _report(job, run, to_stderr=as_json or number == 1)
    if was_interrupted:
        complain(f"interrupted after {sum(run.results.values())} of {number} calls")
        raise typer.Exit(130)
    raise typer.Exit(1 if run.failures else 0)


def _report(job: Job, run: FetchRun, *, to_stderr: bool) -> None:
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
    own = f": {error}" if name in _SAFE_TEXT and str(error) else ""
    return f"{said} ({name}{own})"
