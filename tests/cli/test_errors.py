"""``errors``: the catalogue as a table, one code explained."""

import json
from pathlib import Path

import pytest

from httpx_resilience import SCAIVAULT, ErrorClass, dialects
from support.commands import Run

pytest_plugins = ["support.command_fixtures"]


def test_every_code_is_in_the_table_with_its_status(run: Run) -> None:
    ran = run("errors")
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    told = {row[0]: row[1] for row in rows if len(row) > 1}
    assert len(SCAIVAULT.codes) == 51
    for spec in SCAIVAULT.codes.values():
        assert told[spec.code] == str(spec.status)


def test_the_codes_that_are_retried_stand_with_their_class(run: Run) -> None:
    out = run("errors").out
    for spec in SCAIVAULT.codes.values():
        if spec.error_class is not ErrorClass.PERMANENT:
            line = next(line for line in out.splitlines() if line.startswith(spec.code))
            assert spec.error_class.name in line


@pytest.mark.parametrize("dialect", ["scaivault", "generic"])
def test_the_table_fits_eighty_columns_and_holds_no_escapes(run: Run, dialect: str) -> None:
    out = run("errors", "--dialect", dialect).out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_statuses_without_a_code_are_in_the_table_of_every_dialect(run: Run) -> None:
    out = run("errors", "--dialect", "generic").out
    for status, error_class in {408: "TRANSIENT", 429: "RATE_LIMITED", 500: "INTERNAL"}.items():
        assert any(line.split()[:2] == [str(status), error_class] for line in out.splitlines())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("rate_limited", ["RATE_LIMITED", "4 in all", "0.5 to 1 s", "Retry-After"]),
        ("service_unavailable", ["TRANSIENT", "4 in all", "0.25 to 0.5 s", "x3"]),
        ("internal_error", ["INTERNAL", "Once", "2 in all", "support ticket"]),
        ("version_conflict", ["CONFLICT", "Never as it is", "write again"]),
        ("quota_exceeded", ["PERMANENT", "Never", "Free some of the quota"]),
        ("503", ["TRANSIENT", "if repeating is safe"]),
        ("429", ["RATE_LIMITED", "whatever the method"]),
        ("404", ["PERMANENT", "Never"]),
    ],
)
def test_one_code_is_explained(run: Run, code: str, said: list[str]) -> None:
    ran = run("errors", code)
    assert ran.status == 0
    text = " ".join(ran.out.split())
    assert all(words in text for words in said), ran.out


def test_an_unknown_code_is_one_line_with_the_nearest_suggestion(run: Run) -> None:
    ran = run("errors", "intrnal_error")
    assert (ran.status, ran.out) == (2, "")
    assert "did you mean 'internal_error'?" in ran.complaint


def test_a_dialect_without_codes_asks_for_a_status(run: Run) -> None:
    ran = run("errors", "rate_limited", "--dialect", "generic")
    assert ran.status == 2
    assert "400 to 599" in ran.complaint


def test_an_unknown_dialect_is_one_line_with_the_nearest_suggestion(run: Run) -> None:
    ran = run("errors", "--dialect", "scaivalt")
    assert ran.status == 2
    assert "did you mean 'scaivault'?" in ran.complaint


def test_the_catalogue_as_json_is_one_object_a_line(run: Run) -> None:
    rows = [json.loads(line) for line in run("errors", "--json").out.splitlines()]
    assert {row["code"] for row in rows} == {spec.code for spec in SCAIVAULT.codes.values()}
    crash = next(row for row in rows if row["code"] == "internal_error")
    assert (crash["status"], crash["error_class"], crash["max_attempts"]) == (500, "internal", 2)
    assert crash["backoff"]["initial"] == 0.5
    quota = next(row for row in rows if row["code"] == "quota_exceeded")
    assert (quota["max_attempts"], quota["backoff"]) == (1, None)


def test_one_code_as_json_is_one_object(run: Run) -> None:
    assert json.loads(run("errors", "rate_limited", "--json").out)["status"] == 429


DRIVE = """
name = "drive"
unknown_code = "permanent"
[codes]
BUSY = "transient"
RATE_LIMITED = { class = "rate_limited", status = 429, meaning = "Too many.", advice = "Slow." }
GONE = { class = "permanent", status = 410, category = "Files", meaning = "The file is gone." }
NO_ROOM = { class = "permanent" }
LOCKED = { class = "permanent", category = "Files" }
[statuses]
503 = "rate_limited"
[envelope]
ignore_case = true
"""


@pytest.fixture
def drive(tmp_path: Path) -> str:
    file = tmp_path / "drive.toml"
    file.write_text(DRIVE)
    return str(file)


def test_the_codes_of_a_file_are_a_table_with_class_status_and_what_happens(
    run: Run, drive: str
) -> None:
    ran = run("errors", "--dialect", drive)
    assert (ran.status, ran.err) == (0, "")
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert "The 2 of drive's 5 codes that are not PERMANENT" in rows
    assert "BUSY - TRANSIENT retried, up to 4 attempts in all" in rows
    assert "RATE_LIMITED 429 RATE_LIMITED retried, up to 4 attempts in all" in rows
    assert "GONE 410 The file is gone." in rows
    assert "503 RATE_LIMITED retried, up to 4 attempts in all" in rows
    assert "Codes that are not listed: PERMANENT, never retried" in rows
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_category_of_a_file_stands_once_above_its_codes(run: Run, drive: str) -> None:
    lines = [line.rstrip() for line in run("errors", "--dialect", drive).out.splitlines()]
    at = lines.index("Files")
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["GONE", "LOCKED", "NO_ROOM"]
    assert lines.count("Files") == 1


@pytest.mark.parametrize(
    ("codes", "heading", "missing"),
    [
        ('a = "transient"', "The codes of x, none of them PERMANENT", "The others"),
        ('a = "permanent"', "The codes of x: PERMANENT, never retried", "that are not PERMANENT"),
        ("", "Responses without a listed code", "The codes of x"),
    ],
)
def test_a_file_of_one_kind_of_codes_has_no_empty_table(
    run: Run, tmp_path: Path, codes: str, heading: str, missing: str
) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'name = "x"\n[codes]\n{codes}\n')
    out = run("errors", "--dialect", str(file)).out
    assert heading in out
    assert missing not in out


@pytest.mark.parametrize("code", ["RATE_LIMITED", "rate_limited", "Rate_Limited"])
def test_one_code_of_a_file_is_explained_whatever_its_case(run: Run, drive: str, code: str) -> None:
    ran = run("errors", "--dialect", drive, code)
    assert ran.status == 0
    assert ran.out.startswith("RATE_LIMITED\n")
    text = " ".join(ran.out.split())
    assert all(words in text for words in ["status 429", "Too many.", "Slow.", "4 in all"])


def test_the_case_of_a_code_matters_unless_the_file_says_otherwise(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "strict.toml"
    file.write_text(DRIVE.replace("ignore_case = true", ""))
    assert run("errors", "--dialect", str(file), "BUSY").status == 0
    assert run("errors", "--dialect", str(file), "busy").status == 2


def test_a_misspelt_code_of_a_file_gets_the_nearest(run: Run, drive: str) -> None:
    ran = run("errors", "--dialect", drive, "RATE_LIMTED")
    assert (ran.status, ran.out) == (2, "")
    assert "'RATE_LIMTED' is not in the catalogue of drive" in ran.complaint
    assert "did you mean 'rate_limited'?" in ran.complaint


def test_a_status_of_a_file_that_rates_it_as_a_limit_is_repeatable(run: Run, drive: str) -> None:
    text = " ".join(run("errors", "--dialect", drive, "503").out.split())
    assert "Yes, whatever the method." in text


def test_a_file_as_json_is_one_object_a_line(run: Run, drive: str) -> None:
    rows = [
        json.loads(line) for line in run("errors", "--dialect", drive, "--json").out.splitlines()
    ]
    assert [row["code"] for row in rows] == ["BUSY", "RATE_LIMITED", "GONE", "NO_ROOM", "LOCKED"]
    one = json.loads(run("errors", "--dialect", drive, "busy", "--json").out)
    assert (one["code"], one["error_class"], one["max_attempts"]) == ("BUSY", "transient", 4)


CHAT = """
name = "chat"
stop_layers_above = true
codes = { SLOW_DOWN = { class = "rate_limited", wait = 60, meaning = "Too fast." } }
statuses_that_wait = { 403 = "rate_limited" }
[envelope]
code = ["*.code", "error.details[@type=example.com/Reason].reason"]
code_headers = "X-Code"
messages = [{ contains = "slow down", code = "SLOW_DOWN", statuses = [403] }]
errors_in_success = true
"""


def test_waits_of_a_file_are_in_the_table_and_explained(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "chat.toml"
    file.write_text(CHAT)
    ran = run("errors", "--dialect", str(file))
    text = " ".join(ran.out.split())
    assert "retried, up to 4 attempts in all, after 60 s or when the server says" in text
    assert "403, if it asks for a wait RATE_LIMITED" in text
    assert max(map(len, ran.out.splitlines())) <= 80
    text = " ".join(run("errors", "--dialect", str(file), "SLOW_DOWN").out.split())
    assert "wait when the server says (Retry-After), else 60 s" in text
    row = json.loads(run("errors", "--dialect", str(file), "SLOW_DOWN", "--json").out)
    assert row["wait"] == 60
    text = " ".join(run("errors", "--dialect", str(file), "403").out.split())
    assert "If it asks for a wait, it is RATE_LIMITED." in text


def test_a_file_is_known_by_its_separator_its_ending_or_because_it_exists(
    run: Run, drive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("speech").write_text(DRIVE)
    for name in drive, "drive.toml", "./speech", "speech":
        assert "of drive's 5 codes" in run("errors", "--dialect", name).out
    for name in "none.toml", "NONE.TOML", "none/at/all":
        assert "No such file" in run("errors", "--dialect", name).complaint


def test_a_name_that_ships_comes_before_a_file_of_that_name(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("generic").write_text(DRIVE)
    assert "drive" not in run("errors", "--dialect", "generic").out
    assert "drive" in run("errors", "--dialect", "./generic").out


@pytest.mark.parametrize("name", ["", "driv", "x" * 300, "a\0b"])
def test_a_bare_name_that_nothing_has_is_told_what_is_allowed(run: Run, name: str) -> None:
    ran = run("errors", "--dialect", name)
    assert (ran.status, ran.out) == (2, "")
    assert (
        "allowed is anthropic, aws_secrets_manager, azure_openai, gemini, generic" in ran.complaint
    )
    assert "stripe, or the path of a TOML file" in ran.complaint


@pytest.mark.parametrize(
    "name", ["aws_secrets_manager", "AWS_SECRETS_MANAGER", "aws-secrets-Manager"]
)
def test_a_dialect_that_ships_is_named_in_any_case(run: Run, name: str) -> None:
    assert "of aws_secrets_manager's" in run("errors", "--dialect", name).out


@pytest.mark.parametrize("name", sorted(dialects.__all__))
def test_every_dialect_that_ships_is_shown(run: Run, name: str) -> None:
    ran, lines = (
        run("errors", "--dialect", name.lower()),
        run("errors", "--dialect", name, "--json"),
    )
    assert (ran.status, ran.err) == (lines.status, lines.err) == (0, "")
    listed = getattr(dialects, name).codes
    assert not listed or [json.loads(line)["code"] for line in lines.out.splitlines()] == [*listed]


def test_the_nearest_name_of_a_dialect_is_suggested(run: Run) -> None:
    assert "openai" in run("errors", "--dialect", "OpenAi2").complaint.rpartition("TOML file")[2]


def test_a_quota_code_of_openai_is_never_retried_and_says_why(run: Run) -> None:
    out = " ".join(run("errors", "insufficient_quota", "--dialect", "openai").out.split())
    assert "Never: the same request would fail again." in out
    assert "waiting does not help" in out


def test_where_sdks_repeat_a_post_it_is_said(run: Run) -> None:
    said = "A POST may be repeated"
    assert said in run("errors", "--dialect", "openai").out
    assert said not in run("errors", "--dialect", "github").out


def test_a_file_that_begins_with_a_byte_order_mark_is_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "marked.toml"
    file.write_bytes(b"\xef\xbb\xbf" + DRIVE.replace("\n", "\r\n").encode())
    assert run("errors", "--dialect", str(file)).status == 0


BUSY = 'name = "x"\n[codes]\nBUSY = '


@pytest.mark.parametrize("command", [("errors",), ("fetch", "http://127.0.0.1:9/")])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'name = "\xff"', "not UTF-8 (byte 8)"),
        (b"#" * (1 << 20) + b"\n", "larger than 1 MiB"),
        (b"name", "not TOML"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"", "name: missing"),
        (b'name = "x"\ncods = {}', "cods: unknown entry"),
        (f'{BUSY}"transent"'.encode(), "(did you mean 'transient'?)"),
        (f'{BUSY}{{ class = "transient", status = 5 }}'.encode(), "codes.BUSY.status: "),
        (f'{BUSY}{{ class = "transient", meaning = 5 }}'.encode(), "codes.BUSY.meaning: got 5"),
        (b'name = "x"\n[codes]\n"a\\u001b[31m\\u202e\\nb" = 5', "codes.a[31m b: got 5"),
        (b'name = "x"\n[statuses]\n200 = "transient"', "statuses.200"),
        (b'name = "x"\n[envelope]\nwait = 5', "envelope.wait: got 5"),
        (b'name = "x"\n[requests]\nrequest_id_header = "a b"', "requests.request_id_header"),
        (b'name = "x"\n[[requests.categories]]\nname = 5', "requests.categories[0]"),
        (b'name = "x"\n[[rate_limits]]\nlimit = "a b"', "rate_limits[0]"),
        (
            b'name = "x"\n[[rate_limits]]\nlimit = "X-L"\nwindow = 0x1' + b"0" * 400,
            "rate_limits[0].window: got 4",
        ),
        (b'name = "x"\n[codes]\n' + b"x" * 9_000 + b" = 5", "\u2026"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_file_and_entry(
    run: Run, tmp_path: Path, command: tuple[str, ...], content: bytes, said: str
) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    ran = run(*command, "--dialect", str(file))
    assert (ran.status, ran.out) == (2, "")
    assert ran.complaint.startswith(f"--dialect {str(file)!r}: ")
    assert said in ran.complaint
    assert ran.complaint.isprintable()
    assert len(ran.complaint) < len(str(file)) + 500


def test_a_file_of_exactly_one_mebibyte_is_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "large.toml"
    file.write_text(DRIVE + "#" * ((1 << 20) - len(DRIVE)))
    assert run("errors", "--dialect", str(file)).status == 0


@pytest.mark.parametrize("command", [("errors",), ("fetch", "http://127.0.0.1:9/")])
def test_a_file_that_is_missing_or_a_folder_is_one_line_that_names_it(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    for path, said in (tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory"):
        ran = run(*command, "--dialect", str(path))
        assert (ran.status, ran.out) == (2, "")
        assert ran.complaint.startswith(f"--dialect {str(path)!r}: cannot read it: {said}")


def test_what_a_file_says_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "loud.toml"
    steer = "\\u001b[31m\\u0007\\n"
    words = ", ".join(f'{entry} = "a{steer}b"' for entry in ("category", "meaning", "advice"))
    file.write_text(f'name = "x{steer}y"\n[codes]\nBUSY = {{ class = "transient", {words} }}\n')
    for more in [], ["BUSY"]:
        out = run("errors", "--dialect", str(file), *more).out
        assert out.replace("\n", "").isprintable()
        assert "a[31m b" in out


@pytest.mark.parametrize("command", ["errors", "fetch"])
def test_the_help_says_that_a_dialect_may_be_a_file(run: Run, command: str) -> None:
    text = " ".join(run(command, "--help").out.split())
    assert "NAME|FILE" in text
    assert "stripe, or a TOML file" in text
