"""What is known of a server's rate limits, for people and to recognise its buckets."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..dialect.envelope import safe_token
from ..headers import RateLimit
from ..telemetry.records import Record, record
from .limits.metered import MeteredQuota
from .limits.quota import Quota
from .reporter import seconds_until

Signature = tuple[object, ...]
"""By what a bucket is recognised: the name that its server announces, else limit and window."""


def signature_of(limits: tuple[RateLimit, ...]) -> Signature:
    """Return by what the buckets that a response announces are recognised."""
    named = tuple(limit.bucket for limit in limits if limit.bucket is not None)
    return named or tuple((limit.limit, limit.window) for limit in limits)


def readable(signature: Signature) -> str:
    """Return a name for a bucket: what the server calls it, else its limit and window."""
    words = (
        part if isinstance(part, str) else "per".join(f"{n:g}" for n in part if n is not None)
        for part in signature
        if isinstance(part, str | tuple)
    )
    return safe_token(".".join(words)[:64]) or "all"


class Statistics(NamedTuple):
    """A snapshot of what a throttle counts.

    Attributes:
        queued: Calls that wait.
        in_flight: Requests that were sent, and whose headers were not received.
        abandoned: Requests that nobody waits for any more, but that the server may have counted.
        units: What those in flight and abandoned take of the rate-limit budget.
    """

    queued: int
    in_flight: int
    abandoned: int
    units: int


@record
class RateLimitStatus(Record):
    """What is known of one rate-limit policy of one scope; a snapshot.

    Attributes:
        origin: ``scheme://host:port``.
        scope: Category and a short hash of the identity; no credential.
        bucket: The policy's name, where the server gave one.
        unit: What is counted.
        limit: Units per window; None if unknown.
        remaining: Units certainly left, not counting those in flight and the reserve.
        reset_in: Seconds until the announced reset; None if unknown or past.
        window: Seconds of the window, where stated.
        in_flight: Requests of the scope that are in flight.
        queued: Calls of the scope that wait.
        held_for: Seconds until the scope is checked again, if no response comes first; None if
            calls are admitted.
        held_reason: Why no call is admitted: ``exhausted`` (but for units kept back as probes),
            ``server_hint``, ``cold_start``, ``silent_limit``, ``overload``, ``concurrency``, or
            ``lease`` (the store is asked).
        store: ``connected`` or ``lost``, where processes share the limit by a store; else None.
        processes: How many shared it when the store was heard of last.
        shared_remaining: Units that the store said to be left for all of them.
        leased: Requests that this process may send before it asks the store again.
        concurrency: Requests to the origin that may be in flight now, over all of its scopes; None
            for any number.
    """

    origin: str
    scope: str
    bucket: str | None = None
    unit: str = "requests"
    limit: int | None = None
    remaining: int | None = None
    reset_in: float | None = None
    window: float | None = None
    in_flight: int = 0
    queued: int = 0
    held_for: float | None = None
    held_reason: str | None = None
    store: str | None = None
    processes: int | None = None
    shared_remaining: int | None = None
    leased: int | None = None
    concurrency: int | None = None


def status_rows(
    common: dict[str, Any], quotas: Iterable[Quota | MeteredQuota], outstanding: int, now: float
) -> list[RateLimitStatus]:
    """Return a row for each quota, or one if there is none; ``common`` stands in each."""
    return [
        RateLimitStatus(
            **common,
            bucket=quota.bucket,
            unit=quota.unit,
            limit=quota.limit,
            remaining=max(0, quota.left(outstanding)) if quota.has_evidence else None,
            reset_in=seconds_until(quota.end.nominal, now) or None,
            window=quota.window,
        )
        for quota in quotas
    ] or [RateLimitStatus(**common)]
