"""A plugin for pytest: every private part of httpx that is read is left alone.

``PYTHONPATH=tests pytest -p support.public_ways tests/drivers`` shows that the public ways will do.
"""

from httpx_resilience._http import fast


def pytest_configure() -> None:
    """Take the public ways from now on."""
    fast.HAS_HEADER_LIST = fast.HAS_URL_PARTS = False
