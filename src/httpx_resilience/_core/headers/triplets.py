"""Limit, remaining and reset in a header each: the trios that most servers send."""

from itertools import zip_longest

from .families import Facts, Fields, readable_name
from .limits import UNKNOWN, RateLimit, policy
from .resets import Context, reset_of
from .structured import window_of
from .values import Moment, Quota, moments, number, quotas, unquoted

_BARE = frozenset({"limit", "remaining", "reset", "used"})


def read_trio(facts: Facts, fields: Fields, context: Context) -> list[RateLimit | None]:
    """Read one policy of a trio, or several where duplicates were merged: zipped by position."""
    if not _BARE.issuperset(fields):
        facts = _with_asides(facts, fields)
    limits = quotas(fields["limit"]) if "limit" in fields else ()
    remainders = quotas(fields["remaining"]) if "remaining" in fields else ()
    spent = quotas(fields["used"]) if "used" in fields else ()
    times = _times(fields)
    return [
        _row(limit, remaining, used, time, facts, context)
        for limit, remaining, used, time in zip_longest(limits, remainders, spent, times)
    ]


def _row(
    limit: Quota | None,
    remaining: Quota | None,
    used: Quota | None,
    time: Moment | None,
    facts: Facts,
    context: Context,
) -> RateLimit | None:
    amount = limit.amount if limit is not None else None
    left = remaining.amount if remaining is not None else None
    if used is not None:
        amount, left = _reckoned(amount, left, used.amount)
    window = (
        (limit.window if limit is not None else None)
        or (remaining.window if remaining is not None else None)
        or facts.window
        or (window_of(amount, context) if context.policy is not None else None)
    )
    reset = reset_of(time, facts.reset_unit, window, context) if time is not None else UNKNOWN
    return policy(amount, left, reset, window, facts.unit, facts.bucket, facts.refill)


def _reckoned(
    limit: int | None, remaining: int | None, used: int | None
) -> tuple[int | None, int | None]:
    """Fill in what is missing of limit and remainder from what was used."""
    if used is None or used < 0:
        return limit, remaining
    if limit is None and remaining is not None:
        return used + max(0, remaining), remaining
    if limit is not None and remaining is None:
        return limit, limit - used
    return limit, remaining


def _times(fields: Fields) -> tuple[Moment | None, ...]:
    """Return the best of the resets that can be read."""
    for part in ("reset_after", "reset", "reset_time"):
        if part in fields and any(found := moments(fields[part])):
            return found
    return ()


def _with_asides(facts: Facts, fields: Fields) -> Facts:
    interval = _positive(fields.get("seconds")) or _positive(fields.get("milliseconds"), 1e3)
    refill = _refill(fields.get("refill"), interval)
    return Facts(
        # A token bucket's interval is how often it is topped up, and no window.
        window=facts.window or (interval if refill is None else None),
        unit=facts.unit,
        bucket=readable_name(unquoted(fields.get("name", b"").decode("latin-1"))) or facts.bucket,
        refill=refill,
        reset_unit="delta" if any(moments(fields.get("reset_after", b""))) else facts.reset_unit,
    )


def _positive(value: bytes | None, scale: float = 1.0) -> float | None:
    found = number(value.decode("latin-1")) if value is not None else None
    return found / scale if found is not None and found > 0 else None


def _refill(value: bytes | None, interval: float | None) -> float | None:
    units = number(value.decode("latin-1")) if value is not None else None
    return units / (interval or 1.0) if units is not None and units >= 0 else None
