"""Fixtures for pytest, which finds this module by itself where the package is installed.

Nothing is imported but what a test asks for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import CapturedEvents, FakeScaiVault, InstantWaits
    from .testing.httpx2 import FakeScaiVault as FakeScaiVault2


@pytest.fixture
def instant_waits() -> "Iterator[InstantWaits]":
    """Let waits of transports take no time during the test; see ``testing.instant_waits``."""
    from .testing import instant_waits

    with instant_waits() as waits:
        yield waits


@pytest.fixture
def resilience_events() -> "Iterator[CapturedEvents]":
    """Capture all events of all transports during the test; see ``testing.capture_events``."""
    from .testing import capture_events

    with capture_events() as events:
        yield events


@pytest.fixture
def fake_scaivault() -> "FakeScaiVault":
    """Return a ``testing.FakeScaiVault`` that needs no token, for clients of httpx."""
    from .testing import FakeScaiVault

    return FakeScaiVault(anonymous=True)


@pytest.fixture
def fake_scaivault_httpx2() -> "FakeScaiVault2":
    """Return a ``testing.httpx2.FakeScaiVault`` that needs no token."""
    from .testing.httpx2 import FakeScaiVault

    return FakeScaiVault(anonymous=True)
