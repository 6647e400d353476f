"""What others do to the same budget is met with closing and scouts, never with a loop."""

import math
import random

import pytest

from httpx_resilience import Policy

from .callers import Latency
from .engine import Engine
from .jobs import CONNECTION_REFUSED, Job
from .servers import LIMITERS, RateLimitedServer

CALLS = 1500


def shared_budget(kind: str, rate_each: float, seed: int) -> Job:
    """A job of ours beside three others who send at random, at ``rate_each`` a second each."""
    limit, window = 100, 10.0
    server = RateLimitedServer(LIMITERS[kind](limit, window), limit, "ceil")
    engine, rng = Engine(), random.Random(seed)
    job = Job(server.handle, calls=CALLS, tasks=30, seed=seed, policy=Policy(), engine=engine)

    def spend() -> None:
        if sum(job.report.reasons.values()) < CALLS:
            server.limiter.take(engine.now)
            engine.at(engine.now + rng.expovariate(rate_each), spend)

    for _ in range(3):
        engine.at(rng.random(), spend)
    return job


@pytest.mark.parametrize("rate_each", [1.0, 2.5])
@pytest.mark.parametrize("kind", LIMITERS)
def test_beside_three_other_spenders_few_are_refused_and_every_call_ends_well(
    kind: str, rate_each: float
) -> None:
    for seed in (1, 2):
        report = shared_budget(kind, rate_each, seed).run()
        where = f"{kind}, {rate_each}/s each, seed {seed}"
        assert report.reasons == {"success": CALLS}, where
        assert report.statuses.get(429, 0) < 0.1 * report.sent, where


@pytest.mark.parametrize("one_way", [0.001, 0.05, 0.4])
def test_a_thousand_calls_to_a_host_that_refuses_connections_end_within_fifteen_seconds(
    one_way: float,
) -> None:
    job = Job(
        lambda _: (CONNECTION_REFUSED, []),
        calls=1000,
        tasks=1000,
        seed=1,
        latency=Latency(one_way, 0.0),
        policy=Policy(),
    )
    report = job.run()
    assert sum(report.reasons.values()) == 1000
    assert "success" not in report.reasons
    assert report.finished_at < 15.0


@pytest.mark.parametrize("kind", ["aligned", "anchored", "log", "bucket_full"])
@pytest.mark.parametrize("cost", [2, 5])
def test_requests_that_cost_several_units_are_not_refused(kind: str, cost: int) -> None:
    limit, window, calls = 60, 60.0, 50
    limiter = LIMITERS[kind](limit, window)
    server = RateLimitedServer(limiter, limit, "ceil")

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        for _ in range(cost - 1):
            assert limiter.take(now).accepted, f"{kind}: a request of {cost} units found too few"
        return server.handle(now)

    job = Job(respond, calls=calls, tasks=10, seed=3, policy=_patient(), cost=cost)
    report = job.run()
    assert report.reasons == {"success": calls}
    assert report.statuses == {200: calls}
    least = (math.ceil(calls * cost / limit) - 1) * window
    assert report.finished_at < 1.35 * least


def _patient() -> Policy:
    policy = Policy(budget=None)
    assert policy.throttle is not None
    return policy.replace(throttle=policy.throttle.replace(max_wait=1e6))
