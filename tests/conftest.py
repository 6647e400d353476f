"""The suite is the same on every run; ``pytest -m soak`` looks further, at random."""

import gc

import pytest
from hypothesis import settings

collect_ignore = [
    "typing",  # checked by mypy and pyright, never run
    "support/gevent_program.py",  # patches what it finds; run in a process of its own
]

settings.register_profile("suite", derandomize=True, deadline=None, database=None)
settings.register_profile("soak", max_examples=2000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if config.getoption("markexpr") == "soak" else "suite")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is there for good: the tests, and what they import."""
    gc.collect()
    gc.freeze()
