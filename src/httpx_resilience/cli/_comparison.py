"""The trials of one job side by side: a table of numbers, and a chart of requests over time."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._chart import ASCII, BLOCKS, axis, bars, counts, step_for
from ._tables import new_table
from ._trials import Observed

_WELL, _ILL = "green", "red"
_SERVED, _REFUSED = "  served  ", "  {:<8}"
_MARGIN = len(_SERVED)


def good(text: str, *, is_good: bool) -> Text:
    """Return a cell that is as it should be, or is not."""
    return Text(text, _WELL if is_good else _ILL)


def numbers(trials: Sequence[Observed], rows: Iterable[tuple[str, list[Text]]]) -> Table:
    """Return a table with a column for each trial."""
    table = new_table()
    table.add_column("")
    for trial in trials:
        table.add_column(trial.name, justify="right")
    for head, cells in rows:
        table.add_row(head, *cells)
    return table


def show_charts(trials: Sequence[Observed], screen: Console) -> None:
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
        refused = _REFUSED.format(trial.refusal)
        screen.print(f"\n{trial.name}")
        _print_row(Text(_SERVED).append(bars(well, peak, ramp), _WELL), screen)
        _print_row(Text(refused).append(bars(ill, peak, ramp) or "none", _ILL * any(ill)), screen)
    _print_row(Text(" " * _MARGIN + axis(last, step), "dim"), screen)
    screen.print(
        f"\nHeights go by the square root; the highest bar is {peak} requests. They are shown\n"
        f"when the vault got them. A column is {step * 1000:g} ms, so that all of it fits."
    )


def conclude(text: str, screen: Console, *, is_good: bool) -> None:
    """Show what it all came to."""
    screen.print(good(f"\n{text}", is_good=is_good))


def _print_row(row: Text, screen: Console) -> None:
    screen.print(row, no_wrap=True, overflow="crop")


def _moments(trial: Observed, *, refused: bool) -> list[float]:
    return [
        max(0.0, request.at - trial.began)
        for request in trial.requests
        if trial.is_refusal(request) is refused
    ]
