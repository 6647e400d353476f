"""What the figures were measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("httpx", "httpx2", "httpcore", "anyio", "structlog", "httpx-resilience")


def machine() -> dict[str, str]:
    """Return the facts, by name."""
    return {
        "cores": str(_cores()),
        "load": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **{name: version_of(name) for name in _PACKAGES},
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def version_of(package: str) -> str:
    """Return a package's version, or that it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
