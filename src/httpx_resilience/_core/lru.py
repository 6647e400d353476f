"""Bounded maps of what calls share: one entry per origin or scope, the least recently used first.

An entry that a running call still holds is never lost: it leaves the list of the recently used,
but is found again for as long as anybody refers to it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

MAX_ENTRIES = 1024
"""Origins and scopes that are kept; more fill no memory, the longest unused go first."""

V = TypeVar("V")


class LRUMap(Generic[V]):
    """A map that keeps the entries used last, and those in use."""

    __slots__ = ("_live", "_make", "_recent", "_size")

    def __init__(self, make: Callable[[], V] | None = None, size: int = MAX_ENTRIES) -> None:
        self._make = make
        self._size = size
        self._recent: OrderedDict[Hashable, V] = OrderedDict()
        self._live: WeakValueDictionary[Hashable, V] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._recent)

    def find(self, key: Hashable) -> V | None:
        """Return the entry of ``key`` if it is kept, and count it as just used."""
        entry = self._recent.get(key)
        if entry is not None:
            self._recent.move_to_end(key)
        return entry

    def get(self, key: Hashable, make: Callable[[], V] | None = None) -> V:
        """Return the entry of ``key``, made if there is none, and count it as just used."""
        entry = self.find(key)
        if entry is not None:
            return entry
        entry = self._live.get(key)
        if entry is None:
            entry = self._live[key] = self._new(make)
        self._recent[key] = entry
        if len(self._recent) > self._size:
            self._recent.popitem(last=False)
        return entry

    def put(self, key: Hashable, entry: V) -> None:
        """Keep ``entry`` under ``key`` as just used."""
        self._recent.pop(key, None)
        self._recent[key] = self._live[key] = entry
        if len(self._recent) > self._size:
            self._recent.popitem(last=False)

    def values(self) -> list[V]:
        """Return the entries that are kept, the least recently used first."""
        return list(self._recent.values())

    def _new(self, make: Callable[[], V] | None) -> V:
        make = make or self._make
        if make is None:
            raise TypeError("LRUMap.get: no way to make an entry was given")
        return make()

    def clear(self) -> None:
        """Forget everything."""
        self._recent.clear()
        self._live.clear()
