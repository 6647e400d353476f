"""What options say, checked: each refusal is one line that repeats no secret.

A URL may carry a password or a key, a header a token; so what is refused is named by its place,
never by its text.
"""

import errno
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from .._core.checks import nearest
from ._screen import Misuse

_Named = TypeVar("_Named")

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method or a header's name (RFC 9110, section 5.6.2)."""

_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
"""A header's value (RFC 9110, section 5.5)."""


def named(option: str, name: str, known: Mapping[str, _Named]) -> _Named:
    """Return what an option names."""
    if name not in known:
        allowed = " or ".join(known)
        raise Misuse(f"{option}: got {name!r}, allowed is {allowed}" + nearest(name, known))
    return known[name]


def url_of(text: str, http: Any) -> Any:
    """Return an absolute HTTP URL, as a library (``httpx`` or ``httpx2``) has it."""
    try:
        url = http.URL(text.strip())
    except (http.InvalidURL, UnicodeError):
        raise Misuse("URL: it cannot be read as one") from None
    if url.scheme not in ("http", "https"):
        hint = f"got the scheme {url.scheme!r}" if TOKEN.fullmatch(url.scheme) else "got none"
        raise Misuse(f"URL: {hint}, allowed is http:// or https://")
    if not url.host:
        raise Misuse("URL: it names no host")
    if url.port is not None and not 0 < url.port < 1 << 16:
        raise Misuse("URL: its port is out of range, allowed is 1 to 65535")
    return url


def origin_of(url: Any) -> str:
    """Return what may be shown of a URL: scheme, host and port."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def method_of(text: str | None, *, has_body: bool) -> str:
    """Return the method in capitals; POST if there is a body and nothing else was said."""
    if text is None:
        return "POST" if has_body else "GET"
    if not TOKEN.fullmatch(text):
        raise Misuse("--method: allowed is a word such as PUT")
    return text.upper()


def headers_of(lines: list[str]) -> list[tuple[str, str]]:
    """Return headers from ``Name: value`` lines."""
    pairs = []
    for number, line in enumerate(lines, start=1):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not TOKEN.fullmatch(name):
            raise Misuse(f'--header number {number}: allowed is "Name: value"')
        if not _VALUE.fullmatch(value):
            raise Misuse(
                f"--header number {number} ({name}): its value has characters that no header may"
            )
        pairs.append((name, value))
    return pairs


def body_of(text: str | None) -> bytes | None:
    """Return the request body: the text, or what is in ``@file`` (``@-``: standard input)."""
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode("utf-8", "surrogateescape")
    try:
        return _content(text[1:])
    except (OSError, ValueError) as error:
        source = "standard input" if text == "@-" else repr(text[1:])
        problem = getattr(error, "strerror", None) or "not a name of a file"
        raise Misuse(f"--data: cannot read {source}: {problem}") from None


def _content(name: str) -> bytes:
    if name != "-":
        return Path(name).read_bytes()
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer.read()


def seconds_of(option: str, value: float, *, or_none: bool = False) -> float:
    """Return a finite number of seconds above 0, or of at least 0 if ``or_none``."""
    if math.isfinite(value) and (value > 0 or (or_none and value == 0)):
        return value
    allowed = "of at least 0" if or_none else "above 0"
    raise Misuse(f"{option}: got {value:g}, allowed are seconds {allowed} and below 1.8e308")
