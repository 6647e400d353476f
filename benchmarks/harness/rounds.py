"""How time is taken: contenders take turns, in rounds, and what counts is the median.

1. Every round runs every contender once, and each round begins with another: what disturbs the
   machine for a while disturbs all of them.
2. The processor's time of this thread is counted, not the clock on the wall: nothing here waits,
   and others may be using the machine.
3. Before each turn the garbage collector runs, during it it is switched off: no turn pays for what
   another left behind. So none pays for its own cycles either, which there should not be.
4. A first round, of a tenth, warms up and is thrown away.
5. Differences and ratios are formed within a round; the medians are of those.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")

Report = Callable[[str], None]
"""Called with what is being done, for the progress on the screen."""

Turn = Callable[[int], Awaitable[float]]
"""Makes so many calls; returns the seconds that they took."""


def prefixed(report: Report, head: str) -> Report:
    """Return what puts a head before everything that is reported."""
    return lambda text: report(f"{head}: {text}")


GC_NOTE = "garbage collected before each turn, collector off during it"


@dataclass(frozen=True, slots=True)
class Effort:
    """How thoroughly to measure; ``share`` 1 is in full."""

    share: float = 1.0

    def of(self, number: int, *, least: int = 1) -> int:
        """Return that many, or fewer where a glance is enough.

        >>> Effort(0.1).of(15), Effort(0.1).of(4, least=2)
        (2, 2)
        """
        return max(least, round(number * self.share))


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect what lies about, then leave the collector off."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Stopwatch:
    """Adds up this thread's processor time while it runs.

    >>> with Stopwatch() as watch:
    ...     _ = sum(range(10))
    >>> watch.seconds > 0
    True
    """

    __slots__ = ("_begun", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._begun = time.thread_time()
        return self

    def __exit__(self, *failure: object) -> None:
        self.seconds += time.thread_time() - self._begun


async def take_turns(
    turns: Mapping[str, Turn], *, rounds: int, calls: int, report: Report
) -> dict[str, list[float]]:
    """Return each contender's microseconds per call, a figure a round."""
    names = list(turns)
    for name in names:
        await turns[name](max(1, calls // 10))
    figures: dict[str, list[float]] = {name: [] for name in names}
    for name in in_turns(names, rounds, report):
        with collector_off():
            seconds = await turns[name](calls)
        figures[name].append(seconds / calls * 1e6)
    return figures


def in_turns(names: Sequence[T], rounds: int, report: Report) -> Iterator[T]:
    """Yield every name once a round, and begin each round with another.

    >>> list(in_turns("abc", 2, print))
    round 1 of 2
    round 2 of 2
    ['a', 'b', 'c', 'b', 'c', 'a']
    """
    for index in range(rounds):
        report(f"round {index + 1} of {rounds}")
        first = index % len(names)
        yield from (*names[first:], *names[:first])


@dataclass(frozen=True, slots=True)
class Against:
    """A contender against the yardstick, medians over the rounds."""

    value: float
    added: float
    ratio: float


def against(figures: Sequence[float], yardstick: Sequence[float]) -> Against:
    """Compare round by round, for in one round both met the same machine.

    >>> against([3.0, 4.0, 9.0], [2.0, 2.0, 6.0])
    Against(value=4.0, added=2.0, ratio=1.5)
    """
    pairs = list(zip(figures, yardstick, strict=True))
    return Against(
        statistics.median(figures),
        statistics.median(mine - other for mine, other in pairs),
        statistics.median(mine / other for mine, other in pairs),
    )
