"""From a header's raw name to the part it plays, and the parser of what it belongs to."""

from collections.abc import Callable, Iterable, Sequence

from .families import (
    ASIDES,
    DEFAULT_FAMILIES,
    IGNORED,
    Facts,
    Fields,
    HeaderFamily,
    facts,
    word_of,
)
from .limits import RateLimit
from .resets import Context
from .structured import (
    read_status,
    read_structured,
    read_totals,
    read_used_of,
    read_windows,
)
from .triplets import read_trio

MAX_NAMES = 1024
"""Header names that a reader keeps before it forgets them all; of one response as many again."""

_LONGEST_NAME = 128

Read = Callable[[Facts, Fields, Context], Iterable[RateLimit | None]]

_FORMATS: tuple[tuple[HeaderFamily, Read], ...] = (
    (HeaderFamily(limit="RateLimit"), read_structured),
    # Not enforced yet, but to be treated as if (Atlassian, "Rate limiting").
    (HeaderFamily(limit="Beta-RateLimit"), read_structured),
    (
        HeaderFamily(
            limit="Anthropic-RateLimit-Unified-Status",
            reset="Anthropic-RateLimit-Unified-Reset",
            bucket="unified",
        ),
        read_status,
    ),
    (
        HeaderFamily(limit="X-App-Rate-Limit", used="X-App-Rate-Limit-Count", bucket="app"),
        read_windows,
    ),
    (
        HeaderFamily(
            limit="X-Method-Rate-Limit", used="X-Method-Rate-Limit-Count", bucket="method"
        ),
        read_windows,
    ),
    (HeaderFamily(used="X-Shopify-Shop-Api-Call-Limit"), read_used_of),
    (HeaderFamily(used="Sforce-Limit-Info"), read_used_of),
    (HeaderFamily(limit="Zendesk-RateLimit-*"), read_totals),
)
"""Formats of their own; the family says which header plays which part."""


class Slot:
    """A family in use; ``rank`` orders them, best first."""

    __slots__ = ("facts", "rank", "read")

    def __init__(self, rank: int, facts: Facts, read: Read) -> None:
        self.rank = rank
        self.facts = facts
        self.read = read


Role = tuple[Slot | None, str]
"""The slot whose part a header plays; None for what concerns the response as a whole."""

_WHOLE: dict[str, str] = {
    "date": "date",
    "age": "age",
    "retry-after": "retry_after",
    "ratelimit-policy": "policy",
    "beta-ratelimit-policy": "policy",
    "x-ratelimit-tokens-query-cost": "cost",  # Mistral
    "ratelimitbysize-query-cost": "cost",
    "x-ratelimit-scope": "scope",
    "x-ratelimit-global": "global",
}


class Roles(dict[bytes, Role | None]):
    """From a raw header name to its role; a name that is new is looked up and remembered."""

    def __init__(self, families: Sequence[HeaderFamily]) -> None:
        super().__init__()
        rows: list[tuple[HeaderFamily, Read]] = [(family, read_trio) for family in families]
        rows += _FORMATS
        rows += [(family, read_trio) for family in DEFAULT_FAMILIES]
        self._exact: dict[str, Role] = {}
        self._patterns: list[tuple[str, str, int, str, HeaderFamily, Read]] = []
        self._words: dict[tuple[int, str], Slot] = {}
        for rank, row in enumerate(rows):
            self._add(rank, *row)
        for name, neighbour, part in ASIDES:
            self._exact.setdefault(name.lower(), (self._exact[neighbour.lower()][0], part))
        for name, part in _WHOLE.items():
            self._exact.setdefault(name, (None, part))

    def _add(self, rank: int, family: HeaderFamily, read: Read) -> None:
        slot = Slot(rank, facts(family), read)
        for part, name in family.headers().items():
            if "*" in name:
                pattern = name.lower()
                start = pattern.partition("*")[0]  # which most names lack, and is quickly looked at
                self._patterns.append((start, pattern, rank, part, family, read))
            else:
                self._exact.setdefault(name.lower(), (slot, part))

    def __missing__(self, name: bytes) -> Role | None:
        if len(name) > _LONGEST_NAME or len(self) >= 2 * MAX_NAMES:
            return None
        role = self._role(name.decode("latin-1").lower())
        self[name] = role
        return role

    def _role(self, name: str) -> Role | None:
        if name in self._exact:
            return self._exact[name]
        if name.startswith(IGNORED):
            return None
        for start, pattern, rank, part, family, read in self._patterns:
            if name.startswith(start) and (word := word_of(pattern, name)) is not None:
                slot = Slot(rank, facts(family, word), read)
                return self._words.setdefault((rank, word), slot), part
        return None

    def forget(self) -> None:
        """Forget all names: a server that keeps sending new ones fills no memory."""
        self.clear()
        self._words.clear()
