"""The oldest versions that the metadata allow, as constraints for pip.

``python tests/support/minimums.py`` prints them: of what everybody installs, of httpx2, of
OpenTelemetry, of the command line's extra, of the clients of stores, and of Trio, which whoever
runs on it brings along.
"""

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
_REQUIREMENT = re.compile(r"(?P<name>[a-z0-9-]+)>=(?P<oldest>[0-9.]+)(,<[0-9.]+)?")


def minimums() -> dict[str, str]:
    """Return the oldest version of each package; each requirement has to state one."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    of_trio = [each for each in extras["test"] if each.startswith("trio")]
    oldest = {}
    names = ("httpx2", "otel", "cli", "redis")
    of_extras = [each for name in names for each in extras[name]]
    for requirement in (*project["dependencies"], *of_extras, *of_trio):
        stated = _REQUIREMENT.fullmatch(requirement)
        assert stated is not None, f"{requirement} states no oldest version"
        oldest[stated["name"]] = stated["oldest"]
    return oldest


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={oldest}\n" for name, oldest in minimums().items())
