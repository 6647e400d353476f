"""The numbers to reach and then to beat, as data."""

from dataclasses import dataclass

OURS = "ours"
"""The contender whose figures have targets: everything on, nothing configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Smaller is better.

    Attributes:
        reach: The figure to reach.
        beat: The one to reach after that; None for none.
        of_ratio: The ratio is meant, not the value.
    """

    reach: float
    beat: float | None = None
    of_ratio: bool = False

    def verdict(self, figure: float) -> str:
        """Return what a figure comes to.

        >>> Target(reach=12, beat=7).verdict(9.5)
        'reached'
        """
        if figure > self.reach:
            return "missed"
        return "reached" if self.beat is None or figure > self.beat else "beaten"

    def __str__(self) -> str:
        times = "x" if self.of_ratio else ""
        beat = "" if self.beat is None else f", {self.beat:g}{times}"
        return f"≤ {self.reach:g}{times}{beat}"


TARGETS: dict[tuple[str, str], Target] = {
    ("happy", "transport, prebuilt request"): Target(reach=12.0, beat=7.0),
    ("happy", "AsyncClient.get"): Target(reach=1.10, beat=1.06, of_ratio=True),
    ("shapes", "transport: none"): Target(reach=11.0),
    ("shapes", "transport: epoch"): Target(reach=11.0),
    ("shapes", "transport: token bucket"): Target(reach=15.0),
    ("shapes", "transport: delta"): Target(reach=14.0),
    ("shapes", "transport: github"): Target(reach=16.0),
    ("shapes", "transport: structured"): Target(reach=20.0),
    ("shapes", "transport: llm"): Target(reach=22.0),
    ("instructions", "transport"): Target(reach=120.0, beat=70.0),
    ("retry", "logging off"): Target(reach=35.0, beat=28.0),
    ("retry", "one structlog JSON line"): Target(reach=60.0, beat=45.0),
    ("queue", "memory"): Target(reach=1500.0, beat=600.0),
    ("queue", "release"): Target(reach=20.0, beat=14.0),
    ("queue", "inversions"): Target(reach=0.0),
    ("throttle", "aligned 10 s: time"): Target(reach=1.05, beat=1.03),
    ("throttle", "aligned 10 s: 429s"): Target(reach=0.0),
    ("throttle", "aligned 1 s: time"): Target(reach=1.05, beat=1.03),
    ("throttle", "aligned 1 s: 429s"): Target(reach=0.0),
    ("throttle", "all kinds: time, median"): Target(reach=1.05, beat=1.03),
    ("throttle", "all kinds: time, worst"): Target(reach=1.12),
    ("imports", "import"): Target(reach=1.3, of_ratio=True),
    ("imports", "left by the import: threads"): Target(reach=0.0),
    ("imports", "left by the import: files, sockets"): Target(reach=0.0),
    ("imports", "left by the import: event loops"): Target(reach=0.0),
    ("report", "a million lines: time"): Target(reach=20.0),
    ("report", "a million lines: memory"): Target(reach=200.0),
}
"""By benchmark and what it measures; of a variant of ours, its name follows."""


def target_key(benchmark: str, what: str, contender: str) -> tuple[str, str] | None:
    """Return under which key the target of a figure would stand; None for who has none.

    >>> target_key("shapes", "transport", "ours, llm")
    ('shapes', 'transport: llm')
    """
    name, _, variant = contender.partition(", ")
    if name != OURS:
        return None
    return benchmark, f"{what}: {variant}" if variant else what


def target_of(benchmark: str, what: str, contender: str) -> Target | None:
    """Return the target of a figure; None where nobody set one."""
    key = target_key(benchmark, what, contender)
    return None if key is None else TARGETS.get(key)
