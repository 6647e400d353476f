"""What is known of an origin, for a status page."""

from ..telemetry.records import Record, record
from .budget import RetryBudget
from .parking import Parking


@record
class OriginStatus(Record):
    """What is known of one origin; a snapshot.

    Attributes:
        origin: ``scheme://host:port``.
        available: Whether it is; None if retries are not parked, so that nobody judges it.
        unavailable_for: Seconds for which it has not been; None if it is.
        parked: Calls that wait for it to recover.
        budget: Tokens in its retry budget; None if it has none.
        health: How good its last successes were: 1 at the usual speed, 0 while nothing succeeds.
    """

    origin: str
    available: bool | None = None
    unavailable_for: float | None = None
    parked: int = 0
    budget: float | None = None
    health: float | None = None


def origin_status(
    origin: str, parking: Parking | None, budget: RetryBudget | None, now: float
) -> OriginStatus:
    """Return what is known of an origin now."""
    tokens = None if budget is None else round(budget.balance(now), 2)
    if parking is None:
        return OriginStatus(origin=origin, budget=tokens)
    known = parking.availability
    since = known.unavailable_since
    return OriginStatus(
        origin=origin,
        available=since is None,
        unavailable_for=None if since is None else round(max(0.0, now - since), 3),
        parked=len(parking),
        budget=tokens,
        health=round(known.health, 3),
    )
