"""``--dialect``: one that ships, or a TOML file that describes one; each refusal is one line."""

import os
from dataclasses import replace
from pathlib import Path

from .. import Dialect, ErrorSpec, dialects
from .._core.checks import nearest
from ._screen import Misuse, in_one_line

_SHIPPED = {name.lower(): name for name in dialects.__all__}

CHOICES = f"{', '.join(_SHIPPED)}, or a TOML file that describes a dialect."
"""What ``--dialect`` takes, for the help texts."""

_LARGEST_FILE = 1 << 20
_LONGEST_REASON = 400
"""Characters of a refusal that are shown: it may repeat a value as large as the file."""


def dialect_of(text: str) -> Dialect:
    """Return the dialect that a name or a path stands for; a name that ships comes first.

    A name in any case, with dashes or underscores.
    """
    name = text.lower().replace("-", "_")
    if name in _SHIPPED:
        found: Dialect = getattr(dialects, _SHIPPED[name])
        return found
    if not _is_path(text):
        allowed = f"{', '.join(_SHIPPED)}, or the path of a TOML file"
        raise Misuse(f"--dialect: got {text!r}, allowed is {allowed}{nearest(name, _SHIPPED)}")
    try:
        return _for_people(Dialect.from_toml(_read(text)))
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:
        reason = in_one_line(str(error))
    except OSError as error:
        reason = f"cannot read it: {error.strerror or error}"
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "…"
    raise Misuse(f"--dialect {text!r}: {reason}")


def _is_path(text: str) -> bool:
    has_separator = any(mark in text for mark in (os.sep, os.altsep, "/") if mark)
    # os.path: Path.exists raises where a name is too long for the system.
    exists = text != "" and os.path.exists(text)
    return has_separator or text.lower().endswith(".toml") or exists


def _read(name: str) -> str:
    with Path(name).open("rb") as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError("larger than 1 MiB")
    try:
        return content.decode("utf-8-sig")  # some editors put a byte order mark in front
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start})") from None


def _for_people(dialect: Dialect) -> Dialect:
    """Return a dialect from a file, fit to be shown and to be sent."""
    specs = map(_in_words, dialect.codes.values())
    name = in_one_line(dialect.name) or "dialect"
    return replace(dialect, name=name, codes={spec.code: spec for spec in specs})


def _in_words(spec: ErrorSpec) -> ErrorSpec:
    return replace(
        spec,
        category=in_one_line(spec.category),
        meaning=in_one_line(spec.meaning),
        advice=in_one_line(spec.advice),
    )
