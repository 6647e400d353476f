"""The list of a namespace's scopes in the store, for `status`: written now and then."""

import threading
from collections.abc import Sequence

from .commands import Command

EVERY = 10.0
"""Seconds for which a scope is not listed again by the same process."""

MOST = 10_000
"""Scopes that are remembered as listed; beyond that all are forgotten, and listed once more."""

LISTED = "lease"
"""The script whose keys are scopes."""


class Index:
    """Knows which scopes this process has listed lately; used by several threads."""

    __slots__ = ("_key", "_listed", "_lock")

    def __init__(self, key: str) -> None:
        self._key = key
        self._listed: dict[str, float] = {}
        self._lock = threading.Lock()

    def due(self, commands: Sequence[Command], now: float) -> list[Command]:
        """Return the command that lists those commands' scopes which it is time to list."""
        found = []
        with self._lock:
            for name, key, _ in commands:
                if name == LISTED and now - self._listed.get(key, now - EVERY) >= EVERY:
                    self._listed[key] = now
                    found.append(key)
            if len(self._listed) > MOST:
                self._listed.clear()
        return [Command("index", self._key, tuple(found))] if found else []
