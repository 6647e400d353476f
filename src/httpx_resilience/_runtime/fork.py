"""After a fork the child has one thread, and locks that others may have held."""

import os
from typing import Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """Something that must begin anew in a child."""

    def renew(self) -> None:
        """Make locks and what must not be shared with the parent anew."""


_things: "WeakSet[Renewable]" = WeakSet()


def renew_in_children(thing: Renewable) -> None:
    """Have ``thing.renew()`` called in each child of a fork, for as long as it lives."""
    _things.add(thing)


def _in_child() -> None:
    for thing in list(_things):
        thing.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
