"""After a fork the child has one thread, and locks that other threads may have held."""

import os
from collections.abc import Callable
from weakref import WeakMethod

_resets: set[WeakMethod[Callable[[], None]]] = set()


def reset_in_children(reset: Callable[[], None]) -> None:
    """Have a bound method called in each child of a fork, for as long as its object lives."""
    _resets.add(WeakMethod(reset, _resets.discard))


def _in_child() -> None:
    for reference in tuple(_resets):
        reset = reference()
        if reset is not None:
            reset()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
