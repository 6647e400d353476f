"""The default policy, as users run it, against rate limits: how many calls are lost, and why.

A wait for the rate limit is bounded by ``max_wait`` alone. So a call may be lost only where the
server had no room for it within ten minutes.
"""

import pytest

from httpx_resilience import Policy, RetryPolicy, ThrottlePolicy
from httpx_resilience._core.outcome import RawHeaders
from simulation.callers import Latency, Record
from simulation.engine import Engine
from simulation.jobs import Job
from simulation.servers import LIMITERS, RateLimitedServer

LIMIT = 60
CALLS = 300
MAX_WAIT = ThrottlePolicy().max_wait
NEAR = Latency(0.02, 0.01)


def job(kind: str, window: float, reset_format: str, *, tasks: int = 20, rest: float = 0.0) -> Job:
    server = RateLimitedServer(LIMITERS[kind](LIMIT, window), LIMIT, reset_format, skew=7.3)
    return Job(
        server.handle, calls=CALLS, tasks=tasks, seed=1, latency=NEAR, policy=Policy(), rest=rest
    )


def told(lost: list[Record]) -> str:
    return "\n".join(map(str, lost[:5]))


@pytest.mark.parametrize("reset_format", ["floor", "float", "delta"])
@pytest.mark.parametrize("window", [61.0, 65.0, 75.0, 300.0])
@pytest.mark.parametrize("kind", LIMITERS)
def test_a_single_client_loses_no_call_to_a_drained_budget(
    kind: str, window: float, reset_format: str
) -> None:
    work = job(kind, window, reset_format)
    report = work.run()
    assert not work.lost, told(work.lost)
    assert report.statuses.get(429, 0) == 0
    assert max(record.waited for record in work.records) <= MAX_WAIT


@pytest.mark.parametrize("window", [900.0, 1800.0, 3600.0])
@pytest.mark.parametrize("kind", LIMITERS)
def test_a_long_window_loses_only_calls_that_it_had_no_room_for_within_ten_minutes(
    kind: str, window: float
) -> None:
    work = job(kind, window, "floor", rest=30.0)
    report = work.run()
    assert report.statuses.get(429, 0) == 0
    ends = sorted(record.ended_at for record in work.records if record.succeeded)
    for record in work.lost:
        until = record.arrived_at + MAX_WAIT
        used = sum(end <= until for end in ends)
        room = _room_of(kind, window, until - 5.0)
        assert used >= 0.9 * room - 2, f"{record}: {used} of {room} by {until:.0f} s"
        at_once, in_vain = record.took < 1.0, record.took >= MAX_WAIT - 1.0
        assert at_once or in_vain, str(record)


def _room_of(kind: str, window: float, until: float) -> int:
    """Return how many requests a server takes by then from a client that knows its state."""
    if kind in ("bucket_full", "bucket_next"):
        return LIMIT + int(until * LIMIT / window)
    windows = int(until // window) + 1
    return windows * LIMIT if kind in ("aligned", "anchored") else LIMIT * int(until // window) or 1


@pytest.mark.parametrize("kind", ["aligned", "anchored", "log"])
@pytest.mark.parametrize("seed", range(4))
def test_three_clients_that_share_a_window_of_two_minutes_lose_none_of_900_calls(
    kind: str, seed: int
) -> None:
    engine = Engine()
    server = RateLimitedServer(LIMITERS[kind](100, 120.0), 100)
    jobs = [
        Job(
            server.handle,
            calls=300,
            tasks=8,
            seed=10 * seed + number,
            latency=NEAR,
            policy=Policy(),
            engine=engine,
        )
        for number in range(3)
    ]
    engine.run()
    lost = [record for each in jobs for record in each.lost]
    assert not lost, told(lost)
    refused = sum(each.report.statuses.get(429, 0) for each in jobs)
    assert 0 < refused <= 120


# Which clock runs when.


class Scripted:
    """A server that answers one request after the other from a script."""

    def __init__(self, *script: tuple[int, RawHeaders]) -> None:
        self._script = list(script)

    def handle(self, now: float) -> tuple[int, RawHeaders]:
        return self._script.pop(0)


def refused(seconds: int) -> tuple[int, RawHeaders]:
    return 429, [(b"Retry-After", str(seconds).encode())]


OUTAGE: tuple[int, RawHeaders] = (503, [])
OK: tuple[int, RawHeaders] = (200, [])


def one_call(*script: tuple[int, RawHeaders], policy: Policy) -> Record:
    work = Job(Scripted(*script).handle, calls=1, tasks=1, seed=1, latency=NEAR, policy=policy)
    work.run()
    return work.records[0]


def test_a_wait_for_the_rate_limit_does_not_count_against_retry_for() -> None:
    policy = Policy(retry=RetryPolicy(retry_for=30.0))
    record = one_call(refused(100), OUTAGE, refused(100), OK, policy=policy)
    assert record.succeeded, str(record)
    assert record.took > 200.0


def test_where_the_throttle_is_off_a_rate_limit_counts_against_retry_for_and_max_retry_after() -> (
    None
):
    policy = Policy(throttle=None)
    assert one_call(refused(61), policy=policy).reason == "retry_after_too_long"
    record = one_call(*[refused(50)] * 3, policy=policy)
    assert (record.reason, record.attempts) == ("out_of_time", 3)


def test_all_waits_of_a_call_for_the_rate_limit_together_are_bounded_by_max_wait() -> None:
    policy = Policy(throttle=ThrottlePolicy(max_wait=100.0))
    record = one_call(refused(60), refused(60), policy=policy)
    assert (record.reason, record.attempts) == ("retry_after_too_long", 2)
    assert one_call(refused(60), refused(35), OK, policy=policy).succeeded


def test_a_service_that_cannot_wait_sets_max_wait_for_its_own_refusals_too() -> None:
    record = one_call(refused(6), policy=Policy(throttle=ThrottlePolicy(max_wait=5.0)))
    assert (record.reason, record.attempts) == ("retry_after_too_long", 1)
    assert record.took < 1.0


def test_a_refusal_without_a_hint_is_not_waited_for_beyond_max_wait() -> None:
    record = one_call((429, []), policy=Policy(throttle=ThrottlePolicy(max_wait=0.1)))
    assert (record.reason, record.attempts) == ("throttle_timeout", 1)


def test_the_deadline_includes_waits_for_the_rate_limit() -> None:
    policy = Policy(retry=RetryPolicy(deadline=50.0))
    record = one_call(refused(100), policy=policy)
    assert (record.reason, record.attempts) == ("out_of_time", 1)


def test_a_server_in_trouble_is_waited_for_no_longer_than_max_retry_after() -> None:
    record = one_call((503, [(b"Retry-After", b"61")]), policy=Policy())
    assert (record.reason, record.attempts) == ("retry_after_too_long", 1)
