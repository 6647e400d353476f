"""The command line: ``httpx-resilience --help`` names its commands. Needs the extra ``cli``."""

import sys
from collections.abc import Sequence

from ._streams import say, stderr_or_nowhere

__all__ = ["main"]

_OF_THE_EXTRA = frozenset({"typer", "click", "rich", "jinja2", "starlette", "uvicorn"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status.

    Args:
        arguments: As typed after the program's name; by default the process's own.

    >>> main(["errors", "no_such_eror"])
    2
    """
    with stderr_or_nowhere():
        if sys.stdout is None:
            say("cannot write: standard output is closed")
            return 1
        try:
            from ._app import run  # the only import that needs the extra
        except ImportError as error:
            if not _misses_the_extra(error):
                raise
            say(
                "the command line needs packages that come with an extra: "
                'pip install "httpx-resilience[cli]"'
            )
            return 1
        return run(arguments)


def _misses_the_extra(error: ImportError) -> bool:
    # The fake vault raises an ImportError of its own from the one that names the package.
    names = [e.name or "" for e in (error, error.__cause__) if isinstance(e, ImportError)]
    return any(name.partition(".")[0] in _OF_THE_EXTRA for name in names)
