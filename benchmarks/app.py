"""The program: which benchmarks are run, and how they are shown.

Results on stdout, progress on stderr. Exit status: 0 well, 1 failed, 2 used wrongly, 130
interrupted; an error is one line on stderr.
"""

import difflib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from .cases.registry import BENCHMARKS, Benchmark
from .harness.machine import machine
from .harness.reports import as_json, show_bars, show_machine, show_table
from .harness.rounds import Effort
from .harness.rows import Row

PROGRAM = "python -m benchmarks"
QUICK = 0.2

# typer brought click along, or its own copy of it, depending on its version.
_ClickError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

app = typer.Typer(
    name=PROGRAM, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.command()
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME ...]", help="Which benchmarks; all if left out."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A glance: fewer and smaller.")] = False,
    plot: Annotated[bool, typer.Option("--plot", help="Draw bars, too.")] = False,
    as_data: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List them.")] = False,
) -> None:
    """Measure what httpx-resilience costs and gains, side by side with its peers."""
    screen = Console(highlight=False, markup=False, emoji=False)
    chosen = _chosen(names or [])
    if show_list:
        for benchmark in chosen:
            screen.print(f"{benchmark.name:<14}{benchmark.about}", soft_wrap=True)
        return
    facts, every = machine(), list[Row]()
    if not as_data:
        show_machine(screen, facts)
    for rows in _measured(chosen, Effort(QUICK if quick else 1.0)):
        every += rows
        if not as_data:
            show_table(screen, rows)
            if plot:
                show_bars(screen, rows)
    if as_data:
        print(as_json(facts, every))


def _chosen(names: Sequence[str]) -> list[Benchmark]:
    for name in names:
        if name not in BENCHMARKS:
            near = difflib.get_close_matches(name, BENCHMARKS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BENCHMARKS)}"
            raise typer.BadParameter(f"no benchmark {name!r}; {hint}")
    return [BENCHMARKS[name] for name in dict.fromkeys(names)] or list(BENCHMARKS.values())


def _measured(chosen: Sequence[Benchmark], effort: Effort) -> Iterator[list[Row]]:
    screen = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    for index, benchmark in enumerate(chosen):
        head = f"{index + 1}/{len(chosen)} {benchmark.name}"
        bar = Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)
        if not screen.is_terminal:
            screen.print(head)
        with bar:
            task = bar.add_task(head, total=None)

            def report(
                text: str, head: str = head, bar: Progress = bar, task: TaskID = task
            ) -> None:
                bar.update(task, description=f"{head}: {text}")

            rows = benchmark.run(effort, report)
        yield rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app(given, prog_name=PROGRAM, standalone_mode=False)
    except _ClickError as error:
        _complain(getattr(error, "format_message", error.__str__)())
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _complain("interrupted")
        return 130
    except (OSError, subprocess.SubprocessError) as error:
        _complain(str(error))
        return 1
    return 0


def _complain(message: str) -> None:
    print("benchmarks: " + " ".join(message.split()), file=sys.stderr)
