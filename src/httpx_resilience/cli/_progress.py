"""Live progress on stderr; nothing where that is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ._screen import console
from ._tally import Tally


@contextmanager
def progress(calls: int) -> Iterator[Callable[[Tally], None]]:
    """Show a bar while calls are made; the value is called once for each call that ended."""
    screen = console(stderr=True)
    columns = (
        TextColumn("calls"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
    with bar:
        task = bar.add_task("", total=calls)

        def advance(tally: Tally) -> None:
            bar.update(
                task,
                advance=1,
                description=f"{tally.attempts} attempts, {tally.waiting} to be retried",
            )

        yield advance
