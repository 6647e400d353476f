"""The Lua scripts, as the package's files have them."""

import functools
import hashlib
import importlib.resources
from typing import NamedTuple


class Script(NamedTuple):
    """A script: its text, and the name that a store has for it."""

    text: bytes
    sha: bytes


@functools.cache
def script(name: str) -> Script:
    """Return the script in ``scripts/<name>.lua``; the file is read once."""
    folder = importlib.resources.files(__name__.rpartition(".")[0]) / "scripts"
    return of_text((folder / f"{name}.lua").read_bytes())


def of_text(text: bytes) -> Script:
    """Return a script; SHA-1 is how stores name them, no matter of security."""
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())
