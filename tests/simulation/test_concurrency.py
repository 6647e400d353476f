"""The learned limit on requests in flight: what is to hold for each server, beside no limit.

``PYTHONPATH=tests python -m simulation.concurrency`` prints the table that these bounds are about.
"""

import functools
import math
from random import Random

import pytest

from httpx_resilience import Policy, RetryPolicy, ThrottlePolicy
from simulation.callers import Answer, Caller, Latency
from simulation.concurrency import ROWS, RULES, Call, Measured, alike, measured
from simulation.engine import Engine
from simulation.shared_servers import Shared, falling

SUITE, SOAK = (1,), tuple(range(11, 19))

HOLDS: dict[str, tuple[float, float, float]] = {
    # successes a second at least, p99 from send and from call at most, as multiples of no limit's
    "throughput falls (0.02, 0.0005)": (3.5, 0.05, 0.4),
    "throughput falls, unlike requests": (3.5, 0.05, 0.2),
    "throughput falls soon (0, 0.01)": (10.0, 0.05, 0.2),
    "httpx's pool, 500 tasks": (10.0, 0.01, 0.2),
    "httpx's pool, 10 tasks": (1.0, 1.0, 1.05),
    "16 workers": (0.97, 0.25, 1.1),
    "16 workers, refuses more than 64": (0.97, 1.0, math.inf),
    "16 workers, bursts": (0.95, 0.4, 1.3),
    "16 workers, mix of 2 and 300 ms": (0.8, 0.3, 1.6),
    "no bound, 50 ms": (0.99, 1.02, 1.02),
    "no bound, mix of 2 and 300 ms": (0.4, 1.05, 5.0),
    "no bound, 300 ms once in 20": (0.97, 1.02, 1.02),
    "no bound, 2 % fail": (0.97, 1.02, 1.02),
    "no bound, 4 to 16 s": (0.97, 1.02, 1.02),
    "moves from 20 to 120 ms": (0.95, 1.02, 1.1),
}

QUICK = (
    "throughput falls (0.02, 0.0005)",
    "16 workers",
    "httpx's pool, 500 tasks",
    "no bound, mix of 2 and 300 ms",
    "moves from 20 to 120 ms",
)
"""Of the default suite; they take a fifth of a second each."""


def check(name: str, seed: int) -> None:
    off, auto = (ROWS[name].run(RULES[rule], seed) for rule in ("off", "auto"))
    rate, latency, whole = HOLDS[name]
    assert auto.rate >= rate * off.rate, f"seed {seed}: {auto} {off}"
    assert auto.latency <= latency * off.latency, f"seed {seed}: {auto} {off}"
    assert auto.whole <= whole * off.whole, f"seed {seed}: {auto} {off}"


@pytest.mark.parametrize("seed", SUITE)
@pytest.mark.parametrize("name", QUICK)
def test_the_learned_limit_serves_each_kind_of_server(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK)
@pytest.mark.parametrize("name", ROWS)
def test_the_learned_limit_serves_each_kind_of_server_with_any_seed(name: str, seed: int) -> None:
    check(name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK)
@pytest.mark.parametrize("name", ["throughput falls, unlike requests", "16 workers"])
@pytest.mark.parametrize("peer", ["vegas", "gradient2"])
def test_the_learned_limit_gets_more_done_than_the_rules_it_comes_from(
    name: str, seed: int, peer: str
) -> None:
    auto, other = (ROWS[name].run(RULES[rule], seed) for rule in ("auto", peer))
    assert auto.rate > other.rate


class Stopwatch:
    """Notes when requests leave, and when they are answered."""

    def __init__(self) -> None:
        self.left: dict[int, float] = {}
        self.took: dict[int, float] = {}

    def sent(self, order: int, attempt: int, now: float) -> None:
        self.left[order] = now

    def received(self, order: int, answer: Answer, now: float) -> None:
        self.took[order] = now - self.left[order]


@functools.cache
def whole(concurrency: str | None, seed: int, seconds: float) -> Measured:
    """Return what the real core comes to, from the first call on: 500 tasks."""
    throttle = ThrottlePolicy(concurrency=concurrency)  # type: ignore[arg-type]  # "auto" or None
    policy = Policy(throttle=throttle, budget=None, park=None, retry=RetryPolicy(max_attempts=1))
    engine, chance, watch = Engine(), Random(seed), Stopwatch()
    server = Shared(chance, falling(0.02, 0.02, 0.0005), alike)
    latency = Latency(0.0005, 0.0)
    caller = Caller(engine, server, policy, chance, latency=latency, watchers=[watch])
    calls: list[Call] = []

    def call() -> None:
        def ended() -> None:
            took = watch.took[record.order]
            times = record.arrived_at, record.ended_at - took, record.ended_at
            calls.append(Call(*times, record.succeeded, 0.0))
            call()

        record = caller.call(lambda: engine.at(engine.now, ended))

    for _ in range(500):
        engine.at(0.01 * chance.random(), call)
    engine.run(seconds)
    assert all(each.succeeded for each in calls)
    return measured(calls, seconds)


def compare(seed: int, seconds: float) -> None:
    off, auto = whole(None, seed, seconds), whole("auto", seed, seconds)
    assert auto.rate >= off.rate
    assert auto.latency <= 0.5 * off.latency
    assert auto.whole <= off.whole


def test_where_throughput_falls_with_concurrency_more_succeed_and_sooner() -> None:
    """The real core, from its first call on, on 1 / (1 + 0.02 (n - 1) + 0.0005 n (n - 1))."""
    compare(1, 6.0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", SOAK)
def test_where_throughput_falls_with_concurrency_more_succeed_and_sooner_with_any_seed(
    seed: int,
) -> None:
    compare(seed, 40.0)
