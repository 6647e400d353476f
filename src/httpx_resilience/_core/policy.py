"""What may be configured: frozen, validated when made, equal by value."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self

from . import checks
from .dialect.catalog import ErrorClass
from .frozen import FrozenMap
from .retry.backoff import Backoff, Jitter

_ROWS: tuple[tuple[ErrorClass, float, float, float, Jitter, int | None, float], ...] = (
    # class, initial, maximum, multiplier, jitter, attempts in all, cost
    (ErrorClass.RATE_LIMITED, 1.0, 20.0, 2.0, "equal", None, 0.5),
    (ErrorClass.TRANSIENT, 0.5, 20.0, 3.0, "equal", None, 1.0),
    (ErrorClass.CONNECTION, 0.5, 20.0, 3.0, "equal", None, 1.0),
    (ErrorClass.INTERNAL, 0.5, 20.0, 2.0, "equal", 2, 1.0),
    (ErrorClass.CONFLICT, 0.1, 2.0, 2.0, "full", 3, 1.0),
)

DEFAULT_BACKOFF: FrozenMap[ErrorClass, Backoff] = FrozenMap(
    {
        error_class: Backoff(
            initial=initial,
            maximum=maximum,
            multiplier=multiplier,
            jitter=jitter,
            max_attempts=attempts,
            cost=cost,
        )
        for error_class, initial, maximum, multiplier, jitter, attempts, cost in _ROWS
    }
)
"""The backoff of each class that may be retried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When and how often a failed attempt is repeated.

    Attributes:
        max_attempts: Attempts of one call in all, the original included; at least 1.
        retry_for: Seconds from the first send on during which retries go on. It bounds retrying,
            not the first attempt; waits for the rate limit do not count.
        deadline: Seconds from the first send on after which the whole call is cut, a running
            attempt included; None for no such limit.
        max_retry_after: Seconds; a server in trouble that asks for a longer wait ends the call at
            once. Waits for its rate limit are bounded by ``ThrottlePolicy.max_wait`` instead,
            unless the throttle is off.
        backoff: Backoff by error class; classes left out keep their defaults.
        retry_non_idempotent: Repeat POST, PATCH and their like even if the server may have
            processed them.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.

    >>> RetryPolicy(max_attempts=2).replace(deadline=10.0).deadline
    10.0
    """

    max_attempts: int = 4
    retry_for: float = 120.0
    deadline: float | None = None
    max_retry_after: float = 60.0
    backoff: Mapping[ErrorClass, Backoff] = DEFAULT_BACKOFF
    retry_non_idempotent: bool = False

    def __post_init__(self) -> None:
        checks.integer("RetryPolicy.max_attempts", self.max_attempts, low=1)
        checks.number("RetryPolicy.retry_for", self.retry_for, low=0)
        checks.number("RetryPolicy.deadline", self.deadline, low=0, above=True, optional=True)
        checks.number("RetryPolicy.max_retry_after", self.max_retry_after, low=0)
        checks.instance(
            "RetryPolicy.retry_non_idempotent", self.retry_non_idempotent, bool, "True or False"
        )
        if not isinstance(self.backoff, Mapping):
            raise TypeError(
                f"RetryPolicy.backoff: got {self.backoff!r}, allowed is a mapping from ErrorClass"
            )
        object.__setattr__(self, "backoff", _complete(self.backoff))

    def replace(self, **changes: Any) -> Self:
        """Return a policy with some fields changed; it is validated again."""
        return replace(self, **changes)


def _complete(given: Mapping[ErrorClass, Backoff]) -> FrozenMap[ErrorClass, Backoff]:
    for error_class, backoff in given.items():
        checks.instance("RetryPolicy.backoff key", error_class, ErrorClass, "an ErrorClass")
        if error_class not in DEFAULT_BACKOFF:
            raise ValueError(
                f"RetryPolicy.backoff: got {error_class!r}, allowed are the classes that may be "
                f"retried: {', '.join(map(repr, DEFAULT_BACKOFF))}"
            )
        checks.instance(f"RetryPolicy.backoff[{error_class!r}]", backoff, Backoff, "a Backoff")
    return FrozenMap({**DEFAULT_BACKOFF, **given})


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """How many retries that do not help are allowed: a tenth of the last minute's successes.

    Attributes:
        ratio: Tokens that a first attempt earns by succeeding; in [0, 1].
        window: Seconds of such earnings that may be saved up; above 0.
        floor: Tokens at the start, and the least that the cap ever is; at least 0.
        maximum: Tokens that the cap never exceeds; at least ``floor``.
        heal_after: Seconds without any failure after which tokens rise to ``floor``; above 0.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.

    >>> BudgetPolicy(floor=0.0) == BudgetPolicy().replace(floor=0.0)
    True
    """

    ratio: float = 0.1
    window: float = 60.0
    floor: float = 3.0
    maximum: float = 200.0
    heal_after: float = 30.0

    def __post_init__(self) -> None:
        checks.number("BudgetPolicy.ratio", self.ratio, low=0, high=1)
        checks.number("BudgetPolicy.window", self.window, low=0, above=True)
        checks.number("BudgetPolicy.floor", self.floor, low=0)
        checks.number("BudgetPolicy.maximum", self.maximum, low=self.floor)
        checks.number("BudgetPolicy.heal_after", self.heal_after, low=0, above=True)

    def replace(self, **changes: Any) -> Self:
        """Return a policy with some fields changed; it is validated again."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy:
    """How the server's rate-limit budget is spent.

    Attributes:
        reserve: Units kept back for others who spend the same budget; at least 0.
        low_below: Share of the limit below which ``rate_limit_low`` is emitted; in [0, 1].
        max_wait: Longest total time, in seconds, that a call waits for the rate limit: in the
            queue, and for what its own 429s ask for.
        max_queue: Calls of one scope that may wait at the same time; at least 1.
        window: Length of the window in seconds, where headers do not state it; None to go by the
            headers. Set it for servers with windows of a few seconds and resets in whole seconds.
        concurrency: How many requests to one origin may be in flight at a time, from their send to
            their response's headers: a number from 1 on, ``"auto"`` to learn it from how long they
            take, or None for any number. Bodies that are still read count no more.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.

    The policy of one call may set ``max_wait`` and ``max_queue``. The other fields belong to the
    scope, which calls share: the transport's policy sets them.

    >>> ThrottlePolicy(window=2.0).replace(max_wait=5.0).max_wait
    5.0
    """

    reserve: int = 0
    low_below: float = 0.1
    max_wait: float = 600.0
    max_queue: int = 100_000
    window: float | None = None
    concurrency: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        checks.integer("ThrottlePolicy.reserve", self.reserve, low=0)
        checks.number("ThrottlePolicy.low_below", self.low_below, low=0, high=1)
        checks.number("ThrottlePolicy.max_wait", self.max_wait, low=0)
        checks.integer("ThrottlePolicy.max_queue", self.max_queue, low=1)
        checks.number("ThrottlePolicy.window", self.window, low=0, above=True, optional=True)
        checks.integer_or("ThrottlePolicy.concurrency", self.concurrency, "auto", low=1)

    def replace(self, **changes: Any) -> Self:
        """Return a policy with some fields changed; it is validated again."""
        return replace(self, **changes)


_THROTTLE = ThrottlePolicy()

_OF_THE_SCOPE = ("reserve", "low_below", "window", "concurrency")
"""Fields of a ``ThrottlePolicy`` that all calls of a scope share."""


def check_call_policy(given: "Policy", own: "Policy") -> None:
    """Check what a call's own policy asks of the throttle, which it shares with others.

    Raises:
        ValueError: It sets a field that belongs to the scope otherwise than the transport's policy.
    """
    limits, shared = given.throttle, own.throttle or _THROTTLE
    if limits is None or limits is shared:
        return
    for name in _OF_THE_SCOPE:
        value, allowed = getattr(limits, name), getattr(shared, name)
        if value not in (allowed, getattr(_THROTTLE, name)):
            raise ValueError(
                f'request.extensions["resilience"]: ThrottlePolicy.{name}: got {value!r}, allowed '
                f"is what the transport's policy says, {allowed!r}: calls share it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkPolicy:
    """How long a failed call waits for its origin to recover.

    While an origin is unavailable, or its retry budget is spent, retries wait together and are
    released as calls succeed again. What such a call waits for at most is the largest of the first
    three, and less where ``retry_for`` or a ``deadline`` ends before.

    Attributes:
        patience: Seconds from the call's first failure on, not counting waits that the server asked
            for; at least 0.
        ride_out: Seconds from the beginning of the outage on, for calls that failed in it, if the
            origin was available before; at least 0.
        drain: Seconds from the call's first failure on, while those are released that an outage
            left behind. It bounds the other two; at least 0.
        max_parked: Calls of one origin that may be parked at the same time; at least 1.
        fail_fast_after: Seconds of an outage after which calls are not parked any more; None to
            park them however long it lasts.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.

    A job is slowed down by an outage, and keeps its work. A service that has to answer soon sets
    less, for all calls or for one:

    >>> ParkPolicy(patience=0.5, ride_out=0.5, drain=2.0).patience
    0.5
    """

    patience: float = 6.5
    ride_out: float = 10.0
    drain: float = 45.0
    max_parked: int = 10_000
    fail_fast_after: float | None = None

    def __post_init__(self) -> None:
        checks.number("ParkPolicy.patience", self.patience, low=0)
        checks.number("ParkPolicy.ride_out", self.ride_out, low=0)
        checks.number("ParkPolicy.drain", self.drain, low=0)
        checks.integer("ParkPolicy.max_parked", self.max_parked, low=1)
        checks.number("ParkPolicy.fail_fast_after", self.fail_fast_after, low=0, optional=True)

    def replace(self, **changes: Any) -> Self:
        """Return a policy with some fields changed; it is validated again."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides how a call is treated; frozen, shared freely, equal by value.

    Attributes:
        retry: When and how often a failed attempt is repeated.
        budget: The retry budget of each origin, or None for none.
        throttle: How the server's rate-limit budget is spent, or None to hold nobody back.
        park: How long failed calls wait for their origin to recover, or None to give them up where
            the retry budget is spent. Without a budget none is parked.
        stop_layers_above: A failed response that is returned says ``x-should-retry: false``, so
            that an SDK above does not repeat what was repeated here; unless the server says
            something itself, or it was not repeated for the reason ``disabled``,
            ``not_idempotent`` or ``body_not_replayable``. None asks the dialect.

    >>> Policy(budget=None).replace(retry=RetryPolicy(max_attempts=2)).retry.max_attempts
    2
    """

    retry: RetryPolicy = RetryPolicy()
    budget: BudgetPolicy | None = BudgetPolicy()
    throttle: ThrottlePolicy | None = ThrottlePolicy()
    park: ParkPolicy | None = ParkPolicy()
    stop_layers_above: bool | None = None

    def __post_init__(self) -> None:
        checks.instance("Policy.retry", self.retry, RetryPolicy, "a RetryPolicy")
        if self.budget is not None:
            checks.instance("Policy.budget", self.budget, BudgetPolicy, "a BudgetPolicy or None")
        if self.throttle is not None:
            checks.instance(
                "Policy.throttle", self.throttle, ThrottlePolicy, "a ThrottlePolicy or None"
            )
        if self.park is not None:
            checks.instance("Policy.park", self.park, ParkPolicy, "a ParkPolicy or None")
        if self.stop_layers_above is not None:
            allowed = "True, False or None"
            checks.instance("Policy.stop_layers_above", self.stop_layers_above, bool, allowed)

    def replace(self, **changes: Any) -> Self:
        """Return a policy with some parts changed."""
        return replace(self, **changes)

    def describe(self) -> str:
        """Return the effective settings as a table for a person."""
        lines = []
        for part in fields(self):
            value = getattr(self, part.name)
            if part.name == "stop_layers_above":
                lines.append(f"{part.name}  {'as the dialect says' if value is None else value}")
                continue
            lines.append(f"{part.name}{'  off' if value is None else ''}")
            if value is not None:
                lines += [
                    f"  {row.name:<21}{getattr(value, row.name)}"
                    for row in fields(value)
                    if row.name != "backoff"
                ]
        return "\n".join([*lines, *_describe_backoff(self.retry)])


def _describe_backoff(retry: RetryPolicy) -> list[str]:
    heads = ("class", "initial", "maximum", "multiplier", "jitter", "attempts", "cost")
    rows = [
        (
            error_class.name,
            f"{b.initial:g} s",
            f"{b.maximum:g} s",
            f"{b.multiplier:g}",
            b.jitter,
            str(min(retry.max_attempts, b.max_attempts or retry.max_attempts)),
            f"{b.cost:g}",
        )
        for error_class, b in retry.backoff.items()
    ]
    lines = ["backoff"]
    for row in [heads, *rows]:
        first, *rest = row
        lines.append(f"  {first:<14}" + "".join(f"{cell:>11}" for cell in rest))
    return lines
