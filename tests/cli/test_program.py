"""The program as a whole: version, help, missing extras, what it leaves alone, pipes."""

import logging
import os
import subprocess
import sys
from importlib.metadata import version

import pytest

from httpx_resilience.cli._screen import quiet_log
from support.commands import PROGRAM, Run, Start, ended

pytest_plugins = ["support.command_fixtures"]


def test_the_version_is_told(run: Run) -> None:
    ran = run("--version")
    assert (ran.status, ran.out) == (0, f"httpx-resilience {version('httpx-resilience')}\n")


def test_without_a_command_the_help_names_them_all(run: Run) -> None:
    ran = run()
    assert ran.status == 0
    assert all(f"\n  {command} " in ran.out for command in ("demo", "fetch", "errors", "schema"))


@pytest.mark.parametrize("package", ["typer", "starlette"])
def test_a_missing_extra_is_named_in_one_line(package: str) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; {PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", without, "errors"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert 'pip install "httpx-resilience[cli]"' in ran.stderr


def test_a_bug_in_an_import_is_not_taken_for_a_missing_extra() -> None:
    broken = f"import sys; sys.modules['httpx_resilience.testing'] = None; {PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", broken, "errors"], capture_output=True, text=True, check=False
    )
    assert "httpx_resilience.testing" in ran.stderr
    assert "pip install" not in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("https://user:s3cr3t@vault.example/?key=s3cr3t",),
        ("fetch", "http://127.0.0.1", "-H", "Authorization:", "Bearer", "s3cr3t"),
        ("fetch", "http://127.0.0.1", "--haeder=s3cr3t"),
        ("errors", "--nonsense"),
        ("demo", "--seed", "many"),
    ],
)
def test_what_is_not_understood_is_one_line_that_repeats_no_secret(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ran = run(*arguments)
    assert ran.status == 2
    assert ran.complaint
    assert "s3cr3t" not in ran.err
    assert ran.out == ""


def test_the_log_is_left_as_it_was_found() -> None:
    logger = logging.getLogger("httpx_resilience")
    with quiet_log():
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert logger.isEnabledFor(logging.CRITICAL)


@pytest.mark.parametrize("arguments", [("errors",), ("errors", "--json")])
def test_nobody_reading_on_is_no_error(start: Start, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    program = start(*arguments, stdout=writing)
    os.close(writing)
    _, err = ended(program)
    assert (program.returncode, err) == (1, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_told_in_one_line(start: Start) -> None:
    with open("/dev/full", "w") as full:
        program = start("errors", stdout=full)
        _, err = ended(program)
    assert program.returncode == 1
    assert err == "httpx-resilience: cannot write: No space left on device\n"
