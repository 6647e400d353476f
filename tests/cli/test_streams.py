"""Standard streams that are closed, full, or read by nobody any more: one line and a status."""

import os
import subprocess
import sys

import pytest

from httpx_resilience.cli import main
from support.commands import PROGRAM, Ran, Served

pytest_plugins = ["support.command_fixtures"]

WHO = "/v1/auth/whoami"
FULL = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="needs a device that is always full"
)
CLOSED = "httpx-resilience: cannot write: standard output is closed\n"


def under_a_shell(redirected: str, *arguments: str) -> Ran:
    """Run a command as a shell does that redirects its streams."""
    done = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {redirected}', sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "COLUMNS": "80"},
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("errors",), ("errors", "--json"), ("demo",)],
    ids=" ".join,
)
def test_a_closed_output_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    assert under_a_shell(">&-", *arguments) == Ran(1, "", CLOSED)


@pytest.mark.parametrize("more", [(), ("-n", "5")], ids=" ".join)
def test_nothing_is_sent_whose_outcome_could_not_be_shown(
    served: Served, more: tuple[str, ...]
) -> None:
    assert under_a_shell(">&-", "fetch", served.url + WHO, *more) == Ran(1, "", CLOSED)
    assert served.vault.log == []


def test_where_nothing_can_be_said_the_status_still_says_it(served: Served) -> None:
    for arguments in (("errors",), ("fetch", served.url + WHO)):
        assert under_a_shell("<&- >&- 2>&-", *arguments) == Ran(1, "", "")


@pytest.mark.parametrize("redirected", ["2>&-", pytest.param("2>/dev/full", marks=FULL)])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("errors", "nosuch"), 2),
        (("fetch", "http://127.0.0.1:70000"), 2),
        (("fetch", "http://127.0.0.1:1", "--max-attempts", "1"), 1),
    ],
)
def test_what_nobody_can_be_told_is_not_put_among_the_results(
    redirected: str, arguments: tuple[str, ...], status: int
) -> None:
    assert under_a_shell(redirected, *arguments) == Ran(status, "", "")


def test_results_go_out_while_stderr_is_closed(served: Served) -> None:
    assert under_a_shell("2>&-", "errors", "rate_limited").out.startswith("rate_limited\n")
    one = under_a_shell("2>&-", "fetch", served.url + WHO)
    assert one == Ran(0, '{"identity":"anonymous"}', "")
    many = under_a_shell("2>&-", "fetch", served.url + WHO, "-n", "3")
    assert many.status == 0
    assert "status 200 (3 of 3)" in many.out
    failed = under_a_shell("2>&-", "fetch", served.url + "/v1/secrets/none")
    assert (failed.status, "secret_not_found" in failed.out) == (1, True)


def test_a_stderr_that_was_closed_is_left_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["errors", "nosuch"]) == 2
    assert sys.stderr is None
    assert capsys.readouterr().out == ""


def test_a_closed_input_is_nobodys_trouble_who_does_not_read_it(served: Served) -> None:
    ran = under_a_shell("<&-", "fetch", served.url + WHO, "--data", "{}", "-X", "GET")
    assert (ran.status, ran.out) == (0, '{"identity":"anonymous"}')


@pytest.mark.parametrize(
    ("redirected", "why"), [("<&-", "it is closed"), ("0>/dev/null", "Bad file descriptor")]
)
def test_an_input_that_cannot_be_read_is_one_line(
    served: Served, redirected: str, why: str
) -> None:
    ran = under_a_shell(redirected, "fetch", served.url + WHO, "--data", "@-")
    assert (ran.status, ran.out) == (2, "")
    assert ran.complaint == f"--data: cannot read standard input: {why}"
    assert served.vault.log == []


@pytest.mark.parametrize("arguments", [("--help",), ("errors",), ("errors", "--json")])
def test_a_reader_that_has_enough_is_no_error(arguments: tuple[str, ...]) -> None:
    ran = under_a_shell("| head -1", *arguments)
    assert (len(ran.out.splitlines()), ran.err) == (1, "")


@pytest.mark.parametrize("more", [("--json", "-v"), ()], ids=["many lines", "one body"])
def test_a_reader_that_has_enough_ends_a_run(served: Served, more: tuple[str, ...]) -> None:
    number = ("-n", "1000000") if more else ()
    ran = under_a_shell("| head -1", "fetch", served.url + WHO, *number, *more)
    assert len(ran.out.splitlines()) == 1
    assert "Traceback" not in ran.err


def test_a_complaint_that_nobody_reads_changes_no_status() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "errors", "nosuch"],
        stdout=subprocess.PIPE,
        stderr=writing,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stdout) == (2, b"")
