"""What tests of the command line have in their hands."""

import signal
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

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
