"""The suite is the same on every run; ``pytest -m soak`` looks further, at random."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

from support import validated

collect_ignore = [
    "typing",  # checked by mypy and pyright, never run
    "support/gevent_program.py",  # patches what it finds; run in a process of its own
]

settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.register_profile("soak", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("markexpr") == "soak" else "suite")
    validated.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Fail a test that has made an event whose log line is not what the schema says."""
    validated.found.clear()
    result = yield
    if validated.found:
        pytest.fail(f"{len(validated.found)} invalid lines, such as {validated.found[0]}")
    return result


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is there for good: the tests, and what they import."""
    gc.collect()
    gc.freeze()
