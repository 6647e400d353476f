"""Secrets with versions, compare-and-set and soft deletion; no I/O and no clock of its own."""

import re
from dataclasses import dataclass, field

from ._refusal import Refusal

KEPT_VERSIONS = 100
"""Older versions of a secret age out."""

_PATH = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_LONGEST_PATH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a secret."""

    path: str
    version: int
    value: object


@dataclass(slots=True)
class _Entry:
    versions: dict[int, Version] = field(default_factory=dict)
    current: int = 0
    deleted_at: float | None = None

    @property
    def live_version(self) -> int:
        return 0 if self.deleted_at is not None else self.current


class Store:
    """All secrets; ``now`` is monotonic seconds, ``retention`` how long deleted ones are kept."""

    def __init__(self, retention: float) -> None:
        self._retention = retention
        self._entries: dict[str, _Entry] = {}

    def read(self, path: str, version: int | None, now: float) -> Version:
        """Return a version of a secret, by default the current one."""
        entry = self._live_entry(path, now)
        found = entry.versions.get(entry.current if version is None else version)
        if found is None:
            raise Refusal("version_not_found", details={"path": path, "version": version})
        return found

    def write(
        self, path: str, value: object, *, expected: int | None, force: bool, now: float
    ) -> Version:
        """Make a new version.

        Args:
            path: Where.
            value: Any JSON value.
            expected: The current version as the writer knows it (0: there is none), or None to
                write whatever it is.
            force: Write over a deleted secret that is still retained.
            now: Monotonic seconds.
        """
        entry = self._entry(path, now) or _Entry()
        if entry.deleted_at is not None and not force:
            left = entry.deleted_at + self._retention - now
            raise Refusal("secret_exists", details={"path": path, "retained_for": round(left, 3)})
        if expected is not None and expected != entry.live_version:
            raise Refusal(
                "version_conflict",
                f"Secret {path!r} is at version {entry.live_version}, not {expected}",
                details={
                    "path": path,
                    "current_version": entry.live_version,
                    "expected_version": expected,
                },
            )
        entry.deleted_at = None
        entry.current += 1
        entry.versions[entry.current] = Version(path=path, version=entry.current, value=value)
        entry.versions.pop(entry.current - KEPT_VERSIONS, None)
        self._entries[path] = entry
        return entry.versions[entry.current]

    def create(self, path: str, value: object, now: float) -> Version:
        """Make version 1 of a secret that must not exist."""
        entry = self._entry(path, now)
        if entry is not None and entry.deleted_at is None:
            raise Refusal("name_conflict", details={"path": path})
        return self.write(path, value, expected=None, force=False, now=now)

    def delete(self, path: str, *, purge: bool, now: float) -> None:
        """Hide a secret until its retention is over; ``purge`` removes it, hidden or not."""
        entry = self._entry(path, now) if purge else self._live_entry(path, now)
        if entry is None:
            raise _not_found(path)
        if purge:
            del self._entries[path]
        else:
            entry.deleted_at = now

    def current_versions(self, prefix: str, now: float) -> list[Version]:
        """Return the current versions below ``prefix``, in the order of their paths."""
        entries = [(path, self._entry(path, now)) for path in sorted(self._entries)]
        return [
            entry.versions[entry.current]
            for path, entry in entries
            if entry is not None and entry.deleted_at is None and path.startswith(prefix)
        ]

    def _entry(self, path: str, now: float) -> _Entry | None:
        if len(path) > _LONGEST_PATH or not _PATH.fullmatch(path) or ".." in path.split("/"):
            raise Refusal("invalid_path", details={"path": path[:_LONGEST_PATH]})
        entry = self._entries.get(path)
        if entry and entry.deleted_at is not None and now - entry.deleted_at >= self._retention:
            del self._entries[path]
            return None
        return entry

    def _live_entry(self, path: str, now: float) -> _Entry:
        entry = self._entry(path, now)
        if entry is None or entry.deleted_at is not None:
            raise _not_found(path)
        return entry


def _not_found(path: str) -> Refusal:
    return Refusal("secret_not_found", f"Secret {path!r} not found", details={"path": path})
