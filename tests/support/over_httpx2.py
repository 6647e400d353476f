"""A plugin for pytest: what the tests say of httpx, they say of httpx2.

``PYTHONPATH=tests pytest -p support.over_httpx2 tests/drivers`` runs the tests of the drivers with
httpx2 in httpx's place, and what is made of it in the place of what is made of httpx.
"""

import importlib
import sys

import httpx2

import httpx_resilience
import httpx_resilience.httpx2


def pytest_configure() -> None:
    """Let httpx2 stand for httpx, for whoever imports it from now on."""
    for name in httpx_resilience.httpx2.__all__:
        setattr(httpx_resilience, name, getattr(httpx_resilience.httpx2, name))
    made = importlib.import_module("httpx_resilience._http.with_httpx2")
    sys.modules["httpx_resilience._http.with_httpx"] = made
    sys.modules["httpx_resilience._httpx"] = httpx_resilience.httpx2
    for name in [name for name in sys.modules if name.split(".")[0] in ("httpx", "httpcore")]:
        del sys.modules[name]
    sys.modules["httpx"] = httpx2
    sys.modules["httpcore"] = importlib.import_module("httpcore2")
