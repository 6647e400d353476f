"""Servers that limit without headers, and servers that only look as if they did."""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

import pytest

from httpx_resilience import Policy
from httpx_resilience._core.telemetry.recorder import CallRecorder
from simulation.callers import Latency, Report
from simulation.jobs import Job
from simulation.servers import RateLimitedServer, TokenBucket

LATENCY = Latency()
ROUND_TRIP = 2 * (LATENCY.fixed + LATENCY.spread)
START = 2.0
"""Seconds from the first refusal on in which the rate is looked for."""

A_FEW_SECONDS = 8.0

SHAPES = [(2, 5), (2, 30), (5, 10), (10, 5), (30, 10), (60, 10), (100, 30), (200, 30), (200, 100)]
"""Requests per second and burst. Bursts of less than the latency's spread would refuse any pace."""


class Limited(NamedTuple):
    report: Report
    calls: int
    throughput: float


def limited(rate: int, burst: int, refusal: int, tasks: int, seed: int) -> Limited:
    """Run a job against a silent limiter; throughput is its share of what the start left."""
    limiter = TokenBucket(burst, burst / rate, full=True)
    server = RateLimitedServer(limiter, burst, has_headers=False, refusal=refusal)
    calls = max(300, 10 * rate)
    job = Job(server.handle, calls=calls, tasks=tasks, seed=seed, latency=LATENCY, policy=Policy())
    report = job.run()
    if not report.refused_at:
        return Limited(report, calls, 1.0)
    begin, end = report.refused_at[0] + START, report.arrivals[-1]
    refused = set(report.refused_at)
    accepted = sum(begin <= at < end and at not in refused for at in report.arrivals)
    possible = min(rate, tasks / ROUND_TRIP) * (end - begin)
    return Limited(report, calls, accepted / possible if end > begin else 1.0)


UNPARKED = Policy(park=None)


def unreliable(share: float, tasks: int, think: float, seed: int, policy: Policy) -> Job:
    """Return a job against a server that answers 503 by chance; a round trip takes ``think``."""
    chance = Random(seed)

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        return (503 if chance.random() < share else 200), []

    latency = Latency(think / 3, think / 6)
    return Job(respond, calls=10**9, tasks=tasks, seed=seed, latency=latency, policy=policy)


def watched(job: Job, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that takes the seconds each call of the job waits for the throttle."""
    waits: list[float] = []

    def delayed(recorder: CallRecorder, scope: str, seconds: float, now: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(CallRecorder, "throttle_delayed", delayed)
    return waits


@pytest.mark.parametrize("tasks", [5, 20, 50])
@pytest.mark.parametrize("refusal", [429, 503])
@pytest.mark.parametrize(("rate", "burst"), SHAPES)
def test_a_rate_is_found_for_a_silent_limiter(
    rate: int, burst: int, refusal: int, tasks: int
) -> None:
    check_a_rate_is_found(rate, burst, refusal, tasks, range(1))


@pytest.mark.soak
@pytest.mark.parametrize("tasks", [5, 20, 50])
@pytest.mark.parametrize("refusal", [429, 503])
@pytest.mark.parametrize(("rate", "burst"), SHAPES)
def test_a_rate_is_found_for_a_silent_limiter_over_seeds(
    rate: int, burst: int, refusal: int, tasks: int
) -> None:
    check_a_rate_is_found(rate, burst, refusal, tasks, range(1, 4))


def check_a_rate_is_found(
    rate: int, burst: int, refusal: int, tasks: int, seeds: Iterable[int]
) -> None:
    for seed in seeds:
        report, calls, throughput = limited(rate, burst, refusal, tasks, seed)
        lost = calls - report.reasons["success"]
        # A call may have spent its attempts before 503s were known for a limiter's.
        assert lost <= (1 if refusal == 503 else 0), f"seed {seed}: {report.reasons}"
        assert len(report.refused_at) <= 0.3 * report.sent, f"seed {seed}"
        assert throughput >= 0.6, f"seed {seed}"


@pytest.mark.parametrize(("tasks", "think"), [(5, 0.06), (20, 0.06), (50, 0.06), (20, 1.0)])
@pytest.mark.parametrize(
    ("share", "policy", "least"),
    [
        (0.02, Policy(), 0.2),
        (0.1, Policy(), 0.2),
        (0.3, UNPARKED, 0.2),
        (0.3, Policy(), 0.06),  # tasks wait for their calls instead of losing them
    ],
)
def test_chance_is_not_taken_for_a_limiter_for_long(
    share: float,
    policy: Policy,
    least: float,
    tasks: int,
    think: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(1, 2):
        job = unreliable(share, tasks, think, seed, policy)
        waits = watched(job, monkeypatch)
        report = job.run(until=60.0)
        assert max(waits, default=0.0) <= A_FEW_SECONDS, f"seed {seed}"
        assert report.sent >= least * 60.0 * tasks / think, f"seed {seed}"


@pytest.mark.parametrize("tasks", [5, 50])
def test_an_outage_is_not_taken_for_a_limiter(tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2):

        def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
            return (503 if 10.0 <= now < 40.0 else 200), []

        job = Job(respond, calls=10**9, tasks=tasks, seed=seed, policy=Policy())
        waits = watched(job, monkeypatch)
        # The first answer after three seconds tells; five tasks may all be backing off until then.
        job.run(until=20.0)
        assert job.throttle is not None
        assert not job.throttle.is_pacing, f"seed {seed}"
        job.run(until=60.0)
        assert not job.throttle.is_pacing, f"seed {seed}"
        assert max(waits, default=0.0) <= 5.0, f"seed {seed}"
        assert job.report.arrivals[-1] > 59.0, f"seed {seed}"


def test_answers_that_are_no_refusals_speak_for_the_pace() -> None:
    limiter = TokenBucket(10, 0.5, full=True)
    server = RateLimitedServer(limiter, 10, has_headers=False)

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        status, headers = server.handle(now)
        return (404 if status == 200 else status), headers

    report = Job(respond, calls=300, tasks=20, seed=1, policy=Policy()).run()
    assert report.reasons == {"permanent": 300}
    assert report.finished_at < 300 / 20 / 0.6
