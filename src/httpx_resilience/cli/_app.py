"""The program: which commands there are, and what becomes of an error on the way.

Exit status: 0 well, 1 failed, 2 used wrongly, 130 interrupted. An error is one line on stderr.
"""

import errno
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from ._demo import demo
from ._errors import errors
from ._fetch import fetch
from ._report import report
from ._schema import schema
from ._screen import complain
from ._simulate import simulate
from ._status import status
from ._streams import drop

PROGRAM = "httpx-resilience"

# typer brought click along, or its own copy of it, depending on its version.
_ClickError: type[Exception] = next(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)

app = typer.Typer(
    name=PROGRAM, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
app.command()(demo)
app.command()(fetch)
app.command()(errors)
app.command()(status)
app.command()(schema)
app.command()(report)
app.command()(simulate)


@app.callback(invoke_without_command=True)
def program(
    context: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", is_eager=True)
    ] = False,
) -> None:
    """See httpx-resilience at work: retries by error code, within budgets, explained in the log."""
    if show_version:
        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None) -> int:
    """Run the program; return its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(given, prog_name=PROGRAM, standalone_mode=False)
    except _ClickError as error:
        complain(_in_one_line(error))
        return getattr(error, "exit_code", 1)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return 130
    except OSError as error:  # what a command asks of the network it handles itself
        if error.errno != errno.EPIPE:  # nobody reads on (``| head``): so nobody reads a complaint
            complain(f"cannot write: {error.strerror or error}")
        drop(sys.stdout)
        return 1
    return status if isinstance(status, int) else 0


def _in_one_line(error: Exception) -> str:
    message: str = getattr(error, "format_message", error.__str__)()
    # typer repeats what it does not understand, which may be a token or a URL with a password.
    if message.startswith("Got unexpected extra argument"):
        return "too many arguments; put quotes around what belongs together"
    if message.startswith("No such command"):
        known = "demo, fetch URL, errors, status, schema, report LOG and simulate"
        return f"no such command; there are {known} (see --help)"
    return message
