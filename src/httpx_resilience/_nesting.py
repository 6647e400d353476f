"""Transports of ours within each other: the outer one retries, the inner one does not.

Two that both retry multiply their attempts. So the outer one's requests say that they are its own,
which costs only those of a transport that holds another one: that is looked for when it is made,
in what its inner transport keeps. Where it is too well hidden there, the first failed attempt
shows it, for the inner one leaves its history on the response or the exception.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

MOST_OBJECTS = 500
"""Objects that are looked at."""

_MOST_KEPT = 50
"""Items of a container, or attributes of an object, that are."""

_HOLLOW = (str, bytes, bytearray, int, float, complex, bool, type, ModuleType, type(None))


def holds(thing: object, kind: type) -> bool:
    """Return whether an object is of a class, or keeps such a one: in attributes, items, closures.

    Nothing of what it finds is called, no property either. The nearest 500 objects are looked at.

    >>> holds([{"a": [1]}], complex), holds([{"a": [1j]}], complex)
    (False, True)
    """
    # A proxy may lie of its class, or be made by that.
    return any(issubclass(type(each), kind) for each in within_reach(thing))


def within_reach(thing: object) -> Iterator[object]:
    """Yield an object, and the nearest 500 that it keeps: in attributes, items, closures."""
    queue, seen = deque([thing]), {id(thing)}
    while queue:
        looked_at = queue.popleft()
        yield looked_at
        for kept in _kept_by(looked_at):
            if id(kept) not in seen and len(seen) < MOST_OBJECTS:
                seen.add(id(kept))
                queue.append(kept)


def _kept_by(thing: Any) -> Iterator[object]:
    kind = type(thing)
    if issubclass(kind, _HOLLOW):
        return
    kept: Iterable[object] = ()
    if kind is dict:
        kept = thing.values()
    elif kind in (list, tuple, set, frozenset, deque):
        kept = thing
    elif kind is FunctionType:
        kept = _closed_over(thing)
    elif kind is MethodType:
        kept = (thing.__self__, thing.__func__)
    elif kind is partial:
        kept = (thing.func, *thing.args, *thing.keywords.values())
    yield from islice(kept, _MOST_KEPT)
    yield from islice(_attributes(thing), _MOST_KEPT)


def _attributes(thing: object) -> Iterator[object]:
    with suppress(Exception):  # there is none, or a proxy's is whatever it stands for
        yield from object.__getattribute__(thing, "__dict__").values()
    for base in type(thing).__mro__:
        for member in vars(base).values():
            if type(member) is MemberDescriptorType:
                with suppress(AttributeError):  # it was not set
                    yield member.__get__(thing)


def _closed_over(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty still
            yield cell.cell_contents
