"""Every test here runs on asyncio and on Trio, in virtual time."""

from collections.abc import Mapping
from typing import Any

import pytest

from support.virtual import backend


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    return backend(request.param)
