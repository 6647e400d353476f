"""What a response says of rate limits, as plain records; and the policy that binds."""

from collections.abc import Iterable
from typing import NamedTuple

from ..tuples import maker

MAX_LIMITS = 32


class RateLimit(NamedTuple):
    """One rate-limit policy as a server announced it, with error bars.

    Attributes:
        limit: Units per window; None if not given. 0 is a legal limit.
        remaining: Units left when the request was counted, rounded down, in [0, limit]; None is
            no evidence of a budget.
        reset_in: Seconds, finite and at least 0, from the response's Date on the server's clock
            to the reset, without any guard; from the given wall time if there is no usable Date.
            A delta or a duration is what the server said, and so counts from its answer, somewhat
            later than the Date, which is rounded down.
        reset_at: Epoch seconds of the reset on the server's clock, if it was given as an instant
            (epoch or date); None for a delta or a duration.
        granularity: Seconds; the true reset lies in (reset - granularity, reset + granularity).
            1 for whole seconds, in whatever unit (a server that rounds and then scales looks the
            same), 60 for dates without seconds, else the value of the last decimal.
        window: Seconds in which ``limit`` units may be spent, if stated.
        unit: What is counted. A policy of anything but ``"requests"`` blocks while nothing
            remains; one request does not cost it one unit.
        bucket: Name of the policy, bucket or resource, if stated.
        refill: Units per second that come back, if stated.
        cost: Units that this request took of it, if stated.

    >>> RateLimit(limit=100, remaining=7, reset_in=30.0).unit
    'requests'
    """

    limit: int | None = None
    remaining: int | None = None
    reset_in: float | None = None
    reset_at: float | None = None
    granularity: float = 1.0
    window: float | None = None
    unit: str = "requests"
    bucket: str | None = None
    refill: float | None = None
    cost: int | None = None


make_limit = maker(RateLimit)


class Reading(NamedTuple):
    """What one response's headers say.

    Attributes:
        limits: The policies, at most 32; all of them hold at once.
        date: Epoch seconds of a valid Date header; None also for a response out of a cache, whose
            Date is old and would teach a wrong clock.
        scope: What the limit is said to cover (Discord: ``"global"``, ``"user"``, ``"shared"``).
    """

    limits: tuple[RateLimit, ...] = ()
    date: float | None = None
    scope: str | None = None


make_reading = maker(Reading)


class Reset(NamedTuple):
    """When quota comes back: the fields of ``RateLimit`` that go together."""

    reset_in: float | None = None
    reset_at: float | None = None
    granularity: float = 1.0


UNKNOWN = Reset()


def policy(
    limit: int | None,
    remaining: int | None,
    reset: Reset,
    window: float | None = None,
    unit: str = "requests",
    bucket: str | None = None,
    refill: float | None = None,
) -> RateLimit | None:
    """Return the policy with its remainder in [0, limit], or None if it says nothing.

    A negative remainder is an overdraft (Azure OpenAI sends it) and means none; a negative limit
    is no policy. A remainder of -1 that nothing else explains is what servers send for "unknown"
    and for "unlimited".
    """
    if limit is not None and limit < 0:
        return None
    if remaining == -1 and limit is None and not reset.reset_in:
        return None
    if remaining is not None:
        if remaining < 0:
            remaining = 0
        elif limit is not None and remaining > limit:
            remaining = limit
    elif limit is None and reset.reset_in is None:
        return None
    return RateLimit(limit, remaining, *reset, window, unit, bucket, refill)


def binding(limits: Iterable[RateLimit]) -> RateLimit | None:
    """Return the policy to report: the one that is first in the way.

    Those that count requests and say what remains come before other units, and these before
    policies that do not. Among them the smallest remainder binds; between equals the latest
    known reset. For reporting only: a budget has to obey all policies.

    >>> binding([RateLimit(100, 40, 20.0), RateLimit(1000, 7, 30000.0)]).limit
    1000
    """
    every = list(limits)
    known = [limit for limit in every if limit.remaining is not None]
    requests = [limit for limit in known if limit.unit == "requests"]
    return min(requests or known or every, key=_closeness, default=None)


def _closeness(limit: RateLimit) -> tuple[int, bool, float]:
    return limit.remaining or 0, limit.reset_in is None, -(limit.reset_in or 0.0)


def merged(limits: list[RateLimit]) -> list[RateLimit]:
    """Return the policies without repetitions: several families often give the same one (Kong)."""
    kept: list[RateLimit] = []
    for limit in limits:
        twin = next((at for at, other in enumerate(kept) if _same(limit, other)), None)
        if twin is None:
            kept.append(limit)
        else:
            kept[twin] = _joined(kept[twin], limit)
    return kept


def _same(one: RateLimit, other: RateLimit) -> bool:
    """Return whether both have the same known remainder and nothing else contradicts."""
    return (
        one.remaining is not None
        and one.remaining == other.remaining
        and one.unit == other.unit
        and _agree(one.limit, other.limit)
        and _agree(one.window, other.window)
        and _agree(one.bucket, other.bucket)
        and _agree(one.refill, other.refill)
        and _agree(one.cost, other.cost)
        and _agree(one.reset_in, other.reset_in, max(one.granularity, other.granularity))
    )


def _agree(one: object, other: object, within: float = 0.0) -> bool:
    if one is None or other is None or one == other:
        return True
    return isinstance(one, float) and isinstance(other, float) and abs(one - other) <= within


def _joined(first: RateLimit, second: RateLimit) -> RateLimit:
    """Return the first, with what only the second gives; a reset comes with its error bars."""
    reset = first if first.reset_in is not None else second
    return RateLimit(
        limit=second.limit if first.limit is None else first.limit,
        remaining=first.remaining,
        reset_in=reset.reset_in,
        reset_at=reset.reset_at,
        granularity=reset.granularity,
        window=first.window or second.window,
        unit=first.unit,
        bucket=first.bucket or second.bucket,
        refill=second.refill if first.refill is None else first.refill,
        cost=second.cost if first.cost is None else first.cost,
    )
