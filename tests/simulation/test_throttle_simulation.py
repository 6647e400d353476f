"""The throttle against model servers in virtual time: refusals, throughput, clocks, scouts.

A failure names the seed and the line that replays it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from statistics import median

import pytest

from httpx_resilience import Policy, RetryPolicy, ThrottlePolicy
from simulation.callers import Latency
from simulation.jobs import Job
from simulation.servers import LIMITERS, RESETS, RateLimitedServer
from simulation.shapes import PATIENT, Run, Shape, any_shape, busy_shape, play

SUITE, SOAK = range(260), range(260, 5_260)
EXACT = ("aligned", "anchored", "log", "bucket_full", "bucket_next")
"""Servers whose next unit can be known."""


@cache
def runs(policy: Policy = PATIENT) -> tuple[Run, ...]:
    """Return what became of the suite's shapes; their checkers held."""
    seeds = SUITE if policy is PATIENT else SUITE[::2]
    return tuple(
        play(any_shape(seed), seed, requests=120, fewest=2, policy=policy) for seed in seeds
    )


def told(runs: Iterable[Run]) -> str:
    return "\n".join(map(str, runs))


def check_refusals(runs: Sequence[Run]) -> None:
    by_kind: dict[bool, list[Run]] = {True: [], False: []}
    for run in runs:
        by_kind[run.shape.kind in EXACT].append(run)
    refused = [
        run for run in by_kind[True] if run.refused and not (run.began_cold or run.guessed_wrong)
    ]
    assert not refused, told(refused)
    assert sum(run.guessed_wrong for run in runs) <= 0.005 * len(runs), told(runs)
    counters = by_kind[False]
    assert sum(run.refused for run in counters) <= 0.001 * sum(r.report.sent for r in counters), (
        told(run for run in counters if run.refused)
    )


@pytest.mark.parametrize("policy", [PATIENT, Policy()], ids=["patient", "default"])
def test_no_random_server_refuses_a_request_and_sliding_counters_next_to_none(
    policy: Policy,
) -> None:
    check_refusals(runs(policy))


def test_the_default_policy_loses_no_call_that_has_its_turn_within_ten_minutes() -> None:
    judged = 0
    for run in runs(Policy()):
        shape = run.shape
        longest = math.ceil(shape.tasks / shape.limit + 1) * shape.window
        if longest < 300.0 and shape.latency.hung_share == 0:  # a sliding counter takes up to twice
            judged += 1
            assert not run.lost, str(run)
        assert all(record.took <= 601.0 for record in run.lost), str(run)
    assert judged > 40


@pytest.mark.parametrize("seed", [291, 1269, 2871, 4002, 4752])
def test_a_hung_answer_does_not_spoil_what_is_known_of_a_bucket(seed: int) -> None:
    run = play(any_shape(seed), seed)
    assert not run.refused, told([run])


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SOAK.start, SOAK.stop, 500))
def test_no_random_server_of_many_refuses_a_request(first: int) -> None:
    check_refusals([play(any_shape(seed), seed) for seed in range(first, first + 500)])


def test_no_random_server_of_the_suite_refuses_a_request_for_what_is_assumed() -> None:
    assert not any(run.guessed_wrong for run in (*runs(PATIENT), *runs(Policy())))


def test_the_random_shapes_are_what_they_are_meant_to_be() -> None:
    shapes = [run.shape for run in runs(PATIENT)]
    assert {shape.kind for shape in shapes} == set(LIMITERS)
    assert {shape.reset_format for shape in shapes} == set(RESETS)
    assert min(shape.limit for shape in shapes) == 1
    assert max(shape.limit for shape in shapes) > 900
    assert any(shape.step is not None for shape in shapes)
    assert any(shape.latency.hung_share for shape in shapes)
    assert sum(run.scouts for run in runs(PATIENT)) > 500


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_a_seed_run_twice_gives_the_same_trace(seed: int) -> None:
    shape = any_shape(seed)
    assert (
        play(shape, seed, requests=100, fewest=1).trace
        == play(shape, seed, requests=100, fewest=1).trace
    )


# Throughput, against a client that knows the server's state.


def check_throughput(
    kind: str, least: float, shortest: float, longest: float, *, states: bool = False
) -> None:
    found: dict[int, float] = {}
    for seed in range(7 if kind in EXACT else 15):
        shape = busy_shape(kind, seed, shortest=shortest, longest=longest)
        policy = PATIENT
        if states:
            policy = policy.replace(throttle=ThrottlePolicy(max_wait=1e9, window=shape.window))
        run = play(shape, seed, policy=policy, fewest=8, requests=0)
        assert not run.refused or kind not in EXACT, f"{kind} {seed}: {run}"
        found[seed] = run.efficiency
    assert median(found.values()) >= least, f"{kind}: {found}"


@pytest.mark.parametrize("kind", EXACT)
def test_a_server_whose_next_unit_can_be_known_is_used_to_98_percent(kind: str) -> None:
    check_throughput(kind, 0.98, 25, 3600)


def test_a_sliding_counter_is_used_to_85_percent() -> None:
    check_throughput("counter", 0.85, 25, 3600)


@pytest.mark.parametrize("kind", ["aligned", "anchored", "log"])
def test_a_short_window_that_is_stated_is_used_to_95_percent(kind: str) -> None:
    check_throughput(kind, 0.95, 5, 25, states=True)


@pytest.mark.parametrize("kind", LIMITERS)
def test_where_half_of_the_budget_is_asked_for_no_call_is_delayed_after_cold_start(
    kind: str,
) -> None:
    for seed, (limit, window) in enumerate(((1000, 60.0), (60, 30.0), (20, 10.0))):
        tasks = 4
        latency = Latency(tasks * window / limit, 0.0)
        shape = Shape(kind, limit, window, "floor", tasks, latency, 3.3, None)
        run = play(shape, seed)
        first = run.throttle.first_response_at
        assert first is not None
        assert len(run.throttle.delayed) == tasks - 1, f"{run}: {run.throttle.delayed[:9]}"
        assert max(at for _, at in run.throttle.delayed) <= first, run


# Clocks.


def same_sends(one: Run, other: Run) -> bool:
    ours, theirs = one.throttle.grants, other.throttle.grants
    return len(ours) == len(theirs) and all(
        a == b and abs(at - bt) <= 0.005 for (a, at), (b, bt) in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("kind", LIMITERS)
@pytest.mark.parametrize(
    ("skew", "step"), [(3600.0, 0.0), (-3600.0, 0.0), (0.0, 3600.0), (3600.0, -7200.0)]
)
def test_a_wrong_wall_clock_of_the_client_changes_nothing(
    kind: str, skew: float, step: float
) -> None:
    for seed, reset_format in enumerate(RESETS):
        shape = any_shape(seed)._replace(
            kind=kind, limit=20, window=30.0, reset_format=reset_format, tasks=8
        )
        right = play(shape, seed, requests=80)
        wrong = play(shape, seed, requests=80, wall_skew=skew, wall_step=step)
        assert same_sends(right, wrong), wrong


# TransportFailure.


def job(respond: Callable[[float], tuple[int, list[tuple[bytes, bytes]]]], **options: int) -> Job:
    patient = Policy(throttle=ThrottlePolicy(), retry=RetryPolicy(), budget=None)
    return Job(respond, calls=options["calls"], tasks=options["tasks"], seed=1, policy=patient)


def test_a_job_goes_on_when_the_server_does_after_an_outage_in_its_middle() -> None:
    server = RateLimitedServer(LIMITERS["aligned"](100, 10.0), 100)

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        return (503, []) if 12.0 <= now < 22.0 else server.handle(now)

    work = job(respond, calls=500, tasks=16)
    report = work.run()
    assert report.statuses.get(429, 0) == 0
    assert sum(report.reasons.values()) == 500
    after = [at for at in report.arrivals if at >= 22.0]
    assert min(after) < 27.0  # within a backoff
    assert report.finished_at < 80.0


def test_a_retry_keeps_its_calls_place_and_none_starves_amid_random_failures() -> None:
    server = RateLimitedServer(LIMITERS["aligned"](1000, 60.0), 1000)
    count = 0

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        nonlocal count
        count += 1
        status, headers = server.handle(now)
        return (503 if count % 50 == 0 else status), headers

    work = job(respond, calls=5_000, tasks=5_000)
    report = work.run()
    assert set(report.statuses) == {200, 503}
    assert report.reasons == {"success": 5_000}
    first_sent: dict[int, int] = {}
    for place, order in enumerate(report.admitted):
        first_sent.setdefault(order, place)
    assert list(first_sent) == sorted(first_sent)


def test_a_job_of_any_length_ends_with_nothing_in_flight_and_nothing_queued() -> None:
    for calls in (1, 2, 19, 20, 21, 200):
        server = RateLimitedServer(LIMITERS["log"](20, 5.0), 20)
        work = job(server.handle, calls=calls, tasks=50)
        report = work.run()
        assert report.reasons == {"success": calls}
        assert work.throttle is not None
        assert work.throttle.is_idle
