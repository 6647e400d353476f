"""A small chart of how much happened when, in block characters."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = ".:-=+*#@"
"""For screens that know no blocks."""

_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_LABEL = 8
"""Columns that a label of the axis takes at least."""


def step_for(seconds: float, columns: int) -> float:
    """Return the seconds that one column stands for, 0.1 at the least, so that the chart fits."""
    return next((step for step in _STEPS if seconds < step * columns), seconds / (columns - 1))


def counts(moments: Iterable[float], step: float) -> list[int]:
    """Return how many moments fall into each step; they are seconds of at least 0.

    >>> counts([0.0, 0.05, 0.31], 0.1)
    [2, 0, 0, 1]
    """
    per_step = Counter(int(moment / step) for moment in moments)
    return [per_step[index] for index in range(max(per_step, default=-1) + 1)]


def bars(heights: Sequence[int], peak: int, ramp: str = BLOCKS) -> str:
    """Return a character for each height: a blank for none, the last of the ramp for the peak.

    By the square root, so that a burst leaves something to be seen of what is steady.

    >>> bars([100, 0, 1, 25, 2], 100)
    '█ ▁▄▂'
    """
    return "".join(
        ramp[math.ceil(len(ramp) * math.sqrt(height / peak)) - 1] if height else " "
        for height in heights
    )


def axis(seconds: float, step: float) -> str:
    """Return the labels of a chart's time axis.

    >>> axis(2.0, 0.1)
    '0 s       1 s       2 s'
    """
    tick = next((each for each in (1, 2, 5, 10, 20, 50) if each / step >= _LABEL), 100)
    line = ""
    for at in range(0, int(seconds) + 1, tick):
        line = line.ljust(round(at / step)) + f"{at} s"
    return line
