"""``fetch``: the transport against any URL, and everything that may be wrong with the request."""

import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from httpx_resilience import RateLimitStatus
from httpx_resilience.cli._screen import console
from httpx_resilience.cli._tables import show_limits
from httpx_resilience.testing import FakeScaiVault, Fault, Limit, serve_in_thread
from support.commands import Run, Served, Start, ended

pytest_plugins = ["support.command_fixtures"]

SECRET = "/v1/secrets/app/db"
WHO = "/v1/auth/whoami"
HUGE = "1" + "0" * 400


def cells(out: str, first: str) -> list[str]:
    """Return the cells of the first row that begins with ``first``."""
    line = next(line for line in out.splitlines() if line.strip().startswith(first))
    return re.split(r"\s{2,}", line.strip())


def totals(out: str) -> list[str]:
    """Return calls, succeeded, failed and attempts."""
    lines = out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("calls"))
    return lines[head + 2].split()[:4]


KINDS = [(), ("--sync",)]
WAYS = [*KINDS, ("--client", "httpx2"), ("--client", "httpx2", "--sync")]


def name_of(way: tuple[str, ...]) -> str:
    return " ".join(way).replace("--", "") or "as it comes"


@pytest.fixture(params=WAYS, ids=name_of)
def run_any(run: Run, request: pytest.FixtureRequest) -> Run:
    """Run a command with each client of each library."""
    return lambda *arguments: run(*arguments, *request.param)


@pytest.fixture(params=KINDS, ids=name_of)
def run_both(run: Run, request: pytest.FixtureRequest) -> Run:
    """Run a command with each kind of client."""
    return lambda *arguments: run(*arguments, *request.param)


def test_one_call_prints_its_body_and_keeps_the_table_off_stdout(
    run_any: Run, served: Served
) -> None:
    served.vault.script(Fault.code("service_unavailable"))
    ran = run_any("fetch", served.url + WHO)
    assert ran.status == 0
    assert json.loads(ran.out) == {"identity": "anonymous"}
    assert totals(ran.err) == ["1", "1", "0", "2"]
    assert "status 200 (1 of 1)" in ran.err


def test_one_call_that_fails_prints_its_body_too(run: Run, served: Served) -> None:
    ran = run("fetch", served.url + SECRET)
    assert ran.status == 1
    assert json.loads(ran.out)["error"]["code"] == "secret_not_found"
    assert cells(ran.err, "permanent")[1] == "1"


def test_many_calls_print_a_table_of_what_was_retried(run_any: Run, served: Served) -> None:
    served.vault.script([Fault.code("service_unavailable"), Fault.html(503), Fault.drop("before")])
    ran = run_any("fetch", served.url + WHO, "-n", "30", "-c", "5")
    assert (ran.status, ran.err) == (0, "")
    assert totals(ran.out) == ["30", "30", "0", "33"]
    assert cells(ran.out, "TRANSIENT")[0] == "TRANSIENT"
    assert cells(ran.out, "CONNECTION") == [
        "CONNECTION", "RemoteProtocolError", "1", "1", "1 succeeded",
    ]  # fmt: skip
    assert "status 200 (30 of 30)" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_the_calls_are_as_concurrent_as_asked(run_both: Run, served: Served) -> None:
    served.vault.script(Fault.delay(0.3, times=8))
    assert run_both("fetch", served.url + WHO, "-n", "8", "-c", "8").status == 0
    arrivals = sorted(seen.at for seen in served.vault.log)
    assert arrivals[-1] - arrivals[0] < 1.5  # one after the other they take 2.1 s


def test_a_library_that_is_not_installed_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "httpx_resilience.httpx2", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    ran = run("fetch", "http://127.0.0.1", "--client", "httpx2")
    assert (ran.status, ran.out) == (2, "")
    assert 'httpx2 is not installed: pip install "httpx-resilience[httpx2]"' in ran.complaint


def test_no_more_threads_than_there_can_be_is_one_line(
    run: Run, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        ran = run("fetch", served.url + WHO, "--sync", "-n", "4", "-c", "4")
    assert ran.status == 2
    assert ran.complaint == "--concurrency: no more than 0 threads can start"


def test_a_dialect_decides_what_a_code_means(run: Run, served: Served) -> None:
    for dialect, attempts in {"generic": "2", "scaivault": "1"}.items():
        served.vault.heal()
        served.vault.script(Fault.code("storage_error"))
        ran = run("fetch", served.url + WHO, "--dialect", dialect)
        assert totals(ran.err)[3] == attempts


@pytest.mark.parametrize("dialect", ["OpenAI", "openai", "azure-openai"])
def test_a_dialect_that_ships_is_named_in_any_case_and_decides(
    run: Run, served: Served, dialect: str
) -> None:
    body = json.dumps({"error": {"type": "insufficient_quota", "code": "insufficient_quota"}})
    served.vault.script(Fault.raw(429, {"Retry-After": "0"}, body))
    run("fetch", served.url + WHO, "-X", "POST", "--dialect", dialect)
    assert len(served.vault.log) == 1


@pytest.fixture
def drive(tmp_path: Path) -> str:
    file = tmp_path / "drive.toml"
    file.write_text("""
        name = "drive"
        codes = { BUSY = "transient", LIMITED = "rate_limited", GONE = "permanent" }
        envelope = { code = "fault.kind", wait = "fault.wait", ignore_case = true }
        requests = { request_id_header = "X-Trace", categories = [
            { name = "\\u001bwho", path = "/v1/auth/*" },
        ] }
        rate_limits = [{ limit = "X-Drive-Cap", remaining = "X-Drive-Room" }]
    """)
    return str(file)


@pytest.mark.parametrize(
    ("status", "code", "attempts"),
    [(409, "BUSY", "2"), (409, "busy", "2"), (503, "gone", "1"), (409, "other", "1")],
)
def test_the_codes_of_a_file_decide_what_is_retried(
    run: Run, served: Served, drive: str, status: int, code: str, attempts: str
) -> None:
    served.vault.script(Fault.raw(status, (), json.dumps({"fault": {"kind": code}})))
    ran = run("fetch", served.url + WHO, "-X", "POST", "--dialect", drive)
    assert totals(ran.err)[3] == attempts


def test_the_wait_that_a_body_names_where_a_file_says_is_kept(
    run: Run, served: Served, drive: str
) -> None:
    body = {"fault": {"kind": "LIMITED", "wait": 1}}
    served.vault.script(Fault.raw(429, (), json.dumps(body)))
    ran = run("fetch", served.url + WHO, "--dialect", drive, "--json", "-v")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    (told,) = [line for line in lines if line["event"] == "retry_scheduled"]
    assert (told["code"], told["delay_source"]) == ("LIMITED", "error_body")
    assert served.vault.log[1].at - served.vault.log[0].at >= 1.0


def test_an_error_in_a_success_is_a_failure_where_a_file_says_so(
    run: Run, served: Served, tmp_path: Path
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('name = "chat"\nenvelope = { code = "error", errors_in_success = true }')
    body = json.dumps({"ok": False, "error": "channel_not_found"})
    fault = Fault.raw(200, {"Content-Type": "application/json"}, body)
    for more, code in (("--dialect", str(file)), 1), ((), 0):
        served.vault.script(fault)
        ran = run("fetch", served.url + WHO, *more)
        assert (ran.status, ran.out.strip()) == (code, body)


def test_the_categories_and_limit_headers_of_a_file_are_shown_without_escapes(
    run: Run, served: Served, drive: str
) -> None:
    served.vault.script(Fault.raw(200, {"X-Drive-Cap": "40", "X-Drive-Room": "39"}, "{}"))
    ran = run("fetch", served.url + WHO, "--dialect", drive)
    table = ran.err.partition("What the server said of its limits")[2]
    assert cells(table, "who")[:3] == ["who", "40", "39"]
    assert "\x1b" not in ran.err


def test_method_headers_and_body_are_sent(run: Run, served: Served, tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"value": "from a file"}')
    put = ["fetch", served.url + SECRET, "-X", "put", "-H", "If-Match: 0"]
    assert run(*put, "--data", f"@{body}").status == 0
    assert json.loads(run("fetch", served.url + SECRET).out)["value"] == "from a file"
    assert run(*put, "--data", '{"value": 2}').status == 1
    assert served.vault.log[-1].code == "version_conflict"


def test_a_body_without_a_method_is_posted(run: Run, served: Served) -> None:
    assert run("fetch", served.url + "/v1/secrets/posted", "--data", '{"value": 1}').status == 0
    assert served.vault.log[-1].method == "POST"


def test_attempts_and_time_are_limited_as_asked(run: Run, served: Served) -> None:
    served.vault.script(Fault.code("service_unavailable", times=9))
    assert totals(run("fetch", served.url + WHO, "--max-attempts", "2").err)[3] == "2"
    ran = run("fetch", served.url + WHO, "--retry-for", "0")
    assert cells(ran.err, "out_of_time")[1] == "1"


def test_a_deadline_cuts_a_call(run_both: Run, served: Served) -> None:
    served.vault.script(Fault.delay(5.0))
    ran = run_both("fetch", served.url + WHO, "--deadline", "0.3")
    assert ran.status == 1
    assert "the deadline passed (DeadlineExceeded)" in ran.complaint


def test_a_success_whose_body_breaks_off_is_a_failure(run_both: Run, served: Served) -> None:
    served.vault.script(Fault.drop("after"), path=WHO)
    ran = run_both("fetch", served.url + WHO, "-n", "3", "-c", "1")
    assert ran.status == 1
    assert totals(ran.out) == ["3", "2", "1", "3"]
    assert cells(ran.out, "-   ")[1] == "200, body broke off"
    assert "RemoteProtocolError (1 of 3)" in ran.out


def test_json_prints_the_log_lines_only(run_both: Run, served: Served) -> None:
    served.vault.script(Fault.code("service_unavailable"))
    ran = run_both("fetch", served.url + WHO, "--json", "-v")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    told = [line["event"] for line in lines if "call_id" in line]
    assert [name for name in told if not name.startswith("throttle")] == [
        "call_started", "attempt_started", "attempt_finished", "retry_scheduled",
        "attempt_started", "attempt_finished", "recovered", "call_finished",
    ]  # fmt: skip
    assert {line["schema"] for line in lines} == {1}


def test_json_leaves_out_the_level_debug_unless_asked(run: Run, served: Served) -> None:
    lines = run("fetch", served.url + WHO, "-n", "3", "--json").out.splitlines()
    assert not [line for line in lines if json.loads(line)["level"] == "debug"]


def test_the_librarys_own_log_lines_stay_off_the_screen(
    run: Run, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpx_resilience")
    served.vault.script(Fault.code("service_unavailable"))
    run("fetch", served.url + WHO, "-n", "2")
    assert not [record for record in caplog.records if record.name == "httpx_resilience"]


@pytest.mark.parametrize("more", [(), ("-n", "4"), ("--json", "-v"), ("--max-attempts", "1")])
def test_no_secret_is_printed(run: Run, served: Served, more: tuple[str, ...]) -> None:
    served.vault.script(
        [
            Fault.code("service_unavailable", message="s3cr3t", details={"s3cr3t": 1}),
            Fault.drop("before"),
        ]
    )
    url = f"{served.url}{WHO}?key=s3cr3t".replace("://", "://s3cr3t:s3cr3t@")
    ran = run("fetch", url, "-X", "POST", "-H", "X-Api-Key: s3cr3t", "--data", "s3cr3t", *more)
    body = ran.out if not more or more[0] == "--max-attempts" else ""  # the user's own to see
    assert "s3cr3t" not in ran.out.replace(body, "") + ran.err
    assert ran.out + ran.err


@pytest.fixture
def strict() -> Iterator[Served]:
    vault = FakeScaiVault(anonymous=True, limits={"auth": Limit(300)})
    with serve_in_thread(vault) as url:
        yield Served(vault, url)


class _Silent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture
def silent() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("number", ["1", "4"])
def test_it_ends_with_what_the_server_said_of_its_limits(
    run: Run, strict: Served, number: str
) -> None:
    ran = run("fetch", strict.url + WHO, "-n", number, "--dialect", "scaivault")
    table = (ran.err if number == "1" else ran.out).partition("What the server said of its limits")
    assert "What came back" in table[0]
    scope, limit, remaining, reset, window = cells(table[2], "auth")
    assert (scope, limit, window) == ("auth", "300", "-")
    assert int(remaining) in range(290, 300)
    assert reset == "past" or float(reset.removesuffix(" s")) <= 2.0


def test_what_is_announced_stays_off_stdout_with_json(run: Run, strict: Served) -> None:
    ran = run("fetch", strict.url + WHO, "-n", "2", "--json")
    assert all(json.loads(line) for line in ran.out.splitlines())
    assert "What the server said of its limits" in ran.err


def test_nothing_is_said_of_limits_that_nobody_announced(run: Run, silent: str) -> None:
    for number in "1", "3":
        ran = run("fetch", silent, "-n", number)
        assert ran.status == 0
        assert "limits" not in ran.out + ran.err


def test_every_policy_gets_a_row_with_its_name_and_unit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = RateLimitStatus(origin="https://api.example", scope="all#1f2e")
    show_limits(
        [
            row,
            replace(row, bucket="burst", limit=10, remaining=3, reset_in=0.5, window=1.0),
            replace(row, bucket="x" * 120, unit="tokens", limit=40_000, reset_in=0.0, window=60.0),
        ],
        console(),
    )
    out = capsys.readouterr().out
    assert cells(out, "all#1f2e burst") == ["all#1f2e burst", "10", "3", "0.5 s", "1 s"]
    assert "40000 tokens" in out
    assert re.search(r"  -   +past +60 s", out)
    assert out.count("all#") == 2
    assert max(map(len, out.splitlines())) <= 80


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_cannot_be_reached_is_one_line(run_both: Run, closed_port: int) -> None:
    url = f"http://user:s3cr3t@127.0.0.1:{closed_port}/?key=s3cr3t"
    ran = run_both("fetch", url, "--retry-for", "0.8")
    assert (ran.status, ran.out) == (1, "")
    assert ran.complaint.startswith(f"http://127.0.0.1:{closed_port}: cannot connect (ConnectError")
    assert "s3cr3t" not in ran.err


def test_many_calls_that_reach_nobody_end_with_the_table_and_one_line(
    run: Run, closed_port: int
) -> None:
    ran = run("fetch", f"http://127.0.0.1:{closed_port}/", "-n", "5", "--max-attempts", "1")
    assert ran.status == 1
    assert totals(ran.out)[:3] == ["5", "0", "5"]
    assert "5 of 5 calls failed" in ran.complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "URL"),
        (["vault.example"], "http:// or https://"),
        (["ftp://vault.example"], "'ftp'"),
        (["https://"], "no host"),
        (["http://user:s3cr3t@vault.example:s3cr3t/"], "cannot be read"),
        (["http://vault.example/\x07s3cr3t"], "cannot be read"),
        (["http://user:s3cr3t@127.0.0.1:65536"], "its port is out of range, allowed is 1 to 65535"),
        (["http://127.0.0.1:99999999999", "-n", "3"], "its port is out of range"),
        (["http://127.0.0.1:" + HUGE], "its port is out of range"),
        (["http://127.0.0.1:0"], "its port is out of range"),
        (["http://127.0.0.1", "-n", "-1"], "-n"),
        (["http://127.0.0.1", "-n", "0"], "-n"),
        (["http://127.0.0.1", "-c", "0"], "-c"),
        (["http://127.0.0.1", "-n", "many"], "-n"),
        (["http://127.0.0.1", "-X", "GET s3cr3t"], "--method"),
        (["http://127.0.0.1", "-H", "s3cr3t"], "--header number 1"),
        (["http://127.0.0.1", "-H", "A: b", "-H", ": s3cr3t"], "--header number 2"),
        (["http://127.0.0.1", "-H", "X Y: s3cr3t"], "--header number 1"),
        (["http://127.0.0.1", "-H", "X-Key: s3cr3t\r\nEvil: 1"], "--header number 1 (X-Key)"),
        (["http://127.0.0.1", "-H", "X-Key: s3cr3t\u03bb"], "--header number 1 (X-Key)"),
        (["http://127.0.0.1", "--data", "@/no/such/file"], "No such file"),
        (["http://127.0.0.1", "--dialect", "genric"], "did you mean 'generic'?"),
        (["http://127.0.0.1", "--dialect", "/no/such.toml"], "No such file"),
        (["http://127.0.0.1", "--client", "htpx2"], "did you mean 'httpx2'?"),
        (["http://user:s3cr3t@vault.example:x/", "--client", "httpx2"], "cannot be read"),
        (["http://127.0.0.1", "--max-attempts", "0"], "--max-attempts"),
        (["http://127.0.0.1", "--retry-for", "-1"], "--retry-for"),
        (["http://127.0.0.1", "--deadline", "0"], "--deadline"),
        (["http://127.0.0.1", "--deadline", "nan"], "--deadline"),
        (["http://127.0.0.1", "--timeout", "inf"], "--timeout"),
        (["http://127.0.0.1", "--timeout", HUGE], "--timeout: got inf, allowed are seconds above"),
        (["http://127.0.0.1", "--retry-for", HUGE], "--retry-for: got inf, allowed are seconds of"),
        (
            ["http://127.0.0.1", "--deadline", HUGE],
            "--deadline: got inf, allowed are seconds above",
        ),
        (["http://127.0.0.1", "--max-attempts", HUGE], "--max-attempts"),
        (["http://127.0.0.1", "-n", HUGE], "-n"),
        (["http://127.0.0.1", "-c", HUGE], "-c"),
        (["http://127.0.0.1", "-c", "10001"], "-c"),
        ([], "URL"),
    ],
)
def test_an_argument_that_cannot_be_used_is_one_line(
    run: Run, arguments: list[str], said: str
) -> None:
    ran = run("fetch", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.complaint
    assert "s3cr3t" not in ran.err


@pytest.mark.parametrize("way", KINDS, ids=name_of)
def test_an_interrupted_run_shows_what_was_measured(
    start: Start, served: Served, way: tuple[str, ...]
) -> None:
    served.vault.script(Fault.delay(60.0))  # that call is under way when the run is interrupted
    program = start("fetch", f"{served.url}{WHO}", "-n", "1000000", *way)
    until = time.monotonic() + 10.0
    while len(served.vault.log) < 20 and time.monotonic() < until:
        time.sleep(0.02)
    program.send_signal(signal.SIGINT)
    out, err = ended(program)
    assert program.returncode == 130
    assert int(totals(out)[0]) >= 10
    assert re.fullmatch(r"httpx-resilience: interrupted after \d+ of 1000000 calls\n", err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-n", "1000000", "--json", "-v"),
        ("-n", "1000000", "--json", "-v", "--sync"),
        (),
        ("--sync",),
    ],
)
def test_nobody_reading_on_ends_the_run(
    start: Start, served: Served, arguments: tuple[str, ...]
) -> None:
    program = start("fetch", f"{served.url}{WHO}", *arguments, stdout=(pipe := os.pipe())[1])
    os.close(pipe[1])
    os.close(pipe[0])
    _, err = ended(program)
    assert (program.returncode, err) == (1, "")
