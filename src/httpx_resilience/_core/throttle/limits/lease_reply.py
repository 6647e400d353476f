"""What the store answers to a process that asks it for a lease."""

import math
from typing import NamedTuple

from .windows import LONGEST

LONGEST_LEASE = 1.0
"""Seconds that a lease lasts at the most."""


class Row(NamedTuple):
    """What the store says of one limit: how much others had settled, and what is left for all."""

    others: float
    left: float
    cost: float


class Reply(NamedTuple):
    """What the store answers for one scope. Durations are in seconds.

    Attributes:
        is_granted: There is a lease.
        epoch: Of the store's state; another one after it was lost.
        lasts: The lease.
        processes: That have a part in the scope.
        closed_for: The server wants no requests of anybody.
        retry_in: Until it has a point to ask again.
        is_free: The server announces nothing: there is nothing to lease.
        is_probe: The lease is one request, to learn what is left.
        is_sole: It is one request, and nobody else spends until it is answered.
        rate, version, ceiling: Of a server that limits in silence; a rate of 0 for none.
        granted: Units, by the name of their limit.
        rows: The limits, by name.
    """

    is_granted: bool
    epoch: str
    lasts: float
    processes: int
    closed_for: float
    retry_in: float
    is_free: bool
    is_probe: bool
    is_sole: bool
    rate: float
    version: str
    ceiling: float
    granted: dict[str, float]
    rows: dict[str, Row]


_FIELDS, _ROW = 12, 5


def read_reply(words: list[str]) -> Reply:
    """Read what ``lease.lua`` returns.

    Raises:
        ValueError: It is something else.
    """
    if len(words) < _FIELDS or len(words) != _FIELDS + _ROW * int(words[11]):
        raise ValueError("the store's reply is not one to a lease")
    numbers = [_number(word) for word in words[:_FIELDS]]
    granted: dict[str, float] = {}
    rows: dict[str, Row] = {}
    for start in range(_FIELDS, len(words), _ROW):
        name, units, others, left, cost = words[start : start + _ROW]
        granted[name] = max(0.0, _number(units))
        rows[name] = Row(_number(others), _number(left), max(1.0, _number(cost)))
    return Reply(
        is_granted=numbers[0] > 0,
        epoch=words[1],
        lasts=min(LONGEST_LEASE, max(0.0, numbers[2] / 1000)),
        processes=max(1, int(numbers[3])),
        closed_for=min(LONGEST, max(0.0, numbers[4] / 1000)),
        retry_in=min(LONGEST, max(0.001, numbers[5] / 1000)),
        is_free=numbers[6] > 0,
        is_probe=numbers[7] == 1,
        is_sole=numbers[7] > 0,
        rate=max(0.0, numbers[8]),
        version=words[9],
        ceiling=max(0.0, numbers[10]),
        granted=granted,
        rows=rows,
    )


def _number(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError("the store's reply holds a number that is not finite")
    return value
