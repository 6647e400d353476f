"""A throttle whatever happens to it: honest servers and liars, failures, cancellation, time."""

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from httpx_resilience import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, Reading
from httpx_resilience._core.headers.waits import Wait
from httpx_resilience._core.throttle import EXPIRED, GRANTED, LEFT, WAITING, Ticket
from httpx_resilience._core.throttle.limits.windows import LONGEST
from properties.parked import Parked
from properties.soaking import LONG
from simulation.servers import LIMITERS

FARTHEST = 400 * 86_400.0
"""Seconds; a scope that is told of a reset beyond it is held for as long."""

EPOCH = 1.7e9
WAITS = (0.0, 0.5, 2.0, 90.0, 1e5, math.inf)

amounts = st.one_of(st.integers(0, 20), st.sampled_from([100, 5000, 2**63, 10**20]))
seconds = st.one_of(st.just(0.0), st.floats(0.0, 3.0), st.floats(0.0, 100.0), st.floats(0.0, 1e6))
longest_hints = st.sampled_from([0.0, 1.0, 60.0, math.inf])
give_ups = st.sampled_from([0.0, 0.5, 30.0, 600.0, math.inf])
some = st.integers(0, 1000)

lies = st.builds(
    lambda limit, remaining, reset, instant, granularity, window, unit, bucket: RateLimit(
        limit,
        remaining if limit is None or remaining is None else min(remaining, limit),
        reset,
        EPOCH + reset if instant and reset is not None else None,
        granularity,
        window,
        unit,
        bucket,
    ),
    st.none() | amounts,
    st.none() | amounts,
    st.none() | st.floats(0.0, FARTHEST) | st.floats(0.0, 60.0),
    st.booleans(),
    st.sampled_from([1e-6, 0.001, 1.0, 60.0]),
    st.none() | st.sampled_from([1.0, 60.0, FARTHEST]),
    st.sampled_from(["requests", "requests", "requests", "tokens"]),
    st.none() | st.integers(0, 99).map("bucket-{}".format),
)
readings = st.builds(
    Reading,
    st.lists(lies, max_size=4).map(tuple),
    st.none() | st.floats(EPOCH - 1e6, EPOCH + 1e6),
)
waits = st.none() | st.builds(Wait, st.sampled_from(WAITS), st.just("retry_after"))
failures = st.builds(
    lambda error_class, status, coded, wait: Failure(error_class, status, coded=coded, wait=wait),
    st.sampled_from(list(ErrorClass)),
    st.sampled_from([403, 404, 429, 500, 503]),
    st.booleans(),
    waits,
)
REFUSED = Failure(ErrorClass.RATE_LIMITED, 429)


class Gate(RuleBasedStateMachine):
    """Calls that come, wait, go, come back in any way, or leave, while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.closed_until = -math.inf
        self.free: set[Ticket] = set()
        self.seen = 0
        self.old: list[Ticket] = []

    @initialize(
        reserve=st.sampled_from([0, 0, 0, 3]),
        window=st.sampled_from([None, None, 2.0]),
        max_queue=st.sampled_from([3, 1000]),
        kind=st.sampled_from(sorted(LIMITERS)),
        limit=st.integers(1, 20),
    )
    def begin(
        self, reserve: int, window: float | None, max_queue: int, kind: str, limit: int
    ) -> None:
        self.max_queue = max_queue
        self.scope = Parked(reserve=reserve, window=window, max_queue=max_queue)
        self.began_at = self.scope.now
        self.server = LIMITERS[kind](limit, 10.0)

    def _one(self, tickets: list[Ticket], which: int) -> Ticket:
        return tickets[which % len(tickets)]

    def _flying(self) -> list[Ticket]:
        return self.scope.flying

    # Calls come.

    @rule(give_up_in=give_ups, max_hint=longest_hints, cost=st.sampled_from([1, 1, 1, 2, 50]))
    def a_call_comes(self, give_up_in: float, max_hint: float, cost: int) -> None:
        self.old.append(self.scope.ask(give_up_in, max_hint, cost))

    @rule(times=st.integers(2, 12))
    def several_come_at_once(self, times: int) -> None:
        self.old += [self.scope.ask() for _ in range(times)]

    @precondition(lambda self: any(ticket.state == LEFT for ticket in self.old))
    @rule(which=some, give_up_in=give_ups)
    def a_retry_keeps_its_calls_place(self, which: int, give_up_in: float) -> None:
        ended = [ticket for ticket in self.old if ticket.state == LEFT]
        retried = self._one(ended, which)
        self.old.remove(retried)
        self.old.append(self.scope.ask(give_up_in, order=retried.order))

    @rule(cost=st.sampled_from([1, 3]))
    def a_call_without_a_policy_goes(self, cost: int) -> None:
        ticket = self.scope.count(cost)
        assert ticket.state == GRANTED
        self.free.add(ticket)
        self.old.append(ticket)
        self.scope.look()  # it is counted out of turn, which may bring the next trickle forward

    # They come back.

    @precondition(lambda self: self._flying())
    @rule(which=some)
    def an_honest_answer_comes(self, which: int) -> None:
        scope = self.scope
        answer = self.server.take(scope.now)
        told = RateLimit(
            self.server.limit, answer.remaining, max(0.0, answer.reset - scope.now), None, 0.001
        )
        failure = None if answer.accepted else REFUSED
        scope.answer(self._one(self._flying(), which), Reading((told,)), failure)

    @precondition(lambda self: self._flying())
    @rule(which=some, reading=readings, failure=st.none() | failures)
    def a_lie_comes(self, which: int, reading: Reading, failure: Failure | None) -> None:
        scope = self.scope
        scope.answer(self._one(self._flying(), which), reading, failure)
        closes = (ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT)
        wait = failure.wait if failure is not None and failure.error_class in closes else None
        if wait is not None and wait.seconds > 0:
            until = scope.now + min(wait.seconds, LONGEST)
            self.closed_until = max(self.closed_until, until)

    @precondition(lambda self: self._flying())
    @rule(which=some, seconds=st.sampled_from([0.5, 2.0, 90.0, math.inf]))
    def a_refusal_comes_that_names_a_time(self, which: int, seconds: float) -> None:
        self.a_lie_comes(which, Reading(), REFUSED._replace(wait=Wait(seconds, "retry_after")))

    @precondition(lambda self: self._flying())
    @rule(which=some, first=st.integers(0, 1000))
    def an_answer_comes_that_names_many_buckets(self, which: int, first: int) -> None:
        names = [f"bucket-{n}" for n in range(first, first + 32)]
        told = tuple(RateLimit(100, 50, 60.0, None, 1.0, bucket=name) for name in names)
        self.a_lie_comes(which, Reading(told), None)

    @precondition(lambda self: self._flying())
    @rule(which=some, sent=st.booleans())
    def an_exception_comes(self, which: int, sent: bool) -> None:
        self.scope.fail(self._one(self._flying(), which), sent=sent)

    @precondition(lambda self: self.old)
    @rule(which=some, sent=st.booleans())
    def a_call_is_cancelled_in_whatever_state(self, which: int, sent: bool) -> None:
        ticket = self._one(self.old, which)
        before = ticket.state
        self.scope.leave(ticket, sent=sent)
        assert ticket.state == (EXPIRED if before == EXPIRED else LEFT)

    # Time passes.

    @rule(passed=seconds, late=st.sampled_from([0.0, 0.0, 0.015, 2.0]))
    def time_passes(self, passed: float, late: float) -> None:
        self.scope.sleep_until(self.scope.now + passed, late=late)

    @rule()
    def the_timer_goes_off(self) -> None:
        if self.scope.next_timer < math.inf:
            self.scope.sleep_until(self.scope.next_timer)

    @rule()
    def somebody_looks_at_the_status(self) -> None:
        for row in self.scope.throttle.status(self.scope.now):
            assert row.queued == len(self.scope.waiting)
            assert row.in_flight == len(self._flying())
            assert row.remaining is None or row.remaining >= 0
        self.scope.look()

    # What always holds.

    @invariant()
    def everybody_is_accounted_for_and_will_be_woken(self) -> None:
        self.scope.check()
        assert len(self.scope.waiting) <= self.max_queue

    @invariant()
    def nobody_overtakes(self) -> None:
        first = min((ticket.order for ticket in self.scope.waiting), default=math.inf)
        for ticket in self.scope.went[self.seen :]:
            assert ticket.order < first or ticket in self.free

    @invariant()
    def nothing_goes_while_the_server_wants_nothing(self) -> None:
        for ticket in self.scope.went[self.seen :]:
            if ticket not in self.free and ticket.granted_at == self.scope.now:
                assert ticket.granted_at >= self.closed_until
        self.seen = len(self.scope.went)

    @invariant()
    def nobody_waits_beyond_his_time(self) -> None:
        for ticket in self.scope.waiting:
            assert ticket.state == WAITING
            assert ticket.give_up_at > self.scope.now - 2.0

    def teardown(self) -> None:
        """Whoever waits gets through in the end, once the server says nothing but that it is fine.

        One lie holds the scope for a day at the most; ten units are kept back for each that
        waits, and each for as long as a unit seemed to take, which is never more than has passed.
        """
        if not hasattr(self, "scope"):
            return
        scope, fine = self.scope, Reading()
        longest = max(LONGEST, scope.now - self.began_at)
        latest = scope.now + 2.0 * LONGEST + 12.0 * longest * len(scope.waiting)
        scope.settle(lambda ticket: scope.answer(ticket, fine))
        assert scope.now <= latest
        assert not scope.throttle.statistics().in_flight
        scope.throttle.ask(scope.now + 2 * LONGEST)
        assert scope.throttle.is_idle
        assert scope.throttle.statistics().units == 0


TestGate = Gate.TestCase
TestGate.settings = settings(max_examples=150, stateful_step_count=40)


@pytest.mark.soak
class TestGateForLong(Gate.TestCase):  # type: ignore[misc,valid-type]
    """The same with other histories each time."""

    settings = LONG
