"""What the metadata say of the versions that will do; ``.ci/run`` runs the tests on the oldest."""

from importlib.metadata import PackageNotFoundError, version

import pytest

from support.minimums import minimums


def as_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def test_every_requirement_states_the_oldest_version_that_will_do() -> None:
    assert set(minimums()) == {
        "httpx", "httpx2", "anyio", "structlog", "typer", "rich", "starlette", "uvicorn", "trio",
        "coredis", "redis", "opentelemetry-api", "jinja2",
    }  # fmt: skip


@pytest.mark.parametrize("package", sorted(minimums()))
def test_what_is_installed_is_no_older(package: str) -> None:
    try:
        installed = version(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed: clients of stores are an extra of their own")
    assert as_numbers(installed) >= as_numbers(minimums()[package])


def test_the_oldest_typer_starts_with_every_click_that_it_takes() -> None:
    # With a click from 8.2 on, typer 0.15 cannot show the help of a command; with one from 8.3 on,
    # typer 0.17 does not notice that an argument is missing.
    assert as_numbers(minimums()["typer"]) >= (0, 18)
