"""What tests of the command line have in their hands."""

import io
import re
import signal
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from httpx_resilience.cli import main
from httpx_resilience.testing import FakeScaiVault

PROGRAM = """
import signal, sys
from httpx_resilience.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
sys.exit(main())
"""
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


def captured(*arguments: str) -> Ran:
    """Run a command in this process, at 80 columns; for fixtures of a module."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("COLUMNS", "80")
        status = main(arguments)
    return Ran(status, out.getvalue(), err.getvalue())


def cells(ran: Ran, first: str) -> list[str]:
    """Return what a table has in the row that begins so."""
    line = next(line for line in ran.out.splitlines() if line.startswith(first))
    return re.split(r"\s{2,}", line.removeprefix(first).strip())


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


def ended(program: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for a program to end; return its output. One that hangs fails the test with where."""
    try:
        return program.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        program.send_signal(signal.SIGABRT)  # faulthandler, which it runs with, prints the stacks
        out, err = program.communicate(timeout=30)
        pytest.fail(f"the program did not end:\n{out[-2000:]}\n{err[-8000:]}")
