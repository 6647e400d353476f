"""The command line, run in this process or as a program of its own: a pytest plugin.

Not a conftest, for mypy takes only one module of that name; and not to be imported, for pytest
wants to be the first to do so.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from httpx_resilience.cli import main
from httpx_resilience.testing import FakeScaiVault, Limit, serve_in_thread

from .commands import PROGRAM, Ran, Run, Served, Start


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "80")

    def run_here(*arguments: str) -> Ran:
        status = main(arguments)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run_here


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def start_there(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            text=True,
            env={**os.environ, "COLUMNS": "80", "PYTHONFAULTHANDLER": "1"},
            **{**streams, **options},
        )
        started.append(program)
        return program

    yield start_there
    for program in started:
        with program:  # closes its streams, and waits
            program.kill()


@pytest.fixture(scope="module")
def vault_over_loopback() -> Iterator[Served]:
    plenty = Limit(1_000_000)
    vault = FakeScaiVault(anonymous=True, limits={"read": plenty, "auth": plenty})
    with serve_in_thread(vault) as url:
        yield Served(vault, url)


@pytest.fixture
def served(vault_over_loopback: Served) -> Served:
    vault_over_loopback.vault.heal()
    vault_over_loopback.vault.log.clear()
    return vault_over_loopback
