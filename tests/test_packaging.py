"""What is distributed, and what the workflows run."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.tables import README, ROOT

WORKFLOW = ROOT / ".github/workflows/tests.yml"
STRAY = re.compile(r"(^|/)(__pycache__|\.[^/]*cache|\.hypothesis|\.venv|dist|build)(/|$)|\.pyc$")


@pytest.mark.skipif(not WORKFLOW.exists(), reason="no checkout: workflows are not distributed")
def test_the_workflow_runs_the_commands_that_the_readme_names() -> None:
    commands = re.findall(r"- run: (.+)$", WORKFLOW.read_text(encoding="utf-8"), re.MULTILINE)
    install, test, *_ = commands
    assert f"{install} && {test}" in README.read_text(encoding="utf-8")


@pytest.mark.long
def test_the_distributions_are_sound_and_hold_what_belongs_in_them(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", str(tmp_path), str(ROOT))
    [wheel], [sdist] = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist))

    in_wheel = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in in_wheel} == {"httpx_resilience"}
    tracked = {path.relative_to(ROOT / "src").as_posix() for path in sources()}
    assert {name for name in in_wheel if ".dist-info/" not in name} == tracked
    assert {
        "httpx_resilience/py.typed",
        "httpx_resilience/instrumentation/log.schema.json",
    } <= tracked

    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    tops = {name.split("/")[0] for name in in_sdist}
    assert tops == {
        *("src", "tests", "benchmarks", "docs", "README.md", "CHANGELOG.md", "LICENSE"),
        *("pyproject.toml", "PKG-INFO", ".gitignore"),
    }
    assert not [name for name in (*in_wheel, *in_sdist) if STRAY.search(name)]


def sources() -> list[Path]:
    found = (ROOT / "src/httpx_resilience").rglob("*")
    return [path for path in found if path.is_file() and not STRAY.search(path.as_posix())]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
