"""Where the headers stand that count, and what can be read there without looking at the others.

A server's responses have the same headers in the same order, and differ in few of them. What one of
them said beside the remainder is known by what stood there, so it is read once.
"""

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from .families import Facts
from .limits import RateLimit
from .resets import Context, reset_of
from .roles import Role
from .triplets import read_trio
from .values import http_date, moments, quotas

LONGEST_DATE = 64
_LONGEST = 256
"""Bytes of a header that is read in place."""

Found = Sequence[tuple[Role, bytes]]
Headers = Sequence[tuple[bytes, bytes]]
value_of: Callable[[tuple[bytes, bytes]], bytes] = itemgetter(1)


class Known(NamedTuple):
    """What a response announced, as far as the next ones may repeat it.

    Attributes:
        limit: The limit.
        rest: All that comes after the remainder.
        date: The date.
    """

    limit: int
    rest: tuple[object, ...]
    date: float


class Trio(NamedTuple):
    """Where the headers stand of a response with a limit, a remainder, a reset and a Date alone.

    Attributes:
        limit, reset, date: The places.
        facts: What the names of the family say.
    """

    limit: int
    reset: int
    date: int
    facts: Facts


class Layout(NamedTuple):
    """Where the headers stand that count, one of which says what remains.

    Attributes:
        names: Of all headers of a response, in order.
        roles: Of those that count.
        pick: Takes those that count.
        pick_others: Takes those that count, but for what remains.
        at: Where what remains stands.
        trio: Where the others stand, if there are no more than of a trio.
    """

    names: list[bytes]
    roles: list[Role]
    pick: Callable[[Headers], Headers]
    pick_others: Callable[[Headers], object]
    at: int
    trio: Trio | None

    def found(self, headers: Headers) -> Found:
        """Return what counts of a response whose headers stand so."""
        return list(zip(self.roles, map(value_of, self.pick(headers)), strict=True))

    def read(self, headers: Headers) -> Known | None:
        """Return what a trio says beside the remainder; None if that is not plain."""
        trio = self.trio
        if trio is None:
            return None
        limit, reset = headers[trio.limit][1], headers[trio.reset][1]
        if len(limit) > _LONGEST or len(reset) > _LONGEST:
            return None
        amounts, times = quotas(limit), moments(reset)
        date, facts = http_date(headers[trio.date][1][:LONGEST_DATE]), trio.facts
        if len(amounts) != 1 or len(times) != 1 or date is None:
            return None
        (amount, window), time = amounts[0], times[0]
        if amount is None or amount < 0 or time is None:
            return None
        window = window or facts.window
        found = reset_of(time, facts.reset_unit, window, Context(date))
        rest = (*found, window, facts.unit, facts.bucket, facts.refill, None)
        return Known(amount, rest, date)


def known_of(limit: RateLimit, date: float) -> Known | None:
    """Return what a response announced, if it gave a limit."""
    return None if limit.limit is None else Known(limit.limit, limit[2:], date)


def layout_of(names: list[bytes], roles: list[Role], places: list[int]) -> Layout | None:
    """Return the layout of a response's headers; None unless each that counts is there once.

    Args:
        names: Of all headers.
        roles: Of those that count.
        places: Where these stand among all.
    """
    parts = [part for _, part in roles]
    if parts.count("remaining") != 1 or "used" in parts:
        return None
    if len(set(roles)) != len(roles):  # duplicates, which are merged
        return None
    at = places[parts.index("remaining")]
    others: Any = itemgetter(*(place for place in places if place != at))
    return Layout(names, roles, itemgetter(*places), others, at, _trio_of(roles, places))


def _trio_of(roles: list[Role], places: list[int]) -> Trio | None:
    place = {part: (at, slot) for (slot, part), at in zip(roles, places, strict=True)}
    if len(roles) != 4 or place.keys() != {"limit", "remaining", "reset", "date"}:
        return None
    (limit, slot), (reset, other), (date, _) = place["limit"], place["reset"], place["date"]
    is_plain = slot is not None and slot is other is place["remaining"][1]
    if not is_plain or slot is None or slot.read is not read_trio:
        return None
    return Trio(limit, reset, date, slot.facts)
