"""The trials of one job side by side: numbers, then requests over time."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..testing import Limit
from ._chart import ASCII, BLOCKS, axis, bars, counts, step_for
from ._tables import new_table
from ._trials import Job, Trial, is_refusal, least_seconds

_WELL, _ILL = "green", "red"
_SERVED, _REFUSED = "  served  ", "  429     "
_MARGIN = len(_SERVED)


def show(job: Job, trials: Sequence[Trial], screen: Console) -> None:
    """Show what the job is, what it came to each time, and when requests were sent."""
    screen.print(_introduction(job))
    screen.print(_numbers(job, trials))
    screen.print(_minimum(job))
    _show_charts(trials, screen)
    _conclude(job, trials[-1], screen)


def _introduction(job: Job) -> str:
    return (
        "One job three times, each time against a fresh vault on this machine:\n"
        f"{job.reads} reads and {job.writes} writes, {job.tasks} at a time. The vault allows "
        f"{_in_words(job.read_limit)} for reads\n"
        f"and {_in_words(job.write_limit)} for writes, and answers 429 to what is more.\n"
    )


def _in_words(limit: Limit) -> str:
    return f"{limit.limit} per {limit.per:g} s"


def _numbers(job: Job, trials: Sequence[Trial]) -> Table:
    table = new_table()
    table.add_column("")
    for trial in trials:
        table.add_column(trial.name, justify="right")
    for head, cells in _rows(job, trials):
        table.add_row(head, *cells)
    return table


def _rows(job: Job, trials: Sequence[Trial]) -> Iterator[tuple[str, list[Text]]]:
    def good(text: str, *, is_good: bool) -> Text:
        return Text(text, _WELL if is_good else _ILL)

    done = [trial.succeeded == job.calls for trial in trials]
    yield (
        f"of {job.calls} calls succeeded",
        [good(f"{t.succeeded}", is_good=ok) for t, ok in zip(trials, done, strict=True)],
    )
    yield "429s answered", [good(f"{t.refused}", is_good=not t.refused) for t in trials]
    yield "requests sent", [Text(f"{len(t.requests)}") for t in trials]
    yield "requests per call", [Text(f"{len(t.requests) / job.calls:.2f}") for t in trials]
    yield "time", [Text(f"{t.seconds:.1f} s") for t in trials]
    yield (
        "time / physical minimum",
        [
            Text(f"{t.seconds / job.least_seconds:.2f}") if ok else Text("not done", _ILL)
            for t, ok in zip(trials, done, strict=True)
        ],
    )


def _minimum(job: Job) -> str:
    reads = _at_least("reads", job.reads, job.read_limit)
    writes = _at_least("writes", job.writes, job.write_limit)
    return (
        f"\nThe physical minimum is {job.least_seconds:.1f} s, for a full bucket can be spent at "
        f"once and the\nrest only as it refills:\n  {reads}\n  {writes}"
    )


def _at_least(what: str, calls: int, limit: Limit) -> str:
    seconds = least_seconds(calls, limit)
    rate = limit.limit / limit.per
    return f"{what:<6}  ({calls} - {limit.limit}) / {rate:g} a second = {seconds:.1f} s"


def _show_charts(trials: Sequence[Trial], screen: Console) -> None:
    """Show each trial in two rows, what was served over what was refused, on the same scales."""
    refusals = [_moments(trial, refused=True) for trial in trials]
    served = [_moments(trial, refused=False) for trial in trials]
    last = max((moment for moments in (*refusals, *served) for moment in moments), default=0.0)
    step = step_for(last, screen.width - _MARGIN)
    drawn = [(counts(s, step), counts(r, step)) for s, r in zip(served, refusals, strict=True)]
    peak = max((height for rows in drawn for row in rows for height in row), default=1)
    ramp = BLOCKS if screen.encoding.startswith("utf") else ASCII
    screen.print(f"\nRequests per {step * 1000:g} ms", style="bold")
    for trial, (well, ill) in zip(trials, drawn, strict=True):
        screen.print(f"\n{trial.name}")
        _print_row(Text(_SERVED).append(bars(well, peak, ramp), _WELL), screen)
        _print_row(Text(_REFUSED).append(bars(ill, peak, ramp) or "none", _ILL * any(ill)), screen)
    _print_row(Text(" " * _MARGIN + axis(last, step), "dim"), screen)
    screen.print(
        f"\nHeights go by the square root; the highest bar is {peak} requests. They are shown\n"
        f"when the vault got them. A column is {step * 1000:g} ms, so that all of it fits."
    )


def _print_row(row: Text, screen: Console) -> None:
    screen.print(row, no_wrap=True, overflow="crop")


def _moments(trial: Trial, *, refused: bool) -> list[float]:
    return [
        max(0.0, request.at - trial.began)
        for request in trial.requests
        if is_refusal(request) is refused
    ]


def _conclude(job: Job, whole: Trial, screen: Console) -> None:
    if whole.succeeded == job.calls and not whole.refused:
        said = f"With the throttle all {job.calls} calls succeeded, and no request was refused."
        screen.print(Text(f"\n{said}", _WELL))
    else:
        screen.print(Text("\nWith the throttle it did not go as it should.", _ILL))
