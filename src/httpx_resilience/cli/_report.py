"""``report``: what happened, from the log lines, for the person on call."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from ._screen import Misuse, complain, console
from .report.counts import Counts
from .report.lines import BrokenLogError, Found, records_of
from .report.page import write_page
from .report.result import Report, result_of
from .report.selection import Selection
from .report.tables import show
from .report.times import moment_of

STDIN = "-"


def report(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG...", help="Log files, gzip too; - is stdin.")
    ],
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From when on: a time, or how long ago, as in 15m."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Up to when: as --since.")
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="Only calls that met this code, exception or status.")
    ] = None,
    origin: Annotated[str | None, typer.Option(help="Only this origin, or this host.")] = None,
    call: Annotated[str | None, typer.Option(metavar="ID", help="Only this call.")] = None,
    time_key: Annotated[
        str, typer.Option(metavar="NAME", help="Which field has the time of a line.")
    ] = "timestamp",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write a page with plots, and no table."),
    ] = None,
) -> None:
    """Show what happened, from the log lines: what failed, what became of it, what to do.

    Reads the lines of this library, JSON or key=value, whatever else the logs hold. Ends with
    status 0, 1 if a log cannot be read or has no line of this library, 2 if an argument cannot be
    used.
    """
    now = time.time()
    selection = Selection(
        since=_moment("--since", since, now),
        until=_moment("--until", until, now),
        code=code,
        origin=origin,
        call=call,
    )
    found, counts = Found(), Counts(selection)
    is_whole = _read(logs, time_key, found, counts)
    if not found.records:
        complain("no line of httpx-resilience in the log: see docs/logs.md for what they look like")
        raise typer.Exit(1)
    _give(result_of(counts, found), as_json=as_json, html=html)
    if not is_whole:
        raise typer.Exit(1)


def _moment(option: str, text: str | None, now: float) -> float | None:
    if text is None:
        return None
    moment = moment_of(text, now)
    if moment is None:
        allowed = "a time as in 2026-11-24T04:00:00Z, or how long ago, as in 90s, 15m, 2h, 7d"
        raise Misuse(f"{option}: got {text!r}, allowed is {allowed}")
    return moment


def _read(logs: Sequence[str], time_key: str, found: Found, counts: Counts) -> bool:
    """Count all that the logs have; return whether all could be read to their end."""
    is_whole = True
    with _bar(logs) as advance:
        for log in _in_order(logs, time_key):
            try:
                with _opened(log) as stream:
                    for record in records_of(stream, found, time_key=time_key, report=advance):
                        counts.take(record)
            except OSError as error:
                complain(f"{log}: {error.strerror or type(error).__name__}")
                is_whole = False
            except BrokenLogError as error:
                complain(f"{log}: {error}; what came before is counted")
                is_whole = False
    return is_whole


def _in_order(logs: Sequence[str], time_key: str) -> list[str]:
    """Return the logs in the order of their first lines: rotated ones are named the other way."""
    return sorted(dict.fromkeys(logs), key=lambda log: _begin(log, time_key))


def _begin(log: str, time_key: str) -> float:
    if log == STDIN or not os.path.isfile(log):  # what is read from a pipe is gone
        return float("inf")
    try:
        with _opened(log) as stream:
            for record in records_of(stream, Found(), time_key=time_key):
                if record["at"] is not None:
                    return float(record["at"])
    except (OSError, BrokenLogError):
        pass  # said when it is read
    return float("inf")


@contextmanager
def _opened(log: str) -> Iterator[BinaryIO]:
    if log == STDIN:
        yield sys.stdin.buffer
        return
    with open(log, "rb") as stream:
        yield stream


@contextmanager
def _bar(logs: Sequence[str]) -> Iterator[Callable[[int], None]]:
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda size: None
        return
    sizes = [os.path.getsize(log) for log in dict.fromkeys(logs) if os.path.isfile(log)]
    total = sum(sizes) if len(sizes) == len(set(logs)) else None
    columns = (BarColumn(bar_width=24), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda size: bar.update(task, advance=size)


def _give(made: Report, *, as_json: bool, html: Path | None) -> None:
    if html is not None:
        try:
            write_page(made, html)
        except OSError as error:
            complain(f"--html: {html}: {error.strerror or type(error).__name__}")
            raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(made), flush=True)
    elif html is None:
        show(made, console())
