"""What importing the package brings in: only what every program needs, and no work."""

import os
import subprocess
import sys

import pytest

RARELY_NEEDED = (
    *("structlog", "asyncio", "trio", "tomllib", "difflib", "typer"),
    "httpx_resilience.dialects.openai",
)


def modules_after(program: str) -> set[str]:
    """The modules that a fresh interpreter has when a program has run."""
    told = subprocess.run(
        [sys.executable, "-c", f"import sys\n{program}\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    return set(told.stdout.split())


@pytest.mark.parametrize("module", RARELY_NEEDED)
def test_the_import_brings_in_nothing_that_few_programs_need(module: str) -> None:
    assert module not in modules_after("import httpx_resilience")


def test_the_import_brings_in_no_package_beyond_what_httpx_and_anyio_bring() -> None:
    known = modules_after("import httpx, anyio") | {"httpx_resilience"}
    for name in modules_after("import httpx_resilience") - known:
        top = name.partition(".")[0]
        assert top in ("httpx_resilience", *sys.stdlib_module_names), name


def test_a_dialect_in_toml_brings_in_what_reads_it() -> None:
    program = "from httpx_resilience import Dialect\nDialect.from_toml('name = \"mine\"')"
    assert "tomllib" in modules_after(program)


def test_a_call_without_structlog_configured_does_not_import_it() -> None:
    program = (
        "import asyncio, httpx, httpx_resilience\n"
        "async def main():\n"
        "    inner = httpx.MockTransport(lambda request: httpx.Response(500))\n"
        "    transport = httpx_resilience.AsyncResilientTransport(inner)\n"
        "    async with httpx.AsyncClient(transport=transport) as client:\n"
        "        request = client.build_request('PATCH', 'https://vault.example/v1/secrets/a')\n"
        "        response = await client.send(request)\n"
        "    assert response.status_code == 500\n"
        "asyncio.run(main())\n"
    )
    loaded = modules_after(program)
    assert "httpx_resilience" in loaded
    assert "structlog" not in loaded


def test_a_structlog_that_is_imported_and_configured_later_gets_the_lines() -> None:
    program = (
        "import httpx_resilience\n"
        "from httpx_resilience._core.telemetry.events import Level\n"
        "from httpx_resilience.instrumentation import log\n"
        "import structlog\n"
        "log.write_to(log.logger_for(Level.WARNING), Level.WARNING, 'before', {'n': 1})\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
        "log.write_to(log.logger_for(Level.WARNING), Level.WARNING, 'after', {'n': 2})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == '{"n": 2, "event": "after"}\n'
    assert "event=before" in done.stderr
    assert "after" not in done.stderr
