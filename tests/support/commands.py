"""What tests of the command line have in their hands."""

import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

from httpx_resilience.testing import FakeScaiVault

PROGRAM = "import sys; from httpx_resilience.cli import main; sys.exit(main())"
"""For ``python -c``: the command line as a program of its own."""


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The only line on stderr, as a command that cannot go on leaves it."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("httpx-resilience: ")
        return lines[0].removeprefix("httpx-resilience: ")


class Run(Protocol):
    """Runs a command in this process, at 80 columns."""

    def __call__(self, *arguments: str) -> Ran: ...


class Start(Protocol):
    """Starts a command as a program of its own."""

    def __call__(self, *arguments: str, **options: Any) -> subprocess.Popen[str]: ...


@dataclass(frozen=True)
class Served:
    """A vault, and where it is."""

    vault: FakeScaiVault
    url: str
