"""How long to wait before a retry."""

import math

import pytest

from httpx_resilience import Backoff, ErrorClass, RetryPolicy
from httpx_resilience._core.retry.backoff import hinted_delay

LAST = math.nextafter(1.0, 0.0)
"""The largest random number there is."""

TABLE = {
    ErrorClass.RATE_LIMITED: (1.0, 20.0, 2.0, "equal", None, 0.5),
    ErrorClass.TRANSIENT: (0.5, 20.0, 3.0, "equal", None, 1.0),
    ErrorClass.CONNECTION: (0.5, 20.0, 3.0, "equal", None, 1.0),
    ErrorClass.INTERNAL: (0.5, 20.0, 2.0, "equal", 2, 1.0),
    ErrorClass.CONFLICT: (0.1, 2.0, 2.0, "full", 3, 1.0),
}


def test_the_defaults_of_each_class_are_those_of_the_table() -> None:
    found = {
        error_class: (b.initial, b.maximum, b.multiplier, b.jitter, b.max_attempts, b.cost)
        for error_class, b in RetryPolicy().backoff.items()
    }
    assert found == TABLE


@pytest.mark.parametrize(
    ("attempt", "capped"), [(1, 0.5), (2, 1.5), (3, 4.5), (4, 13.5), (5, 20.0), (50, 20.0)]
)
def test_the_exponential_grows_to_its_maximum(attempt: int, capped: float) -> None:
    plain = Backoff(initial=0.5, multiplier=3.0, maximum=20.0, jitter="none")
    assert plain.delay(attempt, rand=0.5) == pytest.approx(capped)


@pytest.mark.parametrize(("rand", "delay"), [(0.0, 2.25), (0.5, 3.375), (LAST, 4.5)])
def test_equal_jitter_draws_from_the_upper_half(rand: float, delay: float) -> None:
    backoff = Backoff(initial=0.5, multiplier=3.0, jitter="equal")
    assert backoff.delay(3, rand) == pytest.approx(delay)


@pytest.mark.parametrize(("rand", "delay"), [(0.0, 0.01), (0.001, 0.01), (0.5, 2.25), (LAST, 4.5)])
def test_full_jitter_draws_from_all_of_it_but_never_comes_at_once(
    rand: float, delay: float
) -> None:
    backoff = Backoff(initial=0.5, multiplier=3.0, jitter="full")
    assert backoff.delay(3, rand) == pytest.approx(delay)


@pytest.mark.parametrize("attempt", [1, 2, 1000, 10**9, 10**400])
@pytest.mark.parametrize("multiplier", [1.0, 1.0001, 2.0, 1e300])
def test_no_number_of_attempts_overflows(attempt: int, multiplier: float) -> None:
    backoff = Backoff(initial=0.5, maximum=20.0, multiplier=multiplier, jitter="none")
    assert 0.5 <= backoff.delay(attempt, rand=0.5) <= 20.0


def test_a_multiplier_of_one_waits_the_same_each_time() -> None:
    backoff = Backoff(initial=2.0, multiplier=1.0, jitter="none")
    assert [backoff.delay(n, 0.5) for n in (1, 2, 99)] == [2.0, 2.0, 2.0]


def test_an_initial_wait_that_is_the_maximum_stays_there() -> None:
    backoff = Backoff(initial=5.0, maximum=5.0, multiplier=2.0, jitter="none")
    assert [backoff.delay(n, 0.5) for n in (1, 2)] == [5.0, 5.0]


@pytest.mark.parametrize(
    ("hint", "rand", "delay"),
    [
        (2.0, 0.0, 2.0),
        (2.0, 0.5, 2.1),
        (2.0, LAST, 2.2),
        (10.0, LAST, 11.0),
        (60.0, 0.5, 60.5),
        (60.0, LAST, 61.0),
        (0.01, 0.5, 0.0105),
    ],
)
def test_a_hint_is_only_ever_lengthened_and_by_a_second_at_most(
    hint: float, rand: float, delay: float
) -> None:
    assert hinted_delay(hint, rand) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"initial": 0}, ValueError, "Backoff.initial: got 0, allowed is a finite number above 0"),
        ({"initial": -1.0}, ValueError, "Backoff.initial: got -1.0"),
        ({"initial": math.nan}, ValueError, "Backoff.initial: got nan"),
        ({"initial": "1"}, TypeError, "Backoff.initial: got '1'"),
        ({"initial": True}, TypeError, "Backoff.initial: got True"),
        ({"initial": 30.0}, ValueError, "Backoff.maximum: got 20.0, allowed .* at least 30"),
        ({"maximum": math.inf}, ValueError, "Backoff.maximum: got inf"),
        ({"multiplier": 0.5}, ValueError, "Backoff.multiplier: got 0.5"),
        ({"jitter": "ful"}, ValueError, r"Backoff.jitter: got 'ful'.*did you mean 'full'\?"),
        ({"max_attempts": 0}, ValueError, "Backoff.max_attempts: got 0"),
        ({"max_attempts": 2.0}, TypeError, "Backoff.max_attempts: got 2.0"),
        ({"cost": -0.1}, ValueError, "Backoff.cost: got -0.1"),
    ],
)
def test_a_wrong_number_is_refused_by_name_with_what_is_allowed(
    fields: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Backoff(**fields)  # type: ignore[arg-type]
