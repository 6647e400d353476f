"""Live progress on stderr; nothing where that is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ._screen import console
from ._tally import Tally


@contextmanager
def progress(calls: int, head: str = "calls") -> Iterator[Callable[[str], None]]:
    """Show a bar while calls are made.

    Args:
        calls: How many there are.
        head: What stands before the bar.

    Yields:
        To be called once for each call that ended, with what stands behind the bar from then on.
    """
    screen = console(stderr=True)
    if not screen.is_terminal:  # some versions of rich end a disabled bar with an empty line
        yield lambda text: None
        return
    columns = (
        TextColumn(head),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    bar = Progress(*columns, console=screen, transient=True)
    with bar:
        task = bar.add_task("", total=calls)

        def advance(text: str) -> None:
            bar.update(task, advance=1, description=text)

        yield advance


def repeating(tally: Tally) -> str:
    """Return how much is being repeated."""
    return f"{tally.attempts} attempts, {tally.waiting} to be retried"
