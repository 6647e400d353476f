"""Whether an origin is available: three failures, one good success, and what counts as good."""

import math

import pytest

from httpx_resilience._core.retry.availability import Availability

USUAL = 0.1


def well(successes: int = 60, latency: float = USUAL) -> Availability:
    """Return an origin that has answered at a steady speed, each 0.1 s, up to second 0."""
    known = Availability()
    for n in range(successes):
        known.succeeded(latency, (n - successes) * 0.1)
    return known


def failed(known: Availability, *times: float) -> Availability:
    for now in times:
        known.failed(now)
    return known


def test_an_origin_that_nobody_called_is_available() -> None:
    known = Availability()
    assert known.unavailable_since is None
    assert not known.has_succeeded


def test_two_failures_in_a_row_are_chance_and_three_an_outage() -> None:
    known = failed(well(), 1.0, 2.0)
    assert known.unavailable_since is None
    known.failed(3.0)
    assert known.unavailable_since == 1.0
    known.failed(4.0)
    assert known.failures == 4
    assert known.unavailable_since == 1.0


def test_a_success_between_failures_begins_the_count_anew() -> None:
    known = failed(well(), 1.0, 2.0)
    known.succeeded(USUAL, 2.5)
    failed(known, 3.0, 4.0)
    assert known.unavailable_since is None
    known.failed(5.0)
    assert known.unavailable_since == 3.0


def test_one_success_at_the_usual_speed_ends_an_outage() -> None:
    known = failed(well(), 1.0, 2.0, 3.0)
    assert known.health == 0.0
    assert known.succeeded(USUAL, 9.0) == 1.0
    assert known.unavailable_since is None
    assert (known.good_at, known.failures) == (9.0, 0)


def test_a_slow_success_does_not_end_an_outage() -> None:
    known = failed(well(), 1.0, 2.0, 3.0)
    assert known.succeeded(10 * USUAL, 9.0) < 0.1
    assert known.unavailable_since == 1.0
    assert known.succeeded_at == 9.0
    assert known.good_at == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("times", "quality"), [(1.0, 1.0), (2.0, 1.0), (4.0, 1 / 4), (20.0, 1 / 100)]
)
def test_a_success_counts_by_the_square_of_how_far_it_lies_beyond_twice_the_usual(
    times: float, quality: float
) -> None:
    known = well(2000)
    latency = times * known.usual
    assert known.succeeded(latency, 0.0) == pytest.approx(quality, rel=0.05)


def test_an_origin_that_answers_far_too_late_is_not_available() -> None:
    known = well(2000)
    known.succeeded(20 * USUAL, 0.0)
    assert known.unavailable_since is None  # one may be chance
    known.succeeded(20 * USUAL, 0.1)
    assert known.unavailable_since == 0.1
    assert known.failures == 0


def test_nothing_is_slow_that_a_busy_client_may_be_late_by_itself() -> None:
    known = well(2000, latency=0.0001)
    for n in range(10):
        assert known.succeeded(0.009, n * 0.1) == 1.0


def test_the_usual_latency_is_the_one_that_nine_in_ten_do_not_exceed() -> None:
    known = Availability()
    for n in range(20_000):
        known.succeeded(1.0 if n % 10 == 0 else 0.1, n * 0.1)
    below = well(20_000).usual
    assert below == pytest.approx(0.1, rel=0.1)
    assert known.usual > 0.3  # a tenth of a second is exceeded by a tenth of them


def test_the_usual_latency_follows_a_server_that_is_slower_for_good() -> None:
    known = well(2000)
    for n in range(1200):
        known.succeeded(5 * USUAL, n * 0.1)
    assert known.succeeded(5 * USUAL, 120.0) == 1.0
    assert known.unavailable_since is None


def test_successes_at_one_instant_are_one_sample_of_the_usual_latency() -> None:
    known = well(5)
    before = known.usual
    known.succeeded(USUAL, 0.0)
    once = known.usual
    for _ in range(100):
        known.succeeded(5 * USUAL, 0.0)
    assert known.usual == once
    assert once != before


def test_latencies_of_nothing_are_borne() -> None:
    known = Availability()
    assert known.succeeded(0.0, 0.0) == 1.0
    assert known.succeeded(-1.0, 1.0) == 1.0
    assert math.isfinite(known.succeeded(1e9, 2.0))


def test_it_is_calm_while_nothing_fails_and_all_is_at_its_usual_speed() -> None:
    known = well()
    assert known.is_calm
    known.failed(0.0)
    assert not known.is_calm
    known.succeeded(USUAL, 0.1)
    known.succeeded(20 * USUAL, 0.2)
    assert not known.is_calm
    for n in range(20):
        known.succeeded(USUAL, 0.3 + n)
    assert known.is_calm


def test_one_failure_takes_nothing_from_the_health() -> None:
    known = failed(well(), 1.0)
    assert known.health == 1.0


def test_the_usual_latency_is_found_quickly_at_first() -> None:
    known = Availability()
    for n in range(10):  # one second, of thirty that it remembers
        known.succeeded(0.1 if n == 0 else 0.19, n * 0.1)
    assert known.usual > 0.15
