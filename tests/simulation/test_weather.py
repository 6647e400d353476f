"""Fleets under random faults: nothing unsafe while they last, and all is well once they are healed.

A failure names its seed and the line that replays it.
"""

from collections.abc import Iterable
from random import Random

import pytest

from httpx_resilience import Policy, ThrottlePolicy
from httpx_resilience._core.throttle.limits.concurrency import ConcurrencyLimiter
from simulation.callers import Answer, Caller, Latency, Respond
from simulation.engine import Engine
from simulation.machines import UNCODED, Fault
from simulation.servers import LIMITERS, RateLimitedServer
from simulation.watchers import NothingTooEarly, WithinLimit
from simulation.weather import LATER, Outlived, Weather, any_weather, outlive

SUITE, SOAK = range(10), range(10, 486)


def check(seeds: Iterable[int]) -> list[Outlived]:
    """Safety is asserted by the watchers on the way; liveness and tidiness here."""
    lived = []
    for seed in seeds:
        weather = any_weather(seed)
        try:
            outlived = outlive(weather, seed)
        except AssertionError as error:
            error.add_note(
                f"{weather}; replay: PYTHONPATH=tests python -m simulation.weather {seed}"
            )
            raise
        assert not outlived.unwell(), f"{outlived.unwell()[:3]} {outlived}"
        assert not outlived.left_behind(), f"{outlived.left_behind()} {outlived}"
        lived.append(outlived)
    refused = sum(outlived.refused for outlived in lived)
    assert refused <= 0.001 * sum(outlived.played.attempts for outlived in lived)
    return lived


def test_random_fleets_outlive_random_faults() -> None:
    lived = check(SUITE)
    assert sum(outlived.futile for outlived in lived) > 200, "the weather was too good"
    assert sum(outlived.asked for outlived in lived) > 200, "nobody was told to wait"


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SOAK.start, SOAK.stop, 34))
def test_many_random_fleets_outlive_random_faults(first: int) -> None:
    check(range(first, first + 34))


@pytest.mark.parametrize("seed", [3, 6])
def test_a_weather_run_twice_gives_the_same_trace(seed: int) -> None:
    weather = any_weather(seed)
    first = outlive(weather, seed).played.trace
    assert outlive(weather, seed).played.trace == first, f"seed {seed}"
    assert outlive(weather, seed + 1).played.trace != first, f"seed {seed + 1}"


# What random weather brought to light.

HERD = Weather(
    clients=2,
    rate=80.0,
    load=0.69,
    timeout=1.0,
    faults=(
        Fault("brown_out", 49.5, 70.0, 0.57, LATER),
        Fault("brown_out", 32.3, 33.4, 0.32, UNCODED),
        Fault("stall", 52.6, 62.4),
    ),
    limiter="counter",
    limit=400,
    window=5.0,
)
"""A queue that is let loose on the limping server fails, which closes the gate for the next one."""

HALF_A_MINUTE = Weather(
    clients=2,
    rate=10.0,
    load=0.59,
    timeout=1.0,
    faults=(Fault("stall", 30.0, 30.7), Fault("slow", 30.7, 50.0, 0.5), Fault("stall", 61.2, 70.0)),
    limiter="log",
    limit=109,
    window=10.0,
)
"""What timed out may be counted yet; while it may, too little seems to be left."""

PROXY = Weather(2, 40.0, 0.3, 1.0, (Fault("outage", 36.8, 39.6, answer=UNCODED),), None, 1, 1.0)
"""Refused by a proxy for three seconds, which looks like a limiter that says nothing."""

BEHIND = PROXY._replace(limiter="anchored", limit=500, window=5.0)
"""The same before a server that announces its limits."""


def test_a_herd_does_not_keep_a_limping_server_down() -> None:
    assert not outlive(HERD, 93).unwell()


def test_without_easing_the_herd_keeps_it_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConcurrencyLimiter, "open_at", lambda easing, flying, now: -1.0)
    assert len(outlive(HERD, 93).unwell()) > 500


def test_what_timed_out_long_ago_holds_nobody_back() -> None:
    assert not outlive(HALF_A_MINUTE, 24).unwell()


@pytest.mark.parametrize("weather", [PROXY, BEHIND])
def test_a_proxys_short_outage_leaves_no_slow_pace_behind(weather: Weather) -> None:
    for seed in range(106, 110):
        outlived = outlive(weather, seed)
        late = [record.waited for record in outlived.played.records if record.arrived_at > 70.0]
        assert max(late) < 1.0, f"seed {seed}"


# A wait that a thousand calls share.


class Spent:
    """A server whose window others have used up: it refuses, and says when to come back."""

    def __init__(self, kind: str, limit: int, window: float, watcher: WithinLimit) -> None:
        self._limiter = RateLimitedServer(LIMITERS[kind](limit, window), limit, "ceil")
        self._watcher = watcher
        for _ in range(limit):
            self._limiter.limiter.take(0.0)
        self.refused = 0

    def receive(self, engine: Engine, respond: Respond) -> None:
        status, headers = self._limiter.handle(engine.now)
        self._watcher.arrived(engine.now)
        self.refused += status == 429
        body = b'{"error": {"code": "rate_limited"}}' if status == 429 else b""
        respond(Answer(status, headers, body))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", LIMITERS)
def test_after_a_wait_that_a_thousand_calls_share_the_server_gets_no_more_than_its_limit(
    kind: str, seed: int
) -> None:
    limit, window = 100, 10.0
    # Only a log counts any ten seconds: of others' windows two may meet within them.
    allowed = limit + 1 if kind == "log" else 2 * limit
    watcher, engine, hint = WithinLimit(allowed, window), Engine(), NothingTooEarly()
    server = Spent(kind, limit, window, watcher)
    policy = Policy(budget=None, throttle=ThrottlePolicy(max_wait=1e6))
    caller = Caller(
        engine, server, policy, Random(seed), latency=Latency(0.02, 0.02), watchers=[hint]
    )
    records = [caller.call(lambda: None) for _ in range(1000)]
    engine.run()
    assert all(record.succeeded for record in records), f"seed {seed}"
    assert hint.asked >= 1
    assert server.refused <= (5 if kind == "counter" else 1), f"seed {seed}"
    assert watcher.most > 0.5 * limit


def test_nothing_is_sent_before_the_time_an_outage_names() -> None:
    engine, hint = Engine(), NothingTooEarly()

    class Down:
        def receive(self, engine: Engine, respond: Respond) -> None:
            respond(LATER if engine.now < 20.0 else Answer(200))

    caller = Caller(engine, Down(), Policy(), Random(1), watchers=[hint])

    def begin() -> None:
        caller.call(lambda: None)

    for n in range(300):
        engine.at(n / 10, begin)
    engine.run()
    assert hint.asked > 3
    assert caller.report.statuses[200] > 200
