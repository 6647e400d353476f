"""Windows of servers that say nothing: used well, told from outages, followed when they change."""

import pytest

from httpx_resilience import Policy
from httpx_resilience._core.outcome import RawHeaders
from simulation.jobs import CONNECTION_REFUSED, Job
from simulation.servers import FixedWindow, Limiter, RateLimitedServer
from simulation.silence import LATENCY, WINDOWS, Silent, play

SOAK = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12)]

UNLUCKY = 2.0
"""What the worst of many seeds may take of the bounds, which most keep by far."""

MINIMUM = {1: 1.25, 5: 1.12, 10: 1.08, 30: 1.05, 60: 1.05}
"""Times the least time that a job may take, by the window's seconds: a round trip is 6 % of one."""

REFUSED = {1: 16.0, 5: 11.0, 10: 9.0, 30: 8.0, 60: 8.0}
"""Refusals per 100. Up to twenty are in flight when the first window is over; twenty more find its
end, and a window of a second has as few calls as that."""


@pytest.mark.parametrize("seed", [1, *SOAK])
@pytest.mark.parametrize("refusal", [429, 503])
@pytest.mark.parametrize("kind", ["aligned", "anchored"])
@pytest.mark.parametrize(("limit", "window"), WINDOWS)
def test_a_silent_window_is_used_to_its_limit(
    limit: int, window: int, kind: str, refusal: int, seed: int
) -> None:
    time, refused, lost = play(Silent(kind, limit, window, refusal), seed)
    unlucky = 1.0 if seed == 1 else UNLUCKY
    assert lost <= (0.0 if window >= 5 else 0.5)
    assert time <= unlucky * MINIMUM[window]
    assert refused <= unlucky * REFUSED[window]


def job(
    server: RateLimitedServer, calls: int, policy: Policy | None = None, **outage: float
) -> Job:
    """Return a job against a limiter; behind it the server may be out for some time."""
    policy = policy or Policy()
    begin, seconds = outage.get("begin", 0.0), outage.get("seconds", 0.0)
    status = int(outage.get("status", 503))

    def says(now: float) -> tuple[int, RawHeaders]:
        answered, headers = server.handle(now)
        is_out = answered == 200 and begin <= now < begin + seconds
        return (status if is_out else answered), headers

    return Job(says, calls=calls, tasks=20, seed=1, latency=LATENCY, policy=policy)


def silent(limiter: Limiter, refusal: int = 429) -> RateLimitedServer:
    return RateLimitedServer(limiter, 0, has_headers=False, refusal=refusal)


@pytest.mark.parametrize("status", [503, CONNECTION_REFUSED])
@pytest.mark.parametrize("refusal", [429, 503])
@pytest.mark.parametrize("begin", [1.0, 20.2])
def test_behind_a_limiter_a_server_that_dies_for_three_seconds_loses_hardly_a_call(
    begin: float, refusal: int, status: int
) -> None:
    limiter = FixedWindow(60, 10.0, aligned=False)
    work = job(silent(limiter, refusal), 480, begin=begin, seconds=3.0, status=status)
    report = work.run(until=200.0)
    assert sum(report.reasons.values()) == 480
    assert len(work.lost) <= 4  # who was refused before has fewer attempts left
    assert report.finished_at <= 2 * 70.0


@pytest.mark.parametrize(("refusal", "status"), [(429, 502), (503, 503)])
def test_behind_a_limiter_a_long_outage_loses_no_more_than_plain_retries(
    refusal: int, status: int
) -> None:
    lost = []
    for policy in (Policy(), Policy(throttle=None)):
        server = silent(FixedWindow(60, 10.0, aligned=True), refusal)
        work = job(server, 600, policy, begin=23.0, seconds=20.0, status=status)
        assert sum(work.run(until=300.0).reasons.values()) == 600
        lost.append(len(work.lost))
    assert lost[0] <= lost[1]


@pytest.mark.parametrize(("before", "after"), [(60, 120), (120, 60), (60, 10**6)])
def test_a_limit_that_is_changed_is_followed(before: int, after: int) -> None:
    limiter = FixedWindow(before, 10.0, aligned=True)
    work = job(silent(limiter), 1500)
    work.engine.at(55.0, lambda: setattr(limiter, "limit", after))
    report = work.run(until=600.0)
    assert report.reasons == {"success": 1500}
    least = 10.0 * (6 + (1500 - 6 * before) // after)
    assert report.finished_at <= 1.15 * least + 80.0  # eight windows until it is looked for
    assert len(report.refused_at) <= 0.12 * report.sent


@pytest.mark.parametrize(("before", "after"), [(10.0, 30.0), (30.0, 10.0)])
def test_a_length_that_is_changed_is_followed(before: float, after: float) -> None:
    limiter = FixedWindow(60, before, aligned=False)
    work = job(silent(limiter), 1500)
    work.engine.at(5 * before + 1.0, lambda: setattr(limiter, "window", after))
    report = work.run(until=2000.0)
    assert report.reasons == {"success": 1500}
    least = 5 * before + after * 20
    assert report.finished_at <= 1.15 * least + 8 * before
    assert len(report.refused_at) <= 0.1 * report.sent


@pytest.mark.parametrize("seconds", [3.0, 30.0])
def test_an_outage_before_a_bucket_is_taken_for_a_window_only_for_a_moment(seconds: float) -> None:
    server = silent(Silent("bucket_full", 10, 1.0, 429).limiter())
    work = job(server, 300, begin=2.3, seconds=seconds, status=503)
    report = work.run(until=400.0)
    assert len(work.lost) <= 2
    assert report.finished_at <= 31.0 + 3 * seconds
