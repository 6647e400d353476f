"""Paths into a body's JSON: how they are written, checked and followed."""

import re
from functools import lru_cache
from typing import Any

from .. import checks

Path = tuple[str, ...]
"""Where something stands in a body. An element is a key; ``*`` for the first item of a list; or
``[key=value]`` for the first item of a list of objects whose ``key`` is ``value``."""

MAX_PATHS = 32
"""Paths of one field."""

MAX_ELEMENTS = 16
"""Elements of one path."""

MAX_KEY = 256
"""Characters of one element."""

MAX_ITEMS = 1_000
"""Items of a list among which one is selected."""

_SELECTION = re.compile(r"\[([^\[\]=]+)=([^\[\]]*)\]")
_KEY = r"[^.\[\]]++"
_ELEMENT = re.compile(rf"{_SELECTION.pattern}|{_KEY}")
_WRITTEN = re.compile(
    rf"(?:{_SELECTION.pattern}|{_KEY})(?:\.{_KEY}|\.?{_SELECTION.pattern})*",
)


def path_of(text: str) -> Path | None:
    """Return a path that is written as text, or None if it is not written so.

    Dots separate its elements. Those between brackets do not, and a selection needs none before it.

    >>> path_of("error.details[@type=example.com/Wait].seconds")
    ('error', 'details', '[@type=example.com/Wait]', 'seconds')
    >>> path_of("error..code") is None
    True
    """
    if not _WRITTEN.fullmatch(text):
        return None
    return tuple(found[0] for found in _ELEMENT.finditer(text))


def check_paths(field: str, paths: object) -> None:
    """Raise unless ``paths`` is a tuple of paths.

    Raises:
        TypeError: It is no tuple of tuples of strings.
        ValueError: There are too many, or one is empty, too long or holds an element that is none.
    """
    allowed = 'a tuple of paths such as (("error", "code"),)'
    if not isinstance(paths, tuple) or any(not isinstance(path, tuple) for path in paths):
        raise TypeError(f"{field}: got {checks.shown(paths)}, allowed is {allowed}")
    if len(paths) > MAX_PATHS:
        raise ValueError(f"{field}: got {len(paths)} paths, allowed are {MAX_PATHS}")
    for path in paths:
        if not all(isinstance(element, str) for element in path):
            raise TypeError(f"{field}: got {checks.shown(path)}, allowed is a tuple of strings")
        if not 0 < len(path) <= MAX_ELEMENTS:
            raise ValueError(
                f"{field}: got a path of {len(path)} elements, allowed are 1 to {MAX_ELEMENTS}"
            )
        for element in path:
            _check_element(field, element)


def _check_element(field: str, element: str) -> None:
    if not 0 < len(element) <= MAX_KEY:
        raise ValueError(
            f"{field}: got an element of {len(element)} characters, allowed are 1 to {MAX_KEY}"
        )
    if element.startswith("[") and not _SELECTION.fullmatch(element):
        raise ValueError(
            f"{field}: got the element {element!r}, allowed is a key, '*', or '[key=value]'"
        )


def follow(document: Any, path: Path) -> Any:
    """Return what stands at a path, or None if nothing does.

    >>> follow([{"id": 1, "code": "a"}, {"id": 2, "code": "b"}], ("[id=2]", "code"))
    'b'
    """
    value = document
    for element in path:
        value = value.get(element) if type(value) is dict else _step(value, element)
    return value


def _step(value: Any, element: str) -> Any:
    if type(value) is not list or not value:
        return None
    if element == "*":
        return value[0]
    selection = _selection(element)
    if selection is None:
        return None
    key, wanted = selection
    for item in value[:MAX_ITEMS]:
        if type(item) is dict and _is(item.get(key), wanted):
            return item
    return None


def _is(value: Any, wanted: str) -> bool:
    if type(value) is int:  # and no bool; few digits, for to write many takes long
        return -(10**18) < value < 10**18 and str(value) == wanted
    return bool(value == wanted)


@lru_cache(256)
def _selection(element: str) -> tuple[str, str] | None:
    found = _SELECTION.fullmatch(element)
    return None if found is None else (found[1], found[2])
